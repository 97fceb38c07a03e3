# SPDX-License-Identifier: Apache-2.0
"""Addresses, MAC addresses and numbers: unique, reused, honoured, and clear about it when they cannot be had."""

from __future__ import annotations

import pytest

from cloudfabric.controllers import VirtualClock
from cloudfabric.models import VPC, Allocation, Droplet, Endpoint, ObjectMeta, Subnet, Tenant
from cloudfabric.networking.goalstate import LocalEndpoint, Member
from tests.support.network_world import World, opened


async def test_addresses_begin_after_the_gateway(world: World) -> None:
    await world.small()
    for name in "abc":
        await world.endpoint(f"red/{name}", 0)
    await world.idle()
    assert [await world.address(f"red/{name}") for name in "abc"] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]


async def test_a_gateway_in_the_middle_is_left_out(world: World) -> None:
    await world.droplet(0)
    await world.vpc()
    subnet = await world.subnet(cidr="10.0.0.0/29")
    await world.client.update(subnet.with_spec(gateway="10.0.0.3"))
    for name in "abcdef":
        await world.endpoint(f"red/{name}", 0)
    await world.idle()
    addresses = {await world.address(f"red/{name}") for name in "abcdef"}
    assert addresses == {"10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6", "None"}


async def test_a_small_subnet_is_filled_and_emptied_many_times(world: World) -> None:
    await world.droplet(0)
    await world.vpc()
    await world.subnet(cidr="10.0.0.0/29")
    for cycle in range(12):
        names = [f"red/c{cycle}-{number}" for number in range(5)]
        for name in names:
            await world.endpoint(name, 0)
        await world.idle()
        assert {await world.address(name) for name in names} == {f"10.0.0.{number}" for number in range(2, 7)}
        for name in names:
            await world.delete(Endpoint, name)
        await world.idle()
        assert await world.all(Endpoint) == ()
    assert [a.spec.pool for a in await world.all(Allocation) if a.spec.pool.startswith("address")] == []


async def test_the_address_that_is_free_for_longest_is_given_out_next(world: World) -> None:
    await world.droplet(0)
    await world.vpc()
    await world.subnet(cidr="10.0.0.0/29")
    for name in "abcde":
        await world.endpoint(f"red/{name}", 0)
    await world.idle()
    longest = await world.address("red/d")
    for name in ("d", "b"):
        await world.delete(Endpoint, f"red/{name}")
        await world.idle()
    await world.endpoint("red/f", 0)
    await world.idle()
    assert await world.address("red/f") == longest


async def test_a_full_subnet_says_so_and_wires_who_waits_when_an_address_is_free(world: World) -> None:
    await world.droplet(0)
    await world.vpc()
    await world.subnet(cidr="10.0.0.0/30")
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.endpoint("red/b", 0)
    await world.idle()
    condition = await world.ready(Endpoint, "red/b")
    assert condition.reason == "AddressesExhausted"
    assert condition.message == (
        "subnet web (10.0.0.0/30) is full: 1 of 1 addresses are taken; delete endpoints, or use another subnet"
    )
    assert await world.phase(Endpoint, "red/b") == "Pending"
    await world.delete(Endpoint, "red/a")
    await world.idle()
    assert await world.address("red/b") == "10.0.0.2"
    assert await world.phase(Endpoint, "red/b") == "Provisioned"


async def test_an_address_that_is_asked_for_is_given(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0, address="10.0.0.77")
    await world.endpoint("red/b", 0)
    await world.idle()
    assert await world.address("red/a") == "10.0.0.77"
    assert await world.address("red/b") == "10.0.0.2"
    assert (await world.get(Endpoint, "red/a")).status.mac == "02:cf:0a:00:00:4d"


async def test_an_address_that_is_taken_is_refused_until_it_is_free(world: World) -> None:
    await world.small()
    await world.endpoint("red/first", 0, address="10.0.0.9")
    await world.idle()
    await world.endpoint("red/second", 1, address="10.0.0.9")
    await world.idle()
    assert await world.phase(Endpoint, "red/first") == "Provisioned"
    assert await world.phase(Endpoint, "red/second") == "Failed"
    condition = await world.ready(Endpoint, "red/second")
    assert condition.reason == "AddressTaken"
    assert condition.message == (
        "spec.address: 10.0.0.9 is held by Endpoint red/default/first; choose another, or leave it out"
    )
    assert sum(len(host.of(LocalEndpoint)) for host in world.hosts) == 1
    await world.delete(Endpoint, "red/first")
    await world.idle()
    assert await world.phase(Endpoint, "red/second") == "Provisioned"
    assert [entry.address for entry in world.hosts[1].of(LocalEndpoint)] == [0x0A000009]


async def test_an_allocated_address_cannot_be_taken_by_asking_for_it(world: World) -> None:
    await world.small()
    await world.endpoint("red/first", 0)
    await world.idle()
    await world.endpoint("red/second", 0, address="10.0.0.2")
    await world.idle()
    assert (await world.ready(Endpoint, "red/second")).reason == "AddressTaken"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.0.5.1", "is outside subnet web"),
        ("10.0.0.0", "is the network address"),
        ("10.0.0.1", "is the gateway address"),
        ("10.0.0.255", "is the broadcast address"),
    ],
)
async def test_an_address_that_cannot_be_is_refused(address: str, words: str) -> None:
    async with opened() as world:
        await world.small()
        await world.endpoint("red/a", 0, address=address)
        await world.idle()
        assert await world.phase(Endpoint, "red/a") == "Failed"
        condition = await world.ready(Endpoint, "red/a")
        assert condition.reason == "InvalidEndpoint"
        assert condition.message.startswith(f"Endpoint red/default/a: spec.address: {address} {words}")
        await world.delete(Endpoint, "red/a")
        await world.idle()
        assert await world.gone(Endpoint, "red/a")


async def test_an_address_can_be_changed_and_the_old_one_is_free_again(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0)
    await world.idle()
    await world.edit(Endpoint, "red/a", address="10.0.0.50")
    await world.idle()
    assert await world.address("red/a") == "10.0.0.50"
    assert [entry.address for host in world.hosts for entry in host.of(LocalEndpoint)] == [0x0A000032]
    assert [entry.address for host in world.hosts for entry in host.of(Member)] == [0x0A000032]
    held = [a.spec.value for a in await world.all(Allocation) if a.spec.pool.startswith("address")]
    assert held == [0x0A000032]


async def test_an_address_is_free_only_when_the_hosts_have_let_go(world: World) -> None:
    await world.small()
    winner, loser = "red/a", "red/b"
    await world.endpoint(winner, 0, address="10.0.0.9")
    await world.idle()
    await world.endpoint(loser, 1, address="10.0.0.9")
    await world.idle()
    assert await world.phase(Endpoint, winner) == "Provisioned"
    world.hosts[0].answers.clear()
    await world.delete(Endpoint, winner)
    await world.turns()
    assert await world.phase(Endpoint, winner) == "Terminating"
    assert "172.16.0.1" in (await world.ready(Endpoint, winner)).message
    assert await world.phase(Endpoint, loser) == "Failed", "host 1 may still deliver to the old one"
    world.hosts[0].answers.set()
    await world.idle()
    assert await world.gone(Endpoint, winner)
    assert await world.phase(Endpoint, loser) == "Provisioned"


# --- MAC addresses ----------------------------------------------------------------------------------------------------


async def test_a_mac_address_that_is_asked_for_is_given_once(world: World) -> None:
    await world.small()
    await world.endpoint("red/a", 0, mac="06:00:00:00:00:01")
    await world.idle()
    await world.endpoint("red/b", 0, mac="06:00:00:00:00:01")
    await world.idle()
    assert (await world.get(Endpoint, "red/a")).status.mac == "06:00:00:00:00:01"
    condition = await world.ready(Endpoint, "red/b")
    assert condition.reason == "MACTaken"
    assert "06:00:00:00:00:01 is held by Endpoint red/default/a" in condition.message
    await world.edit(Endpoint, "red/a", mac=None)
    await world.idle()
    assert (await world.get(Endpoint, "red/a")).status.mac == "02:cf:0a:00:00:02"
    assert (await world.get(Endpoint, "red/b")).status.mac == "06:00:00:00:00:01"


async def test_a_mac_address_that_belongs_to_another_address_is_refused(world: World) -> None:
    await world.small()
    await world.endpoint("red/own", 0, mac="02:cf:0a:00:00:02", address="10.0.0.2")
    await world.endpoint("red/other", 0, mac="02:cf:0a:00:00:63")
    await world.idle()
    assert await world.phase(Endpoint, "red/own") == "Provisioned"
    condition = await world.ready(Endpoint, "red/other")
    assert (condition.reason, "reserved for another address" in condition.message) == ("InvalidEndpoint", True)


# --- numbers ----------------------------------------------------------------------------------------------------------


async def test_every_vpc_and_subnet_has_its_own_number(world: World) -> None:
    await world.droplet(0)
    for number in range(30):
        await world.vpc(f"t{number}/main")
        await world.subnet(f"t{number}/web")
    await world.idle()
    assert await world.unprovisioned() == []
    assert {vpc.status.vni for vpc in await world.all(VPC)} == set(range(4096, 4126))
    assert {subnet.status.segment for subnet in await world.all(Subnet)} == set(range(1, 31))


async def test_a_number_is_free_again_after_its_holder_but_not_given_out_soon(world: World) -> None:
    await world.small()
    await world.idle()
    await world.delete(Subnet, "red/web")
    await world.delete(VPC, "red/main")
    await world.idle()
    assert await world.gone(VPC, "red/main")
    assert await world.all(Allocation) == ()
    await world.vpc("red/next")
    await world.idle()
    assert (await world.get(VPC, "red/next")).status.vni == 4097


async def test_what_a_vanished_object_held_is_free_again(world: World) -> None:
    """The finalizer was removed by hand."""
    await world.small()
    endpoint = await world.endpoint("red/a", 0)
    await world.idle()
    endpoint = await world.get(Endpoint, "red/a")
    await world.delete(Endpoint, "red/a")
    await world.client.patch(
        Endpoint, "a", {"metadata": {"finalizers": None}}, tenant="red", namespace="default"
    ) if not await world.gone(Endpoint, "red/a") else None
    await world.idle()
    assert [a for a in await world.all(Allocation) if a.spec.holder.uid == endpoint.metadata.uid] == []
    assert [entry for host in world.hosts for entry in host.of(LocalEndpoint)] == []


async def test_an_allocation_without_its_holder_is_removed_and_those_of_others_are_left_alone(world: World) -> None:
    await world.small()
    vpc = await world.get(VPC, "red/main")
    ghost = vpc.with_metadata(name="ghost", uid="0000")
    namesake = vpc.with_metadata(uid="1111")
    stranger = await world.client.create(Tenant(metadata=ObjectMeta(name="acme")))
    for value, holder in ((1, ghost), (2, namesake), (3, stranger)):
        await world.client.create(Allocation.of("vni", value, holder))
    await world.idle()
    values = sorted(a.spec.value for a in await world.all(Allocation) if a.spec.pool == "vni")
    assert values == [3, 4096]


async def test_values_taken_before_a_crash_are_found_again(tmp_path: object) -> None:
    """The status was not written, or was lost; the allocation is the truth."""
    url = f"lmdb://{tmp_path}/store"
    async with opened(url) as world:
        await world.small()
        await world.endpoint("red/a", 0)
        await world.idle()
        hosts = world.hosts
        vpc, endpoint = await world.get(VPC, "red/main"), await world.get(Endpoint, "red/a")
        before = (vpc.status.vni, endpoint.status.address, len(await world.all(Allocation)))
    async with opened(url, hosts, VirtualClock()) as world:
        await world.client.update_status(vpc.with_metadata(resource_version="").with_status(vni=None))
        lost = endpoint.with_metadata(resource_version="").with_status(address=None, phase="Pending", conditions=())
        await world.client.update_status(lost)
        await world.idle()
        vpc, endpoint = await world.get(VPC, "red/main"), await world.get(Endpoint, "red/a")
        assert (vpc.status.vni, endpoint.status.address, len(await world.all(Allocation))) == before
        assert await world.phase(Droplet, "node-0") == "Provisioned"
