# SPDX-License-Identifier: Apache-2.0
"""The life of VPCs, subnets and endpoints: rules, moves, deletion in order, and two control sides at once."""

from __future__ import annotations

from ipaddress import IPv4Network

from cloudfabric.controllers import Manager
from cloudfabric.models import VPC, Allocation, Bouncer, Divider, Endpoint, Subnet
from cloudfabric.networking.goalstate import KnownHost, LocalEndpoint, Member
from cloudfabric.networking.operators import NetworkControllers
from tests.support.network_world import RecordingHosts, World, opened

HOST = [0xAC100001 + number for number in range(8)]


# --- rules ------------------------------------------------------------------------------------------------------------


async def test_a_subnet_outside_its_vpc_fails_until_the_vpc_is_larger(world: World) -> None:
    await world.small()
    await world.subnet("red/far", "10.7.0.0/24")
    await world.subnet("red/out", "10.1.0.0/24")
    await world.idle()
    condition = await world.ready(Subnet, "red/out")
    assert condition.reason == "InvalidSubnet"
    assert condition.message == (
        "Subnet red/out: spec.cidr: 10.1.0.0/24 is outside VPC main (10.0.0.0/16); choose a network inside it"
    )
    assert await world.phase(Subnet, "red/out") == "Failed"
    await world.edit(VPC, "red/main", cidrs=(IPv4Network("10.0.0.0/16"), IPv4Network("10.1.0.0/16")))
    await world.idle()
    assert await world.phase(Subnet, "red/out") == "Provisioned"
    assert await world.phase(Subnet, "red/far") == "Failed"


async def test_of_two_subnets_that_overlap_the_first_counts(world: World) -> None:
    await world.small()
    await world.idle()
    await world.subnet("red/wide", "10.0.0.0/20")
    await world.idle()
    assert await world.phase(Subnet, "red/web") == "Provisioned"
    assert await world.phase(Subnet, "red/wide") == "Failed"
    assert "overlaps subnet web" in (await world.ready(Subnet, "red/wide")).message
    await world.delete(Subnet, "red/web")
    await world.idle()
    assert await world.phase(Subnet, "red/wide") == "Provisioned"


async def test_a_vpc_that_contradicts_itself_fails(world: World) -> None:
    await world.droplet(0)
    await world.vpc("red/main", "10.0.0.0/16", "10.0.4.0/24")
    await world.idle()
    assert (await world.ready(VPC, "red/main")).reason == "InvalidVPC"
    await world.edit(VPC, "red/main", cidrs=(IPv4Network("10.0.0.0/16"),))
    await world.idle()
    assert await world.phase(VPC, "red/main") == "Provisioned"


# --- moves ------------------------------------------------------------------------------------------------------------


async def test_an_endpoint_moves_to_another_host_with_its_address(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    address = await world.address("red/a")
    await world.edit(Endpoint, "red/a", droplet="node-2")
    await world.idle()
    assert await world.phase(Endpoint, "red/a") == "Provisioned"
    assert await world.address("red/a") == address
    assert [len(world.hosts[number].of(LocalEndpoint)) for number in range(3)] == [0, 0, 1]
    assert {entry.host for host in world.hosts for entry in host.of(Member)} == {HOST[2]}


async def test_an_endpoint_that_moves_is_pending_until_it_is_there(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    world.hosts[2].answers.clear()
    await world.edit(Endpoint, "red/a", droplet="node-2")
    await world.turns()
    assert await world.phase(Endpoint, "red/a") == "Pending"
    world.hosts[2].answers.set()
    await world.idle()
    assert await world.phase(Endpoint, "red/a") == "Provisioned"


async def test_an_endpoint_moves_to_another_subnet(world: World) -> None:
    await world.small()
    await world.subnet("red/db", "10.0.1.0/24")
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.edit(Endpoint, "red/a", subnet="db")
    await world.idle()
    assert await world.address("red/a") == "10.0.1.2"
    assert {entry.address for host in world.hosts for entry in host.of(LocalEndpoint)} == {0x0A000102}
    assert [a.spec.value for a in await world.all(Allocation) if a.spec.pool.startswith("addr")] == [0x0A000102]


async def test_a_subnet_that_grows_is_known_to_its_endpoints_and_dividers(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.edit(Subnet, "red/web", cidr=IPv4Network("10.0.0.0/23"))
    await world.idle()
    assert [entry.prefix_length for host in world.hosts for entry in host.of(LocalEndpoint)] == [23]
    assert await world.unprovisioned() == []


# --- deletion ---------------------------------------------------------------------------------------------------------


async def test_everything_can_be_deleted_at_once_and_goes_in_order(world: World) -> None:
    await world.small(bouncers=2, dividers=2)
    for number in range(4):
        await world.endpoint(f"red/e{number}", number % 3)
    await world.idle()
    await world.delete(VPC, "red/main")
    await world.delete(Subnet, "red/web")
    for number in range(4):
        await world.delete(Endpoint, f"red/e{number}")
    await world.idle()
    for kind in (VPC, Subnet, Endpoint, Bouncer, Divider, Allocation):
        assert await world.all(kind) == (), kind
    for host in world.hosts:
        assert set(host.state) == {KnownHost(HOST[number]) for number in range(3)}


async def test_a_subnet_in_use_stays_and_works_until_its_endpoints_are_gone(world: World) -> None:
    await world.small()
    for name in ("a", "b"):
        await world.endpoint(f"red/{name}", 0)
    await world.idle()
    await world.delete(VPC, "red/main")
    await world.delete(Subnet, "red/web")
    await world.idle()
    condition = await world.ready(Subnet, "red/web")
    assert condition.reason == "InUse"
    assert condition.message == "is in use by Endpoint red/default/a and 1 more; delete those first"
    assert (await world.ready(VPC, "red/main")).message == "is in use by Subnet red/web; delete those first"
    assert await world.phase(Endpoint, "red/a") == "Provisioned"
    assert len(await world.all(Bouncer)) == 1
    await world.endpoint("red/late", 0)
    await world.subnet("red/late", "10.0.9.0/24")
    await world.idle()
    assert (await world.ready(Endpoint, "red/late")).reason == "SubnetNotReady"
    assert (await world.ready(Subnet, "red/late")).reason == "VPCNotReady"
    for name in ("a", "b", "late"):
        await world.delete(Endpoint, f"red/{name}")
    await world.delete(Subnet, "red/late")
    await world.idle()
    assert await world.all(VPC) == ()


async def test_a_bouncer_of_a_terminating_subnet_can_still_move(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.delete(Subnet, "red/web")
    await world.idle()
    (bouncer,) = await world.all(Bouncer)
    other = next(host for host in world.hosts if host.name != bouncer.status.droplet)
    await world.edit(Bouncer, "red/web-bouncer-0", droplet=other.name)
    await world.idle()
    assert len(other.of(Member)) == 1
    await world.delete(Endpoint, "red/a")
    await world.idle()
    assert await world.gone(Subnet, "red/web")


async def test_an_endpoint_that_never_was_wired_can_be_deleted(world: World) -> None:
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.delete(Endpoint, "red/a")
    await world.idle()
    assert await world.gone(Endpoint, "red/a")


async def test_objects_whose_finalizers_were_removed_by_hand_leave_nothing_behind(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    for kind, path in (
        (Endpoint, "red/a"),
        (Bouncer, "red/web-bouncer-0"),
        (Divider, "red/main-divider-0"),
        (Subnet, "red/web"),
        (VPC, "red/main"),
    ):
        obj = await world.get(kind, path)
        await world.client.update(obj.with_metadata(finalizers=(), resource_version=""))
        await world.delete(kind, path)
    await world.idle()
    leftovers = [entry for host in world.hosts for entry in host.state if not isinstance(entry, KnownHost)]
    assert leftovers == []


# --- two control sides ------------------------------------------------------------------------------------------------


async def test_two_control_sides_at_once_agree() -> None:
    """They race for every number, address, role and status; nothing is given twice and both tell hosts the same."""
    async with opened() as world:
        other_hosts = RecordingHosts()
        for number in range(3):
            await world.droplet(number)
        for host in world.hosts:
            twin = type(host)(host.name, host.address)
            other_hosts.by_name[host.name] = twin
        async with Manager(world.fabric.manager._source) as manager:  # over the same store, with its own caches
            NetworkControllers(other_hosts).add_to(manager)
            for tenant in range(6):
                await world.vpc(f"t{tenant}/main")
                await world.subnet(f"t{tenant}/web", bouncers=2)
                for number in range(6):
                    await world.endpoint(f"t{tenant}/e{number}", number % 3)
            for _ in range(5):
                await world.idle()
                await manager.idle(20)
            assert await world.unprovisioned() == []
            endpoints = await world.all(Endpoint)
            assert len({(e.status.vni, e.status.address) for e in endpoints}) == 36
            assert len({vpc.status.vni for vpc in await world.all(VPC)}) == 6
            assert len(await world.all(Bouncer)) == 12
            assert len(await world.all(Divider)) == 6
            held = {(a.spec.holder.uid, a.spec.pool) for a in await world.all(Allocation)}
            assert len(held) == len(await world.all(Allocation)) == 36 + 6 + 6, "and nothing is held twice"
            for host in world.hosts:
                assert set(host.state) == set(other_hosts.by_name[host.name].state)
