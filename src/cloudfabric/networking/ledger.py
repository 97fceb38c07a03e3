# SPDX-License-Identifier: Apache-2.0
"""The control side's record of one host: what it must hold, what it was told, who waits for its answer.

Pure state. `hold` and `drop` change what the host must hold; every change raises the version and marks its key. `take`
gives the delta since the last acknowledged version, however many changes that sums up; `acknowledge` says that it was
answered; what was not is part of the next one. A host that was never heard of in this process's life, or that answered
with another version, is out of sync: its next delta is complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cloudfabric.networking.goalstate import Acknowledgement, Delta, Entry, Key

__all__ = ["HostLedger"]

OwnerT = TypeVar("OwnerT", bound=Hashable)


@dataclass(slots=True)
class HostLedger(Generic[OwnerT]):
    """What one host must hold and has acknowledged.

    Args:
        address: The host's underlay address.
        version: Of the wanted state; grows with each change.
        acknowledged: The last version that the host answered for.
        synchronised: Whether the host is known to hold the acknowledged version.
        removed: The host has left the fabric: nobody waits for it.
        unreachable: Why the last delivery failed; empty when it did not.
        entries: The wanted state.
        failed: Entries that the host could not apply, with its reasons.
        waiting: Owners, each with the version that it waits for.
    """

    address: int
    version: int = 0
    acknowledged: int = 0
    synchronised: bool = False
    removed: bool = False
    unreachable: str = ""
    entries: dict[Key, Entry] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    waiting: dict[OwnerT, int] = field(default_factory=dict)
    _holders: Counter[Key] = field(default_factory=Counter)
    _dirty: dict[Key, None] = field(default_factory=dict)
    _sent: Delta | None = None

    @property
    def behind(self) -> bool:
        """Whether there is anything that the host has not acknowledged."""
        return not self.synchronised or self.version > self.acknowledged

    def hold(self, key: Key, entry: Entry) -> None:
        """One more topic gives the host this entry; the latest value of a key counts."""
        self._holders[key] += 1
        self.replace(key, entry)

    def replace(self, key: Key, entry: Entry) -> None:
        """A topic that gives the host this key changes its value."""
        if self.entries.get(key) != entry:
            self.entries[key] = entry
            self._mark(key)

    def drop(self, key: Key, remaining: Callable[[], Entry]) -> None:
        """One topic less gives the host this key.

        Args:
            key: The key.
            remaining: Finds the value in another topic; called only if there is one.
        """
        self._holders[key] -= 1
        if self._holders[key] > 0:
            self.replace(key, remaining())
            return
        del self._holders[key]
        del self.entries[key]
        self._mark(key)

    def retry(self, keys: Iterable[Key]) -> None:
        """Put keys into the next delta again."""
        for key in keys:
            self._mark(key)

    def connected(self, held: int) -> None:
        """The host's agent was found, holding some version: unless it is the one acknowledged, tell it everything."""
        if self.synchronised and held == self.acknowledged:
            self._put_back()
            if not self.behind:
                self.unreachable = ""
        else:
            self._fall_out(held)

    def take(self) -> Delta | None:
        """The delta that the host needs next; None when it has everything."""
        if not self.behind:
            return None
        self._put_back()
        if not self.synchronised:
            self._dirty.clear()
            self.version = max(self.version, 1)
            self._sent = Delta(0, self.version, tuple(self.entries.values()))
        else:
            marked, self._dirty = self._dirty, {}
            upserts = tuple(self.entries[key] for key in marked if key in self.entries)
            deletes = tuple(key for key in marked if key not in self.entries)
            self._sent = Delta(self.acknowledged, self.version, upserts, deletes)
        return self._sent

    def acknowledge(self, delta: Delta, answer: Acknowledgement) -> tuple[bool, list[OwnerT], set[Key]]:
        """The host has answered.

        Returns:
            Whether it took the delta; the owners that need not wait for it any more; the keys that failed or that
            failed before and do not any more.
        """
        self.unreachable = ""
        if answer.version != delta.version:
            self._fall_out(answer.version)
            return False, [], set()
        self._sent = None
        self.acknowledged = delta.version
        self.synchronised = True
        before = dict(self.failed)
        for key in tuple(before) if delta.complete else (*(entry.key for entry in delta.upserts), *delta.deletes):
            self.failed.pop(key, None)
        self.failed.update({failure.key: failure.reason for failure in answer.failures})
        changed = {key for key in before | self.failed if before.get(key) != self.failed.get(key)}
        released = [owner for owner, version in self.waiting.items() if version <= self.acknowledged]
        for owner in released:
            del self.waiting[owner]
        return True, released, changed

    def undelivered(self, reason: str) -> bool:
        """The host did not answer.

        Returns:
            Whether this is news: the host could be reached before.
        """
        news = not self.unreachable
        self.unreachable = reason
        return news

    def _mark(self, key: Key) -> None:
        self._dirty[key] = None
        self.version += 1

    def _put_back(self) -> None:
        """What was sent and not answered is to be sent again, as another version: perhaps it arrived, perhaps not."""
        if self._sent is not None:
            self._dirty.update(dict.fromkeys((*(entry.key for entry in self._sent.upserts), *self._sent.deletes)))
            self._sent = None
            self.version += 1

    def _fall_out(self, held: int) -> None:
        self._sent = None
        self.synchronised = False
        self.version = max(self.version, held) + 1
