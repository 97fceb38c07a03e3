# SPDX-License-Identifier: Apache-2.0
"""How writes reach the engine: together, visible only when durable, and undone together when the engine fails."""

import asyncio
import pickle
from collections.abc import Sequence
from ipaddress import IPv4Network

import pytest

from cloudfabric.models import VPC, ObjectMeta, VPCSpec
from cloudfabric.store import (
    AlreadyExists,
    Conflict,
    EngineFailed,
    EventType,
    Expired,
    InvalidResourceVersion,
    InvalidStoreURL,
    NotFound,
    SlowWatcher,
    Store,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreLocked,
    open_store,
)
from cloudfabric.store.engines.engine import Change
from cloudfabric.store.engines.memory import MemoryEngine


def vpc(name: str, dividers: int = 1) -> VPC:
    return VPC(
        metadata=ObjectMeta(tenant="red", name=name),
        spec=VPCSpec(cidrs=(IPv4Network("10.0.0.0/16"),), dividers=dividers),
    )


class GatedEngine(MemoryEngine):
    """An engine whose commits wait for the test, and fail if it says so."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.batches: list[list[int]] = []
        self.failure: BaseException | None = None
        self.closed = False

    async def commit(self, changes: Sequence[Change], compact: int) -> None:
        self.entered.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append([change.revision for change in changes])

    async def close(self) -> None:
        self.closed = True


async def submitted(*requests: object) -> list[asyncio.Task[VPC]]:
    """The requests as tasks that have run up to waiting for their commit."""
    tasks = [asyncio.ensure_future(request) for request in requests]  # type: ignore[call-overload]
    await asyncio.sleep(0)
    return tasks


async def test_writers_share_a_commit_while_another_runs() -> None:
    engine = GatedEngine()
    async with await Store.over(engine) as store:
        client = store.client()
        first = await submitted(client.create(vpc("a")))
        await engine.entered.wait()
        rest = await submitted(*(client.create(vpc(f"v{number}")) for number in range(10)))

        engine.gate.set()
        await asyncio.gather(*first, *rest)

    assert engine.batches == [[1], list(range(2, 12))]
    assert engine.closed


async def test_nothing_is_visible_before_it_is_durable() -> None:
    engine = GatedEngine()
    async with await Store.over(engine) as store:
        client = store.client()
        async with client.watch(VPC) as watch:
            (writing,) = await submitted(client.create(vpc("a")))
            await engine.entered.wait()

            with pytest.raises(NotFound):
                await client.get(VPC, "a", tenant="red")
            assert (await client.list(VPC)).items == ()
            assert watch.resource_version == store.resource_version == "0"
            assert not writing.done()

            engine.gate.set()
            assert (await anext(watch)).object == await writing == await client.get(VPC, "a", tenant="red")


async def test_a_write_is_decided_against_those_before_it_that_are_not_durable_yet() -> None:
    engine = GatedEngine()
    async with await Store.over(engine) as store:
        client = store.client()
        create, again, update, delete, create2, get_lost = await submitted(
            client.create(vpc("a")),
            client.create(vpc("a")),
            client.update(vpc("a", dividers=2)),
            client.delete(VPC, "a", tenant="red"),
            client.create(vpc("a", dividers=3)),
            client.delete(VPC, "a", tenant="red", resource_version="1"),
        )
        engine.gate.set()

        assert (await create).spec.dividers == 1
        with pytest.raises(AlreadyExists):
            await again
        assert (await update).spec.dividers == 2
        assert await delete is None
        assert (await create2).spec.dividers == 3
        with pytest.raises(Conflict):
            await get_lost
        assert (await client.get(VPC, "a", tenant="red")).metadata.generation == 1


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(EngineFailed("gated", "commit", "disk full"), "disk full"), (OSError(5, "I/O error"), "I/O error")],
)
async def test_a_failed_commit_undoes_all_that_was_built_on_it(failure: Exception, reason: str) -> None:
    engine = GatedEngine()
    async with await Store.over(engine) as store:
        client = store.client()
        engine.failure = failure
        first = await submitted(client.create(vpc("a")))
        await engine.entered.wait()
        rest = await submitted(client.update(vpc("a", dividers=2)), client.create(vpc("b")))
        engine.gate.set()

        results = await asyncio.gather(*first, *rest, return_exceptions=True)
        engine.failure = None
        created = await client.create(vpc("a", dividers=7))

        assert all(isinstance(result, EngineFailed) and reason in str(result) for result in results)
        assert len({id(result) for result in results}) == 3
        assert [item.spec.dividers for item in (await client.list(VPC)).items] == [7]
        assert int(created.metadata.resource_version) > 3  # revisions of failed writes are not used again


async def test_a_commit_that_is_torn_down_with_the_loop_fails_its_writers() -> None:
    engine = GatedEngine()
    store = await Store.over(engine)
    client = store.client()
    engine.failure = asyncio.CancelledError()
    first = await submitted(client.create(vpc("a")))
    await engine.entered.wait()
    rest = await submitted(client.create(vpc("b")))
    engine.gate.set()

    for writing in (*first, *rest):
        with pytest.raises(StoreClosed):
            await writing
    with pytest.raises(StoreClosed):
        await client.create(vpc("c"))
    await store.close()


async def test_an_engine_that_cannot_be_read_is_closed() -> None:
    class Unreadable(GatedEngine):
        async def read_log(self, since: int) -> Sequence[Change]:
            raise StoreCorrupt("/somewhere", "torn")

    engine = Unreadable()

    with pytest.raises(StoreCorrupt, match="the store at /somewhere cannot be read: torn; restore it from a backup"):
        await Store.over(engine)
    assert engine.closed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/lib",
        "etcd://host",
        "memory://host",
        "memory:///x",
        "lmdb://",
        "lmdb:///",
        "lmdb://rel/x",
        "lmdb:///x?y=1",
    ],
)
async def test_a_url_that_names_no_store(url: str) -> None:
    with pytest.raises(InvalidStoreURL, match="use memory:// or lmdb:///absolute/directory"):
        async with open_store(url):
            pass


async def test_open_store_closes() -> None:
    async with open_store("memory://") as store:
        client = store.client()
        await client.create(vpc("a"))

    with pytest.raises(StoreClosed):
        await client.list(VPC)


async def test_the_systems_clock_and_randomness_are_the_default() -> None:
    async with open_store("memory://") as store:
        first, second = [await store.client().create(vpc(name)) for name in ("a", "b")]

    assert first.metadata.uid != second.metadata.uid
    assert first.metadata.creation_timestamp is not None


@pytest.mark.parametrize(
    "error",
    [
        NotFound("VPC", "red", "", "main"),
        AlreadyExists("VPC", "red", "", "main"),
        Conflict("VPC", "red", "", "main", "uid", "a", "b"),
        Expired("1", "2", "3"),
        InvalidResourceVersion("x"),
        SlowWatcher("VPC", 5, "7"),
        StoreClosed(),
        StoreLocked("/p", "12"),
        StoreCorrupt("/p", "torn"),
        EngineFailed("lmdb", "commit", "disk full"),
        InvalidStoreURL("x", "odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_their_fields_when_copied(error: StoreError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy is not error


def test_event_types_are_those_of_kubernetes() -> None:
    assert [type.value for type in EventType] == ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
