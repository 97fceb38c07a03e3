# SPDX-License-Identifier: Apache-2.0
"""Bouncers and dividers: where they are, how many, and that moving them loses no packet."""

from __future__ import annotations

from collections import Counter

from cloudfabric.controllers import VirtualClock
from cloudfabric.models import VPC, Bouncer, BouncerSpec, Divider, DividerSpec, Droplet, Endpoint, ObjectMeta, Subnet
from cloudfabric.networking.goalstate import DIVIDERS, Group, KnownHost, LocalEndpoint, Member, Route
from tests.support.network_world import RecordingHost, World, opened

HOST = [0xAC100001 + number for number in range(8)]


async def places(world: World, kind: type[Bouncer] | type[Divider]) -> list[str]:
    return sorted(str(role.status.droplet) for role in await world.all(kind))


def group(host: RecordingHost, segment: int | None) -> tuple[int, ...] | None:
    """The hosts of a group as one host knows it."""
    return next((entry.hosts for entry in host.of(Group) if entry.segment == segment), None)


async def segment(world: World, path: str = "red/web") -> int | None:
    return (await world.get(Subnet, path)).status.segment


async def bouncer(world: World, name: str, host: int | None = None, subnet: str = "web") -> Bouncer:
    spec = BouncerSpec(subnet=subnet, droplet=None if host is None else f"node-{host}")
    return await world.client.create(Bouncer(metadata=ObjectMeta(tenant="red", name=name), spec=spec))


# --- where ------------------------------------------------------------------------------------------------------------


async def test_roles_are_spread_over_hosts(world: World) -> None:
    for number in range(4):
        await world.droplet(number)
    for tenant in ("a", "b", "c"):
        await world.vpc(f"{tenant}/main", dividers=2)
        await world.subnet(f"{tenant}/web", bouncers=2)
    await world.idle()
    assert await world.unprovisioned() == []
    load = Counter([*await places(world, Bouncer), *await places(world, Divider)])
    assert set(load.values()) == {3}, "twelve roles on four hosts"
    roles: list[Bouncer | Divider] = [*await world.all(Bouncer), *await world.all(Divider)]
    duties = Counter((role.KIND, role.metadata.tenant, role.status.droplet) for role in roles)
    assert set(duties.values()) == {1}, "those of one subnet or VPC are on different hosts"


async def test_more_roles_than_hosts_share_hosts(world: World) -> None:
    await world.small(hosts=2, bouncers=3)
    await world.endpoint("red/a", 0)
    await world.idle()
    assert await world.unprovisioned() == []
    assert sorted(Counter(await places(world, Bouncer)).values()) == [1, 2]
    assert group(world.hosts[0], await segment(world)) == (HOST[0], HOST[1]), "each host once"


async def test_hosts_that_take_no_role_get_none(world: World) -> None:
    await world.droplet(0, bouncer=False)
    await world.droplet(1, divider=False)
    await world.droplet(2, bouncer=False, divider=False)
    await world.vpc(dividers=2)
    await world.subnet(bouncers=2)
    await world.idle()
    assert set(await places(world, Bouncer)) == {"node-1"}
    assert set(await places(world, Divider)) == {"node-0"}


async def test_a_role_that_names_its_host_is_placed_there(world: World) -> None:
    await world.small()
    await world.idle()
    await bouncer(world, "mine", host=2)
    spec = DividerSpec(vpc="main", droplet="node-2")
    await world.client.create(Divider(metadata=ObjectMeta(tenant="red", name="mine"), spec=spec))
    await world.idle()
    assert (await world.get(Bouncer, "red/mine")).status.droplet == "node-2"
    assert (await world.get(Divider, "red/mine")).status.droplet == "node-2"
    assert await world.unprovisioned() == []


async def test_a_role_on_a_host_that_refuses_it_fails(world: World) -> None:
    await world.droplet(0)
    await world.droplet(1, bouncer=False, divider=False)
    await world.vpc()
    await world.subnet()
    await bouncer(world, "refused", host=1)
    await bouncer(world, "nowhere", host=7)
    await world.client.create(
        Divider(metadata=ObjectMeta(tenant="red", name="refused"), spec=DividerSpec(vpc="main", droplet="node-1"))
    )
    await world.idle()
    assert "takes no bouncers" in (await world.ready(Bouncer, "red/refused")).message
    assert "names no Droplet" in (await world.ready(Bouncer, "red/nowhere")).message
    assert "takes no dividers" in (await world.ready(Divider, "red/refused")).message
    assert await world.phase(Bouncer, "red/refused") == "Failed"
    await world.edit(Droplet, "node-1", bouncer=True)
    await world.idle()
    assert await world.phase(Bouncer, "red/refused") == "Provisioned"


async def test_a_role_without_its_parent_waits(world: World) -> None:
    await world.droplet(0)
    await bouncer(world, "early", subnet="later")
    await world.client.create(Divider(metadata=ObjectMeta(tenant="red", name="early"), spec=DividerSpec(vpc="later")))
    await world.idle()
    assert (await world.ready(Bouncer, "red/early")).reason == "SubnetNotReady"
    assert (await world.ready(Divider, "red/early")).reason == "VPCNotReady"
    await world.delete(Divider, "red/early")
    await world.idle()
    assert await world.gone(Divider, "red/early")


# --- how many ---------------------------------------------------------------------------------------------------------


async def test_a_new_bouncer_is_used_only_when_it_knows_all_members(world: World) -> None:
    await world.small()
    for number in range(5):
        await world.endpoint(f"red/e{number}", number % 3)
    await world.idle()
    web = await segment(world)
    (first,) = await places(world, Bouncer)
    others = [host for host in world.hosts if host.name != first]
    for host in others:
        host.answers.clear()
    await world.edit(Subnet, "red/web", bouncers=2)
    await world.turns(400)
    second = await world.get(Bouncer, "red/web-bouncer-1")
    assert second.status.phase.value == "Pending"
    assert [len(host.of(Member)) for host in others if host.name == second.status.droplet] == [5], "told, not answered"
    assert all(len(group(host, web) or ()) == 1 for host in world.hosts), "nobody sends to it yet"
    assert await world.phase(Subnet, "red/web") == "Provisioned", "the old bouncer is still there"
    for host in others:
        host.answers.set()
    await world.idle()
    assert await world.unprovisioned() == []
    assert all(len(group(host, web) or ()) == 2 for host in world.hosts)


async def test_a_bouncer_keeps_its_members_until_nobody_sends_to_it(world: World) -> None:
    await world.small(bouncers=2)
    for number in range(3):
        await world.endpoint(f"red/e{number}", number)
    await world.idle()
    web = await segment(world)
    slow = world.hosts[0]
    slow.answers.clear()
    await world.edit(Subnet, "red/web", bouncers=1)
    await world.turns(400)
    leaving = next(role for role in await world.all(Bouncer) if role.metadata.deletion_timestamp is not None)
    assert leaving.metadata.name == "web-bouncer-1"
    assert leaving.status.phase.value == "Terminating"
    old = next(host for host in world.hosts if host.name == leaving.status.droplet)
    assert len(old.of(Member)) == 3, "host 0 may still send to it"
    slow.answers.set()
    await world.idle()
    assert len(await world.all(Bouncer)) == 1
    assert old.of(Member) == []
    assert all(len(group(host, web) or ()) == 1 for host in world.hosts)
    assert await world.unprovisioned() == []


async def test_dividers_are_scaled_out_and_in(world: World) -> None:
    await world.small(hosts=4)
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.edit(VPC, "red/main", dividers=3)
    await world.idle()
    assert len(set(await places(world, Divider))) == 3
    dividers = [host for host in world.hosts if host.of(Route)]
    assert len(dividers) == 3
    bouncers = [host for host in world.hosts if host.of(Member)]
    assert [len(group(host, DIVIDERS) or ()) for host in bouncers] == [3]
    await world.edit(VPC, "red/main", dividers=1)
    await world.idle()
    assert len([host for host in world.hosts if host.of(Route)]) == 1
    assert [len(group(host, DIVIDERS) or ()) for host in bouncers] == [1]
    assert await world.unprovisioned() == []


async def test_roles_that_are_deleted_by_hand_are_made_again(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.delete(Bouncer, "red/web-bouncer-0")
    await world.delete(Divider, "red/main-divider-0")
    await world.idle()
    assert await world.unprovisioned() == []
    assert len(await world.all(Bouncer)) == len(await world.all(Divider)) == 1


async def test_roles_made_by_hand_count_and_are_not_deleted(world: World) -> None:
    for number in range(3):
        await world.droplet(number)
    await bouncer(world, "mine")
    await world.vpc()
    await world.subnet(bouncers=2)
    await world.idle()
    assert [role.metadata.name for role in await world.all(Bouncer)] == ["mine", "web-bouncer-0"]
    await world.edit(Subnet, "red/web", bouncers=1)
    await world.idle()
    assert [role.metadata.name for role in await world.all(Bouncer)] == ["mine"]


async def test_long_names_that_begin_alike_do_not_collide(world: World) -> None:
    await world.droplet(0)
    await world.vpc()
    long = "a" * 60
    await world.subnet(f"red/{long}1", "10.0.0.0/24")
    await world.subnet(f"red/{long}2", "10.0.1.0/24")
    await world.idle()
    assert await world.unprovisioned() == []
    assert sorted(role.spec.subnet for role in await world.all(Bouncer)) == [f"{long}1", f"{long}2"]


# --- hosts that leave -------------------------------------------------------------------------------------------------


async def test_a_host_that_is_deleted_hands_over_its_roles_first(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 1)
    await world.endpoint("red/b", 2)
    await world.droplet(3, bouncer=False, divider=False)
    await world.idle()
    number = await segment(world)
    (old_name,) = await places(world, Bouncer)
    old = world.hosts.by_name[old_name]
    spares = [host for host in world.hosts if host is not old and host.name != "node-3"]
    for host in spares:
        host.answers.clear()
    await world.delete(Droplet, old_name)
    await world.turns(400)
    assert await world.phase(Droplet, old_name) == "Terminating"
    assert len(old.of(Member)) >= 1, "it serves until somebody else does"
    assert (await world.all(Bouncer))[0].status.droplet == old_name
    for host in spares:
        host.answers.set()
    await world.idle()
    assert await world.gone(Droplet, old_name)
    assert old_name not in await places(world, Bouncer)
    assert old_name not in await places(world, Divider)
    for host in world.hosts:
        if host is not old:
            assert KnownHost(old.address) not in set(host.state)
            assert old.address not in (group(host, number) or ())
            assert old.address not in (group(host, DIVIDERS) or ())
    assert len(old.state) == 0, "it was told to forget everything"


async def test_endpoints_of_a_deleted_host_are_taken_out_and_come_back_with_it(world: World) -> None:
    await world.droplet(0)
    await world.droplet(1)
    await world.vpc()
    await world.subnet()
    await world.endpoint("red/stays", 0)
    await world.endpoint("red/goes", 1)
    await world.idle()
    address = await world.address("red/goes")
    await world.delete(Droplet, "node-1")
    await world.idle()
    assert await world.gone(Droplet, "node-1")
    assert (await world.ready(Endpoint, "red/goes")).reason == "DropletNotReady"
    assert [entry.host for entry in world.hosts[0].of(Member)] == [HOST[0]]
    assert await world.phase(Endpoint, "red/stays") == "Provisioned"
    await world.droplet(1)
    await world.idle()
    assert await world.phase(Endpoint, "red/goes") == "Provisioned"
    assert await world.address("red/goes") == address
    assert len(world.hosts[1].of(LocalEndpoint)) == 1


async def test_a_host_that_died_can_be_deleted_and_is_replaced() -> None:
    clock = VirtualClock()
    async with opened(clock=clock) as world:
        await world.small()
        await world.endpoint("red/a", 2)
        await world.idle()
        number = await segment(world)
        (dead_name,) = await places(world, Bouncer)
        dead = world.hosts.by_name[dead_name]
        dead.down = ConnectionResetError("power failure")
        await world.endpoint("red/b", 0 if dead_name == "node-2" else 2)
        await world.turns()
        assert await world.phase(Endpoint, "red/b") == "Pending", "its bouncer does not answer"
        await world.delete(Droplet, dead_name)
        await world.idle()
        assert await world.gone(Droplet, dead_name)
        assert dead_name not in await places(world, Bouncer)
        assert dead_name not in await places(world, Divider)
        assert await world.phase(Endpoint, "red/b") == "Provisioned"
        for host in world.hosts:
            if host is not dead:
                assert KnownHost(dead.address) not in set(host.state)
                assert dead.address not in (group(host, number) or ())
        await world.delete(Endpoint, "red/a")
        await world.delete(Endpoint, "red/b")
        await world.delete(Subnet, "red/web")
        await world.delete(VPC, "red/main")
        await world.idle()
        assert await world.all(VPC) == ()


async def test_the_last_host_can_go(world: World) -> None:
    await world.droplet(0)
    await world.vpc()
    await world.subnet()
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.delete(Droplet, "node-0")
    await world.idle()
    assert await world.gone(Droplet, "node-0")
    assert (await world.ready(Bouncer, "red/web-bouncer-0")).reason == "NoDroplet"
    assert (await world.get(Bouncer, "red/web-bouncer-0")).status.droplet is None
    assert len(world.hosts[0].state) == 0
    await world.droplet(1)
    await world.idle()
    assert await world.phase(Bouncer, "red/web-bouncer-0") == "Provisioned"


async def test_a_bouncer_moves_to_the_host_that_it_is_told(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    number = await segment(world)
    (old_name,) = await places(world, Bouncer)
    new = next(host for host in world.hosts if host.name != old_name)
    new.answers.clear()
    await world.edit(Bouncer, "red/web-bouncer-0", droplet=new.name)
    await world.turns(300)
    old = world.hosts.by_name[old_name]
    assert len(old.of(Member)) == 1
    assert group(world.hosts[0], number) == (old.address,), "still in use"
    new.answers.set()
    await world.idle()
    assert await places(world, Bouncer) == [new.name]
    assert group(world.hosts[0], number) == (new.address,)
    assert old.of(Member) == []
    assert len(new.of(Member)) == 1


async def test_two_hosts_with_one_address_are_one_too_many(world: World) -> None:
    await world.droplet(0)
    await world.idle()
    first = await world.get(Droplet, "node-0")
    await world.client.create(Droplet(metadata=ObjectMeta(name="copy"), spec=first.spec))
    await world.client.create(Droplet(metadata=ObjectMeta(name="blank")))
    await world.idle()
    assert await world.phase(Droplet, "copy") == "Failed"
    assert "is the address of Droplet node-0" in (await world.ready(Droplet, "copy")).message
    assert (await world.ready(Droplet, "blank")).reason == "NoAddress"
    for name in ("copy", "blank"):
        await world.delete(Droplet, name)
    await world.idle()
    assert len(await world.all(Droplet)) == 1
    assert await world.phase(Droplet, "node-0") == "Provisioned"


async def test_a_host_that_gets_another_address_is_known_under_it(world: World) -> None:
    await world.small(hosts=2)
    await world.endpoint("red/a", 0)
    await world.endpoint("red/b", 1)
    await world.idle()
    world.hosts[1].address = HOST[5]
    world.hosts[1].restart()
    await world.edit(Droplet, "node-1", address="172.16.0.6")
    await world.idle()
    assert await world.unprovisioned() == []
    hosts = {entry.address for host in world.hosts for entry in host.of(KnownHost)}
    assert hosts == {HOST[0], HOST[5]}
    assert {entry.host for host in world.hosts for entry in host.of(Member)} == {HOST[0], HOST[5]}
