# SPDX-License-Identifier: Apache-2.0
"""A cache of one kind that follows the store, with indexes, and handlers that are told what changed.

It lists once, then watches from the list's version. A watch that breaks is resumed where it ended; one that cannot be
resumed (`Expired`) is replaced by a new list, and handlers hear of the differences only. So handlers see every object
appear, change and vanish in order, but not necessarily every state in between: what they do must depend on how things
are, not on how they came about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeAlias, TypeVar

from cloudfabric.controllers.clock import Clock, SystemClock, sleep
from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.controllers.workqueue import Backoff
from cloudfabric.controllers.writes import AwaitedWrites
from cloudfabric.models import Object
from cloudfabric.store import Client, EventType, Expired, SlowWatcher, StoreClosed, StoreError, WatchEvent

__all__ = ["Handler", "Informer"]

T = TypeVar("T", bound=Object)

Handler: TypeAlias = Callable[[T | None, T | None], None]
"""Called with an object before and after a change: (None, new) when it appeared, (old, None) when it is gone."""

_log = logging.getLogger(__name__)


class _Index(Generic[T]):
    """Keys of objects by the values that a function finds in them."""

    def __init__(self, function: Callable[[T], Iterable[Hashable]]) -> None:
        self._function = function
        self._keys: dict[Hashable, dict[ObjectKey, None]] = {}

    def move(self, key: ObjectKey, old: T | None, new: T | None) -> None:
        before = set() if old is None else set(self._function(old))
        after = set() if new is None else set(self._function(new))
        for value in before - after:
            keys = self._keys[value]
            del keys[key]
            if not keys:
                del self._keys[value]
        for value in after - before:
            self._keys.setdefault(value, {})[key] = None

    def keys(self, value: Hashable) -> Iterable[ObjectKey]:
        return self._keys.get(value, {})


class Informer(Generic[T]):
    """A cache of all objects of one kind.

    Args:
        client: Where the objects are.
        kind: Class of the kind.
        clock: For the delay before a failed list or watch is tried again.
        backoff: That delay.
        on_quiet: Called when the last awaited write has come back.
    """

    def __init__(
        self,
        client: Client,
        kind: type[T],
        *,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
        on_quiet: Callable[[], None] | None = None,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self.writes = AwaitedWrites()
        self._client = client
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff(base=0.05, limit=30.0)
        self._on_quiet = on_quiet
        self._objects: dict[ObjectKey, T] = {}
        self._indexes: dict[str, _Index[T]] = {}
        self._handlers: list[Handler[T]] = []
        self._resume_from = ""

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: ObjectKey) -> T | None:
        """The object with a key as it was last seen, or None."""
        return self._objects.get(key)

    def keys(self) -> tuple[ObjectKey, ...]:
        """Keys of all objects."""
        return tuple(self._objects)

    def objects(self) -> tuple[T, ...]:
        """All objects, in no particular order."""
        return tuple(self._objects.values())

    def index(self, name: str, function: Callable[[T], Iterable[Hashable]]) -> None:
        """Keep an index; to define one of the same name again has no effect.

        Args:
            name: What to call it in `by_index`.
            function: The values under which an object is to be found.
        """
        if name not in self._indexes:
            index = self._indexes[name] = _Index(function)
            for key, obj in self._objects.items():
                index.move(key, None, obj)

    def by_index(self, name: str, value: Hashable) -> tuple[T, ...]:
        """Objects that an index has under a value, in no particular order.

        Raises:
            KeyError: There is no such index.
        """
        return tuple(self._objects[key] for key in self._indexes[name].keys(value))

    def add_handler(self, handler: Handler[T]) -> None:
        """Have a function called with every change from now on, and now with every object that is there already."""
        self._handlers.append(handler)
        for obj in tuple(self._objects.values()):
            handler(None, obj)

    async def run(self) -> None:
        """Follow the store until cancelled; to be run once.

        Raises:
            StoreClosed: The store was closed.
        """
        failures = 0
        while True:
            try:
                if not self.synced.is_set() or not self._resume_from:
                    await self._list()
                failures = 0
                await self._watch()
            except StoreClosed:
                raise
            except Expired:
                self._resume_from = ""
            except SlowWatcher as error:
                self._resume_from = error.resource_version
            except (StoreError, OSError) as error:
                failures += 1
                delay = self._backoff.delay(failures)
                _log.warning("%s: list or watch failed, trying again in %.2f s: %s", self.kind.KIND, delay, error)
                await sleep(self._clock, delay)

    async def _list(self) -> None:
        listed = await self._client.list(self.kind)
        objects = {ObjectKey.of(obj): obj for obj in listed.items}
        awaited = self.writes.keys()
        for key in [key for key in self._objects if key not in objects]:
            self._replace(key, None)
        for key, obj in objects.items():
            self.writes.seen(key, obj, deleted=False)
            known = self._objects.get(key)
            if known is None or known.metadata.resource_version != obj.metadata.resource_version or key in awaited:
                self._replace(key, obj)
        self.writes.forget()
        self._resume_from = listed.resource_version
        self.synced.set()
        self._tell_quiet()

    async def _watch(self) -> None:
        async with self._client.watch(self.kind, resource_version=self._resume_from) as watch:
            async for event in watch:
                self._resume_from = event.resource_version
                if event.type is not EventType.BOOKMARK:
                    self._follow(event)

    def _follow(self, event: WatchEvent[T]) -> None:
        obj = event.object
        key = ObjectKey.of(obj)
        deleted = event.type is EventType.DELETED
        self.writes.seen(key, obj, deleted=deleted)
        self._replace(key, None if deleted else obj)
        self._tell_quiet()

    def _replace(self, key: ObjectKey, new: T | None) -> None:
        old = self._objects.pop(key, None) if new is None else self._objects.get(key)
        if new is not None:
            self._objects[key] = new
        elif old is None:
            return
        for index in self._indexes.values():
            index.move(key, old, new)
        for handler in self._handlers:
            handler(old, new)

    def _tell_quiet(self) -> None:
        if self._on_quiet is not None and not self.writes:
            self._on_quiet()
