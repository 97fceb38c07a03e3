# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the goal-state protocol, over a data plane that records what it is asked to write."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

import pytest

from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.agent import HostAgent
from cloudfabric.networking.dataplane.protocol import EndpointCounters, HostFacts
from cloudfabric.networking.goalstate import (
    Acknowledgement,
    Delta,
    Entry,
    Failure,
    HostChannel,
    Key,
    KnownHost,
    Member,
)

HOST = IPv4Address("172.30.0.1")


class RecordingDataplane:
    """Notes calls; refuses the keys in `refused`."""

    def __init__(self) -> None:
        self.facts = HostFacts("host-1", HOST)
        self.calls: list[tuple[str, tuple[Entry, ...], tuple[Key, ...]]] = []
        self.refused: set[Key] = set()
        self.running = False

    async def open(self) -> None:
        self.running = True

    async def close(self) -> None:
        self.running = False

    async def apply(self, upserts: Sequence[Entry], deletes: Sequence[Key]) -> tuple[Failure, ...]:
        return self._note("apply", upserts, deletes)

    async def replace(self, entries: Sequence[Entry]) -> tuple[Failure, ...]:
        return self._note("replace", entries, ())

    async def verdicts(self) -> Mapping[Verdict, int]:
        return {}

    async def endpoint_counters(self) -> Mapping[tuple[int, int], EndpointCounters]:
        return {}

    async def forget_learnt(self) -> None:
        return

    async def settled(self) -> None:
        return

    def _note(self, call: str, upserts: Sequence[Entry], deletes: Sequence[Key]) -> tuple[Failure, ...]:
        self.calls.append((call, tuple(upserts), tuple(deletes)))
        return tuple(Failure(entry.key, "map is full") for entry in upserts if entry.key in self.refused)


@pytest.fixture
def dataplane() -> RecordingDataplane:
    return RecordingDataplane()


@pytest.fixture
def agent(dataplane: RecordingDataplane) -> HostAgent:
    return HostAgent(dataplane)


def member(address: int, host: int = 1) -> Member:
    return Member(vni=5, address=address, host=host)


def test_is_a_host_channel(agent: HostAgent) -> None:
    assert isinstance(agent, HostChannel)


async def test_starts_and_stops_its_data_plane(agent: HostAgent, dataplane: RecordingDataplane) -> None:
    await agent.start()
    assert dataplane.running
    await agent.stop()
    assert not dataplane.running


async def test_holds_nothing_at_first(agent: HostAgent) -> None:
    assert await agent.resync() == 0


async def test_a_complete_delta_replaces(agent: HostAgent, dataplane: RecordingDataplane) -> None:
    answer = await agent.apply(Delta(0, 3, (member(1), KnownHost(9))))

    assert answer == Acknowledgement(int(HOST), 3)
    assert dataplane.calls == [("replace", (member(1), KnownHost(9)), ())]
    assert await agent.resync() == agent.version == 3


async def test_only_changes_are_written(agent: HostAgent, dataplane: RecordingDataplane) -> None:
    await agent.apply(Delta(0, 1, (member(1), member(2))))

    answer = await agent.apply(Delta(1, 2, (member(1), member(2, host=7)), (member(3).key,)))

    assert answer.version == 2
    assert dataplane.calls[-1] == ("apply", (member(2, host=7),), ())


async def test_a_delta_from_another_version_has_no_effect(agent: HostAgent, dataplane: RecordingDataplane) -> None:
    await agent.apply(Delta(0, 4, (member(1),)))

    answer = await agent.apply(Delta(3, 5, (member(2),)))

    assert answer == Acknowledgement(int(HOST), 4)
    assert len(dataplane.calls) == 1


async def test_a_repeated_delta_is_answered_with_the_version_held(agent: HostAgent) -> None:
    await agent.apply(Delta(0, 1, (member(1),)))
    await agent.apply(Delta(1, 2, (member(2),)))

    assert (await agent.apply(Delta(1, 2, (member(2),)))).version == 2


@pytest.mark.parametrize("base_version", [0, 1])
async def test_failures_are_reported_and_tried_again(
    agent: HostAgent, dataplane: RecordingDataplane, base_version: int
) -> None:
    await agent.apply(Delta(0, 1))
    dataplane.refused = {member(2).key}

    answer = await agent.apply(Delta(base_version, 2, (member(1), member(2))))

    assert answer == Acknowledgement(int(HOST), 2, (Failure(member(2).key, "map is full"),))
    dataplane.refused = set()
    await agent.apply(Delta(2, 3, (member(1), member(2))))
    assert dataplane.calls[-1] == ("apply", (member(2),), ())
