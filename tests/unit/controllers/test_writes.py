# SPDX-License-Identifier: Apache-2.0
"""Awaited writes: an informer knows what this process wrote and the informer has not seen yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from cloudfabric.controllers.informer import Informer
from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.controllers.observed_client import ObservedClient
from cloudfabric.controllers.writes import DELETION, AwaitedWrites
from cloudfabric.models import ObjectMeta, Phase, Tenant, TenantSpec
from cloudfabric.store import AlreadyExists, EventType, Store, Watch

RED = ObjectKey("", "", "red")


def tenant(name: str = "red", version: str = "", **metadata: object) -> Tenant:
    return Tenant(metadata=ObjectMeta(name=name, resource_version=version, **metadata))  # type: ignore[arg-type]


def test_a_write_is_awaited_until_its_event() -> None:
    writes = AwaitedWrites()
    writes.begin(RED, None)
    assert bool(writes) is True
    assert RED not in writes, "it is not written yet"
    writes.finish(RED, RED, "5")
    assert RED in writes
    assert writes.keys() == (RED,)
    writes.seen(RED, tenant(version="4"), deleted=False)
    assert RED in writes
    writes.seen(RED, tenant(version="5"), deleted=False)
    assert not writes


def test_an_event_may_overtake_the_answer() -> None:
    writes = AwaitedWrites()
    writes.begin(RED, None)
    writes.seen(RED, tenant(version="5"), deleted=False)
    writes.finish(RED, RED, "5")
    assert not writes


def test_a_write_that_changes_nothing_is_not_awaited() -> None:
    writes = AwaitedWrites()
    writes.begin(RED, tenant(version="3"))
    writes.seen(RED, tenant(version="4"), deleted=False)  # somebody else's, in between
    writes.finish(RED, RED, "3")
    assert not writes


def test_a_write_that_fails_is_not_awaited() -> None:
    writes = AwaitedWrites()
    writes.begin(RED, None)
    writes.finish(RED, RED, "")
    assert not writes


def test_two_writes_of_one_object_are_both_awaited() -> None:
    writes = AwaitedWrites()
    for version in ("5", "6"):
        writes.begin(RED, None)
        writes.finish(RED, RED, version)
    writes.seen(RED, tenant(version="5"), deleted=False)
    assert RED in writes
    writes.seen(RED, tenant(version="6"), deleted=False)
    assert not writes


def test_the_end_of_an_object_ends_what_was_awaited_of_it() -> None:
    writes = AwaitedWrites()
    writes.begin(RED, None)
    writes.finish(RED, RED, "5")
    writes.seen(RED, tenant(version="9"), deleted=True)
    assert not writes


def test_a_new_list_ends_all_waiting() -> None:
    writes = AwaitedWrites()
    writes.begin(RED, None)
    writes.finish(RED, RED, DELETION)
    writes.forget()
    assert not writes


@dataclass
class Bench:
    """A client, and an informer whose events are delivered by hand."""

    client: ObservedClient
    informer: Informer[Tenant]
    watch: Watch[Tenant]

    async def deliver(self) -> EventType:
        event = await anext(self.watch)
        self.informer._follow(event)
        return event.type

    def behind(self) -> bool:
        return bool(self.informer.writes)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with await Store.open("memory://") as store:
        informer: Informer[Tenant] = Informer(store.client(), Tenant)
        client = ObservedClient(store.client(), {Tenant: informer})  # type: ignore[dict-item]
        async with store.client().watch(Tenant) as watch:
            yield Bench(client, informer, watch)


async def test_every_kind_of_write_is_awaited(bench: Bench) -> None:
    red = await bench.client.create(tenant())
    assert bench.behind()
    await bench.deliver()
    assert not bench.behind()

    red = await bench.client.update(red.with_metadata(finalizers=("example.org/held",)))
    assert bench.behind()
    await bench.deliver()
    assert not bench.behind()

    red = await bench.client.update_status(red.with_status(phase=Phase.FAILED))
    assert bench.behind()
    await bench.deliver()
    assert not bench.behind()

    await bench.client.patch(Tenant, "red", {"spec": {"description": "patched"}})
    assert bench.behind()
    await bench.deliver()
    assert not bench.behind()

    await bench.client.delete(Tenant, "red")
    assert bench.behind()
    assert await bench.deliver() is EventType.MODIFIED, "it is only marked"
    assert not bench.behind()

    await bench.client.delete(Tenant, "red")
    assert not bench.behind(), "it was marked already, there is no event"

    red = await bench.client.get(Tenant, "red")
    await bench.client.update(red.with_metadata(finalizers=()))
    assert bench.behind()
    assert await bench.deliver() is EventType.DELETED
    assert not bench.behind()


async def test_a_generated_name_is_awaited_too(bench: Bench) -> None:
    await bench.client.create(Tenant(metadata=ObjectMeta(generate_name="red-")))
    assert bench.behind()
    await bench.deliver()
    assert not bench.behind()


async def test_an_update_that_changes_nothing_is_not_awaited(bench: Bench) -> None:
    red = await bench.client.create(tenant())
    await bench.deliver()
    await bench.client.update(red)
    assert not bench.behind()


async def test_a_refused_write_is_not_awaited(bench: Bench) -> None:
    await bench.client.create(tenant())
    await bench.deliver()
    with pytest.raises(AlreadyExists):
        await bench.client.create(tenant())
    assert not bench.behind()


async def test_reads_go_straight_through(bench: Bench) -> None:
    await bench.client.create(Tenant(metadata=ObjectMeta(name="red", labels={"a": "b"}), spec=TenantSpec()))
    assert (await bench.client.get(Tenant, "red")).metadata.name == "red"
    assert len((await bench.client.list(Tenant, labels={"a": "b"})).items) == 1
    listed = await bench.client.list(Tenant, labels={"a": "c"})
    assert listed.items == ()
    async with bench.client.watch(Tenant, resource_version="") as watch:
        assert watch.resource_version == listed.resource_version
