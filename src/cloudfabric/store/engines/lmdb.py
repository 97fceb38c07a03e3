# SPDX-License-Identifier: Apache-2.0
"""The embedded engine: one LMDB environment in a directory.

Three databases: ``objects`` (key -> value), ``log`` (revision -> change), ``meta`` (format, revision, compacted). A
batch is one LMDB transaction, so it is there as a whole or not at all, and the one fsync of its commit serves every
writer in it: while a commit runs, the next batch gathers (group commit). All calls run on one thread of their own,
because LMDB blocks on the disk and binds a write transaction to its thread; the event loop goes on meanwhile (py-lmdb
gives up the GIL in commit).

The directory belongs to one process: ``owner.lock`` is held with flock, which the kernel releases however the process
ends. The map (the address space that LMDB may use, not disk space) is doubled when it is full, up to
`MAXIMUM_MAP_SIZE`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import lmdb
import msgpack

from cloudfabric.store.client import EventType
from cloudfabric.store.engines.engine import Change, Key, Snapshot
from cloudfabric.store.errors import EngineFailed, StoreClosed, StoreCorrupt, StoreLocked

__all__ = ["LmdbEngine"]

FORMAT: Final = 1
INITIAL_MAP_SIZE: Final = 1 << 30
MAXIMUM_MAP_SIZE: Final = 1 << 42

_SEPARATOR: Final = b"\0"
_TYPES: Final = {EventType.ADDED: 0, EventType.MODIFIED: 1, EventType.DELETED: 2}
_TYPE_OF: Final = {number: type for type, number in _TYPES.items()}

_R = TypeVar("_R")


class LmdbEngine:
    """An engine on LMDB; made by `open`.

    Args:
        path: directory of the database.
        environment: the open environment.
        lock: descriptor of the lock file, locked.
        executor: the one thread that may touch the environment.
    """

    def __init__(self, path: Path, environment: lmdb.Environment, lock: int, executor: ThreadPoolExecutor) -> None:
        self._path = path
        self._environment = environment
        self._lock = lock
        self._executor = executor
        self._map_size = int(environment.info()["map_size"])
        self._compacted = 0
        self._closed = False
        self._objects = environment.open_db(b"objects")
        self._log = environment.open_db(b"log")
        self._meta = environment.open_db(b"meta")

    @classmethod
    async def open(cls, path: Path, *, map_size: int = INITIAL_MAP_SIZE) -> LmdbEngine:
        """Open the database of a directory, and make both if they are not there.

        Args:
            path: the directory.
            map_size: address space to begin with, in bytes; it grows by itself.

        Raises:
            StoreLocked: another process, or another engine of this one, has it open.
            StoreCorrupt: the files are not such a database, or of another format.
            EngineFailed: the directory cannot be used.
        """
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cloudfabric-lmdb")
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, cls._open, path, map_size, executor)
        except BaseException:
            executor.shutdown(wait=False)
            raise

    @classmethod
    def _open(cls, path: Path, map_size: int, executor: ThreadPoolExecutor) -> LmdbEngine:
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = _acquire(path)
        except OSError as error:
            raise EngineFailed("lmdb", f"use the directory {path}", str(error)) from error
        environment: lmdb.Environment | None = None
        try:
            environment = lmdb.open(str(path), map_size=map_size, max_dbs=3, mode=0o600)
            engine = cls(path, environment, lock, executor)
            engine._check_format()
            # LMDB syncs its files, but not that they exist: that is in their directory, and the directory's in its own.
            _sync_directory(path)
            _sync_directory(path.parent)
        except BaseException as error:
            if environment is not None:
                environment.close()
            os.close(lock)
            if isinstance(error, lmdb.DiskError | OSError):
                raise EngineFailed("lmdb", f"open {path}", str(error)) from error
            if isinstance(error, lmdb.Error):
                raise StoreCorrupt(str(path), str(error)) from error
            raise
        return engine

    async def load(self) -> Snapshot:
        """What the database holds.

        Raises:
            StoreCorrupt: it cannot be read.
            StoreClosed: the engine is closed.
        """
        return await self._run(self._load)

    async def read_log(self, since: int) -> Sequence[Change]:
        """The changes after a revision, in order.

        Args:
            since: the revision.

        Raises:
            StoreCorrupt: the log cannot be read.
            StoreClosed: the engine is closed.
        """
        return await self._run(lambda: self._read_log(since))

    async def commit(self, changes: Sequence[Change], compact: int) -> None:
        """Make changes durable in one transaction: when this returns, they are on the disk.

        Args:
            changes: ascending revisions.
            compact: revision up to which the log is discarded.

        Raises:
            EngineFailed: the disk is full or failed; nothing of the batch was kept.
            StoreClosed: the engine is closed.
        """
        await self._run(lambda: self._commit(changes, compact))

    async def close(self) -> None:
        """Close the environment and release the directory. May be repeated."""
        if self._closed:
            return
        closing = self._run(self._close)
        self._closed = True
        await closing
        self._executor.shutdown(wait=False)

    def _run(self, function: Callable[[], _R]) -> asyncio.Future[_R]:
        if self._closed:
            raise StoreClosed
        return asyncio.get_running_loop().run_in_executor(self._executor, function)

    def _close(self) -> None:
        self._environment.close()
        os.close(self._lock)

    def _check_format(self) -> None:
        with self._environment.begin(write=True) as transaction:
            stored = transaction.get(b"format", db=self._meta)
            if stored is None:
                transaction.put(b"format", _pack(FORMAT), db=self._meta)
            elif _unpack(stored) != FORMAT:
                raise StoreCorrupt(
                    str(self._path), f"its format is {_unpack(stored)}, and this version reads format {FORMAT}"
                )

    def _load(self) -> Snapshot:
        try:
            with self._environment.begin() as transaction:
                revision = _unpack(transaction.get(b"revision", _pack(0), db=self._meta))
                self._compacted = _unpack(transaction.get(b"compacted", _pack(0), db=self._meta))
                cursor = transaction.cursor(db=self._objects)
                objects = [(_decode_key(key), value) for key, value in cursor]
        except (lmdb.Error, ValueError) as error:
            raise StoreCorrupt(str(self._path), str(error)) from error
        return Snapshot(revision=revision, compacted=self._compacted, objects=objects)

    def _read_log(self, since: int) -> list[Change]:
        changes: list[Change] = []
        try:
            with self._environment.begin() as transaction:
                cursor = transaction.cursor(db=self._log)
                if cursor.set_range(_pack(since + 1)):
                    changes.extend(_decode_change(_unpack(key), value) for key, value in cursor)
        except (lmdb.Error, ValueError, KeyError, msgpack.UnpackException) as error:
            raise StoreCorrupt(str(self._path), f"change log: {error!r}") from error
        return changes

    def _commit(self, changes: Sequence[Change], compact: int) -> None:
        while True:
            try:
                self._write(changes, compact)
            except lmdb.MapFullError as error:
                if self._map_size >= MAXIMUM_MAP_SIZE:
                    raise EngineFailed("lmdb", "commit", f"the map of {self._map_size} bytes is full") from error
                self._map_size *= 2
                self._environment.set_mapsize(self._map_size)
            except lmdb.Error as error:
                raise EngineFailed("lmdb", "commit", str(error)) from error
            else:
                self._compacted = max(compact, self._compacted)
                return

    def _write(self, changes: Sequence[Change], compact: int) -> None:
        with self._environment.begin(write=True) as transaction:
            for change in changes:
                key = _encode_key(change.key)
                if change.type is EventType.DELETED:
                    transaction.delete(key, db=self._objects)
                else:
                    transaction.put(key, change.value, db=self._objects)
                # Revisions ascend, so each entry goes to the end of the tree and fills its pages.
                transaction.put(_pack(change.revision), _encode_change(change), append=True, db=self._log)
            if changes:
                transaction.put(b"revision", _pack(changes[-1].revision), db=self._meta)
            if compact > self._compacted:
                transaction.put(b"compacted", _pack(compact), db=self._meta)
                cursor = transaction.cursor(db=self._log)
                found = cursor.first()
                while found and _unpack(cursor.key()) <= compact:
                    found = cursor.delete()


def _acquire(path: Path) -> int:
    """Lock the directory for this process; the descriptor holds the lock."""
    descriptor = os.open(path / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace")
        os.close(descriptor)
        raise StoreLocked(str(path), holder) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pack(number: int) -> bytes:
    """A revision as a key; big-endian, so that LMDB's byte order is the order of revisions."""
    return number.to_bytes(8, "big")


def _unpack(data: bytes) -> int:
    if len(data) != 8:
        raise ValueError(f"{data!r} is not a revision of 8 bytes")
    return int.from_bytes(data, "big")


def _encode_key(key: Key) -> bytes:
    return _SEPARATOR.join(part.encode() for part in key)


def _decode_key(data: bytes) -> Key:
    parts = data.split(_SEPARATOR)
    if len(parts) != len(Key._fields):
        raise ValueError(f"{data!r} is not an object's key")
    return Key(*(part.decode() for part in parts))


def _encode_change(change: Change) -> bytes:
    # Labels seldom change: the ones before are written only if they differ.
    previous = None if change.previous_labels == change.labels else change.previous_labels
    packed: bytes = msgpack.packb((_TYPES[change.type], change.key, change.value, change.labels, previous))
    return packed


def _decode_change(revision: int, data: bytes) -> Change:
    number, key, value, labels, previous = msgpack.unpackb(data)
    return Change(
        revision=revision,
        type=_TYPE_OF[number],
        key=Key(*key),
        value=value,
        labels=labels,
        previous_labels=labels if previous is None else previous,
    )
