# SPDX-License-Identifier: Apache-2.0
"""The window of recent changes that a watch can begin in.

It holds between ``window`` and a quarter more: compaction is done in steps, so that its cost is spread over many
writes. The engine keeps the same window on disk and discards it in the same transaction, so a watch resumes after a
restart exactly as it would have before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from cloudfabric.store.engines.engine import Change
from cloudfabric.store.record import Record

__all__ = ["ChangeLog", "Entry"]


class Entry(NamedTuple):
    """A change, and the record that it made (for a deletion, the last state)."""

    change: Change
    record: Record


def _revision(entry: Entry) -> int:
    return entry.change.revision


class ChangeLog:
    """A bounded log in the order of revisions.

    Args:
        window: how many changes are held at least, once so many happened.
        compacted: revision up to which changes were discarded before.
    """

    def __init__(self, window: int, compacted: int) -> None:
        self._window = window
        self._entries: list[Entry] = []
        self.compacted = compacted

    def compaction(self, coming: Sequence[Change]) -> int:
        """Revision up to which to discard, if these changes were appended; at least ``compacted``.

        Args:
            coming: changes about to be appended.
        """
        excess = len(self._entries) + len(coming) - self._window
        if excess <= self._window // 4:
            return self.compacted
        if excess <= len(self._entries):
            return self._entries[excess - 1].change.revision
        return coming[excess - len(self._entries) - 1].revision

    def append(self, entry: Entry) -> None:
        """Add the latest change.

        Args:
            entry: the change; its revision is above every earlier one.
        """
        self._entries.append(entry)

    def compact(self, revision: int) -> None:
        """Discard the changes up to a revision.

        Args:
            revision: the last one to go.
        """
        if revision > self.compacted:
            del self._entries[: bisect_right(self._entries, revision, key=_revision)]
            self.compacted = revision

    def since(self, revision: int) -> Sequence[Entry]:
        """The changes after a revision, in order.

        Args:
            revision: not below ``compacted``.
        """
        return self._entries[bisect_right(self._entries, revision, key=_revision) :]
