# SPDX-License-Identifier: Apache-2.0
"""A client that tells informers of the writes that pass through it, so that they know what they have yet to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from cloudfabric.controllers.informer import Informer
from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.controllers.writes import DELETION
from cloudfabric.models import Object
from cloudfabric.store import Client, ObjectList, Watch

__all__ = ["ObservedClient"]

T = TypeVar("T", bound=Object)


class _Write:
    """A write under way: where its result is noted."""

    __slots__ = ("key", "mark")

    def __init__(self, key: ObjectKey) -> None:
        self.key = key
        self.mark = ""

    def result(self, obj: T) -> T:
        self.key = ObjectKey.of(obj)
        self.mark = obj.metadata.resource_version
        return obj


class ObservedClient:
    """A `Client` whose writes are awaited by the informers of their kinds.

    Args:
        client: Does the work.
        informers: The informers, by kind; may grow.
        on_finished: Called after every write.
    """

    def __init__(
        self,
        client: Client,
        informers: Mapping[type[Object], Informer[Object]],
        on_finished: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._informers = informers
        self._on_finished = on_finished

    async def get(self, cls: type[T], name: str, *, tenant: str = "", namespace: str = "") -> T:
        """One object, see `Client.get`."""
        return await self._client.get(cls, name, tenant=tenant, namespace=namespace)

    async def list(
        self,
        cls: type[T],
        *,
        tenant: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> ObjectList[T]:
        """The objects of a kind, see `Client.list`."""
        return await self._client.list(cls, tenant=tenant, namespace=namespace, labels=labels)

    async def create(self, obj: T) -> T:
        """Write a new object, see `Client.create`."""
        with self._write(type(obj), ObjectKey.of(obj)) as write:
            return write.result(await self._client.create(obj))

    async def update(self, obj: T) -> T:
        """Replace all but the status, see `Client.update`."""
        with self._write(type(obj), ObjectKey.of(obj)) as write:
            return write.result(await self._client.update(obj))

    async def update_status(self, obj: T) -> T:
        """Replace the status, see `Client.update_status`."""
        with self._write(type(obj), ObjectKey.of(obj)) as write:
            return write.result(await self._client.update_status(obj))

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
        """Change some fields, see `Client.patch`."""
        with self._write(cls, ObjectKey(tenant, namespace, name)) as write:
            return write.result(
                await self._client.patch(cls, name, patch, tenant=tenant, namespace=namespace, subresource=subresource)
            )

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
        """Delete an object, see `Client.delete`."""
        with self._write(cls, ObjectKey(tenant, namespace, name)) as write:
            await self._client.delete(
                cls, name, tenant=tenant, namespace=namespace, resource_version=resource_version, uid=uid
            )
            write.mark = DELETION

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
        """Every later change, see `Client.watch`."""
        return self._client.watch(
            cls,
            tenant=tenant,
            namespace=namespace,
            labels=labels,
            resource_version=resource_version,
            bookmarks=bookmarks,
        )

    @contextmanager
    def _write(self, cls: type[Object], key: ObjectKey) -> Iterator[_Write]:
        informer = self._informers.get(cls)
        write = _Write(key)
        if informer is None:
            yield write
            return
        informer.writes.begin(key, informer.get(key))
        try:
            yield write
        finally:
            informer.writes.finish(key, write.key, write.mark)
            self._on_finished()
