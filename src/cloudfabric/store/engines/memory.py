# SPDX-License-Identifier: Apache-2.0
"""The engine that keeps nothing: a store that lives as long as its process, for tests, labs and caches.

The `Store` itself holds the current state and the log window in memory, so all that is left here is to say that there
was nothing before.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudfabric.store.engines.engine import Change, Snapshot

__all__ = ["MemoryEngine"]


class MemoryEngine:
    """An engine without a disk; "durable" ends with the process."""

    async def load(self) -> Snapshot:
        """An empty snapshot at revision 0."""
        return Snapshot(revision=0, compacted=0, objects=())

    async def read_log(self, since: int) -> Sequence[Change]:
        """No changes.

        Args:
            since: ignored.
        """
        return ()

    async def commit(self, changes: Sequence[Change], compact: int) -> None:
        """Accept the changes.

        Args:
            changes: held by the store above.
            compact: the store above discards its own log.
        """

    async def close(self) -> None:
        """Nothing to release."""
