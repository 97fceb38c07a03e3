# SPDX-License-Identifier: Apache-2.0
"""The Allocation operator: a value whose holder is gone is free again.

Operators give back what they took before they let an object go. What is left is what nobody could give back: the object
was deleted with its finalizer removed by hand, or a program died between two steps and the object with it. Before an
allocation is deleted the store itself is asked for the holder, because a cache may be older than the allocation.
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
            context.watch(kind, self._held_if_gone)

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
            return
        try:
            found = await self.client.get(kind, holder.name, tenant=holder.tenant, namespace=holder.namespace)
        except NotFound:
            pass
        else:
            if found.metadata.uid == holder.uid:
                return
        await self._allocator.delete(allocation)

    def _held_if_gone(self, obj: Object) -> Iterable[ObjectKey]:
        known = self.context.informer(type(obj)).get(ObjectKey.of(obj))
        if known is None or known.metadata.uid != obj.metadata.uid:
            for allocation in self.informer.by_index(BY_HOLDER, obj.metadata.uid):
                yield ObjectKey.of(allocation)
