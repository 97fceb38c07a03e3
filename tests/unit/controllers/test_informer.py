# SPDX-License-Identifier: Apache-2.0
"""The informer: cache, indexes, handlers, and how it survives broken and expired watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

import pytest

from cloudfabric.controllers.clock import VirtualClock
from cloudfabric.controllers.informer import Informer
from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.controllers.observed_client import ObservedClient
from cloudfabric.models import Object, ObjectMeta, Tenant, TenantSpec
from cloudfabric.store import Client, EngineFailed, ObjectList, Store, StoreClosed, Watch, WatchEvent

T = TypeVar("T", bound=Object)


def tenant(name: str, description: str = "") -> Tenant:
    return Tenant(metadata=ObjectMeta(name=name), spec=TenantSpec(description=description))


def key(name: str) -> ObjectKey:
    return ObjectKey("", "", name)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("the condition never came to hold")


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with await Store.open("memory://", log_window=8) as store:
        yield store


@asynccontextmanager
async def running(informer: Informer[Tenant]) -> AsyncIterator[Informer[Tenant]]:
    task = asyncio.create_task(informer.run())
    try:
        await informer.synced.wait()
        yield informer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Changes:
    """A handler that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str | None, str | None]] = []

    def __call__(self, old: Tenant | None, new: Tenant | None) -> None:
        self.heard.append((old.spec.description if old else None, new.spec.description if new else None))


async def test_the_cache_follows_the_store(store: Store) -> None:
    client = store.client()
    await client.create(tenant("red"))
    async with running(Informer(client, Tenant)) as informer:
        assert informer.keys() == (key("red"),)
        blue = await client.create(tenant("blue"))
        await until(lambda: len(informer) == 2)
        await client.update(blue.with_spec(description="new"))
        await until(lambda: (found := informer.get(key("blue"))) and found.spec.description == "new")
        await client.delete(Tenant, "red")
        await until(lambda: informer.get(key("red")) is None)
        assert [obj.metadata.name for obj in informer.objects()] == ["blue"]


async def test_handlers_hear_of_every_change_in_order(store: Store) -> None:
    client = store.client()
    changes = Changes()
    informer: Informer[Tenant] = Informer(client, Tenant)
    informer.add_handler(changes)
    async with running(informer):
        red = await client.create(tenant("red", "1"))
        red = await client.update(red.with_spec(description="2"))
        await client.delete(Tenant, "red")
        await until(lambda: len(changes.heard) == 3)
    assert changes.heard == [(None, "1"), ("1", "2"), ("2", None)]


async def test_a_late_handler_hears_of_what_is_there(store: Store) -> None:
    client = store.client()
    await client.create(tenant("red", "1"))
    async with running(Informer(client, Tenant)) as informer:
        changes = Changes()
        informer.add_handler(changes)
        assert changes.heard == [(None, "1")]


async def test_an_index_follows_the_objects(store: Store) -> None:
    client = store.client()
    red = await client.create(tenant("red", "warm"))
    await client.create(tenant("blue", "cold"))
    async with running(Informer(client, Tenant)) as informer:
        informer.index("by-word", lambda obj: obj.spec.description.split())
        informer.index("by-word", lambda obj: pytest.fail("the index exists already"))
        assert [obj.metadata.name for obj in informer.by_index("by-word", "warm")] == ["red"]
        await client.update(red.with_spec(description="cold dark"))
        await until(lambda: informer.by_index("by-word", "dark"))
        assert {obj.metadata.name for obj in informer.by_index("by-word", "cold")} == {"red", "blue"}
        assert informer.by_index("by-word", "warm") == ()
        await client.delete(Tenant, "red")
        await until(lambda: not informer.by_index("by-word", "dark"))
        with pytest.raises(KeyError):
            informer.by_index("by-colour", "warm")


class BrokenWatch(Generic[T]):
    """A watch that raises in place of its event number `after`."""

    def __init__(self, watch: Watch[T], after: int, error: Exception) -> None:
        self.watch, self.after, self.error = watch, after, error

    @property
    def resource_version(self) -> str:
        return self.watch.resource_version

    async def __aenter__(self) -> Self:
        await self.watch.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.watch.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent[T]:
        if self.after == 0:
            raise self.error
        self.after -= 1
        return await self.watch.__anext__()

    async def close(self) -> None:
        await self.watch.close()


class FlakyClient(ObservedClient):
    """A client whose first lists are refused, and whose first watches break after so many events."""

    def __init__(self, client: Client, breaks: list[tuple[int, Exception]], refusals: int = 0) -> None:
        super().__init__(client, {})
        self.breaks = breaks
        self.refusals = refusals
        self.lists = 0

    async def list(
        self,
        cls: type[T],
        *,
        tenant: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> ObjectList[T]:
        self.lists += 1
        if self.lists <= self.refusals:
            raise ConnectionRefusedError("no server")
        return await super().list(cls, tenant=tenant, namespace=namespace, labels=labels)

    def watch(
        self,
        cls: type[T],
        *,
        tenant: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        resource_version: str = "",
        bookmarks: bool = False,
    ) -> Watch[T]:
        watch = super().watch(cls, resource_version=resource_version)
        return BrokenWatch(watch, *self.breaks.pop(0)) if self.breaks else watch


async def test_a_broken_watch_is_resumed_without_loss_after_a_backoff(store: Store) -> None:
    clock = VirtualClock()
    client = FlakyClient(store.client(), [(1, EngineFailed("test", "watch", "broken")), (1, ConnectionError("reset"))])
    changes = Changes()
    informer: Informer[Tenant] = Informer(client, Tenant, clock=clock)
    informer.add_handler(changes)
    async with running(informer):
        for name in "abcd":
            await client.create(tenant(name, name))
        for _ in range(2):
            await until(lambda: clock.next_deadline() is not None)
            clock.advance(1)
        await until(lambda: len(informer) == 4)
    assert changes.heard == [(None, "a"), (None, "b"), (None, "c"), (None, "d")], "each exactly once"
    assert client.lists == 1, "the watch was resumed where it ended"


async def test_an_expired_watch_is_replaced_by_a_list_and_handlers_hear_the_differences(store: Store) -> None:
    clock = VirtualClock()
    client = FlakyClient(store.client(), [(0, ConnectionError("reset"))])
    kept = await client.create(tenant("kept", "same"))
    changed = await client.create(tenant("changed", "old"))
    await client.create(tenant("gone", "bye"))
    changes = Changes()
    informer: Informer[Tenant] = Informer(client, Tenant, clock=clock)
    informer.add_handler(changes)
    async with running(informer):
        await until(lambda: clock.next_deadline() is not None)
        changes.heard.clear()
        await client.update(changed.with_spec(description="new"))
        await client.delete(Tenant, "gone")
        for number in range(20):  # more than the change log holds
            kept = await client.update(kept.with_spec(description=f"{number}"))
        kept = await client.update(kept.with_spec(description="same"))
        clock.advance(1)
        await until(lambda: informer.get(key("gone")) is None)
    assert client.lists == 2
    assert sorted(changes.heard, key=str) == [("bye", None), ("old", "new"), ("same", "same")]


async def test_an_informer_that_is_too_slow_resumes(store: Store) -> None:
    async with await Store.open("memory://", watch_limit=4) as small:
        client = small.client()
        async with running(Informer(client, Tenant)) as informer:
            await asyncio.gather(*(client.create(tenant(f"t{number}")) for number in range(40)))
            await until(lambda: len(informer) == 40)


async def test_a_list_that_fails_is_tried_again(store: Store) -> None:
    clock = VirtualClock()
    informer: Informer[Tenant] = Informer(FlakyClient(store.client(), [], refusals=3), Tenant, clock=clock)
    task = asyncio.create_task(informer.run())
    delays = []
    for _ in range(3):
        await until(lambda: clock.next_deadline() is not None)
        deadline = clock.next_deadline()
        assert deadline is not None
        delays.append(round(deadline - clock.now(), 3))
        clock.advance(deadline - clock.now())
        await asyncio.sleep(0)
    await informer.synced.wait()
    assert delays == [0.05, 0.1, 0.2]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_closing_the_store_ends_the_informer() -> None:
    store = await Store.open("memory://")
    informer: Informer[Tenant] = Informer(store.client(), Tenant)
    task = asyncio.create_task(informer.run())
    await informer.synced.wait()
    await store.close()
    with pytest.raises(StoreClosed):
        await task
