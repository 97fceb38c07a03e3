# SPDX-License-Identifier: Apache-2.0
"""Values that are unique by construction: VNIs, segments, addresses.

A value is taken by creating the `Allocation` object whose name is made of the pool and the value. The store refuses a
second object of that name, so two instances that race for a value cannot both have it: the loser takes the next
candidate. The object names its holder, so what was taken before a crash is found again by the holder's uid, survives
every restart, and is given back when the holder is gone.

One object per value, not a bitmap per pool: claims of different values never conflict, a claim is one write, and a
person can see who holds an address. The next candidate is found without a scan: a cursor passes over every value of a
range once, then the values that were freed are handed out again, the longest free first (which gives caches elsewhere
the longest time to forget them).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cloudfabric.controllers import Informer, ObjectKey
from cloudfabric.models import Allocation, Object, ObjectReference
from cloudfabric.store import AlreadyExists, Client, Conflict, NotFound

__all__ = ["BY_HOLDER", "BY_POOL", "Allocator", "FreeValues", "PoolExhausted", "ValueRange", "ValueTaken", "describe"]

BY_HOLDER = "by-holder"
BY_POOL = "by-pool"


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Values of one pool that may be handed out.

    Args:
        pool: Name of the pool; values are unique within it.
        first: The lowest value.
        last: The highest value.
        excluded: Values between them that are not for use.
    """

    pool: str
    first: int
    last: int
    excluded: frozenset[int] = frozenset()

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.first <= value <= self.last and value not in self.excluded

    def __len__(self) -> int:
        return self.last - self.first + 1 - sum(self.first <= value <= self.last for value in self.excluded)


class PoolExhausted(Exception):
    """Every value of a range is taken.

    Args:
        values: The range.
    """

    def __init__(self, values: ValueRange) -> None:
        self.values = values
        super().__init__(
            f"all {len(values)} values of pool {values.pool} from {values.first} to {values.last} are taken"
        )


class ValueTaken(Exception):
    """A value that was asked for is held by somebody else.

    Args:
        pool: The pool.
        value: The value.
        holder: Who holds it.
    """

    def __init__(self, pool: str, value: int, holder: ObjectReference) -> None:
        self.pool = pool
        self.value = value
        self.holder = holder
        super().__init__(f"{value} of pool {pool} is held by {describe(holder)}")


def describe(reference: ObjectReference) -> str:
    """An object in words: kind and path."""
    path = "/".join(part for part in (reference.tenant, reference.namespace, reference.name) if part)
    return f"{reference.kind} {path}"


class FreeValues:
    """Finds free values of a range in constant time, given a way to ask whether one is taken; pure.

    Args:
        values: The range.
        in_use: How many of its values are taken at the start.
    """

    def __init__(self, values: ValueRange, in_use: int = 0) -> None:
        self.values = values
        self.in_use = in_use
        self._cursor = values.first
        self._freed: OrderedDict[int, None] = OrderedDict()

    def next(self, taken: Callable[[int], bool]) -> int | None:
        """A value that is not taken, and not handed out before others that are free for longer; None without any.

        Args:
            taken: Whether a value is taken.
        """
        value = self._pass_cursor(taken)
        if value is None:
            value = self._pop_freed(taken)
        if value is None and self.in_use < len(self.values):
            # Somebody took a value and gave it back without our seeing it (a list replaced an expired watch).
            self._cursor = self.values.first
            value = self._pass_cursor(taken)
        return value

    def took(self) -> None:
        """A value of the range has been taken, by whomever."""
        self.in_use += 1

    def freed(self, value: int) -> None:
        """A value of the range has been given back."""
        self.in_use -= 1
        if value < self._cursor:
            self._freed[value] = None

    def _pass_cursor(self, taken: Callable[[int], bool]) -> int | None:
        while self._cursor <= self.values.last:
            value = self._cursor
            self._cursor += 1
            if value not in self.values.excluded and value not in self._freed and not taken(value):
                return value
        return None

    def _pop_freed(self, taken: Callable[[int], bool]) -> int | None:
        while self._freed:
            value, _ = self._freed.popitem(last=False)
            if not taken(value):
                return value
        return None


class Allocator:
    """Takes and gives back values.

    Args:
        client: Where Allocation objects are made.
        allocations: Their informer.
    """

    def __init__(self, client: Client, allocations: Informer[Allocation]) -> None:
        self._client = client
        self._allocations = allocations
        self._unseen: dict[str, dict[str, Allocation]] = {}  # made here, by holder's uid and name
        self._deleted: set[str] = set()  # uids; deleted here, and the informer does not know yet
        self._claiming: set[str] = set()
        self._free: dict[ValueRange, FreeValues] = {}
        self._ranges: dict[str, list[ValueRange]] = {}
        allocations.index(BY_HOLDER, lambda allocation: (allocation.spec.holder.uid,))
        allocations.index(BY_POOL, lambda allocation: (allocation.spec.pool,))
        allocations.add_handler(self._changed)

    def held(self, holder: Object) -> tuple[Allocation, ...]:
        """What an object holds, of all pools."""
        uid = holder.metadata.uid
        found = {allocation.metadata.name: allocation for allocation in self._allocations.by_index(BY_HOLDER, uid)}
        found.update(self._unseen.get(uid, {}))
        return tuple(allocation for allocation in found.values() if allocation.metadata.uid not in self._deleted)

    async def claim(self, values: ValueRange, holder: Object) -> int:
        """Take any value of a range; the one that the object holds already, if there is one.

        Args:
            values: The range.
            holder: The object that shall hold it.

        Raises:
            PoolExhausted: Every value is taken.
        """
        for allocation in self.held(holder):
            if allocation.spec.pool == values.pool and allocation.spec.value in values:
                return allocation.spec.value
        free = self._free_values(values)
        while (value := free.next(lambda value: self._taken(values.pool, value))) is not None:
            try:
                await self._create(values.pool, value, holder)
            except AlreadyExists:
                continue
            return value
        raise PoolExhausted(values)

    async def claim_value(self, pool: str, value: int, holder: Object) -> None:
        """Take a certain value; no effect if the object holds it already.

        Args:
            pool: The pool.
            value: The value.
            holder: The object that shall hold it.

        Raises:
            ValueTaken: Somebody else holds it.
            Conflict: It cannot be said who holds it; try again.
        """
        name = Allocation.name_of(pool, value)
        if any(allocation.metadata.name == name for allocation in self.held(holder)):
            return
        try:
            await self._create(pool, value, holder)
        except AlreadyExists:
            try:
                taken = await self._client.get(Allocation, name)
            except NotFound:  # it is being made, or has gone: look again soon
                raise Conflict(Allocation.KIND, "", "", name, "name", "free", "in transition") from None
            if taken.spec.holder.uid != holder.metadata.uid:
                raise ValueTaken(pool, value, taken.spec.holder) from None

    async def release(self, holder: Object, keep: Callable[[Allocation], bool] = lambda allocation: False) -> None:
        """Give back what an object holds.

        Args:
            holder: The object.
            keep: Which of it to keep.
        """
        for allocation in self.held(holder):
            if not keep(allocation):
                await self.delete(allocation)

    async def delete(self, allocation: Allocation) -> None:
        """Delete exactly this allocation, and no later one of the same value."""
        meta = allocation.metadata
        with suppress(NotFound, Conflict):  # gone already, perhaps with a successor
            await self._client.delete(Allocation, meta.name, uid=meta.uid)
        self._see(allocation)
        if self._allocations.get(ObjectKey.of(allocation)) is not None:
            self._deleted.add(meta.uid)

    async def _create(self, pool: str, value: int, holder: Object) -> None:
        allocation = Allocation.of(pool, value, holder)
        name = allocation.metadata.name
        self._claiming.add(name)
        try:
            created = await self._client.create(allocation)
        finally:
            self._claiming.discard(name)
        if self._allocations.get(ObjectKey("", "", name)) is None:
            self._unseen.setdefault(holder.metadata.uid, {})[name] = created

    def _taken(self, pool: str, value: int) -> bool:
        name = Allocation.name_of(pool, value)
        return name in self._claiming or self._allocations.get(ObjectKey("", "", name)) is not None

    def _see(self, allocation: Allocation) -> None:
        """The informer has caught up with an allocation made here, or it is gone."""
        unseen = self._unseen.get(allocation.spec.holder.uid, {})
        unseen.pop(allocation.metadata.name, None)
        if not unseen:
            self._unseen.pop(allocation.spec.holder.uid, None)

    def _free_values(self, values: ValueRange) -> FreeValues:
        free = self._free.get(values)
        if free is None:
            held = (allocation.spec.value for allocation in self._allocations.by_index(BY_POOL, values.pool))
            free = self._free[values] = FreeValues(values, sum(value in values for value in held))
            # Ranges that are in use at a time do not overlap; one that does is what this one has replaced.
            ranges = [item for item in self._ranges.get(values.pool, ()) if not _overlap(item, values)]
            self._ranges[values.pool] = sorted([*ranges, values], key=lambda item: item.first)
        return free

    def _changed(self, old: Allocation | None, new: Allocation | None) -> None:
        allocation = new or old
        assert allocation is not None
        self._see(allocation)
        if new is None:
            self._deleted.discard(allocation.metadata.uid)
        if old is not None and new is not None:
            return
        free = self._free_around(allocation.spec.pool, allocation.spec.value)
        if free is None:
            return
        if new is not None:
            free.took()
        else:
            free.freed(allocation.spec.value)

    def _free_around(self, pool: str, value: int) -> FreeValues | None:
        """The free values of the range that a value is in."""
        ranges = self._ranges.get(pool, [])
        index = bisect_right(ranges, value, key=lambda item: item.first) - 1
        return self._free[ranges[index]] if index >= 0 and value in ranges[index] else None


def _overlap(one: ValueRange, other: ValueRange) -> bool:
    return one.first <= other.last and other.first <= one.last
