# SPDX-License-Identifier: Apache-2.0
"""The fabric without a kernel: real decisions, simulated wires and workloads."""

from ipaddress import IPv4Address

import pytest

from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.lab.simulated import SimulatedSubstrate
from cloudfabric.networking.dataplane.protocol import HostFacts
from cloudfabric.networking.dataplane.userspace import UserSpaceDataplane
from cloudfabric.networking.goalstate import KnownHost
from tests.support.small_fabric import SmallFabric

WAIT = 1.0


@pytest.mark.parametrize(
    ("asker", "address", "identity"),
    [
        ("red/web", "10.0.1.11", "red/api"),
        ("red/web", "10.0.2.10", "red/db"),
        ("red/db", "10.0.1.10", "red/web"),
        ("blue/db", "10.0.1.10", "blue/web"),
        ("red/web", "10.0.2.20", None),
        ("blue/web", "10.0.2.10", None),
        ("blue/web", "10.0.1.11", None),
        ("red/web", "10.9.9.9", None),
    ],
)
async def test_who_answers(fabric: SmallFabric, asker: str, address: str, identity: str | None) -> None:
    source = fabric.named(asker)

    assert await fabric.substrate.identify(source, IPv4Address(address), WAIT) == identity
    echo = await fabric.substrate.ping(source, IPv4Address(address), WAIT)
    assert (echo is None) == (identity is None)


async def test_a_second_question_gets_the_same_answer(fabric: SmallFabric) -> None:
    source = fabric.named("red/web")

    answers = [await fabric.substrate.identify(source, IPv4Address("10.0.2.10"), WAIT) for _ in range(3)]

    assert answers == ["red/db"] * 3


async def test_the_first_packet_is_bounced_and_the_next_goes_direct(fabric: SmallFabric) -> None:
    source, target = fabric.named("red/db"), fabric.named("red/web")

    await fabric.substrate.ping(source, target.address.ip, WAIT)
    after_first = await fabric.dataplanes["host-3"].verdicts()
    await fabric.substrate.ping(source, target.address.ip, WAIT)
    after_second = await fabric.dataplanes["host-3"].verdicts()

    assert (after_first[Verdict.BOUNCER_TO_DIVIDER], after_first[Verdict.SENT_DIRECT]) == (1, 0)
    assert (after_second[Verdict.BOUNCER_TO_DIVIDER], after_second[Verdict.SENT_DIRECT]) == (1, 1)


async def test_forgetting_paths_bounces_again(fabric: SmallFabric) -> None:
    source, target = fabric.named("red/db"), fabric.named("red/web")
    for _ in range(2):
        await fabric.substrate.ping(source, target.address.ip, WAIT)
        await fabric.dataplanes["host-3"].forget_learnt()

    assert (await fabric.dataplanes["host-3"].verdicts())[Verdict.BOUNCER_TO_DIVIDER] == 2


async def test_endpoints_are_counted(fabric: SmallFabric) -> None:
    source, target = fabric.named("red/web"), fabric.named("red/api")

    await fabric.substrate.ping(source, target.address.ip, WAIT)

    counters = (await fabric.dataplanes["host-1"].endpoint_counters())[5, int(target.address.ip)]
    assert (counters.rx_packets, counters.tx_packets, counters.dropped) == (1, 1, 0)


async def test_a_removed_workload_does_not_answer(fabric: SmallFabric) -> None:
    source, target = fabric.named("red/web"), fabric.named("red/db")

    await fabric.substrate.remove_workload(target)

    assert await fabric.substrate.ping(source, target.address.ip, WAIT) is None
    dataplane = fabric.substrate.dataplane("host-3")
    assert isinstance(dataplane, UserSpaceDataplane)
    assert dataplane.pending == (("endpoint", 5, int(target.address.ip)),)


async def test_a_packet_for_a_host_that_is_not_there_is_lost() -> None:
    substrate = SimulatedSubstrate()
    await substrate.add_hosts([HostFacts("host-1", IPv4Address("172.30.0.1"))])
    dataplane = substrate.dataplane("host-1")
    await dataplane.open()
    assert await dataplane.apply([KnownHost(1)], []) == ()
    await dataplane.settled()
    await dataplane.close()
    await substrate.close()

    assert substrate.kind == "user space"
    assert sum((await dataplane.verdicts()).values()) == 0
