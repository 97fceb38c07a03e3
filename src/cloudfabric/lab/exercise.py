# SPDX-License-Identifier: Apache-2.0
"""Puts a running lab to the test: who reaches whom, by which way, how fast, and who must not be reached.

Counters of the data planes belong to whole hosts, so what is to be read from them is sent alone: paths and round-trip
times are measured one pair after the other. Everything else runs side by side.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.lab.paths import Path, changes, path_of
from cloudfabric.lab.substrate import Substrate, Workload
from cloudfabric.networking.dataplane.protocol import Dataplane

__all__ = ["Isolation", "PairResult", "isolation", "pairs"]

_ANSWER = 3.0  # seconds within which an answer that must come has come, on a machine that is busy otherwise
_SILENCE = 0.5  # seconds after which an answer that must not come is taken not to come
_LATER_PINGS = 3


@dataclass(frozen=True, slots=True)
class PairResult:
    """What one workload found out about another one of its own VPC.

    Args:
        source: who asked.
        destination: who was asked.
        icmp: whether an echo request was answered.
        tcp: what answered over TCP.
        first: path of the first packet.
        later: path of the packets behind it.
        round_trips: in s, ascending; empty if there was no answer.
    """

    source: Workload
    destination: Workload
    icmp: bool
    tcp: str | None
    first: Path
    later: Path
    round_trips: tuple[float, ...]

    @property
    def minimum(self) -> float | None:
        """Shortest round-trip time in s."""
        return self.round_trips[0] if self.round_trips else None

    @property
    def median(self) -> float | None:
        """Median round-trip time in s."""
        return statistics.median(self.round_trips) if self.round_trips else None

    @property
    def held(self) -> bool:
        """Whether all of it is as it must be."""
        same_host = self.source.host == self.destination.host
        return (
            self.icmp
            and self.tcp == self.destination.identity
            and not self.first.dropped
            and (self.first.local if same_host else bool(self.first.hops))
            and (self.later.local if same_host else self.later.direct)
        )


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the workloads of one tenant found at the addresses of another tenant's.

    Args:
        source: the tenant that asked.
        destination: the tenant whose addresses were asked.
        asked: how many times, over ICMP and TCP together.
        silent: addresses that only the other tenant has: how many of the questions were left unanswered.
        own: addresses that both tenants have: how many were answered by the asker's own tenant.
        leaks: what must not have happened, in words.
    """

    source: str
    destination: str
    asked: int
    silent: int
    own: int
    leaks: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Whether nothing got across."""
        return not self.leaks and self.silent + self.own == self.asked


async def pairs(
    substrate: Substrate, dataplanes: Mapping[str, Dataplane], workloads: Sequence[Workload], round_trips: int
) -> AsyncIterator[PairResult]:
    """Test every ordered pair of workloads inside each VPC, one after the other.

    Args:
        substrate: that carries the packets.
        dataplanes: by host.
        workloads: all of them.
        round_trips: how many to measure for each pair.
    """
    inside = [(one, other) for one, other in permutations(workloads, 2) if one.vni == other.vni]
    answers = await asyncio.gather(*(substrate.identify(one, other.address.ip, _ANSWER) for one, other in inside))
    for (source, destination), answer in zip(inside, answers, strict=True):
        ends = source.host, destination.host
        await asyncio.gather(*(dataplane.forget_learnt() for dataplane in dataplanes.values()))
        before = await _verdicts(dataplanes)
        reply = await substrate.ping(source, destination.address.ip, _ANSWER)
        between = await _verdicts(dataplanes)
        for _ in range(_LATER_PINGS):
            await substrate.ping(source, destination.address.ip, _ANSWER)
        after = await _verdicts(dataplanes)
        times = [await substrate.ping(source, destination.address.ip, _ANSWER) for _ in range(round_trips)]
        yield PairResult(
            source,
            destination,
            icmp=reply is not None,
            tcp=answer,
            first=path_of(changes(before, between), *ends),
            later=path_of(changes(between, after), *ends),
            round_trips=tuple(sorted(time for time in times if time is not None)),
        )


async def isolation(
    substrate: Substrate, dataplanes: Mapping[str, Dataplane], workloads: Sequence[Workload]
) -> list[Isolation]:
    """Test every ordered pair of tenants: nothing that one sends may reach the other.

    What is asked for is the identity behind each address of the other tenant. Where the asker's own tenant has that
    address too, its own workload must answer; where it has not, nobody. (Its own address a workload does not ask: that
    would not leave it.) And nothing may have been delivered to any
    workload of the other tenant meanwhile, which the counters of its endpoints tell.

    Args:
        substrate: that carries the packets.
        dataplanes: by host.
        workloads: all of them.
    """
    by_tenant: dict[str, list[Workload]] = {}
    for workload in workloads:
        by_tenant.setdefault(workload.tenant, []).append(workload)
    results = []
    for source, destination in permutations(by_tenant, 2):
        before = await _received(dataplanes, by_tenant[destination])
        result = await _ask_across(substrate, by_tenant[source], by_tenant[destination])
        arrived = await _received(dataplanes, by_tenant[destination]) - before
        if arrived:
            leak = f"{arrived} packets were delivered to {destination} while only {source} sent"
            result = replace(result, leaks=(*result.leaks, leak))
        results.append(result)
    return results


async def _ask_across(substrate: Substrate, askers: Sequence[Workload], others: Sequence[Workload]) -> Isolation:
    own = {workload.address.ip: workload for workload in askers}
    asked = [pair for pair in product(askers, others) if pair[0].address != pair[1].address]
    waits = [_ANSWER if other.address.ip in own else _SILENCE for _, other in asked]
    asking = [(one, other.address.ip, wait) for (one, other), wait in zip(asked, waits, strict=True)]
    identities, echoes = await asyncio.gather(
        asyncio.gather(*(substrate.identify(*question) for question in asking)),
        asyncio.gather(*(substrate.ping(*question) for question in asking)),
    )
    silent = answered = 0
    leaks = []
    for (one, other), identity, echo in zip(asked, identities, echoes, strict=True):
        expected = own.get(other.address.ip)
        right_identity = identity == (expected.identity if expected else None)
        right_echo = (echo is not None) == (expected is not None)
        if not right_identity:
            leaks.append(f"{one.identity} asked {other.address.ip} over TCP and heard {identity or 'nothing'}")
        if not right_echo:
            leaks.append(f"{one.identity} pinged {other.address.ip}: {'an answer' if echo else 'no answer'}")
        if expected is None:
            silent += right_identity + right_echo
        else:
            answered += right_identity + right_echo
    return Isolation(askers[0].tenant, others[0].tenant, 2 * len(asked), silent, answered, tuple(leaks))


async def _received(dataplanes: Mapping[str, Dataplane], workloads: Sequence[Workload]) -> int:
    """Return how many packets were delivered to these workloads so far."""
    counters = await asyncio.gather(*(dataplane.endpoint_counters() for dataplane in dataplanes.values()))
    by_host = dict(zip(dataplanes, counters, strict=True))
    return sum(by_host[workload.host][workload.vni, int(workload.address.ip)].rx_packets for workload in workloads)


async def _verdicts(dataplanes: Mapping[str, Dataplane]) -> dict[str, Mapping[Verdict, int]]:
    read = await asyncio.gather(*(dataplane.verdicts() for dataplane in dataplanes.values()))
    return dict(zip(dataplanes, read, strict=True))
