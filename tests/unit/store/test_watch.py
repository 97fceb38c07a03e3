# SPDX-License-Identifier: Apache-2.0
"""Watches over every engine: exactly once, in order, from any revision that is held, bounded."""

import asyncio
import random
from ipaddress import IPv4Network

import pytest

from cloudfabric.models import VPC, Endpoint, EndpointSpec, ObjectMeta, VPCSpec
from cloudfabric.store import (
    AlreadyExists,
    Client,
    EventType,
    Expired,
    InvalidObject,
    InvalidResourceVersion,
    NotFound,
    SlowWatcher,
    Store,
    StoreClosed,
    Watch,
)

from .conftest import Opener


def vpc(name: str, tenant: str = "red", labels: dict[str, str] | None = None) -> VPC:
    return VPC(
        metadata=ObjectMeta(tenant=tenant, name=name, labels=labels or {}),
        spec=VPCSpec(cidrs=(IPv4Network("10.0.0.0/16"),)),
    )


async def take(watch: Watch[VPC], count: int) -> list[tuple[str, str]]:
    """The next events as type and name."""
    async with asyncio.timeout(10):
        return [(event.type.value, event.object.metadata.name) for event in [await anext(watch) for _ in range(count)]]


async def write_history(client: Client) -> list[tuple[str, str]]:
    """Some writes, and the events that tell of them."""
    a = await client.create(vpc("a"))
    await client.create(vpc("b"))
    await client.update(a.with_spec(dividers=2))
    await client.delete(VPC, "a", tenant="red")
    return [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_from_now_on(store: Store) -> None:
    client = store.client()
    await client.create(vpc("earlier"))

    async with client.watch(VPC) as watch:
        history = await write_history(client)

        assert await take(watch, 4) == history


async def test_now_is_when_the_watch_was_asked_for(store: Store) -> None:
    client = store.client()

    watch = client.watch(VPC)
    await client.create(vpc("a"))

    async with watch:
        assert await take(watch, 1) == [("ADDED", "a")]


async def test_from_a_list_nothing_is_lost_and_nothing_comes_twice(store: Store) -> None:
    client = store.client()
    await client.create(vpc("earlier"))
    listed = await client.list(VPC)
    history = await write_history(client)

    async with client.watch(VPC, resource_version=listed.resource_version) as watch:
        await client.create(vpc("later"))

        assert await take(watch, 5) == [*history, ("ADDED", "later")]


async def test_from_every_revision_the_rest_of_the_history(store: Store) -> None:
    client = store.client()
    history = await write_history(client)
    last = int(store.resource_version)

    for start in range(len(history) + 1):
        async with client.watch(VPC, resource_version=str(last - start)) as watch:
            await client.patch(VPC, "b", {"metadata": {"labels": {"n": str(start)}}}, tenant="red")
            events = await take(watch, start + start + 1)

            assert events[:start] == history[len(history) - start :]


async def test_an_event_carries_the_object_after_the_change(store: Store) -> None:
    client = store.client()
    async with client.watch(VPC) as watch:
        created = await client.create(vpc("a"))
        updated = await client.update(created.with_spec(dividers=2))
        await client.delete(VPC, "a", tenant="red")

        events = [await anext(watch) for _ in range(3)]

    assert events[0].object == created
    assert events[1].object == updated
    assert events[1].resource_version == updated.metadata.resource_version
    assert events[2].object.spec == updated.spec
    assert events[2].object.metadata.resource_version == events[2].resource_version
    assert int(events[2].resource_version) > int(events[1].resource_version)
    assert repr(events[0]) == f"<WatchEvent ADDED VPC red/a at {events[0].resource_version}>"


async def test_watchers_share_one_event(store: Store) -> None:
    client = store.client()
    async with client.watch(VPC) as first, client.watch(VPC, tenant="red") as second:
        await client.create(vpc("a"))

        assert (await anext(first)).object is (await anext(second)).object


async def test_only_the_kind_tenant_and_namespace_asked_for(store: Store) -> None:
    client = store.client()
    spec = EndpointSpec(subnet="web", droplet="host-1")

    async with (
        client.watch(VPC, tenant="red") as red,
        client.watch(VPC) as everyone,
        client.watch(Endpoint, tenant="red", namespace="prod") as prod,
    ):
        await client.create(vpc("a", tenant="blue"))
        await client.create(vpc("b", tenant="red"))
        for namespace in ("default", "prod"):
            metadata = ObjectMeta(tenant="red", namespace=namespace, name="e")
            await client.create(Endpoint(metadata=metadata, spec=spec))

        assert await take(red, 1) == [("ADDED", "b")]
        assert await take(everyone, 2) == [("ADDED", "a"), ("ADDED", "b")]
        assert (await anext(prod)).object.metadata.namespace == "prod"
    async with client.watch(VPC, tenant="red", resource_version="0") as replayed:
        assert await take(replayed, 1) == [("ADDED", "b")]


@pytest.mark.parametrize("replayed", [False, True])
async def test_by_labels_objects_come_and_go(store: Store, replayed: bool) -> None:
    client = store.client()

    async def write() -> None:
        await client.create(vpc("never"))
        await client.create(vpc("a", labels={"app": "x"}))
        for labels in ({"app": "x", "b": "c"}, {"app": "y"}, {"app": "z"}, {"app": "x"}):
            await client.update(vpc("a", labels=labels))
        await client.delete(VPC, "a", tenant="red")
        await client.delete(VPC, "never", tenant="red")
        await client.create(vpc("end", labels={"app": "x"}))

    if replayed:
        await write()
    async with client.watch(VPC, labels={"app": "x"}, resource_version="0") as watch:
        if not replayed:
            await write()

        assert await take(watch, 6) == [
            ("ADDED", "a"),
            ("MODIFIED", "a"),
            ("DELETED", "a"),
            ("ADDED", "a"),
            ("DELETED", "a"),
            ("ADDED", "end"),
        ]


async def test_many_writers_every_watcher_sees_the_log(store: Store) -> None:
    client = store.client()

    async def write(worker: int) -> None:
        for number in range(20):
            created = await client.create(vpc(f"w{worker}-{number}"))
            await client.update(created.with_spec(dividers=2))

    async with client.watch(VPC) as live:
        await asyncio.gather(*(write(worker) for worker in range(8)))
        seen = [await anext(live) for _ in range(320)]

    revisions = [int(event.resource_version) for event in seen]
    assert revisions == sorted(set(revisions))
    async with client.watch(VPC, resource_version="0") as replay:
        again = [await anext(replay) for _ in range(320)]
    assert [(e.type, e.object) for e in again] == [(e.type, e.object) for e in seen]


async def test_the_window_is_bounded(open_: Opener) -> None:
    store = await open_(log_window=20)
    client = store.client()
    for number in range(100):
        await client.create(vpc(f"v{number}"))

    async with client.watch(VPC, resource_version="80") as within:
        assert await take(within, 20) == [("ADDED", f"v{number}") for number in range(80, 100)]
    async with client.watch(VPC, resource_version="60") as beyond:
        with pytest.raises(Expired, match="list again and watch from the list's resourceVersion") as caught:
            await anext(beyond)
    assert caught.value.resource_version == "60"
    assert 75 <= int(caught.value.oldest) <= 80
    assert caught.value.newest == "100"


async def test_one_batch_may_be_larger_than_the_window(open_: Opener) -> None:
    store = await open_(log_window=4)
    client = store.client()
    await asyncio.gather(*(client.create(vpc(f"v{number}")) for number in range(50)))

    async with client.watch(VPC, resource_version="46") as watch:
        assert [name for _, name in await take(watch, 4)] == ["v46", "v47", "v48", "v49"]


async def test_a_revision_that_is_not_reached_yet_is_expired_too(store: Store) -> None:
    async with store.client().watch(VPC, resource_version="1000") as watch:
        with pytest.raises(Expired):
            await anext(watch)


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", " 1", "١"])
async def test_a_resource_version_that_is_none(store: Store, text: str) -> None:
    with pytest.raises(InvalidResourceVersion, match="is not a resourceVersion"):
        store.client().watch(VPC, resource_version=text)


async def test_a_slow_watcher_is_cut_off_and_can_resume(open_: Opener) -> None:
    store = await open_(watch_limit=5)
    client = store.client()
    async with client.watch(VPC) as slow, client.watch(VPC) as attentive:
        for number in range(8):
            await client.create(vpc(f"v{number}"))
            await take(attentive, 1)
        delivered = await take(slow, 5)
        with pytest.raises(SlowWatcher, match="take events faster") as caught:
            await anext(slow)

    async with client.watch(VPC, resource_version=caught.value.resource_version) as resumed:
        rest = await take(resumed, 3)
    assert [*delivered, *rest] == [("ADDED", f"v{number}") for number in range(8)]
    assert (caught.value.kind, caught.value.limit) == ("VPC", 5)
    assert slow.resource_version == caught.value.resource_version


async def test_a_replay_does_not_count_as_slowness(open_: Opener) -> None:
    store = await open_(watch_limit=5)
    client = store.client()
    for number in range(20):
        await client.create(vpc(f"v{number}"))

    async with client.watch(VPC, resource_version="0") as watch:
        for number in range(20, 25):
            await client.create(vpc(f"v{number}"))

        assert len(await take(watch, 25)) == 25


async def test_bookmarks_tell_an_idle_watcher_how_far_it_is(open_: Opener) -> None:
    store = await open_(log_window=20)
    client = store.client()
    async with client.watch(VPC, tenant="blue", bookmarks=True) as watch, client.watch(VPC, tenant="blue") as plain:
        for number in range(100):
            await client.create(vpc(f"v{number}"))
        bookmark = await anext(watch)
        await client.create(vpc("a", tenant="blue"))

        assert bookmark.type is EventType.BOOKMARK
        assert repr(bookmark) == f"<WatchEvent BOOKMARK at {bookmark.resource_version}>"
        with pytest.raises(LookupError, match="carries no object"):
            _ = bookmark.object
        assert await take(plain, 1) == [("ADDED", "a")]


async def test_the_watch_knows_where_to_resume(store: Store) -> None:
    client = store.client()
    async with client.watch(VPC, tenant="blue") as watch:
        assert watch.resource_version == store.resource_version
        await client.create(vpc("a", tenant="red"))
        assert watch.resource_version == store.resource_version  # of no interest, so as good as delivered
        before = store.resource_version
        await client.create(vpc("b", tenant="blue"))
        assert watch.resource_version in (before, "0")
        await take(watch, 1)
        assert watch.resource_version == store.resource_version


async def test_closing_a_watch_ends_its_iteration(store: Store) -> None:
    client = store.client()
    watch = client.watch(VPC)

    arrived = asyncio.Event()
    names: list[str] = []

    async def consume() -> list[str]:
        async for event in watch:
            names.append(event.object.metadata.name)
            arrived.set()
        return names

    consuming = asyncio.create_task(consume())
    await client.create(vpc("a"))
    async with asyncio.timeout(10):
        await arrived.wait()
    await watch.close()
    await watch.close()

    async with asyncio.timeout(10):
        assert await consuming == ["a"]


async def test_closing_the_store_ends_watches_after_what_is_queued(store: Store) -> None:
    client = store.client()
    async with client.watch(VPC) as watch:
        await client.create(vpc("a"))
        waiting = client.watch(VPC)
        pending = asyncio.ensure_future(anext(waiting))
        await asyncio.sleep(0)

        await store.close()

        assert await take(watch, 1) == [("ADDED", "a")]
        with pytest.raises(StoreClosed):
            await anext(watch)
        with pytest.raises(StoreClosed):
            await pending
    with pytest.raises(StoreClosed):
        await anext(client.watch(VPC))


async def test_cancelling_a_wait_loses_nothing(store: Store) -> None:
    client = store.client()
    async with client.watch(VPC) as watch:
        waiting = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await client.create(vpc("a"))

        assert await take(watch, 1) == [("ADDED", "a")]


async def test_one_watch_has_one_consumer(store: Store) -> None:
    async with store.client().watch(VPC) as watch:
        waiting = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="two tasks iterate over one watch"):
            await anext(watch)

        await watch.close()
        with pytest.raises(StopAsyncIteration):
            await waiting


@pytest.mark.parametrize("seed", range(5))
async def test_folding_every_event_gives_the_list(open_: Opener, seed: int) -> None:
    store = await open_(log_window=10_000)
    client = store.client()
    rng = random.Random(seed)

    async def act() -> None:
        name = f"v{rng.randrange(6)}"
        finalizers = rng.choice([(), ("example.org/x",)])
        match rng.randrange(5):
            case 0 | 1:
                await client.create(vpc(name).with_metadata(finalizers=finalizers))
            case 2:
                await client.update(
                    vpc(name).with_spec(dividers=rng.randint(1, 9)).with_metadata(finalizers=finalizers)
                )
            case 3:
                await client.delete(VPC, name, tenant="red")
            case 4:
                await client.patch(VPC, name, {"metadata": {"finalizers": []}}, tenant="red")

    async with client.watch(VPC) as live:
        for _ in range(40):
            results = await asyncio.gather(*(act() for _ in range(rng.randint(1, 8))), return_exceptions=True)
            assert {type(result) for result in results} <= {type(None), NotFound, AlreadyExists, InvalidObject}
        listed = await client.list(VPC)
        for watch in (live, client.watch(VPC, resource_version="0")):
            folded: dict[str, VPC] = {}
            async with watch:
                while watch.resource_version != listed.resource_version:
                    event = await anext(watch)
                    name = event.object.metadata.name
                    assert (event.type is EventType.ADDED) == (name not in folded)
                    folded[name] = event.object
                    if event.type is EventType.DELETED:
                        del folded[name]

            assert sorted(folded) == [item.metadata.name for item in listed.items]
            assert {item.metadata.name: item for item in listed.items} == folded
