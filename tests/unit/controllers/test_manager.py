# SPDX-License-Identifier: Apache-2.0
"""Manager and controllers: level-triggered, never losing a key, ending in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import pytest

from cloudfabric.controllers import (
    Backoff,
    Context,
    Controller,
    Manager,
    NotIdle,
    ObjectKey,
    Result,
    VirtualClock,
)
from cloudfabric.models import VPC, Object, ObjectMeta, Phase, Tenant, TenantSpec, VPCSpec, parse
from cloudfabric.store import Client, Conflict, Store, StoreClosed


def tenant(name: str, description: str = "") -> Tenant:
    return Tenant(metadata=ObjectMeta(name=name), spec=TenantSpec(description=description))


def key(name: str) -> ObjectKey:
    return ObjectKey("", "", name)


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Recorder(Controller[Tenant]):
    """Writes down what it is called for, and does what it is told."""

    kind = Tenant
    workers: ClassVar[int] = 2

    def __init__(self, act: Callable[[ObjectKey], Result | None] = lambda key: None) -> None:
        self.calls: list[str] = []
        self.act = act

    async def reconcile(self, key: ObjectKey) -> Result | None:
        self.calls.append(str(key))
        return self.act(key)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with await Store.open("memory://") as store:
        yield store.client()


async def test_what_is_there_and_what_comes_is_reconciled(client: Client) -> None:
    await client.create(tenant("red"))
    recorder = Recorder()
    async with Manager(client) as manager:
        manager.add(recorder)
        await manager.idle()
        assert recorder.calls == ["red"]
        await manager.client.create(tenant("blue"))
        await manager.idle()
        assert recorder.calls == ["red", "blue"]
        await manager.client.delete(Tenant, "blue")
        await manager.idle()
        assert recorder.calls == ["red", "blue", "blue"]
        assert manager.metrics()["Recorder"].reconciles == 3


async def test_controllers_added_before_the_start_run_too(client: Client) -> None:
    await client.create(tenant("red"))
    recorder = Recorder()
    manager = Manager(client)
    manager.add(recorder)
    async with manager:
        await manager.idle()
    assert recorder.calls == ["red"]


async def test_a_manager_that_is_never_started_leaves_nothing_behind(client: Client) -> None:
    Manager(client).add(Recorder())


async def test_a_failed_reconcile_is_logged_and_tried_again_after_its_backoff(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    remaining = 3

    def fail(key: ObjectKey) -> None:
        nonlocal remaining
        remaining -= 1
        if remaining >= 0:
            raise RuntimeError("out of luck")

    recorder = Recorder(fail)
    async with Manager(client, clock=clock, backoff=Backoff(base=1)) as manager:
        manager.add(recorder)
        with caplog.at_level(logging.ERROR):
            await manager.client.create(tenant("red"))
            await turns()
            assert len(recorder.calls) == 1
        assert "Recorder: reconcile of red failed" in caplog.text
        assert "out of luck" in caplog.text
        assert manager.metrics()["Recorder"].last_errors == {key("red"): "RuntimeError: out of luck"}
        for calls, delay in ((2, 1), (3, 2), (4, 4)):
            clock.advance(delay - 0.01)
            await turns()
            assert len(recorder.calls) == calls - 1, "too early"
            clock.advance(0.02)
            await turns()
            assert len(recorder.calls) == calls
        await manager.idle()
        metrics = manager.metrics()["Recorder"]
        assert (metrics.reconciles, metrics.failures, metrics.last_errors) == (4, 3, {})


async def test_an_event_brings_a_failing_key_back_at_once(client: Client) -> None:
    recorder = Recorder(lambda key: (_ for _ in ()).throw(RuntimeError()) if len(recorder.calls) == 1 else None)
    async with Manager(client, clock=VirtualClock()) as manager:
        manager.add(recorder)
        red = await manager.client.create(tenant("red"))
        await turns()
        await manager.client.update(red.with_spec(description="better"))
        await manager.idle()
        assert recorder.calls == ["red", "red"]


async def test_a_conflict_is_tried_again_and_not_logged_as_an_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def conflict(key: ObjectKey) -> None:
        if len(recorder.calls) == 1:
            raise Conflict("Tenant", "", "", "red", "resourceVersion", "1", "2")

    recorder = Recorder(conflict)
    async with Manager(client) as manager:
        manager.add(recorder)
        await manager.client.create(tenant("red"))
        await manager.idle()
        metrics = manager.metrics()["Recorder"]
    assert (metrics.reconciles, metrics.conflicts, metrics.failures) == (2, 1, 0)
    assert caplog.records == []


async def test_idle_says_what_is_still_to_be_done(client: Client) -> None:
    def fail(key: ObjectKey) -> None:
        raise RuntimeError("no luck")

    async with Manager(client, backoff=Backoff(base=100)) as manager:
        manager.add(Recorder(fail))
        await manager.client.create(tenant("red"))
        with pytest.raises(NotIdle, match=r"Recorder: .*red failing: RuntimeError: no luck") as caught:
            await manager.idle(timeout=0.05)
        assert caught.value.timeout == 0.05


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
            if tenant is not None and tenant.status.phase is Phase.PENDING:
                self.writes += 1
                await self.client.update_status(tenant.with_status(phase=Phase.PROVISIONED))
                self.context.enqueue(key)

    counter = Counter()
    async with Manager(client) as manager:
        manager.add(counter)
        for number in range(20):
            await manager.client.create(tenant(f"t{number}"))
        await manager.idle()
        assert counter.writes == 20
        assert manager.metrics()["Counter"].conflicts == 0


@dataclass(frozen=True)
class Network:
    tenant: str
    name: str

    def vpc(self, owner: Tenant) -> VPC:
        meta = ObjectMeta(tenant=self.tenant, name=self.name, owner_references=(owner.owner_reference(),))
        cidr = {"cidrs": ["10.0.0.0/16"]}
        return VPC(metadata=meta, spec=VPCSpec.model_validate(cidr))


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


async def test_shutdown_lets_a_reconcile_in_flight_end(client: Client) -> None:
    begun, ended = asyncio.Event(), []

    class Worker(Controller[Tenant]):
        kind = Tenant

        async def reconcile(self, key: ObjectKey) -> None:
            begun.set()
            await turns(20)
            ended.append(key)

    async with Manager(client) as manager:
        manager.add(Worker())
        await manager.client.create(tenant("red"))
        await begun.wait()
    assert ended == [key("red")]


async def test_shutdown_does_not_wait_for_longer_than_the_grace_period(client: Client) -> None:
    begun, cancelled = asyncio.Event(), []

    class Stuck(Controller[Tenant]):
        kind = Tenant

        async def reconcile(self, key: ObjectKey) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(key)
                raise

    async with Manager(client, grace=0.01) as manager:
        manager.add(Stuck())
        await manager.client.create(tenant("red"))
        await begun.wait()
    assert cancelled == [key("red")]


async def test_an_error_of_the_body_is_raised_as_it_is(client: Client) -> None:
    async def body() -> None:
        async with Manager(client) as manager:
            manager.add(Recorder())
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await body()


async def test_a_broken_mapper_ends_the_manager_and_its_body() -> None:
    class Broken(Recorder):
        def setup(self, context: Context) -> None:
            context.watch(VPC, self.wrong)

        def wrong(self, vpc: Object) -> Iterable[ObjectKey]:
            raise ZeroDivisionError("in the mapper")

    async with await Store.open("memory://") as store:
        red = await store.client().create(tenant("red"))

        async def body() -> None:
            async with Manager(store.client()) as manager:
                manager.add(Broken())
                await manager.client.create(Network("red", "main").vpc(red))
                await asyncio.Event().wait()

        with pytest.raises(ExceptionGroup) as caught:
            await body()
        assert caught.group_contains(ZeroDivisionError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "the cancellation of the body was taken back"


async def test_closing_the_store_under_a_manager_ends_it() -> None:
    store = await Store.open("memory://")

    async def body() -> None:
        async with Manager(store.client()) as manager:
            manager.add(Recorder())
            await manager.idle()
            await store.close()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await body()
    assert caught.group_contains(StoreClosed)


async def test_run_goes_on_until_cancelled(client: Client) -> None:
    recorder = Recorder()
    manager = Manager(client)
    manager.add(recorder)
    task = asyncio.create_task(manager.run())
    await client.create(tenant("red"))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.calls == ["red"]


async def test_a_second_cancellation_during_shutdown_does_not_wait(client: Client) -> None:
    begun = asyncio.Event()

    class Stuck(Controller[Tenant]):
        kind = Tenant

        async def reconcile(self, key: ObjectKey) -> None:
            begun.set()
            await asyncio.Event().wait()

    manager = Manager(client, grace=1000)
    manager.add(Stuck())
    task = asyncio.create_task(manager.run())
    await client.create(tenant("red"))
    await begun.wait()
    task.cancel()
    await turns()
    assert not task.done(), "it is waiting for the reconcile"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_service_runs_beside_and_keeps_the_manager_from_idling(client: Client) -> None:
    class Work:
        def __init__(self) -> None:
            self.busy = "digging"
            self.finish = asyncio.Event()
            self.cancelled = False

        async def run(self) -> None:
            try:
                await self.finish.wait()
                self.busy = ""
                context[0].became_idle()
                await asyncio.Event().wait()
            finally:
                self.cancelled = True

    context: list[Context] = []
    work = Work()

    class Owner(Recorder):
        def setup(self, given: Context) -> None:
            context.append(given)
            given.add_service(work)

    async with Manager(client) as manager:
        manager.add(Owner())
        with pytest.raises(NotIdle, match="digging"):
            await manager.idle(timeout=0.01)
        work.finish.set()
        await manager.idle()
    assert work.cancelled


async def test_a_controller_without_reconcile_says_so(client: Client) -> None:
    class Empty(Controller[Tenant]):
        kind = Tenant

    with pytest.raises(NotImplementedError, match=r"Empty defines no reconcile"):
        await Empty().reconcile(key("red"))


def test_a_key_reads_like_a_path() -> None:
    assert str(ObjectKey("red", "", "web")) == "red/web"
    assert str(ObjectKey("red", "prod", "web")) == "red/prod/web"
    assert ObjectKey.of(tenant("red")) == key("red")
