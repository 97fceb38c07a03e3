# SPDX-License-Identifier: Apache-2.0
"""The one interface to a store: typed get, list, create, update, patch, delete and watch.

Controllers, agents, tests and the command line are written against `Client` and nothing else; whether it leads straight
to a store in the process or over HTTP to a server is decided where a program is put together. Objects are frozen and
may be shared, so a change is a changed copy (`Object.with_spec`) that is written back. ``resource_version`` is opaque:
it is passed back as it came, and only ever compared for equality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from cloudfabric.models import Object

__all__ = ["Client", "EventType", "ObjectList", "Watch", "WatchEvent"]

T = TypeVar("T", bound=Object)
T_co = TypeVar("T_co", bound=Object, covariant=True)


class EventType(StrEnum):
    """What happened to an object, from the point of view of one watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, slots=True)
class ObjectList(Generic[T_co]):
    """The objects of one kind at one moment.

    Args:
        items: the objects, ordered by tenant, namespace and name.
        resource_version: the moment; a watch from here sees every later change.
    """

    items: tuple[T_co, ...]
    resource_version: str


class WatchEvent(Generic[T_co]):
    """One change of one object; a BOOKMARK tells only how far the watch has come.

    With DELETED, the object is its last state, with the resource version of the deletion.

    Args:
        type: what happened.
        object: the object after the change, or a function that decodes it when it is first asked for; None in a
            BOOKMARK.
        resource_version: version of the store after the change; a watch from here sees what comes next.
    """

    __slots__ = ("_object", "resource_version", "type")

    def __init__(self, type: EventType, object: T_co | Callable[[], T_co] | None, resource_version: str) -> None:
        self.type = type
        self.resource_version = resource_version
        self._object = object

    @property
    def object(self) -> T_co:
        """The object after the change; decoded once.

        Raises:
            LookupError: the event is a BOOKMARK.
        """
        value = self._object
        if value is None:
            raise LookupError("a BOOKMARK event carries no object; look at its type first")
        if not isinstance(value, Object):
            value = self._object = value()
        return value

    def __repr__(self) -> str:
        what = "" if self._object is None else f" {self.object.KIND} {self.object.metadata.path}"
        return f"<WatchEvent {self.type.value}{what} at {self.resource_version}>"


class Watch(Protocol[T_co]):
    """A stream of events: an async iterator, and an async context manager that ends it.

    Iteration raises `Expired` if the watch cannot begin where it was asked to, `SlowWatcher` if its consumer fell too
    far behind, `StoreClosed` when the store is closed; it ends by itself only after `close`.
    """

    @property
    def resource_version(self) -> str:
        """Version of the last event delivered (at first: where the watch began); a new watch may begin here."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> WatchEvent[T_co]: ...

    async def close(self) -> None:
        """End the watch; a pending or later ``anext`` raises StopAsyncIteration. May be repeated."""


class Client(Protocol):
    """Typed access to the objects of a store."""

    async def get(self, cls: type[T], name: str, *, tenant: str = "", namespace: str = "") -> T:
        """One object.

        Args:
            cls: class of the kind.
            name: name of the object.
            tenant: its tenant; empty for cluster scope.
            namespace: its namespace; empty where the kind has none.

        Raises:
            NotFound: there is no such object.
        """

    async def list(
        self,
        cls: type[T],
        *,
        tenant: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> ObjectList[T]:
        """The objects of a kind, all at one moment.

        Args:
            cls: class of the kind.
            tenant: only of this tenant; None for all.
            namespace: only of this namespace; None for all.
            labels: only those that carry all these labels; None for all.
        """

    async def create(self, obj: T) -> T:
        """Write a new object; uid, resourceVersion, generation and timestamps are set, the status begins empty.

        Args:
            obj: the object; with ``generate_name`` in place of a name, the store makes one up.

        Raises:
            AlreadyExists: an object of this name is there.
            InvalidObject: the object breaks a rule, or carries a resourceVersion.
        """

    async def update(self, obj: T) -> T:
        """Replace spec, labels, annotations, owners and finalizers; the status given is ignored.

        A change of spec raises the generation. An update that changes nothing writes nothing. A deleted object goes
        when an update leaves it without finalizers; it is then returned in its last state.

        Args:
            obj: the object; if it carries a resourceVersion, only that version is replaced.

        Raises:
            NotFound: there is no such object.
            Conflict: the object has another resourceVersion or uid.
            InvalidObject: the object breaks a rule.
        """

    async def update_status(self, obj: T) -> T:
        """Replace the status and nothing else.

        Args:
            obj: the object; if it carries a resourceVersion, only that version is replaced.

        Raises:
            NotFound: there is no such object.
            Conflict: the object has another resourceVersion or uid.
            InvalidObject: the status breaks a rule.
        """

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
        """Change some fields of an object by a JSON merge patch (RFC 7386): null removes a field, a mapping merges.

        Args:
            cls: class of the kind.
            name: name of the object.
            patch: the change in wire names; with a ``metadata.resourceVersion`` only that version is changed.
            tenant: tenant of the object.
            namespace: namespace of the object.
            subresource: empty for everything but the status, ``status`` for the status alone.

        Raises:
            NotFound: there is no such object.
            Conflict: the patch names another resourceVersion or uid.
            InvalidObject: the result breaks a rule.
        """

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
        """Delete an object; one with finalizers is only marked, and goes when the last is removed by an update.

        Args:
            cls: class of the kind.
            name: name of the object.
            tenant: tenant of the object.
            namespace: namespace of the object.
            resource_version: only this version; empty for any.
            uid: only this object and no successor of its name; empty for any.

        Raises:
            NotFound: there is no such object.
            Conflict: the object has another resourceVersion or uid.
        """

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
        """Every later change, exactly once and in order.

        With labels, an object that comes to carry them is ADDED, one that ceases to is DELETED.

        Args:
            cls: class of the kind.
            tenant: only of this tenant; None for all.
            namespace: only of this namespace; None for all.
            labels: only of objects that carry all these labels; None for all.
            resource_version: where to begin, as it came with a list, an object or an event; empty for now.
            bookmarks: whether to send a BOOKMARK when nothing of interest happened for long, so that the place to
                resume from does not expire.

        Raises:
            InvalidResourceVersion: the text is not a resourceVersion.
        """
