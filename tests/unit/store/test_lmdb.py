# SPDX-License-Identifier: Apache-2.0
"""What is particular to the LMDB engine: restarts, its files, its lock, its growth."""

import asyncio
import os
import stat
from ipaddress import IPv4Network
from pathlib import Path

import lmdb
import pytest

from cloudfabric.models import VPC, Allocation, ObjectMeta, VPCSpec
from cloudfabric.store import (
    EngineFailed,
    EventType,
    Expired,
    Store,
    StoreClosed,
    StoreCorrupt,
    StoreLocked,
    open_store,
)
from cloudfabric.store.engines import lmdb as engine_module
from cloudfabric.store.engines.engine import Change, Key
from cloudfabric.store.engines.lmdb import LmdbEngine


def vpc(name: str, labels: dict[str, str] | None = None) -> VPC:
    return VPC(
        metadata=ObjectMeta(tenant="red", name=name, labels=labels or {}),
        spec=VPCSpec(cidrs=(IPv4Network("10.0.0.0/16"),)),
    )


def change(revision: int, name: str = "a", value: bytes = b"v", type: EventType = EventType.ADDED) -> Change:
    return Change(revision, type, Key("vpcs.example.org", "red", "", name), value, {"a": "b"}, {"c": "d"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "db"


async def test_objects_and_revisions_survive_a_restart(path: Path) -> None:
    async with open_store(f"lmdb://{path}") as store:
        client = store.client()
        kept = await client.create(vpc("kept", labels={"app": "x"}))
        await client.create(vpc("gone"))
        await client.delete(VPC, "gone", tenant="red")
        allocation = await client.create(Allocation.of("vni", (1 << 64) - 1, kept))
        before = store.resource_version

    async with open_store(f"lmdb://{path}") as store:
        client = store.client()
        assert store.resource_version == before
        assert (await client.list(VPC, labels={"app": "x"})).items == (kept,)
        assert (await client.list(VPC)).items == (kept,)
        assert await client.get(Allocation, allocation.metadata.name) == allocation
        updated = await client.update(kept.with_spec(dividers=2))
        assert int(updated.metadata.resource_version) == int(before) + 1


async def test_a_watch_resumes_after_a_restart(path: Path) -> None:
    async with open_store(f"lmdb://{path}") as store:
        client = store.client()
        async with client.watch(VPC, labels={"app": "x"}) as watch:
            await client.create(vpc("a", labels={"app": "x"}))
            seen = await anext(watch)
        await client.update(vpc("a", labels={"app": "y"}))
        await client.create(vpc("b", labels={"app": "x"}))
        await client.delete(VPC, "b", tenant="red")

    async with open_store(f"lmdb://{path}") as store:
        client = store.client()
        async with client.watch(VPC, labels={"app": "x"}, resource_version=seen.resource_version) as watch:
            await client.create(vpc("c", labels={"app": "x"}))
            events = [await anext(watch) for _ in range(4)]

    assert [(event.type.value, event.object.metadata.name) for event in events] == [
        ("DELETED", "a"),
        ("ADDED", "b"),
        ("DELETED", "b"),
        ("ADDED", "c"),
    ]


async def test_the_compacted_log_is_gone_after_a_restart_too(path: Path) -> None:
    async with open_store(f"lmdb://{path}", log_window=10) as store:
        for number in range(50):
            await store.client().create(vpc(f"v{number}"))
    engine = await LmdbEngine.open(path)
    snapshot = await engine.load()
    logged = await engine.read_log(0)
    await engine.close()

    assert snapshot.revision == 50
    assert [entry.revision for entry in logged] == list(range(snapshot.compacted + 1, 51))
    assert 10 <= len(logged) <= 12
    async with open_store(f"lmdb://{path}") as store:
        async with store.client().watch(VPC, resource_version=str(snapshot.compacted)) as watch:
            assert (await anext(watch)).resource_version == str(snapshot.compacted + 1)
        async with store.client().watch(VPC, resource_version=str(snapshot.compacted - 1)) as watch:
            with pytest.raises(Expired):
                await anext(watch)
        assert len((await store.client().list(VPC)).items) == 50


async def test_a_change_is_read_back_as_it_was_written(path: Path) -> None:
    engine = await LmdbEngine.open(path)
    written = [change(1), change(2, "b", b"w"), change(3, "b", b"x", EventType.DELETED), change(5, "a", b"y")]
    await engine.commit(written, 0)

    assert await engine.read_log(0) == written
    assert await engine.read_log(2) == written[2:]
    assert await engine.read_log(5) == []
    snapshot = await engine.load()
    assert (snapshot.revision, list(snapshot.objects)) == (5, [(written[0].key, b"y")])
    await engine.close()


async def test_the_map_grows_when_it_is_full(path: Path) -> None:
    engine = await LmdbEngine.open(path, map_size=64 * 1024)
    for revision in range(1, 21):
        await engine.commit([change(revision, f"o{revision}", b"x" * 10_000)], 0)

    await engine.close()

    reopened = await LmdbEngine.open(path, map_size=64 * 1024)
    await reopened.commit([change(21, "o21", b"x" * 100_000)], 0)
    assert len((await reopened.load()).objects) == 21
    await reopened.close()


async def test_a_full_map_that_cannot_grow_is_an_error_and_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MAXIMUM_MAP_SIZE", 256 * 1024)
    engine = await LmdbEngine.open(path, map_size=64 * 1024)
    await engine.commit([change(1, "small")], 0)

    with pytest.raises(EngineFailed, match="the lmdb engine could not commit: the map of 262144 bytes is full"):
        await engine.commit([change(2, "large", b"x" * 300_000)], 0)
    await engine.commit([change(3, "next")], 0)

    assert [key.name for key, _ in (await engine.load()).objects] == ["next", "small"]
    await engine.close()


async def test_an_error_of_lmdb_is_an_engine_failure(path: Path) -> None:
    engine = await LmdbEngine.open(path)
    too_long = Change(1, EventType.ADDED, Key("r" * 600, "", "", "a"), b"", {}, {})

    with pytest.raises(EngineFailed, match="could not commit"):
        await engine.commit([too_long], 0)
    await engine.close()


async def test_a_directory_has_one_owner(path: Path) -> None:
    async with open_store(f"lmdb://{path}"):
        with pytest.raises(StoreLocked, match=f"is open in process {os.getpid()}") as caught:
            await Store.open(f"lmdb://{path}")
        assert caught.value.path == str(path)

    async with open_store(f"lmdb://{path}"):
        pass


def test_an_unknown_holder_is_said_to_be_another_process() -> None:
    assert "is open in another process" in str(StoreLocked("/p", ""))


@pytest.fixture
def nonsense(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "data.mdb").write_bytes(b"not a database" * 1000)
    return path


async def test_files_that_are_no_database(nonsense: Path) -> None:
    path = nonsense

    with pytest.raises(StoreCorrupt, match="cannot be read"):
        await Store.open(f"lmdb://{path}")

    (path / "data.mdb").unlink()
    async with open_store(f"lmdb://{path}"):  # the lock was let go
        pass


@pytest.mark.parametrize(
    ("database", "key", "value", "reason"),
    [
        (b"meta", b"format", (2).to_bytes(8, "big"), "its format is 2, and this version reads format 1"),
        (b"meta", b"revision", b"x", "is not a revision of 8 bytes"),
        (b"objects", b"no separators", b"", "is not an object's key"),
        (b"log", (1).to_bytes(8, "big"), b"\xc1", "change log"),
        (b"log", b"x", b"", "change log"),
    ],
)
async def test_content_that_is_none_of_ours(path: Path, database: bytes, key: bytes, value: bytes, reason: str) -> None:
    async with open_store(f"lmdb://{path}"):
        pass
    with lmdb.open(str(path), max_dbs=3) as environment, environment.begin(write=True) as transaction:
        transaction.put(key, value, db=environment.open_db(database, txn=transaction))

    with pytest.raises(StoreCorrupt, match=reason):
        await Store.open(f"lmdb://{path}")


@pytest.mark.parametrize("failure", [lmdb.DiskError("no space left"), OSError(28, "no space left")])
async def test_a_disk_that_fails_on_opening(path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(path: Path) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "_sync_directory", fail)
        with pytest.raises(EngineFailed, match=r"could not open .*no space left"):
            await Store.open(f"lmdb://{path}")

    async with open_store(f"lmdb://{path}"):  # nothing was left locked or open
        pass


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EngineFailed, match="could not use the directory"):
        await Store.open(f"lmdb://{tmp_path}/file/db")


async def test_a_closed_engine_refuses_work(path: Path) -> None:
    engine = await LmdbEngine.open(path)
    await engine.close()
    await engine.close()

    with pytest.raises(StoreClosed):
        await engine.load()
    with pytest.raises(StoreClosed):
        await engine.commit([change(1)], 0)


async def test_others_cannot_read_the_files(path: Path) -> None:
    async with open_store(f"lmdb://{path}"):
        modes = {name: stat.S_IMODE(os.stat(path / name).st_mode) for name in os.listdir(path)}

    assert modes == dict.fromkeys(("data.mdb", "lock.mdb", "owner.lock"), 0o600)


async def test_the_event_loop_goes_on_during_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    inside, done = asyncio.Event(), asyncio.Event()
    write = LmdbEngine._write

    def slow_write(self: LmdbEngine, changes: list[Change], compact: int) -> None:
        loop.call_soon_threadsafe(inside.set)
        # Returns only once the loop has run: a commit on the loop's own thread would time out here.
        asyncio.run_coroutine_threadsafe(done.wait(), loop).result(timeout=10)
        write(self, changes, compact)

    monkeypatch.setattr(LmdbEngine, "_write", slow_write)
    async with open_store(f"lmdb://{path}") as store:
        creating = asyncio.create_task(store.client().create(vpc("a")))
        await inside.wait()
        done.set()

        assert (await creating).metadata.name == "a"
