# SPDX-License-Identifier: Apache-2.0
"""The protocol of an engine, and the change that it keeps.

The `Store` above calls `load` and `read_log` once when it opens, then `commit` with batches, one at a time and in the
order of revisions, then `close`. An engine never decides anything about a write; it has been decided when it arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cloudfabric.store.client import EventType

__all__ = ["Change", "Engine", "Key", "Snapshot"]


class Key(NamedTuple):
    """Where an object is: its kind's resource (``vpcs.network.cloudfabric.io``), and its place."""

    resource: str
    tenant: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object, as it stands in the change log.

    Args:
        revision: revision of the store that the change made; each change has its own, ascending, never used again.
        type: ADDED, MODIFIED or DELETED.
        key: which object.
        value: the object after the change as msgpack; for DELETED its last state.
        labels: its labels after the change.
        previous_labels: its labels before the change, so that a watch by label can tell who ceased to match.
    """

    revision: int
    type: EventType
    key: Key
    value: bytes
    labels: dict[str, str]
    previous_labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an engine holds when it is opened.

    Args:
        revision: revision of the last change.
        compacted: revision up to which the change log was discarded.
        objects: current value of every key.
    """

    revision: int
    compacted: int
    objects: Sequence[tuple[Key, bytes]]


class Engine(Protocol):
    """Durable memory of one store."""

    async def load(self) -> Snapshot:
        """What is held now.

        Raises:
            StoreCorrupt: it cannot be read.
        """

    async def read_log(self, since: int) -> Sequence[Change]:
        """The changes after a revision, in order.

        Args:
            since: a revision that is not below ``compacted``.

        Raises:
            StoreCorrupt: the log cannot be read.
        """

    async def commit(self, changes: Sequence[Change], compact: int) -> None:
        """Make changes durable, all or none, and discard the log up to a revision in the same step.

        Args:
            changes: ascending revisions, all above every earlier one.
            compact: revision up to which the log is discarded; never falls.

        Raises:
            EngineFailed: nothing of the batch was kept.
        """

    async def close(self) -> None:
        """Release everything held; nothing is lost by not calling it. May be repeated."""
