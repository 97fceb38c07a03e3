# SPDX-License-Identifier: Apache-2.0
"""What the work queue promises: deduplication, one worker per key, fairness, backoff, delays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from cloudfabric.controllers.clock import SystemClock, VirtualClock
from cloudfabric.controllers.workqueue import Backoff, QueueClosed, WorkQueue


@dataclass(frozen=True)
class Key:
    tenant: str
    name: str


A, B, C = Key("red", "a"), Key("red", "b"), Key("red", "c")


async def take(queue: WorkQueue[Key]) -> Key:
    key = await queue.get()
    queue.done(key)
    return key


async def test_keys_come_out_in_the_order_they_went_in() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    for key in (B, A, C):
        queue.add(key)
    assert [await take(queue) for _ in range(3)] == [B, A, C]


async def test_a_waiting_key_is_not_added_twice() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    queue.add(A)
    queue.add(A)
    assert len(queue) == 1


async def test_a_key_in_flight_is_queued_again_only_after_done() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    queue.add(A)
    key = await queue.get()
    queue.add(A)
    queue.add(A)
    assert len(queue) == 0, "two workers would reconcile one key"
    queue.done(key)
    assert len(queue) == 1
    assert await take(queue) == A
    assert queue.idle


async def test_tenants_take_turns() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    for number in range(1000):
        queue.add(Key("noisy", str(number)))
    queue.add(Key("quiet", "only"))
    assert [(await take(queue)).tenant for _ in range(4)] == ["noisy", "quiet", "noisy", "noisy"]


async def test_three_tenants_share_evenly() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    for tenant, count in (("a", 5), ("b", 2), ("c", 3)):
        for number in range(count):
            queue.add(Key(tenant, str(number)))
    assert "".join([(await take(queue)).tenant for _ in range(10)]) == "abcabcacaa"


async def test_backoff_doubles_until_its_limit() -> None:
    clock = VirtualClock()
    queue: WorkQueue[Key] = WorkQueue(clock, Backoff(base=1, limit=10))
    delays = []
    for _ in range(6):
        queue.add(A)
        key = await queue.get()
        delays.append(queue.add_failed(key))
        queue.done(key)
    assert delays == [1, 2, 4, 8, 10, 10]
    assert queue.failures(A) == 6
    assert queue.failing() == (A,)


def test_backoff_of_a_key_that_fails_forever_does_not_overflow() -> None:
    assert Backoff(base=1, limit=60).delay(100_000) == 60


async def test_a_failed_key_comes_back_after_its_backoff() -> None:
    clock = VirtualClock()
    queue: WorkQueue[Key] = WorkQueue(clock, Backoff(base=2))
    queue.add(A)
    key = await queue.get()
    queue.add_failed(key)
    queue.done(key)
    clock.advance(1.9)
    assert len(queue) == 0
    assert not queue.idle, "work is still to be done"
    clock.advance(0.2)
    assert await take(queue) == A


async def test_success_ends_the_row_of_failures() -> None:
    clock = VirtualClock()
    queue: WorkQueue[Key] = WorkQueue(clock, Backoff(base=1))
    queue.add_failed(A)
    queue.add_failed(A)
    queue.forget(A)
    assert queue.add_failed(A) == 1


async def test_the_earlier_of_two_delays_counts() -> None:
    clock = VirtualClock()
    queue: WorkQueue[Key] = WorkQueue(clock)
    queue.add_after(A, 5)
    queue.add_after(A, 9)
    queue.add_after(B, 9)
    queue.add_after(B, 5)
    assert clock.advance(5) == 2
    assert len(queue) == 2
    assert queue.delayed == 0
    assert clock.advance(10) == 0, "the later timers are gone"


async def test_a_planned_visit_does_not_count_as_work() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    queue.add_after(A, 30)
    assert queue.idle
    queue.add_failed(A)
    assert not queue.idle


async def test_no_delay_means_now() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    queue.add_after(A, 5)
    queue.add_after(A, 0)
    assert await take(queue) == A
    assert queue.delayed == 0


async def test_working_on_a_key_replaces_its_planned_visit() -> None:
    clock = VirtualClock()
    queue: WorkQueue[Key] = WorkQueue(clock)
    queue.add_after(A, 5)
    queue.add(A)
    await take(queue)
    assert clock.advance(10) == 0


async def test_getters_wait_until_there_is_a_key() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    getters = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(A)
    queue.add(B)
    assert {await getter for getter in getters} == {A, B}
    assert queue.in_flight == 2


async def test_a_cancelled_getter_does_not_lose_a_key() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add(A)  # wakes the first getter
    first.cancel()
    assert await second == A
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_getter_that_is_cancelled_while_it_waits_is_forgotten() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    queue.add(A)
    assert await second == A


async def test_closing_ends_all_getters_and_drops_what_waits() -> None:
    clock = VirtualClock()
    queue: WorkQueue[Key] = WorkQueue(clock)
    getter = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after(B, 1)
    queue.close()
    with pytest.raises(QueueClosed):
        await getter
    queue.add(A)
    queue.add_after(A, 1)
    assert clock.advance(5) == 0
    assert queue.idle
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_key_in_flight_may_be_done_after_closing() -> None:
    queue: WorkQueue[Key] = WorkQueue(VirtualClock())
    queue.add(A)
    key = await queue.get()
    queue.add(A)
    queue.close()
    queue.done(key)
    assert queue.idle


async def test_idleness_is_reported() -> None:
    reports: list[bool] = []
    queue: WorkQueue[Key] = WorkQueue(VirtualClock(), on_idle=lambda: reports.append(True))
    queue.add(A)
    queue.add(B)
    await take(queue)
    assert reports == []
    await take(queue)
    assert reports == [True]


async def test_the_system_clock_is_the_default() -> None:
    queue: WorkQueue[Key] = WorkQueue()
    queue.add_after(A, 0.001)
    assert await asyncio.wait_for(take(queue), 5) == A
    assert SystemClock().now() == pytest.approx(asyncio.get_running_loop().time(), abs=1)


def test_virtual_timers_fire_in_order_of_their_deadlines() -> None:
    clock = VirtualClock(start=100)
    fired: list[tuple[str, float]] = []
    clock.call_later(3, lambda: fired.append(("late", clock.now())))
    clock.call_later(1, lambda: fired.append(("early", clock.now())))
    cancelled = clock.call_later(2, lambda: fired.append(("never", clock.now())))
    cancelled.cancel()
    assert clock.next_deadline() == 101
    assert clock.advance(5) == 2
    assert fired == [("early", 101), ("late", 103)]
    assert clock.now() == 105
    assert clock.next_deadline() is None
