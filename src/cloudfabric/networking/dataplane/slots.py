# SPDX-License-Identifier: Apache-2.0
"""Numbers endpoints with slots of the per-CPU counter array, which cannot be keyed by anything but an index.

A slot stays with its endpoint for as long as that is on the host. After a restart the slots are read back from the
pinned maps and taken again, so that counters go on where they were. The lowest free slot is given out, which keeps a
read of all counters short.
"""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["NoFreeSlot", "SlotAllocator"]

K = TypeVar("K", bound=Hashable)


class NoFreeSlot(Exception):
    """The host has as many endpoints as its counter array has slots."""

    def __init__(self, capacity: int) -> None:
        super().__init__(f"all {capacity} endpoint slots of this host are taken; open its data plane with more")
        self.capacity = capacity


class SlotAllocator(Generic[K]):
    """Hands out the numbers 0 to capacity - 1, one per holder.

    Args:
        capacity: how many there are.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held: dict[K, int] = {}
        self._free: list[int] = []  # heap of slots below _next that were given back
        self._next = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, holder: K) -> int | None:
        """Return the slot that a holder has, None if it has none."""
        return self._held.get(holder)

    def holders(self) -> dict[K, int]:
        """Return a copy of who holds what."""
        return dict(self._held)

    def take(self, holder: K) -> int:
        """Return the holder's slot, giving it the lowest free one if it has none; raises NoFreeSlot."""
        slot = self._held.get(holder)
        if slot is not None:
            return slot
        if self._free:
            slot = heapq.heappop(self._free)
        elif self._next < self.capacity:
            slot = self._next
            self._next += 1
        else:
            raise NoFreeSlot(self.capacity)
        self._held[holder] = slot
        return slot

    def restore(self, holder: K, slot: int) -> None:
        """Give a holder the slot that it is known to have had; raises ValueError if that is taken or out of range."""
        if not 0 <= slot < self.capacity or slot in self._held.values() or holder in self._held:
            raise ValueError(f"slot {slot} of {self.capacity} cannot be given back to {holder}: taken or out of range")
        for number in range(self._next, slot):
            heapq.heappush(self._free, number)
        if slot >= self._next:
            self._next = slot + 1
        else:
            self._free.remove(slot)
            heapq.heapify(self._free)
        self._held[holder] = slot

    def release(self, holder: K) -> int | None:
        """Take a holder's slot back and return it, None if it had none."""
        slot = self._held.pop(holder, None)
        if slot is not None:
            heapq.heappush(self._free, slot)
        return slot
