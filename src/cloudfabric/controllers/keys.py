# SPDX-License-Identifier: Apache-2.0
"""What a work queue carries: the key of an object, tenant first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cloudfabric.models import Object

__all__ = ["ObjectKey"]


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Identity of an object within its kind.

    Args:
        tenant: Its tenant; empty for kinds of the cluster.
        namespace: Its namespace; empty where the kind has none.
        name: Its name.
    """

    tenant: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: Object) -> Self:
        """The key of an object."""
        meta = obj.metadata
        return cls(meta.tenant, meta.namespace, meta.name)

    def __str__(self) -> str:
        return "/".join(part for part in (self.tenant, self.namespace, self.name) if part)
