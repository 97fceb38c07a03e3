# SPDX-License-Identifier: Apache-2.0
"""Manager and controllers: level-triggered, never losing a key, ending in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable

import pytest

from cloudfabric.controllers import (
    Backoff,
    Context,
    Controller,
    Manager,
    NotIdle,
    ObjectKey,
    VirtualClock,
)
from cloudfabric.models import VPC, Object, Tenant
from cloudfabric.store import Client, Conflict, Store, StoreClosed
from tests.support.recorder import Network, Recorder, key, tenant, turns


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with await Store.open("memory://") as store:
        yield store.client()


async def test_what_is_there_and_what_comes_is_reconciled(client: Client) -> None:
    await client.create(tenant("red"))
    recorder = Recorder()
    async with Manager(client) as manager:
        manager.add(recorder)
        await manager.idle()
        assert recorder.calls == ["red"]
        await manager.client.create(tenant("blue"))
        await manager.idle()
        assert recorder.calls == ["red", "blue"]
        await manager.client.delete(Tenant, "blue")
        await manager.idle()
        assert recorder.calls == ["red", "blue", "blue"]
        assert manager.metrics()["Recorder"].reconciles == 3


async def test_controllers_added_before_the_start_run_too(client: Client) -> None:
    await client.create(tenant("red"))
    recorder = Recorder()
    manager = Manager(client)
    manager.add(recorder)
    async with manager:
        await manager.idle()
    assert recorder.calls == ["red"]


async def test_a_manager_that_is_never_started_leaves_nothing_behind(client: Client) -> None:
    Manager(client).add(Recorder())


async def test_a_failed_reconcile_is_logged_and_tried_again_after_its_backoff(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    remaining = 3

    def fail(key: ObjectKey) -> None:
        nonlocal remaining
        remaining -= 1
        if remaining >= 0:
            raise RuntimeError("out of luck")

    recorder = Recorder(fail)
    async with Manager(client, clock=clock, backoff=Backoff(base=1)) as manager:
        manager.add(recorder)
        with caplog.at_level(logging.ERROR):
            await manager.client.create(tenant("red"))
            await turns()
            assert len(recorder.calls) == 1
        assert "Recorder: reconcile of red failed" in caplog.text
        assert "out of luck" in caplog.text
        assert manager.metrics()["Recorder"].last_errors == {key("red"): "RuntimeError: out of luck"}
        for calls, delay in ((2, 1), (3, 2), (4, 4)):
            clock.advance(delay - 0.01)
            await turns()
            assert len(recorder.calls) == calls - 1, "too early"
            clock.advance(0.02)
            await turns()
            assert len(recorder.calls) == calls
        await manager.idle()
        metrics = manager.metrics()["Recorder"]
        assert (metrics.reconciles, metrics.failures, metrics.last_errors) == (4, 3, {})


async def test_an_event_brings_a_failing_key_back_at_once(client: Client) -> None:
    recorder = Recorder(lambda key: (_ for _ in ()).throw(RuntimeError()) if len(recorder.calls) == 1 else None)
    async with Manager(client, clock=VirtualClock()) as manager:
        manager.add(recorder)
        red = await manager.client.create(tenant("red"))
        await turns()
        await manager.client.update(red.with_spec(description="better"))
        await manager.idle()
        assert recorder.calls == ["red", "red"]


async def test_a_conflict_is_tried_again_and_not_logged_as_an_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def conflict(key: ObjectKey) -> None:
        if len(recorder.calls) == 1:
            raise Conflict("Tenant", "", "", "red", "resourceVersion", "1", "2")

    recorder = Recorder(conflict)
    async with Manager(client) as manager:
        manager.add(recorder)
        await manager.client.create(tenant("red"))
        await manager.idle()
        metrics = manager.metrics()["Recorder"]
    assert (metrics.reconciles, metrics.conflicts, metrics.failures) == (2, 1, 0)
    assert caplog.records == []


async def test_idle_says_what_is_still_to_be_done(client: Client) -> None:
    def fail(key: ObjectKey) -> None:
        raise RuntimeError("no luck")

    async with Manager(client, backoff=Backoff(base=100)) as manager:
        manager.add(Recorder(fail))
        await manager.client.create(tenant("red"))
        with pytest.raises(NotIdle, match=r"Recorder: .*red failing: RuntimeError: no luck") as caught:
            await manager.idle(timeout=0.05)
        assert caught.value.timeout == 0.05


async def test_shutdown_lets_a_reconcile_in_flight_end(client: Client) -> None:
    begun, ended = asyncio.Event(), []

    class Worker(Controller[Tenant]):
        kind = Tenant

        async def reconcile(self, key: ObjectKey) -> None:
            begun.set()
            await turns(20)
            ended.append(key)

    async with Manager(client) as manager:
        manager.add(Worker())
        await manager.client.create(tenant("red"))
        await begun.wait()
    assert ended == [key("red")]


async def test_shutdown_does_not_wait_for_longer_than_the_grace_period(client: Client) -> None:
    begun, cancelled = asyncio.Event(), []

    class Stuck(Controller[Tenant]):
        kind = Tenant

        async def reconcile(self, key: ObjectKey) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(key)
                raise

    async with Manager(client, grace=0.01) as manager:
        manager.add(Stuck())
        await manager.client.create(tenant("red"))
        await begun.wait()
    assert cancelled == [key("red")]


async def test_an_error_of_the_body_is_raised_as_it_is(client: Client) -> None:
    async def body() -> None:
        async with Manager(client) as manager:
            manager.add(Recorder())
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await body()


async def test_a_broken_mapper_ends_the_manager_and_its_body() -> None:
    class Broken(Recorder):
        def setup(self, context: Context) -> None:
            context.watch(VPC, self.wrong)

        def wrong(self, vpc: Object) -> Iterable[ObjectKey]:
            raise ZeroDivisionError("in the mapper")

    async with await Store.open("memory://") as store:
        red = await store.client().create(tenant("red"))

        async def body() -> None:
            async with Manager(store.client()) as manager:
                manager.add(Broken())
                await manager.client.create(Network("red", "main").vpc(red))
                await asyncio.Event().wait()

        with pytest.raises(ExceptionGroup) as caught:
            await body()
        assert caught.group_contains(ZeroDivisionError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "the cancellation of the body was taken back"


async def test_closing_the_store_under_a_manager_ends_it() -> None:
    store = await Store.open("memory://")

    async def body() -> None:
        async with Manager(store.client()) as manager:
            manager.add(Recorder())
            await manager.idle()
            await store.close()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await body()
    assert caught.group_contains(StoreClosed)


async def test_run_goes_on_until_cancelled(client: Client) -> None:
    recorder = Recorder()
    manager = Manager(client)
    manager.add(recorder)
    task = asyncio.create_task(manager.run())
    await client.create(tenant("red"))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.calls == ["red"]


async def test_a_second_cancellation_during_shutdown_does_not_wait(client: Client) -> None:
    begun = asyncio.Event()

    class Stuck(Controller[Tenant]):
        kind = Tenant

        async def reconcile(self, key: ObjectKey) -> None:
            begun.set()
            await asyncio.Event().wait()

    manager = Manager(client, grace=1000)
    manager.add(Stuck())
    task = asyncio.create_task(manager.run())
    await client.create(tenant("red"))
    await begun.wait()
    task.cancel()
    await turns()
    assert not task.done(), "it is waiting for the reconcile"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_service_runs_beside_and_keeps_the_manager_from_idling(client: Client) -> None:
    class Work:
        def __init__(self) -> None:
            self.busy = "digging"
            self.finish = asyncio.Event()
            self.cancelled = False

        async def run(self) -> None:
            try:
                await self.finish.wait()
                self.busy = ""
                context[0].became_idle()
                await asyncio.Event().wait()
            finally:
                self.cancelled = True

    context: list[Context] = []
    work = Work()

    class Owner(Recorder):
        def setup(self, given: Context) -> None:
            context.append(given)
            given.add_service(work)

    async with Manager(client) as manager:
        manager.add(Owner())
        with pytest.raises(NotIdle, match="digging"):
            await manager.idle(timeout=0.01)
        work.finish.set()
        await manager.idle()
    assert work.cancelled
