# SPDX-License-Identifier: Apache-2.0
"""Controllers: what they are called for, and what they see when they are called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from cloudfabric.controllers import (
    Backoff,
    Context,
    Controller,
    Manager,
    ObjectKey,
    Result,
    VirtualClock,
)
from cloudfabric.models import VPC, ObjectMeta, Phase, Tenant, VPCSpec, parse
from cloudfabric.store import Client, Store
from tests.support.recorder import Network, Recorder, key, tenant, turns


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with await Store.open("memory://") as store:
        yield store.client()


async def test_a_planned_visit_comes_and_does_not_count_as_work(client: Client) -> None:
    clock = VirtualClock()
    recorder = Recorder(lambda key: Result(requeue_after=30))
    async with Manager(client, clock=clock) as manager:
        manager.add(recorder)
        await manager.client.create(tenant("red"))
        await manager.idle()
        assert len(recorder.calls) == 1
        clock.advance(30)
        await manager.idle()
        assert len(recorder.calls) == 2


async def test_a_reconcile_that_takes_too_long_is_abandoned(client: Client) -> None:
    class Slow(Controller[Tenant]):
        kind = Tenant
        timeout = 0.01
        calls = 0

        async def reconcile(self, key: ObjectKey) -> None:
            self.calls += 1
            if self.calls == 1:
                await asyncio.Event().wait()

    slow = Slow()
    async with Manager(client) as manager:
        manager.add(slow)
        await manager.client.create(tenant("red"))
        await manager.idle()
        assert slow.calls == 2
        assert manager.metrics()["Slow"].failures == 1


async def test_one_key_is_never_reconciled_twice_at_a_time(client: Client) -> None:
    running: set[ObjectKey] = set()
    together: list[int] = []

    class Careful(Controller[Tenant]):
        kind = Tenant
        name = "careful"
        workers = 4

        async def reconcile(self, key: ObjectKey) -> None:
            assert key not in running
            running.add(key)
            together.append(len(running))
            await turns(5)
            running.remove(key)

    async with Manager(client) as manager:
        manager.add(Careful())
        made = [await manager.client.create(tenant(name)) for name in ("a", "b", "c")]
        for number in range(10):
            made = [await manager.client.update(obj.with_spec(description=f"{number}")) for obj in made]
        await manager.idle()
        assert manager.metrics()["careful"].failures == 0
    assert max(together) == 3, "different keys are"


async def test_a_controller_sees_its_own_writes(client: Client) -> None:
    """A reconcile never looks at a cache from before its own last write, so it does nothing twice."""

    class Counter(Controller[Tenant]):
        kind = Tenant

        def __init__(self) -> None:
            self.writes = 0

        async def reconcile(self, key: ObjectKey) -> None:
            tenant = self.informer.get(key)
            if tenant is not None and tenant.status.phase is Phase.PROVISIONED:
                self.writes += 1
                await self.client.update_status(tenant.with_status(phase=Phase.FAILED))
                self.context.enqueue(key)

    counter = Counter()
    async with Manager(client) as manager:
        manager.add(counter)
        for number in range(20):
            await manager.client.create(tenant(f"t{number}"))
        await manager.idle()
        assert counter.writes == 20
        assert manager.metrics()["Counter"].conflicts == 0


async def test_an_owner_is_reconciled_when_what_it_owns_changes(client: Client) -> None:
    class Owner(Recorder):
        def setup(self, context: Context) -> None:
            self.owns(VPC)

    owner = Owner()
    async with Manager(client) as manager:
        manager.add(owner)
        red = await manager.client.create(tenant("red"))
        await manager.idle()
        owner.calls.clear()
        await manager.client.create(Network("red", "main").vpc(red))
        await manager.idle()
        assert owner.calls == ["red"]
        unowned = VPC(
            metadata=ObjectMeta(tenant="red", name="other"), spec=VPCSpec.model_validate({"cidrs": ["10.1.0.0/16"]})
        )
        await manager.client.create(unowned)
        await manager.idle()
        assert owner.calls == ["red"]


async def test_both_sides_of_a_moved_reference_are_reconciled(client: Client) -> None:
    class Watcher(Recorder):
        def setup(self, context: Context) -> None:
            context.watch(VPC, self.named)

        def named(self, vpc: VPC) -> Iterable[ObjectKey]:
            if "tenant-of" in vpc.metadata.labels:
                yield key(vpc.metadata.labels["tenant-of"])

    watcher = Watcher()
    async with Manager(client) as manager:
        manager.add(watcher)
        vpc = parse(
            {
                "apiVersion": "network.cloudfabric.io/v1",
                "kind": "VPC",
                "metadata": {"tenant": "x", "name": "main", "labels": {"tenant-of": "red"}},
                "spec": {"cidrs": ["10.0.0.0/16"]},
            }
        )
        assert isinstance(vpc, VPC)
        made = await manager.client.create(vpc)
        await manager.idle()
        watcher.calls.clear()
        await manager.client.update(made.with_metadata(labels={"tenant-of": "blue"}))
        await manager.idle()
        assert sorted(watcher.calls) == ["blue", "red"]


async def test_no_reconcile_sees_an_unfilled_cache(client: Client) -> None:
    seen: list[int] = []

    class Looker(Recorder):
        def setup(self, context: Context) -> None:
            self.vpcs = context.informer(VPC)

        async def reconcile(self, key: ObjectKey) -> None:
            seen.append(len(self.vpcs))

    red = await client.create(tenant("red"))
    for number in range(50):
        await client.create(Network("red", f"v{number}").vpc(red))
    async with Manager(client) as manager:
        manager.add(Looker())
        await manager.idle()
    assert set(seen) == {50}


async def test_the_first_pass_is_over_when_all_keys_were_reconciled_or_failed_often(client: Client) -> None:
    clock = VirtualClock()
    for name in ("good", "bad"):
        await client.create(tenant(name))

    def act(key: ObjectKey) -> None:
        if key.name == "bad":
            raise RuntimeError

    recorder = Recorder(act)
    async with Manager(client, clock=clock, backoff=Backoff(base=1)) as manager:
        manager.add(recorder)
        for _ in range(4):
            await turns()
            assert not recorder.first_pass.is_set()
            clock.advance(10)
        await turns()
        assert recorder.first_pass.is_set()


async def test_a_controller_without_reconcile_says_so(client: Client) -> None:
    class Empty(Controller[Tenant]):
        kind = Tenant

    with pytest.raises(NotImplementedError, match=r"Empty defines no reconcile"):
        await Empty().reconcile(key("red"))


def test_a_key_reads_like_a_path() -> None:
    assert str(ObjectKey("red", "", "web")) == "red/web"
    assert str(ObjectKey("red", "prod", "web")) == "red/prod/web"
    assert ObjectKey.of(tenant("red")) == key("red")
