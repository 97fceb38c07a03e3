# SPDX-License-Identifier: Apache-2.0
"""What a write makes of an object: pure functions from the current object and the one handed in to the one to store.

Here is what belongs to the store (uid, resourceVersion, generation, timestamps), what each operation may change, and
what finalizers mean. Nothing here knows time, randomness or the disk: they are arguments.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from cloudfabric.models import InvalidObject, Object, ObjectMeta, Spec, Status
from cloudfabric.models.parsing import invalid_object
from cloudfabric.store.engines.engine import Key
from cloudfabric.store.errors import Conflict

__all__ = [
    "check_preconditions",
    "created",
    "deleted",
    "is_gone",
    "key_of",
    "marked_for_deletion",
    "updated",
    "with_status_of",
]

MAXIMUM_KEY_LENGTH = 511  # bytes; LMDB's limit, held by every engine so that objects can be moved

T = TypeVar("T", bound=Object)


def key_of(obj: Object, name: str = "") -> Key:
    """Where an object is kept.

    Args:
        obj: the object.
        name: its name; empty for the one in its metadata.

    Raises:
        InvalidObject: kind and names together are too long.
    """
    meta = obj.metadata
    key = Key(obj.resource(), meta.tenant, meta.namespace, name or meta.name)
    length = sum(len(part) + 1 for part in key) - 1
    if length > MAXIMUM_KEY_LENGTH:
        raise _broken(
            obj,
            "metadata.name",
            key.name,
            f"is too long: with kind, tenant and namespace it takes {length} of {MAXIMUM_KEY_LENGTH} characters",
        )
    return key


def check_preconditions(current: Object, resource_version: str, uid: str) -> None:
    """Refuse a write that was meant for another version, or for another object of the same name.

    Args:
        current: the object as it is.
        resource_version: the version that the writer saw; empty for any.
        uid: uid of the object that the writer means; empty for any.

    Raises:
        Conflict: one of them is another.
    """
    meta = current.metadata
    for field, expected, actual in (
        ("uid", uid, meta.uid),
        ("resourceVersion", resource_version, meta.resource_version),
    ):
        if expected and expected != actual:
            raise Conflict(current.KIND, meta.tenant, meta.namespace, meta.name, field, expected, actual)


def created(obj: T, name: str, uid: str, revision: int, now: datetime) -> T:
    """A new object, as it is stored.

    Args:
        obj: the object handed in; its status is not taken over.
        name: its name, given or generated.
        uid: its uid.
        revision: revision of the write.
        now: the time (UTC).

    Raises:
        InvalidObject: it breaks a rule, or carries a resourceVersion.
    """
    if obj.metadata.resource_version:
        raise _broken(
            obj,
            "metadata.resourceVersion",
            obj.metadata.resource_version,
            "must not be set on a new object; leave it out, or update the object that is there",
        )
    meta = obj.metadata.model_copy(
        update={
            "name": name,
            "uid": uid,
            "resource_version": str(revision),
            "generation": 1,
            "creation_timestamp": now,
            "deletion_timestamp": None,
        }
    )
    return _build(type(obj), meta, obj.spec, None)


def updated(current: T, obj: T, revision: int) -> T:
    """The current object with what an update may change; the current object itself if nothing changes.

    Args:
        current: the object as it is.
        obj: the object handed in.
        revision: revision of the write.

    Raises:
        InvalidObject: it breaks a rule, or adds a finalizer to an object that is being deleted.
    """
    own, given = current.metadata, obj.metadata
    if own.deletion_timestamp is not None:
        added = [finalizer for finalizer in given.finalizers if finalizer not in own.finalizers]
        if added:
            raise _broken(
                obj,
                "metadata.finalizers",
                added[0],
                "is new, but the object is being deleted; finalizers can only be removed",
            )
    meta = own.model_copy(
        update={
            "labels": given.labels,
            "annotations": given.annotations,
            "owner_references": given.owner_references,
            "finalizers": given.finalizers,
        }
    )
    changes_spec = obj.spec != current.spec
    if not changes_spec and meta == own:
        return current
    meta = meta.model_copy(
        update={"resource_version": str(revision), "generation": own.generation + (1 if changes_spec else 0)}
    )
    return _build(type(obj), meta, obj.spec, current.status)


def with_status_of(current: T, obj: T, revision: int) -> T:
    """The current object with another status; the current object itself if it is the same.

    Args:
        current: the object as it is.
        obj: the object handed in; only its status counts.
        revision: revision of the write.

    Raises:
        InvalidObject: the status breaks a rule.
    """
    if obj.status == current.status:
        return current
    meta = current.metadata.model_copy(update={"resource_version": str(revision)})
    return _build(type(obj), meta, current.spec, obj.status)


def marked_for_deletion(current: T, revision: int, now: datetime) -> T:
    """The current object, waiting for its finalizers.

    Args:
        current: the object as it is.
        revision: revision of the write.
        now: the time (UTC).
    """
    meta = current.metadata.model_copy(
        update={
            "resource_version": str(revision),
            "generation": current.metadata.generation + 1,
            "deletion_timestamp": now,
        }
    )
    return current.model_copy(update={"metadata": meta})


def deleted(current: T, revision: int) -> T:
    """The last state of an object that goes.

    Args:
        current: the object as it is.
        revision: revision of the deletion.
    """
    meta = current.metadata.model_copy(update={"resource_version": str(revision)})
    return current.model_copy(update={"metadata": meta})


def is_gone(obj: Object) -> bool:
    """Whether nothing keeps an object any longer: its deletion was asked for and it has no finalizers.

    Args:
        obj: the object.
    """
    return obj.metadata.deletion_timestamp is not None and not obj.metadata.finalizers


def _build(cls: type[T], meta: ObjectMeta, spec: Spec, status: Status | None) -> T:
    parts: dict[str, object] = {"metadata": meta, "spec": spec}
    if status is not None:
        parts["status"] = status
    try:
        # The one validation of a write: it also finds what was changed behind the models' back.
        return cls.model_validate(parts)
    except ValidationError as error:
        identity = {"tenant": meta.tenant, "namespace": meta.namespace, "name": meta.name}
        raise invalid_object(error, cls, {"metadata": identity}) from None


def _broken(obj: Object, field: str, value: str, rule: str) -> InvalidObject:
    meta = obj.metadata
    return InvalidObject(obj.KIND, meta.tenant, meta.namespace, meta.name or meta.generate_name, field, value, rule)
