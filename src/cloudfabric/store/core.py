# SPDX-License-Identifier: Apache-2.0
"""The core of a store: who may write when, what is visible when, and how writers share a commit.

All decisions run on one event loop, one after the other, so none needs a lock. A write is decided against the *latest*
state (that of all writes accepted so far), gets the next revision and joins the queue. The committer takes the whole
queue, has the engine make it durable in one step, and only then makes it *visible*: to readers, to watchers, and to the
writer, whose future it resolves. So a reader never sees what a crash could take back, and a writer that was answered
reads its own write. While one commit runs the next batch gathers, which is all there is to group commit.

If the engine fails, the batch and everything queued behind it (which may have been decided upon the batch) fail; the
visible state is as if they had never been asked for. Their revisions are not used again.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from cloudfabric.models import Object
from cloudfabric.store.change_log import ChangeLog, Entry
from cloudfabric.store.client import EventType
from cloudfabric.store.engines.engine import Change, Engine, Key
from cloudfabric.store.errors import EngineFailed, Expired, InvalidResourceVersion, StoreClosed, StoreError
from cloudfabric.store.record import Record, encode
from cloudfabric.store.state import State
from cloudfabric.store.watching import WatchHub

__all__ = ["Core", "parse_revision"]

MAXIMUM_BATCH: Final = 4096  # bounds how long one commit keeps later writers waiting

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    change: Change
    record: Record
    obj: Object  # keeps the record's decoded form alive until it was delivered
    done: asyncio.Future[None]


class Core:
    """State, write queue, committer and watch hub of one store; made by `open`.

    Args:
        engine: the engine, loaded.
        state: its current objects.
        log: its change log.
        revision: revision of its last change.
        watch_limit: how many undelivered events a watch may have.
        window: how many changes the log holds.
    """

    def __init__(
        self, engine: Engine, state: State, log: ChangeLog, revision: int, watch_limit: int, window: int
    ) -> None:
        self.state = state
        self.hub = WatchHub(self, revision, watch_limit, max(1, window // 4))
        self._engine = engine
        self._log = log
        self._assigned = revision
        self._latest: dict[Key, _Write] = {}  # the last write of each key that is not yet visible
        self._queue: list[_Write] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._committer = asyncio.create_task(self._commit_forever(), name="cloudfabric-store-committer")

    @classmethod
    async def open(cls, engine: Engine, *, log_window: int, watch_limit: int) -> Core:
        """Load an engine and start to commit to it.

        Args:
            engine: the engine; closed by `close`.
            log_window: how many changes a watch may go back.
            watch_limit: how many undelivered events a watch may have.

        Raises:
            StoreCorrupt: the engine cannot be read.
        """
        snapshot = await engine.load()
        state = State()
        for key, value in snapshot.objects:
            state.put(key, Record(value))
        log = ChangeLog(log_window, snapshot.compacted)
        for change in await engine.read_log(snapshot.compacted):
            current = state.get(change.key)
            # The newest entry of a living object shares the record, and so the bytes, with the state.
            shared = current is not None and current.value == change.value
            log.append(Entry(change, current if current is not None and shared else Record(change.value)))
        return cls(engine, state, log, snapshot.revision, watch_limit, log_window)

    @property
    def revision(self) -> int:
        """Revision of the last visible change."""
        return self.hub.revision

    @property
    def next_revision(self) -> int:
        """The revision that the next submitted change gets."""
        return self._assigned + 1

    def check_open(self) -> None:
        """Refuse work on a closed store.

        Raises:
            StoreClosed: the store is closed or closing.
        """
        if self._closing:
            raise StoreClosed

    def latest(self, key: Key) -> Record | None:
        """What the next write of a key is decided against, or None if there is no such object.

        Args:
            key: the key.
        """
        write = self._latest.get(key)
        if write is None:
            return self.state.get(key)
        return None if write.change.type is EventType.DELETED else write.record

    def replay(self, since: int) -> Iterable[Entry]:
        """The visible changes after a revision.

        Args:
            since: the revision.

        Raises:
            Expired: the log window does not hold them all, or the revision is not reached yet.
        """
        if not self._log.compacted <= since <= self.revision:
            raise Expired(str(since), str(self._log.compacted), str(self.revision))
        return self._log.since(since)

    async def submit(self, type: EventType, key: Key, obj: T, previous: Object | None) -> T:
        """Queue a decided change and wait until it is durable and visible.

        To be called without an ``await`` since `latest` and `next_revision` were read. If the caller is cancelled, the
        change happens nevertheless.

        Args:
            type: ADDED, MODIFIED or DELETED.
            key: which object.
            obj: the object after the change, with `next_revision` as its resource version.
            previous: the object before the change.

        Returns:
            The object.

        Raises:
            EngineFailed: the change did not happen.
            StoreClosed: the store was closed; the change did not happen.
        """
        self.check_open()
        labels = obj.metadata.labels
        self._assigned += 1
        change = Change(
            revision=self._assigned,
            type=type,
            key=key,
            value=encode(obj),
            labels=labels,
            previous_labels=labels if previous is None else previous.metadata.labels,
        )
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        write = _Write(change, Record(change.value, obj), obj, done)
        self._latest[key] = write
        self._queue.append(write)
        self._wake.set()
        await done
        return obj

    async def close(self) -> None:
        """Commit what is queued, end the watches, close the engine. May be repeated."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._committer])
        self.hub.close(StoreClosed)
        await self._engine.close()

    async def _commit_forever(self) -> None:
        try:
            while self._queue or not self._closing:
                if not self._queue:
                    await self._wake.wait()
                    self._wake.clear()
                    continue
                batch, self._queue = self._queue[:MAXIMUM_BATCH], self._queue[MAXIMUM_BATCH:]
                await self._commit(batch)
        finally:
            # Reached with writes in the queue only when the event loop itself is being shut down.
            self._closing = True
            self._fail([], StoreClosed())

    async def _commit(self, batch: list[_Write]) -> None:
        changes = [write.change for write in batch]
        compact = self._log.compaction(changes)
        try:
            await self._engine.commit(changes, compact)
        except StoreError as error:
            self._fail(batch, error)
        except Exception as error:
            self._fail(batch, EngineFailed(type(self._engine).__name__, "commit", repr(error)))
        except BaseException:
            self._fail(batch, StoreClosed())
            raise
        else:
            for write in batch:
                self._make_visible(write)
            self._log.compact(compact)

    def _make_visible(self, write: _Write) -> None:
        change = write.change
        if change.type is EventType.DELETED:
            self.state.remove(change.key)
        else:
            self.state.put(change.key, write.record)
        if self._latest.get(change.key) is write:
            del self._latest[change.key]
        entry = Entry(change, write.record)
        self._log.append(entry)
        self.hub.publish(entry)
        if not write.done.done():
            write.done.set_result(None)

    def _fail(self, batch: list[_Write], error: StoreError) -> None:
        failed = [*batch, *self._queue]
        self._queue.clear()
        self._latest.clear()
        for write in failed:
            if not write.done.done():
                # Each writer its own instance: a traceback is added to wherever an exception is raised.
                write.done.set_exception(copy.copy(error))


def parse_revision(resource_version: str) -> int:
    """The revision in a resource version.

    Args:
        resource_version: text that a store gave out.

    Raises:
        InvalidResourceVersion: it is something else.
    """
    if not (resource_version.isascii() and resource_version.isdigit()):
        raise InvalidResourceVersion(resource_version)
    return int(resource_version)
