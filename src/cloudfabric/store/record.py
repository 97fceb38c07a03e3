# SPDX-License-Identifier: Apache-2.0
"""One version of one object as the store holds it: encoded once, decoded when somebody asks.

The msgpack bytes are what is kept, logged and written to disk. The typed object is remembered only as long as somebody
else (a cache, a consumer of an event) holds it: while it lives, every reader gets that same frozen object; when it is
gone, the bytes are all that is left, so a store of a million objects does not hold a million models.
"""

from __future__ import annotations

import weakref
from typing import TypeVar

import msgpack

from cloudfabric.models import Object, parse_as

__all__ = ["Record", "encode"]

T = TypeVar("T", bound=Object)


def encode(obj: Object) -> bytes:
    """The object as msgpack of its wire form.

    Args:
        obj: a validated object.
    """
    packed: bytes = msgpack.packb(obj.to_wire())
    return packed


class Record:
    """An immutable version of an object.

    Args:
        value: the object as msgpack.
        obj: the same decoded, if at hand; held weakly.
    """

    __slots__ = ("_labels", "_object", "value")

    def __init__(self, value: bytes, obj: Object | None = None) -> None:
        self.value = value
        self._object: weakref.ref[Object] | None = None if obj is None else weakref.ref(obj)
        self._labels: dict[str, str] | None = None if obj is None else obj.metadata.labels

    def wire(self) -> dict[str, object]:
        """The object as plain data with wire names; a new copy each time."""
        data: dict[str, object] = msgpack.unpackb(self.value)
        return data

    def decode(self, cls: type[T]) -> T:
        """The typed object.

        Args:
            cls: class of the kind.

        Raises:
            InvalidObject: what was stored does not fit the class (any more).
        """
        if self._object is not None:
            obj = self._object()
            if type(obj) is cls:
                return obj
        decoded = parse_as(cls, self.wire(), source="stored object")
        self._object = weakref.ref(decoded)
        return decoded

    @property
    def labels(self) -> dict[str, str]:
        """The object's labels; not to be changed."""
        if self._labels is None:
            metadata = self.wire().get("metadata")
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            self._labels = labels if isinstance(labels, dict) else {}
        return self._labels
