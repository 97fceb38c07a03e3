# SPDX-License-Identifier: Apache-2.0
"""From objects to what hosts hold: every entry where it is needed, and nowhere else; ready only when acknowledged."""

from __future__ import annotations

import pytest

from cloudfabric.controllers import VirtualClock
from cloudfabric.models import VPC, Bouncer, Divider, Droplet, Endpoint, Subnet
from cloudfabric.networking.goalstate import (
    DIVIDERS,
    Group,
    KnownHost,
    LocalEndpoint,
    Member,
    Route,
    interface_name,
)
from cloudfabric.networking.operators import FINALIZER, NetworkControllers
from tests.support.network_world import RecordingHosts, World, opened

WEB, DB = 0x0A000000, 0x0A000100
HOST = [0xAC100001 + number for number in range(8)]


async def two_tenants(world: World) -> None:
    for number in range(3):
        await world.droplet(number)
    for tenant in ("red", "blue"):
        await world.vpc(f"{tenant}/main")
        for index, subnet in enumerate(("web", "db")):
            await world.subnet(f"{tenant}/{subnet}", f"10.0.{index}.0/24")
            for number in range(2):
                await world.endpoint(f"{tenant}/{subnet}-{number}", (index + number) % 3, subnet=subnet)


async def test_two_tenants_with_equal_addresses_are_apart(world: World) -> None:
    await two_tenants(world)
    await world.idle()
    assert await world.unprovisioned() == []
    red, blue = [(await world.get(VPC, f"{tenant}/main")).status.vni for tenant in ("red", "blue")]
    assert red != blue
    assert await world.address("red/web-0") == await world.address("blue/web-0") == "10.0.0.2"
    assert len({subnet.status.segment for subnet in await world.all(Subnet)}) == 4
    held = {(entry.vni, entry.address) for host in world.hosts for entry in host.of(LocalEndpoint)}
    assert len(held) == 8


async def test_every_host_holds_what_its_duties_need_and_nothing_else(world: World) -> None:
    """Four hosts with one duty each: bouncer, divider, home of an endpoint, none."""
    await world.droplet(0, divider=False)
    await world.droplet(1, bouncer=False)
    for number in (2, 3):
        await world.droplet(number, bouncer=False, divider=False)
    vpc = await world.vpc()
    await world.subnet("red/web", "10.0.0.0/24")
    await world.subnet("red/db", "10.0.1.0/24")
    await world.endpoint("red/web-0", 2, subnet="web")
    await world.idle()
    assert await world.unprovisioned() == []
    vni = (await world.get(VPC, "red/main")).status.vni
    web, db = [(await world.get(Subnet, f"red/{name}")).status.segment for name in ("web", "db")]
    endpoint = await world.get(Endpoint, "red/web-0")
    assert vni is not None
    assert web is not None
    assert db is not None
    hosts = {KnownHost(address) for address in HOST[:4]}
    address = WEB + 2
    local = LocalEndpoint(
        vni,
        address,
        24,
        web,
        bytes.fromhex("02cf0a000002"),
        interface_name(endpoint.metadata.uid),
        endpoint.metadata.uid,
    )
    web_group, db_group = Group(vni, web, (HOST[0],)), Group(vni, db, (HOST[0],))
    routes = {Route(vni, WEB, 24, web), Route(vni, DB, 24, db)}
    assert set(world.hosts[0].state) == hosts | {Member(vni, address, HOST[2]), Group(vni, DIVIDERS, (HOST[1],))}
    assert set(world.hosts[1].state) == hosts | routes | {web_group, db_group}
    assert set(world.hosts[2].state) == hosts | {local, web_group}
    assert set(world.hosts[3].state) == hosts
    assert vpc.metadata.name == "main"


async def test_an_endpoint_reports_what_it_has(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 1)
    await world.idle()
    endpoint = await world.get(Endpoint, "red/a")
    vpc = await world.get(VPC, "red/main")
    assert str(endpoint.status.address) == "10.0.0.2"
    assert endpoint.status.mac == "02:cf:0a:00:00:02"
    assert endpoint.status.vni == vpc.status.vni
    assert endpoint.status.vpc == "main"
    assert endpoint.status.interface == interface_name(endpoint.metadata.uid)
    assert endpoint.metadata.finalizers == (FINALIZER,)
    condition = await world.ready(Endpoint, "red/a")
    assert (condition.status.value, condition.reason, condition.observed_generation) == ("True", "Provisioned", 1)
    assert condition.last_transition_time is not None
    assert str((await world.get(Subnet, "red/web")).status.gateway) == "10.0.0.1"


async def test_the_order_of_creation_does_not_matter(world: World) -> None:
    await world.endpoint("red/a", 1)
    await world.idle()
    assert (await world.ready(Endpoint, "red/a")).reason == "SubnetNotFound"
    await world.subnet()
    await world.idle()
    assert (await world.ready(Endpoint, "red/a")).reason == "SubnetNotReady"
    assert (await world.ready(Subnet, "red/web")).reason == "VPCNotReady"
    await world.vpc()
    await world.idle()
    assert (await world.ready(Endpoint, "red/a")).reason == "DropletNotReady"
    assert (await world.ready(Divider, "red/main-divider-0")).reason == "NoDroplet"
    assert (await world.ready(Bouncer, "red/web-bouncer-0")).reason == "NoDroplet"
    assert (await world.ready(VPC, "red/main")).reason == "NoDivider"
    await world.droplet(1)
    await world.idle()
    assert await world.unprovisioned() == []


async def test_one_endpoint_among_a_thousand_costs_its_host_and_its_bouncers() -> None:
    async with opened() as world:
        await world.small(hosts=5, bouncers=2)
        await world.subnet("red/big", "10.0.64.0/18", bouncers=2)
        await world.idle()
        for number in range(1000):
            await world.endpoint(f"red/e{number}", number % 5, subnet="big")
        await world.idle()
        assert await world.unprovisioned() == []
        for host in world.hosts:
            host.told.clear()
        before = world.controllers.metrics.entries

        await world.endpoint("red/new", 0, subnet="big")
        await world.idle()

        assert await world.phase(Endpoint, "red/new") == "Provisioned"
        bouncers = {bouncer.status.droplet for bouncer in await world.all(Bouncer) if bouncer.spec.subnet == "big"}
        touched = {host.name for host in world.hosts if host.told}
        assert touched == bouncers | {"node-0"}
        entries = [len(delta) for host in world.hosts for delta in host.told]
        assert len(entries) <= 3
        assert sum(entries) == 3, "the interface, and the member on two bouncers"
        assert world.controllers.metrics.entries - before == 3

        for host in world.hosts:
            host.told.clear()
        await world.delete(Endpoint, "red/new")
        await world.idle()
        assert sum(len(delta) for host in world.hosts for delta in host.told) == 3


# --- ready means acknowledged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [0, 1, 2])
async def test_an_endpoint_is_provisioned_only_when_its_host_and_all_bouncers_have_answered(silent: int) -> None:
    async with opened() as world:
        await world.droplet(0, bouncer=False, divider=True)
        for number in (1, 2):
            await world.droplet(number, divider=False)
        await world.vpc()
        await world.subnet(bouncers=2)
        await world.idle()
        world.hosts[silent].answers.clear()
        await world.endpoint("red/a", 0)
        await world.turns()
        assert await world.phase(Endpoint, "red/a") == "Pending"
        condition = await world.ready(Endpoint, "red/a")
        assert condition.reason == "WaitingForHosts"
        assert f"172.16.0.{silent + 1}" in condition.message
        world.hosts[silent].answers.set()
        await world.idle()
        assert await world.phase(Endpoint, "red/a") == "Provisioned"


async def test_a_subnet_is_ready_only_when_the_dividers_route_to_it(world: World) -> None:
    await world.droplet(0, bouncer=False)
    await world.droplet(1, divider=False)
    await world.idle()
    world.hosts[0].answers.clear()
    await world.vpc()
    await world.subnet()
    await world.endpoint("red/a", 1)
    await world.turns(400)
    assert await world.phase(Bouncer, "red/web-bouncer-0") == "Provisioned"
    assert (await world.ready(Subnet, "red/web")).reason == "WaitingForHosts"
    assert (await world.ready(Endpoint, "red/a")).reason == "WaitingForSubnet"
    world.hosts[0].answers.set()
    await world.idle()
    assert await world.unprovisioned() == []


async def test_a_host_is_provisioned_when_all_others_know_it(world: World) -> None:
    await world.droplet(0)
    await world.idle()
    world.hosts[0].answers.clear()
    await world.droplet(1)
    await world.turns()
    assert await world.phase(Droplet, "node-1") == "Pending"
    assert "172.16.0.1" in (await world.ready(Droplet, "node-1")).message
    world.hosts[0].answers.set()
    await world.idle()
    assert await world.phase(Droplet, "node-1") == "Provisioned"


# --- hosts that fail --------------------------------------------------------------------------------------------------


async def test_an_unreachable_host_shows_in_what_waits_for_it_and_is_caught_up_later() -> None:
    clock = VirtualClock()
    async with opened(clock=clock) as world:
        await world.droplet(0, bouncer=False)
        await world.droplet(1)
        await world.vpc()
        await world.subnet()
        await world.idle()
        world.hosts[0].down = ConnectionResetError("cable pulled")
        await world.endpoint("red/a", 0)
        await world.turns()
        condition = await world.ready(Endpoint, "red/a")
        assert condition.reason == "WaitingForHosts"
        assert condition.message == "waiting for 172.16.0.1 (cable pulled) to acknowledge"
        reachable = await world.condition(Droplet, "node-0", "Reachable")
        assert (reachable.status.value, reachable.reason, reachable.message) == ("False", "NoAnswer", "cable pulled")
        assert await world.phase(Droplet, "node-0") == "Provisioned"
        assert "node-0 (172.16.0.1) is behind: cable pulled" in world.fabric.manager._busy()[-1]
        world.hosts[0].down = None
        clock.advance(60)
        await world.idle()
        assert await world.phase(Endpoint, "red/a") == "Provisioned"
        assert (await world.condition(Droplet, "node-0", "Reachable")).status.value == "True"
        assert len(world.hosts[0].of(LocalEndpoint)) == 1


async def test_a_host_whose_agent_comes_later_is_wired_then() -> None:
    clock = VirtualClock()
    async with opened(clock=clock) as world:
        await world.droplet(0)
        await world.droplet(1, agent=False)
        await world.turns()
        assert await world.phase(Droplet, "node-1") == "Pending"
        assert "node-1 has no agent" in (await world.ready(Droplet, "node-1")).message
        late = RecordingHosts()
        async with opened(hosts=late) as other:
            await other.droplet(1)
        world.hosts.by_name["node-1"] = late[1]
        late[1].restart()
        clock.advance(60)
        await world.idle()
        assert await world.unprovisioned() == []


async def test_an_entry_that_a_host_cannot_apply_fails_the_endpoint_until_it_can() -> None:
    clock = VirtualClock()
    async with opened(clock=clock) as world:
        await world.droplet(0, bouncer=False)
        await world.droplet(1)
        await world.vpc()
        await world.subnet()
        await world.endpoint("red/good", 0)
        await world.idle()
        world.hosts[1].refuses = lambda key: "map members is full" if key[0] == "member" else ""
        await world.endpoint("red/bad", 0)
        await world.idle()
        assert await world.phase(Endpoint, "red/bad") == "Failed"
        condition = await world.ready(Endpoint, "red/bad")
        assert condition.reason == "NotApplied"
        assert condition.message == "host 172.16.0.2 could not apply a member entry: map members is full"
        assert await world.phase(Endpoint, "red/good") == "Provisioned"
        applied = await world.condition(Bouncer, "red/web-bouncer-0", "Applied")
        assert applied.status.value == "False"
        assert await world.phase(Bouncer, "red/web-bouncer-0") == "Provisioned", "it serves all the others"

        clock.advance(60)
        await world.idle()
        assert await world.phase(Endpoint, "red/bad") == "Failed", "still full"
        world.hosts[1].refuses = lambda key: ""
        clock.advance(60)
        await world.idle()
        assert await world.phase(Endpoint, "red/bad") == "Provisioned"
        assert (await world.condition(Bouncer, "red/web-bouncer-0", "Applied")).status.value == "True"


async def test_an_agent_that_lost_its_state_is_told_everything(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    before = set(world.hosts[0].state)
    world.hosts[0].restart()
    await world.endpoint("red/b", 0)
    await world.idle()
    assert set(world.hosts[0].state) > before
    assert await world.unprovisioned() == []


# --- restart ----------------------------------------------------------------------------------------------------------


async def test_a_restart_of_the_control_side_changes_nothing_on_any_host(tmp_path: object) -> None:
    url = f"lmdb://{tmp_path}/store"
    hosts = RecordingHosts()
    async with opened(url, hosts) as world:
        await two_tenants(world)
        await world.idle()
        addresses = {e.metadata.path: e.status.address for e in await world.all(Endpoint)}
        states = {host.name: set(host.state) for host in hosts}
    for host in hosts:
        host.told.clear()
        host.changes.clear()
    async with opened(url, hosts) as world:
        await world.idle()
        assert await world.unprovisioned() == []
        assert {e.metadata.path: e.status.address for e in await world.all(Endpoint)} == addresses
        for host in hosts:
            assert host.told, "it was told everything"
            assert [len(change) for change in host.changes] == [0] * len(host.changes), "and nothing was new"
            assert set(host.state) == states[host.name]
        await world.endpoint("red/new", 0)
        await world.idle()
        assert await world.address("red/new") == "10.0.0.4", "not an address that is in use"


async def test_what_was_deleted_while_the_control_side_was_down_goes_when_it_is_back(tmp_path: object) -> None:
    url = f"lmdb://{tmp_path}/store"
    hosts = RecordingHosts()
    async with opened(url, hosts) as world:
        await world.small()
        for name in ("a", "b"):
            await world.endpoint(f"red/{name}", 0)
        await world.idle()
        world.hosts[0].answers.clear()
        await world.delete(Endpoint, "red/a")
        await world.reported(Endpoint, "red/a", "Terminating")
        world.hosts[0].answers.set()
    for host in hosts:
        host.changes.clear()
    async with opened(url, hosts) as world:
        await world.idle()
        assert await world.gone(Endpoint, "red/a")
        assert {entry.address for host in hosts for entry in host.of(LocalEndpoint)} == {WEB + 3}
        assert {entry.address for host in hosts for entry in host.of(Member)} == {WEB + 3}


def test_the_bundle_belongs_to_one_manager() -> None:
    controllers = NetworkControllers(RecordingHosts())
    with pytest.raises(RuntimeError, match="were not added"):
        _ = controllers.network
    assert controllers.metrics.deltas == 0
