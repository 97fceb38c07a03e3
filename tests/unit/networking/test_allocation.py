# SPDX-License-Identifier: Apache-2.0
"""Allocation: free values without scanning, claims that cannot collide, instances that race."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudfabric.controllers import Informer
from cloudfabric.models import VPC, Allocation, Object, ObjectMeta, Subnet, SubnetSpec, Tenant, VPCSpec
from cloudfabric.networking.allocation import Allocator, FreeValues, PoolExhausted, ValueRange, ValueTaken
from cloudfabric.networking.ipam import addresses_of, is_derived_mac, mac_of, parse_mac
from cloudfabric.networking.vni import SEGMENTS, VNIS
from cloudfabric.store import Client, Store

# --- free values ------------------------------------------------------------------------------------------------------

SMALL = ValueRange("pool", 10, 14, frozenset({12}))


def test_a_range_knows_its_values() -> None:
    assert [value for value in range(8, 17) if value in SMALL] == [10, 11, 13, 14]
    assert len(SMALL) == 4
    assert "10" not in SMALL
    assert len(ValueRange("pool", 1, 3, frozenset({9}))) == 3


def test_numbers_fit_their_fields() -> None:
    assert (VNIS.first, VNIS.last) == (4096, (1 << 24) - 1)
    assert (SEGMENTS.first, SEGMENTS.last) == (1, (1 << 32) - 1)


def test_the_next_value_is_found_without_asking_about_all_others() -> None:
    free = FreeValues(ValueRange("pool", 0, 10_000_000))
    taken: set[int] = set()
    asked = 0

    def is_taken(value: int) -> bool:
        nonlocal asked
        asked += 1
        return value in taken

    for _ in range(1000):
        value = free.next(is_taken)
        assert value is not None
        taken.add(value)
        free.took()
    assert asked == 1000
    for value in list(taken):
        taken.remove(value)
        free.freed(value)
        again = free.next(is_taken)
        assert again is not None
        taken.add(again)
        free.took()
    assert asked == 2000


def test_a_value_that_was_freed_unseen_is_found_when_nothing_else_is_left() -> None:
    """Somebody took 11 and gave it back, and the events of both were lost."""
    free = FreeValues(SMALL)
    assert [free.next(lambda value: value == 11) for _ in range(3)] == [10, 13, 14]
    for _ in range(3):
        free.took()
    assert free.next(lambda value: value != 11) == 11
    free.took()
    assert free.next(lambda value: True) is None


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=60))
def test_every_free_value_is_found_and_no_taken_one(steps: list[int | None]) -> None:
    """None takes the next value; a number gives that value back, or takes it if it is free."""
    values = ValueRange("pool", 0, 9, frozenset({4}))
    free, taken = FreeValues(values), set[int]()
    for step in steps:
        if step is None:
            value = free.next(taken.__contains__)
            assert (value is None) == (len(taken) == len(values))
            if value is not None:
                assert value in values
                assert value not in taken
                taken.add(value)
                free.took()
        elif step in taken:
            taken.remove(step)
            free.freed(step)
        elif step in values:
            taken.add(step)
            free.took()


# --- the allocator ----------------------------------------------------------------------------------------------------


class Instance:
    """An allocator with its own cache."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.informer: Informer[Allocation] = Informer(client, Allocation)
        self.allocator = Allocator(client, self.informer)


@asynccontextmanager
async def instances(count: int, store: Store) -> AsyncIterator[list[Instance]]:
    made = [Instance(store.client()) for _ in range(count)]
    tasks = [asyncio.create_task(instance.informer.run()) for instance in made]
    for instance in made:
        await instance.informer.synced.wait()
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with await Store.open("memory://") as store:
        yield store


async def holders(client: Client, count: int) -> list[Tenant]:
    return [await client.create(Tenant(metadata=ObjectMeta(name=f"t{number}"))) for number in range(count)]


async def catch_up(instance: Instance, client: Client) -> None:
    for _ in range(1000):
        if len(instance.informer) == len((await client.list(Allocation)).items):
            return
        await asyncio.sleep(0)
    pytest.fail("the informer does not catch up")


async def test_instances_that_race_never_hold_the_same_value(store: Store) -> None:
    values = ValueRange("vni", 1, 100)
    async with instances(4, store) as racing:
        objects = await holders(store.client(), 100)
        claims = [racing[number % 4].allocator.claim(values, holder) for number, holder in enumerate(objects)]
        taken = await asyncio.gather(*claims)
        assert sorted(taken) == list(range(1, 101))
        extra = (await holders(store.client(), 0)) or [
            await store.client().create(Tenant(metadata=ObjectMeta(name="x")))
        ]
        for instance in racing:
            await catch_up(instance, store.client())
            with pytest.raises(PoolExhausted, match="all 100 values of pool vni from 1 to 100 are taken"):
                await instance.allocator.claim(values, extra[0])


async def test_a_holder_gets_what_it_has_already_even_before_the_cache_knows(store: Store) -> None:
    async with AsyncExitStack() as stack:
        (instance,) = await stack.enter_async_context(instances(1, store))
        (holder,) = await holders(store.client(), 1)
        first = await instance.allocator.claim(VNIS, holder)
        assert await instance.allocator.claim(VNIS, holder) == first
        assert len(instance.allocator.held(holder)) == 1
        await catch_up(instance, store.client())
        assert await instance.allocator.claim(VNIS, holder) == first
        assert len((await store.client().list(Allocation)).items) == 1


async def test_a_restarted_instance_goes_on_where_the_last_one_was(store: Store) -> None:
    objects = await holders(store.client(), 6)
    async with instances(1, store) as (first,):
        before = [await first.allocator.claim(VNIS, holder) for holder in objects[:3]]
        await first.allocator.release(objects[1])
    async with instances(1, store) as (second,):
        assert await second.allocator.claim(VNIS, objects[0]) == before[0]
        after = [await second.allocator.claim(VNIS, holder) for holder in objects[3:]]
        assert after == [4097, 4099, 4100]


async def test_a_certain_value_is_claimed_once(store: Store) -> None:
    one, two = await holders(store.client(), 2)
    async with instances(2, store) as (first, second):
        await first.allocator.claim_value("pool", 7, one)
        await first.allocator.claim_value("pool", 7, one)
        for instance in (first, second):
            with pytest.raises(ValueTaken, match="7 of pool pool is held by Tenant t0") as caught:
                await instance.allocator.claim_value("pool", 7, two)
            assert caught.value.holder.uid == one.metadata.uid
        await second.allocator.claim_value("pool", 7, one)  # somebody else's write of the same claim


async def test_what_is_given_back_is_not_held_any_more_at_once(store: Store) -> None:
    (holder,) = await holders(store.client(), 1)
    async with instances(1, store) as (instance,):
        value = await instance.allocator.claim(VNIS, holder)
        await catch_up(instance, store.client())
        await instance.allocator.release(holder)
        assert instance.allocator.held(holder) == ()
        assert await instance.allocator.claim(VNIS, holder) == value + 1
        await catch_up(instance, store.client())
        assert [item.spec.value for item in instance.allocator.held(holder)] == [value + 1]


async def test_releasing_twice_does_not_free_a_successors_claim(store: Store) -> None:
    one, two = await holders(store.client(), 2)
    async with instances(1, store) as (instance,):
        await instance.allocator.claim_value("pool", 7, one)
        (old,) = instance.allocator.held(one)
        await instance.allocator.delete(old)
        await instance.allocator.claim_value("pool", 7, two)
        await instance.allocator.delete(old)
        assert [item.spec.value for item in instance.allocator.held(two)] == [7]
        assert len((await store.client().list(Allocation)).items) == 1


async def test_some_of_what_is_held_can_be_kept(store: Store) -> None:
    (holder,) = await holders(store.client(), 1)
    async with instances(1, store) as (instance,):
        for value in (1, 2, 3):
            await instance.allocator.claim_value("pool", value, holder)
        await instance.allocator.release(holder, keep=lambda item: item.spec.value == 2)
        assert [item.spec.value for item in instance.allocator.held(holder)] == [2]


async def test_a_range_that_replaces_another_follows_the_pool(store: Store) -> None:
    """The gateway of a subnet was moved."""
    objects: list[Tenant] = await holders(store.client(), 8)
    old, new = ValueRange("pool", 1, 4, frozenset({1})), ValueRange("pool", 1, 4, frozenset({4}))
    async with instances(1, store) as (instance,):
        claim = instance.allocator.claim
        assert [await claim(old, holder) for holder in objects[:3]] == [2, 3, 4]
        await catch_up(instance, store.client())
        assert await claim(new, objects[3]) == 1
        await catch_up(instance, store.client())
        with pytest.raises(PoolExhausted):
            await claim(new, objects[4])
        await instance.allocator.release(objects[0])
        await catch_up(instance, store.client())
        assert await claim(new, objects[4]) == 2


async def test_ranges_of_one_pool_do_not_disturb_one_another(store: Store) -> None:
    """Subnets of one VPC."""
    objects = await holders(store.client(), 4)
    low, high = ValueRange("pool", 1, 2), ValueRange("pool", 100, 101)
    async with instances(1, store) as (instance,):
        claim = instance.allocator.claim
        taken = [await claim(values, holder) for values, holder in zip((high, low, high, low), objects, strict=True)]
        assert taken == [100, 1, 101, 2]
        await catch_up(instance, store.client())
        await instance.allocator.release(objects[0])
        await instance.allocator.claim_value("pool", 50, objects[0])
        await catch_up(instance, store.client())
        with pytest.raises(PoolExhausted):
            await claim(low, objects[0])


# --- addresses of a subnet --------------------------------------------------------------------------------------------


def test_a_subnet_gives_out_all_but_network_gateway_and_broadcast_address() -> None:
    meta = ObjectMeta(tenant="red", name="web")
    subnet = Subnet(metadata=meta, spec=SubnetSpec(vpc="main", cidr=IPv4Network("10.0.0.0/29")))
    values = addresses_of(subnet, 4096)
    assert values.pool == "address.4096"
    assert [str(IPv4Address(value)) for value in range(values.first, values.last + 1) if value in values] == [
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "10.0.0.5",
        "10.0.0.6",
    ]


def test_a_mac_address_is_made_of_the_address() -> None:
    mac = mac_of(IPv4Address("10.0.1.5"))
    assert mac == "02:cf:0a:00:01:05"
    assert parse_mac(mac) == bytes.fromhex("02cf0a000105")
    assert is_derived_mac(mac)
    assert not is_derived_mac("02:00:0a:00:01:05")


def test_allocations_name_their_holder() -> None:
    vpc: Object = VPC(
        metadata=ObjectMeta(tenant="red", name="main", uid="u"), spec=VPCSpec(cidrs=(IPv4Network("10.0.0.0/16"),))
    )
    assert Allocation.of("vni", 1, vpc).spec.holder.uid == "u"
