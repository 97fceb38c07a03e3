# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in the store: one type for each case, with fields, and a text that says what to do.

Errors of one request (`NotFound`, `AlreadyExists`, `Conflict`, `Expired`...) leave the store as it was. `EngineFailed`
means that a write was not made durable; nothing acknowledged before is lost. An object that breaks a rule is
`InvalidObject`, the models' own error, raised here on writing.
"""

from __future__ import annotations

from cloudfabric.models import InvalidObject

__all__ = [
    "AlreadyExists",
    "Conflict",
    "EngineFailed",
    "Expired",
    "InvalidObject",
    "InvalidResourceVersion",
    "InvalidStoreURL",
    "NotFound",
    "SlowWatcher",
    "StoreClosed",
    "StoreCorrupt",
    "StoreError",
    "StoreLocked",
]


class StoreError(Exception):
    """Base of the store's errors; each survives copying and pickling with its fields."""

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the constructor with the text alone, and each type here takes its fields.
        return (_rebuild, (type(self), str(self), self.__dict__))


def _rebuild(cls: type[StoreError], text: str, fields: dict[str, object]) -> StoreError:
    error = cls.__new__(cls, text)
    error.__dict__.update(fields)
    return error


class _ObjectError(StoreError):
    """Base of the errors that concern one object.

    Args:
        kind: kind of the object.
        tenant: tenant of the object; empty for cluster scope.
        namespace: namespace of the object; empty where it has none.
        name: name of the object.
        problem: what is wrong and what to do, readable after the object.
    """

    def __init__(self, kind: str, tenant: str, namespace: str, name: str, problem: str) -> None:
        self.kind = kind
        self.tenant = tenant
        self.namespace = namespace
        self.name = name
        path = "/".join(part for part in (tenant, namespace, name) if part)
        super().__init__(f"{kind} {path} {problem}")


class NotFound(_ObjectError):
    """There is no such object."""

    def __init__(self, kind: str, tenant: str, namespace: str, name: str) -> None:
        super().__init__(kind, tenant, namespace, name, "does not exist; check kind, tenant, namespace and name")


class AlreadyExists(_ObjectError):
    """An object of this name is already there (it may be waiting for its finalizers)."""

    def __init__(self, kind: str, tenant: str, namespace: str, name: str) -> None:
        super().__init__(
            kind, tenant, namespace, name, "already exists; choose another name, update it, or delete it first"
        )


class Conflict(_ObjectError):
    """A precondition does not hold: the object has changed since it was read, or is another of the same name.

    Args:
        kind: kind of the object.
        tenant: tenant of the object.
        namespace: namespace of the object.
        name: name of the object.
        field: the precondition: ``resourceVersion`` or ``uid``.
        expected: what the writer asked for.
        actual: what the store holds.
    """

    def __init__(
        self, kind: str, tenant: str, namespace: str, name: str, field: str, expected: str, actual: str
    ) -> None:
        self.field = field
        self.expected = expected
        self.actual = actual
        super().__init__(
            kind,
            tenant,
            namespace,
            name,
            f"has {field} {actual}, not {expected}: somebody else wrote it; read it again and repeat the change",
        )


class Expired(StoreError):
    """A watch cannot begin where it was asked to (HTTP 410 Gone): the changes since are no longer, or never were, held.

    Args:
        resource_version: where the watch was to begin.
        oldest: the oldest version that a watch can begin at.
        newest: the newest version of the store.
    """

    def __init__(self, resource_version: str, oldest: str, newest: str) -> None:
        self.resource_version = resource_version
        self.oldest = oldest
        self.newest = newest
        super().__init__(
            f"resourceVersion {resource_version} is outside the change log ({oldest} to {newest}); "
            "list again and watch from the list's resourceVersion"
        )


class InvalidResourceVersion(StoreError):
    """A resourceVersion is not one that a store gave out.

    Args:
        resource_version: the text given.
    """

    def __init__(self, resource_version: str) -> None:
        self.resource_version = resource_version
        super().__init__(
            f"{resource_version!r} is not a resourceVersion; pass one as it came with a list, an object or an event"
        )


class SlowWatcher(StoreError):
    """A watch was cut off because its consumer fell too far behind.

    Args:
        kind: kind that was watched.
        limit: how many undelivered events a watch may have.
        resource_version: version of the last event delivered; a new watch may begin there.
    """

    def __init__(self, kind: str, limit: int, resource_version: str) -> None:
        self.kind = kind
        self.limit = limit
        self.resource_version = resource_version
        super().__init__(
            f"the watch of {kind} was cut off with {limit} undelivered events; take events faster, and watch "
            f"again from resourceVersion {resource_version}"
        )


class StoreClosed(StoreError):
    """The store is closed, or was closed while the request was under way."""

    def __init__(self) -> None:
        super().__init__("the store is closed; open it again, and keep it open while its clients are used")


class StoreLocked(StoreError):
    """Another process (or another store of this one) holds the database.

    Args:
        path: directory of the database.
        holder: process number of the holder as it wrote it down; empty if unknown.
    """

    def __init__(self, path: str, holder: str) -> None:
        self.path = path
        self.holder = holder
        who = f"process {holder}" if holder else "another process"
        super().__init__(f"the store at {path} is open in {who}; stop it, or use another directory")


class StoreCorrupt(StoreError):
    """A database cannot be read.

    Args:
        path: directory of the database.
        reason: what was found.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"the store at {path} cannot be read: {reason}; restore it from a backup")


class EngineFailed(StoreError):
    """The engine could not do its part; a write under way is not durable and is not visible.

    Args:
        engine: name of the engine.
        operation: what it was doing.
        reason: what the layer below reported.
    """

    def __init__(self, engine: str, operation: str, reason: str) -> None:
        self.engine = engine
        self.operation = operation
        self.reason = reason
        super().__init__(
            f"the {engine} engine could not {operation}: {reason}; nothing acknowledged is lost, "
            "check the disk's space and health and try again"
        )


class InvalidStoreURL(StoreError):
    """A URL does not name a store.

    Args:
        url: the URL given.
        reason: what is wrong with it.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url!r} does not name a store: {reason}; use memory:// or lmdb:///absolute/directory")
