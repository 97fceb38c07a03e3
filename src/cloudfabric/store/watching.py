# SPDX-License-Identifier: Apache-2.0
"""Watches: from committed changes to the events that each consumer asked for.

The hub indexes watchers by kind and tenant, so a change is looked at by those it may concern and nobody else. A watcher
is a queue between the committer, which never waits, and a consumer, which may be slow: when a consumer has left `limit`
events undelivered, its watcher is taken out of the hub, delivers what it has, and ends with `SlowWatcher`.

A watcher that begins at an earlier revision first replays the log window. Registration and replay happen in one step of
the event loop, so no change falls between them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar, cast

from cloudfabric.models import Object
from cloudfabric.store.change_log import Entry
from cloudfabric.store.client import EventType, WatchEvent
from cloudfabric.store.engines.engine import Change
from cloudfabric.store.errors import SlowWatcher, StoreError
from cloudfabric.store.record import Record

__all__ = ["History", "WatchHub", "Watcher", "matches"]

T = TypeVar("T", bound=Object)


def matches(labels: Mapping[str, str], selector: Mapping[str, str] | None) -> bool:
    """Whether labels carry all those selected.

    Args:
        labels: labels of an object.
        selector: labels asked for; None selects all.
    """
    return not selector or all(labels.get(key) == value for key, value in selector.items())


class History(Protocol):
    """Where a watcher begins: the log window and its bounds."""

    def replay(self, since: int) -> Iterable[Entry]:
        """The changes after a revision; raises `Expired` if they are not held."""


class Watcher(Generic[T]):
    """One watch; made by `WatchHub.watcher`.

    Args:
        hub: the hub it belongs to.
        cls: class of the kind.
        tenant: only of this tenant; None for all.
        namespace: only of this namespace; None for all.
        labels: only of objects with these labels; None for all.
        since: revision to begin after.
        bookmarks: whether to queue bookmarks.
    """

    def __init__(
        self,
        hub: WatchHub,
        cls: type[T],
        tenant: str | None,
        namespace: str | None,
        labels: Mapping[str, str] | None,
        since: int,
        bookmarks: bool,
    ) -> None:
        self.cls = cls
        self.resource = cls.resource()
        self.tenant = tenant
        self.bookmarks = bookmarks
        self._hub = hub
        self._namespace = namespace
        self._labels = dict(labels) if labels else None
        self._delivered = since
        self._replayed = 0  # events of the replay still in the queue; they do not count as the consumer's delay
        self._queue: deque[tuple[int, WatchEvent[T]]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._started = False
        self._live = False
        self._closed = False
        self._failure: Callable[[], StoreError] | None = None

    @property
    def resource_version(self) -> str:
        """Version from which a new watch would go on: all up to here was delivered or is of no interest."""
        return str(self._hub.revision if self._live and not self._queue else self._delivered)

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent[T]:
        self._start()
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._failure()
            if self._waiter is not None:
                raise RuntimeError("two tasks iterate over one watch; give each its own")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._delivered, event = self._queue.popleft()
        self._replayed = max(0, self._replayed - 1)
        return event

    async def close(self) -> None:
        """End the watch; a pending or later ``anext`` raises StopAsyncIteration. May be repeated."""
        self._closed = True
        self._leave()
        self._queue.clear()

    def offer(self, entry: Entry, events: dict[tuple[EventType, type[Object]], WatchEvent[T]]) -> None:
        """Queue the event that a change means for this watcher, if any; cut the watcher off if its queue is full.

        Args:
            entry: the change.
            events: events already made of this change; watchers of one class share them.
        """
        change, record = entry
        type = self._type_of(change)
        if type is None:
            return
        if self._live and len(self._queue) - self._replayed >= self._hub.limit:
            self.fail(lambda: SlowWatcher(self.cls.KIND, self._hub.limit, str(self._delivered)))
            return
        event = events.get((type, self.cls))
        if event is None:
            event = events[type, self.cls] = _event(type, change, record, self.cls)
        self._queue.append((change.revision, event))
        self._wake()

    def bookmark(self, revision: int) -> None:
        """Queue a bookmark, unless events that tell the same are still to be delivered.

        Args:
            revision: how far the watcher has come.
        """
        if not self._queue and self._delivered < revision:
            self._queue.append((revision, WatchEvent(EventType.BOOKMARK, None, str(revision))))
            self._wake()

    def fail(self, failure: Callable[[], StoreError]) -> None:
        """End the watch with an error once what is queued has been delivered.

        Args:
            failure: makes the error when it is raised.
        """
        self._failure = failure
        self._leave()

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        try:
            self._hub.join(self, self._delivered)
        except StoreError as error:
            # Told by iteration, where every other error of a watch is told too.
            failure = error
            self._failure = lambda: failure
            return
        self._live = True
        self._replayed = len(self._queue)

    def _leave(self) -> None:
        if self._live:
            self._live = False
            self._hub.leave(self)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _type_of(self, change: Change) -> EventType | None:
        if self._namespace is not None and change.key.namespace != self._namespace:
            return None
        if self._labels is None:
            return change.type
        before = change.type is not EventType.ADDED and matches(change.previous_labels, self._labels)
        after = change.type is not EventType.DELETED and matches(change.labels, self._labels)
        if before:
            return EventType.MODIFIED if after else EventType.DELETED
        return EventType.ADDED if after else None


def _event(type: EventType, change: Change, record: Record, cls: type[T]) -> WatchEvent[T]:
    return WatchEvent(type, lambda: record.decode(cls), str(change.revision))


class WatchHub:
    """All watchers of a store.

    Args:
        history: the log window.
        revision: revision of the last committed change.
        limit: how many undelivered events a watcher may have.
        bookmark_interval: how many revisions a watcher with bookmarks may fall behind without being told.
    """

    def __init__(self, history: History, revision: int, limit: int, bookmark_interval: int) -> None:
        self.revision = revision
        self.limit = limit
        self._history = history
        self._interval = bookmark_interval
        self._marked = revision
        # resource -> tenant (None: all tenants) -> watchers; a dict is a set with an order that does not change by
        # chance
        self._watchers: dict[str, dict[str | None, dict[Watcher[Object], None]]] = {}
        self._failure: Callable[[], StoreError] | None = None

    def join(self, watcher: Watcher[T], since: int) -> None:
        """Replay the window into a watcher and offer it every later change.

        Args:
            watcher: the watcher.
            since: revision to begin after.

        Raises:
            Expired: the window does not reach back so far.
            StoreClosed: the hub is closed.
        """
        if self._failure is not None:
            raise self._failure()
        for entry in self._history.replay(since):
            key = entry.change.key
            if key.resource == watcher.resource and watcher.tenant in (None, key.tenant):
                watcher.offer(entry, {})
        group = self._watchers.setdefault(watcher.resource, {}).setdefault(watcher.tenant, {})
        group[cast("Watcher[Object]", watcher)] = None

    def leave(self, watcher: Watcher[T]) -> None:
        """Offer a watcher nothing more.

        Args:
            watcher: a watcher that joined.
        """
        tenants = self._watchers.get(watcher.resource, {})
        group = tenants.get(watcher.tenant, {})
        group.pop(cast("Watcher[Object]", watcher), None)
        if not group:
            tenants.pop(watcher.tenant, None)

    def publish(self, entry: Entry) -> None:
        """Offer a committed change to the watchers it may concern.

        Args:
            entry: the change; its revision is above every earlier one.
        """
        change = entry.change
        self.revision = change.revision
        tenants = self._watchers.get(change.key.resource)
        if tenants:
            events: dict[tuple[EventType, type[Object]], WatchEvent[Object]] = {}
            for tenant in {change.key.tenant: None, None: None}:
                for watcher in tuple(tenants.get(tenant, ())):
                    watcher.offer(entry, events)
        if self.revision - self._marked >= self._interval:
            self._marked = self.revision
            self._send_bookmarks()

    def close(self, failure: Callable[[], StoreError]) -> None:
        """End every watch with an error, present and future.

        Args:
            failure: makes the error for one watch.
        """
        self._failure = failure
        for watcher in self._all():
            watcher.fail(failure)

    def _send_bookmarks(self) -> None:
        for watcher in self._all():
            if watcher.bookmarks:
                watcher.bookmark(self.revision)

    def _all(self) -> tuple[Watcher[Object], ...]:
        return tuple(w for tenants in self._watchers.values() for group in tenants.values() for w in group)
