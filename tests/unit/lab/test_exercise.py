# SPDX-License-Identifier: Apache-2.0
"""The demo's questions, put to a small simulated fabric: what holds, and that what does not hold is found."""

from dataclasses import replace
from ipaddress import IPv4Address

from cloudfabric.lab import exercise
from cloudfabric.lab.exercise import PairResult
from cloudfabric.lab.substrate import Workload
from cloudfabric.networking.goalstate import LocalEndpoint
from tests.support.small_fabric import SmallFabric


async def all_pairs(fabric: SmallFabric) -> list[PairResult]:
    found = exercise.pairs(fabric.substrate, fabric.dataplanes, fabric.workloads, round_trips=3)
    return [pair async for pair in found]


async def test_all_pairs_of_each_vpc_hold(fabric: SmallFabric) -> None:
    found = await all_pairs(fabric)

    assert len(found) == 3 * 2 + 2 * 1
    assert all(pair.held for pair in found)
    assert all(pair.minimum and pair.median and pair.minimum <= pair.median for pair in found)
    paths = {(pair.source.identity, pair.destination.identity): (str(pair.first), str(pair.later)) for pair in found}
    assert paths["red/web", "red/api"] == ("same host", "same host")
    assert paths["red/web", "red/db"] == ("bouncer host-2 → divider host-1 → bouncer host-3", "direct")
    assert paths["blue/db", "blue/web"] == ("bouncer host-3 → divider host-1 → bouncer host-2", "direct")


async def test_tenants_are_isolated(fabric: SmallFabric) -> None:
    red, blue = await exercise.isolation(fabric.substrate, fabric.dataplanes, fabric.workloads)

    assert (red.source, red.destination, red.held) == ("red", "blue", True)
    assert (red.asked, red.own, red.silent) == (10, 4, 6)
    assert (blue.asked, blue.own, blue.silent) == (10, 2, 8)
    assert blue.held


async def test_a_pair_that_is_cut_off_does_not_hold(fabric: SmallFabric) -> None:
    await fabric.substrate.remove_workload(fabric.named("red/api"))
    kept = tuple(member for member in fabric.workloads if member.identity != "red/api")
    await fabric.dataplanes["host-1"].apply([], [("endpoint", 5, int(IPv4Address("10.0.1.10")))])

    found = exercise.pairs(fabric.substrate, fabric.dataplanes, kept, round_trips=1)
    results = {(pair.source.identity, pair.destination.identity): pair async for pair in found}

    broken = results["red/db", "red/web"]
    assert not broken.held
    assert (broken.icmp, broken.tcp, broken.round_trips, broken.minimum, broken.median) == (False, None, (), None, None)
    assert results["blue/web", "blue/db"].held


async def test_a_leak_between_tenants_is_found(fabric: SmallFabric) -> None:
    """Red's database is wired into blue's VPC too, as a wrong VNI in a goal state would."""
    leaking = fabric.named("red/db")
    wrong = LocalEndpoint(6, int(leaking.address.ip), 24, 2, leaking.mac, leaking.interface, "x")
    await fabric.dataplanes["host-3"].apply([wrong], [("endpoint", 5, wrong.address)])

    _, blue = await exercise.isolation(fabric.substrate, fabric.dataplanes, _as_red(fabric, leaking))

    assert not blue.held
    assert any("heard red/db" in leak for leak in blue.leaks)
    assert any("packets were delivered to red" in leak for leak in blue.leaks)


def _as_red(fabric: SmallFabric, leaking: Workload) -> tuple[Workload, ...]:
    """The workloads, red's leaking one counted under the VNI that it leaks into."""
    return tuple(replace(member, vni=6) if member is leaking else member for member in fabric.workloads)
