# SPDX-License-Identifier: Apache-2.0
"""The Allocation operator: a value whose holder is gone is free again.

Operators give back what they took before they let an object go. What is left is what nobody could give back: the object
was deleted with its finalizer removed by hand, or two instances took a number for the same object and one of them lost
the race for its status. Before an allocation is deleted because its holder is gone, the store itself is asked for the
holder, because a cache may be older than the allocation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

from cloudfabric.controllers import Context, Controller, ObjectKey
from cloudfabric.models import VPC, Allocation, Endpoint, Object, Subnet
from cloudfabric.networking.allocation import BY_HOLDER, Allocator
from cloudfabric.store import NotFound

__all__ = ["AllocationOperator"]

_HOLDERS: Mapping[str, type[Object]] = MappingProxyType({cls.KIND: cls for cls in (VPC, Subnet, Endpoint)})


class AllocationOperator(Controller[Allocation]):
    """Reconciles Allocations.

    Args:
        allocator: Gives back values.
    """

    kind = Allocation
    workers: ClassVar[int] = 2

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator

    def setup(self, context: Context) -> None:
        """Hear of holders that go."""
        for kind in _HOLDERS.values():
            context.watch(kind, self._held_by)

    async def reconcile(self, key: ObjectKey) -> None:
        """Free a value whose holder is gone."""
        allocation = self.informer.get(key)
        if allocation is None:
            return
        holder = allocation.spec.holder
        kind = _HOLDERS.get(holder.kind)
        if kind is None:
            return  # taken by somebody else's program
        known = self.context.informer(kind).get(ObjectKey(holder.tenant, holder.namespace, holder.name))
        if known is not None and known.metadata.uid == holder.uid:
            if _number_of(known) not in (None, allocation.spec.value):
                await self._allocator.delete(allocation)
            return
        try:
            found = await self.client.get(kind, holder.name, tenant=holder.tenant, namespace=holder.namespace)
        except NotFound:
            pass
        else:
            if found.metadata.uid == holder.uid:
                return
        await self._allocator.delete(allocation)

    def _held_by(self, obj: Object) -> Iterable[ObjectKey]:
        known = self.context.informer(type(obj)).get(ObjectKey.of(obj))
        gone = known is None or known.metadata.uid != obj.metadata.uid
        if gone or _number_of(obj) is not None:
            for allocation in self.informer.by_index(BY_HOLDER, obj.metadata.uid):
                yield ObjectKey.of(allocation)


def _number_of(holder: Object) -> int | None:
    """The one number that an object holds for life, if it is of such a kind and has it."""
    match holder:
        case VPC():
            return holder.status.vni
        case Subnet():
            return holder.status.segment
    return None
