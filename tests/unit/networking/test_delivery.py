# SPDX-License-Identifier: Apache-2.0
"""Delivery: one task per host, retries, time limits, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cloudfabric.controllers import Backoff, VirtualClock
from cloudfabric.networking.contributions import Contribution, Contributions, host_topic
from cloudfabric.networking.delivery import Delivery
from cloudfabric.networking.goalstate import Acknowledgement, Delta, HostChannel, KnownHost
from tests.support.network_world import RecordingHost


def entry(number: int) -> Contribution:
    return Contribution(publish={host_topic(1): (KnownHost(number),)})


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Bench:
    """A delivery to one host at address 1, over a virtual clock."""

    def __init__(self, channel: HostChannel | None = None, *, timeout: float = 30.0) -> None:
        self.clock = VirtualClock()
        self.host = RecordingHost("node", 1)
        self.channel: HostChannel = channel or self.host
        self.contributions: Contributions[str] = Contributions()
        self.open = asyncio.Event()
        self.open.set()
        self.reach: list[str] = []
        self.reported = asyncio.Event()
        self.idle = 0
        self.delivery: Delivery[str] = Delivery(
            self.contributions,
            self,
            clock=self.clock,
            opened=self._opened,
            on_reach=self._reach_changed,
            became_idle=self._became_idle,
            backoff=Backoff(base=1, limit=8),
            timeout=timeout,
        )

    async def _opened(self) -> None:
        await self.open.wait()

    def _reach_changed(self, name: str) -> None:
        self.reach.append(name)
        self.reported.set()

    def _became_idle(self) -> None:
        self.idle += 1

    async def connect(self, droplet: str) -> HostChannel:
        assert droplet == "node"
        return self.channel

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.delivery.run())
        await turns()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_host_that_is_attached_is_told() -> None:
    bench = Bench()
    bench.delivery.attach("node", 1)
    bench.contributions.replace("a", entry(9))
    assert bench.delivery.busy == "host node (0.0.0.1) is behind"
    async with bench.running():
        assert list(bench.host.state) == [KnownHost(9)]
        assert bench.delivery.busy == ""
        assert bench.idle
        bench.contributions.replace("a", entry(8))
        await turns()
        assert list(bench.host.state) == [KnownHost(8)]
    metrics = bench.delivery.metrics
    assert (metrics.deltas, metrics.entries, metrics.complete, metrics.errors) == (2, 3, 1, 0)


async def test_a_host_may_be_attached_at_any_time_and_only_once() -> None:
    bench = Bench()
    async with bench.running():
        bench.delivery.attach("node", 1)
        bench.delivery.attach("node", 1)
        await turns()
        assert bench.host.connections == 1


async def test_nothing_is_sent_before_the_goal_states_are_complete() -> None:
    bench = Bench()
    bench.open.clear()
    bench.delivery.attach("node", 1)
    async with bench.running():
        bench.contributions.replace("a", entry(9))
        await turns()
        assert bench.host.told == []
        bench.open.set()
        await turns()
        assert len(bench.host.told) == 1


async def test_changes_during_a_delivery_are_sent_together_afterwards() -> None:
    bench = Bench()
    bench.delivery.attach("node", 1)
    async with bench.running():
        bench.host.answers.clear()
        bench.contributions.replace("first", entry(100))
        await turns()
        for number in range(20):
            bench.contributions.replace(f"owner-{number}", entry(number))
        await turns()
        assert [len(delta) for delta in bench.host.told] == [0, 1]
        bench.host.answers.set()
        await turns()
        assert [len(delta) for delta in bench.host.told] == [0, 1, 20]


async def test_an_unreachable_host_is_tried_again_with_backoff() -> None:
    bench = Bench()
    bench.host.down = ConnectionRefusedError("no agent")
    bench.contributions.replace("a", entry(9))
    bench.delivery.attach("node", 1)
    async with bench.running():
        for delay in (1, 2, 4, 8, 8):
            assert bench.clock.next_deadline() == bench.clock.now() + delay
            assert bench.delivery.busy == "host node (0.0.0.1) is behind: no agent"
            bench.clock.advance(delay)
            await turns()
        assert bench.delivery.metrics.errors == 6
        bench.host.down = None
        bench.clock.advance(8)
        await turns()
        assert list(bench.host.state) == [KnownHost(9)]
        assert bench.reach == ["node"] * 7
        bench.host.down = OSError()
        bench.contributions.replace("a", entry(8))
        await turns()
        assert bench.contributions.host(1).unreachable == "OSError"
        assert bench.clock.next_deadline() == bench.clock.now() + 1, "it starts again from the beginning"


async def test_an_agent_that_fails_is_treated_like_one_that_cannot_be_reached(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.host.down = ZeroDivisionError("a bug in the agent")
    bench.contributions.replace("a", entry(9))
    bench.delivery.attach("node", 1)
    async with bench.running():
        assert "a bug in the agent" in caplog.text
        assert "Traceback" in caplog.text
        bench.host.down = None
        bench.clock.advance(1)
        await turns()
        assert list(bench.host.state) == [KnownHost(9)]


async def test_a_connection_that_comes_back_without_any_news_is_reported() -> None:
    bench = Bench()
    bench.delivery.attach("node", 1)
    async with bench.running():
        bench.host.down = ConnectionResetError("gone")
        bench.contributions.replace("a", entry(9))
        await turns()
        bench.host.state.apply(Delta(0, 1))
        bench.contributions.withdraw("a")
        bench.host.down = None
        bench.clock.advance(1)
        await turns()
        assert bench.reach == ["node", "node"]
        assert bench.contributions.host(1).unreachable == ""


async def test_what_failed_is_sent_again_later_each_time() -> None:
    bench = Bench()
    bench.host.refuses = lambda key: "full"
    bench.contributions.replace("a", entry(9))
    bench.delivery.attach("node", 1)
    async with bench.running():
        assert bench.delivery.busy == "", "the host has answered"
        for delay in (1, 2, 4):
            assert bench.clock.next_deadline() == bench.clock.now() + delay
            bench.clock.advance(delay)
            await turns()
        assert len(bench.host.told) == 4
        bench.host.refuses = lambda key: ""
        bench.clock.advance(8)
        await turns()
        assert bench.contributions.failures("a") == ()
        assert bench.clock.next_deadline() is None
        bench.host.refuses = lambda key: "full"
        bench.contributions.replace("b", entry(8))
        await turns()
        assert bench.clock.next_deadline() == bench.clock.now() + 1


async def test_a_detached_host_is_left_alone() -> None:
    bench = Bench()
    bench.host.refuses = lambda key: "full"
    bench.contributions.replace("a", entry(9))
    bench.delivery.attach("node", 1)
    async with bench.running():
        bench.delivery.detach(1)
        bench.delivery.detach(1)
        told = len(bench.host.told)
        bench.contributions.replace("a", entry(8))
        bench.clock.advance(100)
        await turns()
        assert len(bench.host.told) == told
        assert bench.delivery.busy == ""


class Silent:
    """An agent that does not answer for as long as it is told."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.ended: list[str] = []

    async def apply(self, delta: Delta) -> Acknowledgement:
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("finished")
        return Acknowledgement(1, delta.version)

    async def resync(self) -> int:
        return 0


async def test_an_agent_that_does_not_answer_in_time_is_given_up() -> None:
    agent = Silent()
    bench = Bench(agent, timeout=0.01)
    bench.delivery.attach("node", 1)
    async with bench.running():
        await agent.begun.wait()
        await bench.reported.wait()  # the time limit is real time
        assert bench.contributions.host(1).unreachable == "no answer within 0.01 s"
        assert agent.ended == ["cancelled"]


@pytest.mark.parametrize("how", [lambda bench: bench.delivery.detach(1), None], ids=["detach", "shutdown"])
async def test_an_agent_ends_what_it_has_begun(how: Callable[[Bench], None] | None) -> None:
    agent = Silent()
    bench = Bench(agent)
    bench.delivery.attach("node", 1)
    async with bench.running():
        await agent.begun.wait()
        if how is not None:
            how(bench)
        asyncio.get_running_loop().call_soon(agent.release.set)
        await turns()
    assert agent.ended == ["finished"]


async def test_an_agent_that_refuses_even_everything_is_in_error() -> None:
    class Confused(Silent):
        async def apply(self, delta: Delta) -> Acknowledgement:
            return Acknowledgement(1, 4711)

    bench = Bench(Confused())
    bench.delivery.attach("node", 1)
    async with bench.running():
        assert "answers to a complete delta with version 4711" in bench.contributions.host(1).unreachable
        assert bench.clock.next_deadline() == 1
