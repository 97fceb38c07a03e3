# SPDX-License-Identifier: Apache-2.0
"""The client that leads straight to a store in the same process.

Each write reads the latest state, decides, and submits, with no ``await`` in between: that is the whole of its
atomicity (see `cloudfabric.store.core`).
"""

from __future__ import annotations

import asyncio
import builtins
import random
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar

from cloudfabric.models import InvalidObject, Object, parse_as
from cloudfabric.store import writing
from cloudfabric.store.client import EventType, ObjectList
from cloudfabric.store.core import Core, parse_revision
from cloudfabric.store.engines.engine import Key
from cloudfabric.store.errors import AlreadyExists, NotFound
from cloudfabric.store.merge_patch import merge_patch
from cloudfabric.store.watching import Watcher, matches

__all__ = ["LocalClient"]

# Kubernetes' alphabet: no vowels and nothing that looks like one, so that no word comes out.
_SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_SUFFIX_ATTEMPTS: Final = 8
_DECODE_SLICE: Final = 256  # objects decoded at a time (about 4 ms) before other tasks get their turn

T = TypeVar("T", bound=Object)


class LocalClient:
    """`Client` of a store in this process; made by `Store.client`.

    Args:
        core: the store's core.
        clock: the time (UTC).
        randomness: where uids and generated names come from.
    """

    def __init__(self, core: Core, clock: Callable[[], datetime], randomness: random.Random) -> None:
        self._core = core
        self._clock = clock
        self._random = randomness

    async def get(self, cls: type[T], name: str, *, tenant: str = "", namespace: str = "") -> T:
        """One object; see `Client.get`."""
        self._core.check_open()
        key = Key(cls.resource(), tenant, namespace, name)
        record = self._core.state.get(key)
        if record is None:
            raise NotFound(cls.KIND, tenant, namespace, name)
        return record.decode(cls)

    async def list(
        self,
        cls: type[T],
        *,
        tenant: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> ObjectList[T]:
        """The objects of a kind, all at one moment; see `Client.list`."""
        self._core.check_open()
        # Records are immutable: once they are gathered, writes may go on while they are decoded.
        resource_version = str(self._core.revision)
        records = [
            record
            for record in self._core.state.scan(cls.resource(), tenant, namespace)
            if not labels or matches(record.labels, labels)
        ]
        items: builtins.list[T] = []
        for start in range(0, len(records), _DECODE_SLICE):
            if start:
                await asyncio.sleep(0)
            items.extend(record.decode(cls) for record in records[start : start + _DECODE_SLICE])
        return ObjectList(tuple(items), resource_version)

    async def create(self, obj: T) -> T:
        """Write a new object; see `Client.create`."""
        self._core.check_open()
        key = self._new_key(obj)
        uid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        new = writing.created(obj, key.name, uid, self._core.next_revision, self._now())
        return await self._core.submit(EventType.ADDED, key, new, None)

    async def update(self, obj: T) -> T:
        """Replace everything but the status; see `Client.update`."""
        key = writing.key_of(obj)
        current = self._latest(type(obj), key)
        writing.check_preconditions(current, obj.metadata.resource_version, obj.metadata.uid)
        return await self._replace(key, current, writing.updated(current, obj, self._core.next_revision))

    async def update_status(self, obj: T) -> T:
        """Replace the status and nothing else; see `Client.update_status`."""
        key = writing.key_of(obj)
        current = self._latest(type(obj), key)
        writing.check_preconditions(current, obj.metadata.resource_version, obj.metadata.uid)
        return await self._replace(key, current, writing.with_status_of(current, obj, self._core.next_revision))

    async def patch(
        self,
        cls: type[T],
        name: str,
        patch: Mapping[str, object],
        *,
        tenant: str = "",
        namespace: str = "",
        subresource: str = "",
    ) -> T:
        """Change some fields of an object; see `Client.patch`."""
        if subresource not in ("", "status"):
            raise ValueError(f"{subresource!r} is not a subresource; use '' or 'status'")
        key = Key(cls.resource(), tenant, namespace, name)
        current = self._latest(cls, key)
        obj = _patched(cls, key, current, patch)
        metadata = patch.get("metadata")
        given = metadata if isinstance(metadata, Mapping) else {}
        writing.check_preconditions(current, str(given.get("resourceVersion") or ""), str(given.get("uid") or ""))
        revision = self._core.next_revision
        if subresource:
            return await self._replace(key, current, writing.with_status_of(current, obj, revision))
        return await self._replace(key, current, writing.updated(current, obj, revision))

    async def delete(
        self,
        cls: type[Object],
        name: str,
        *,
        tenant: str = "",
        namespace: str = "",
        resource_version: str = "",
        uid: str = "",
    ) -> None:
        """Delete an object, or mark it if it has finalizers; see `Client.delete`."""
        key = Key(cls.resource(), tenant, namespace, name)
        current = self._latest(cls, key)
        writing.check_preconditions(current, resource_version, uid)
        revision = self._core.next_revision
        if not current.metadata.finalizers:
            await self._core.submit(EventType.DELETED, key, writing.deleted(current, revision), current)
        elif current.metadata.deletion_timestamp is None:
            marked = writing.marked_for_deletion(current, revision, self._now())
            await self._core.submit(EventType.MODIFIED, key, marked, current)

    def watch(
        self,
        cls: type[T],
        *,
        tenant: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        resource_version: str = "",
        bookmarks: bool = False,
    ) -> Watcher[T]:
        """Every later change, exactly once and in order; see `Client.watch`."""
        since = parse_revision(resource_version) if resource_version else self._core.revision
        return Watcher(self._core.hub, cls, tenant, namespace, labels, since, bookmarks)

    async def _replace(self, key: Key, current: T, new: T) -> T:
        if new is current:
            return current
        type = EventType.DELETED if writing.is_gone(new) else EventType.MODIFIED
        return await self._core.submit(type, key, new, current)

    def _latest(self, cls: type[T], key: Key) -> T:
        self._core.check_open()
        record = self._core.latest(key)
        if record is None:
            raise NotFound(cls.KIND, key.tenant, key.namespace, key.name)
        return record.decode(cls)

    def _new_key(self, obj: Object) -> Key:
        meta = obj.metadata
        attempts = 1 if meta.name else _SUFFIX_ATTEMPTS
        for _ in range(attempts):
            key = writing.key_of(obj, meta.name or meta.generate_name + self._suffix())
            if self._core.latest(key) is None:
                return key
        raise AlreadyExists(obj.KIND, key.tenant, key.namespace, key.name)

    def _suffix(self) -> str:
        return "".join(self._random.choices(_SUFFIX_ALPHABET, k=_SUFFIX_LENGTH))

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)  # Kubernetes' timestamps are whole seconds


def _patched(cls: type[T], key: Key, current: T, patch: Mapping[str, object]) -> T:
    """The current object with a patch applied, checked; its identity must be as it was."""
    merged = merge_patch(current.to_wire(), patch)
    assert isinstance(merged, dict)  # two mappings merge into one
    obj = parse_as(cls, merged)
    for field, now, before in (
        ("metadata.tenant", obj.metadata.tenant, key.tenant),
        ("metadata.namespace", obj.metadata.namespace, key.namespace),
        ("metadata.name", obj.metadata.name, key.name),
    ):
        if now != before:
            raise InvalidObject(
                cls.KIND, key.tenant, key.namespace, key.name, field, now, "cannot be changed; create another object"
            )
    return obj
