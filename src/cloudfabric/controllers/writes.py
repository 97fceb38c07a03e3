# SPDX-License-Identifier: Apache-2.0
"""Which writes of this process an informer has not seen come back yet.

A cache runs behind the store. A reconcile that looks at a cache from before its own last write would do things twice,
and a manager that looks only at its queues would call itself idle while events are on their way. So every write through
`ObservedClient` is awaited: `begin` before it, `finish` with the resource version that it got, `seen` for each event.
Resource versions are opaque and only compared for equality; an event may overtake the answer to the write that caused
it, which is why the versions seen between `begin` and `finish` are kept.
"""

from __future__ import annotations

from collections import Counter

from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.models import Object

__all__ = ["DELETION", "AwaitedWrites"]

DELETION = "deletion"
"""In place of a resource version: the mark or the removal that a delete leads to (resource versions are not words)."""

_UNNAMED = ObjectKey("", "", "")


class AwaitedWrites:
    """The writes of one kind that have not come back as events."""

    def __init__(self) -> None:
        self._open: Counter[ObjectKey] = Counter()
        self._seen: dict[ObjectKey, set[str]] = {}
        self._awaited: dict[ObjectKey, set[str]] = {}

    def __contains__(self, key: object) -> bool:
        """Whether a write of this key is still to come back."""
        return key in self._awaited

    def __bool__(self) -> bool:
        """Whether any write is under way or still to come back."""
        return bool(self._open or self._awaited)

    def keys(self) -> tuple[ObjectKey, ...]:
        """Keys with a write that is still to come back."""
        return tuple(self._awaited)

    def begin(self, key: ObjectKey, cached: Object | None) -> None:
        """A write is about to be made.

        Args:
            key: Of the object; with an empty name if the store is to make one.
            cached: What the cache holds under the key: a write that changes nothing gets its version back.
        """
        scope = key if key.name else _UNNAMED
        self._open[scope] += 1
        seen = self._seen.setdefault(scope, set())
        if cached is not None:
            seen.update(_marks(cached))

    def finish(self, begun: ObjectKey, written: ObjectKey, mark: str) -> None:
        """A write has been answered.

        Args:
            begun: The key given to `begin`.
            written: The key of the object.
            mark: The resource version that it got, `DELETION` for a delete, or empty if it failed.
        """
        scope = begun if begun.name else _UNNAMED
        if mark and mark not in self._seen[scope]:
            self._awaited.setdefault(written, set()).add(mark)
        self._open[scope] -= 1
        if not self._open[scope]:
            del self._open[scope]
            del self._seen[scope]

    def seen(self, key: ObjectKey, obj: Object, *, deleted: bool) -> None:
        """An event has arrived, or a list held the object.

        Args:
            key: Of the object.
            obj: The object after the change.
            deleted: Whether it is gone, and with it all that was written to it.
        """
        marks = _marks(obj) | ({DELETION} if deleted else set())
        for scope in (key, _UNNAMED):
            if scope in self._seen:
                self._seen[scope] |= marks
        awaited = self._awaited.get(key)
        if awaited is not None:
            awaited -= marks
            if not awaited or deleted:
                del self._awaited[key]

    def forget(self) -> None:
        """The cache was filled anew: whatever was awaited is in it."""
        self._awaited.clear()


def _marks(obj: Object) -> set[str]:
    marks = {obj.metadata.resource_version}
    if obj.metadata.deletion_timestamp is not None:
        marks.add(DELETION)
    return marks
