# SPDX-License-Identifier: Apache-2.0
"""The committed state: the current record of every object, indexed by kind and tenant.

A list of one tenant's objects costs what that tenant has, whatever others have.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloudfabric.store.engines.engine import Key
from cloudfabric.store.record import Record

__all__ = ["State"]

_Place = tuple[str, str]  # namespace, name


class State:
    """A mapping of keys to records, nested as resource, tenant, place."""

    def __init__(self) -> None:
        self._resources: dict[str, dict[str, dict[_Place, Record]]] = {}

    def get(self, key: Key) -> Record | None:
        """The record of a key, or None.

        Args:
            key: the key.
        """
        return self._resources.get(key.resource, {}).get(key.tenant, {}).get((key.namespace, key.name))

    def put(self, key: Key, record: Record) -> None:
        """Set the record of a key.

        Args:
            key: the key.
            record: its new record.
        """
        tenants = self._resources.setdefault(key.resource, {})
        tenants.setdefault(key.tenant, {})[key.namespace, key.name] = record

    def remove(self, key: Key) -> None:
        """Forget a key; nothing happens if it is not there.

        Args:
            key: the key.
        """
        tenants = self._resources.get(key.resource, {})
        places = tenants.get(key.tenant, {})
        places.pop((key.namespace, key.name), None)
        if not places:
            tenants.pop(key.tenant, None)

    def scan(self, resource: str, tenant: str | None, namespace: str | None) -> Iterator[Record]:
        """The records of a kind, ordered by tenant, namespace and name.

        Args:
            resource: the kind's resource.
            tenant: only of this tenant; None for all.
            namespace: only of this namespace; None for all.
        """
        tenants = self._resources.get(resource, {})
        for owner in sorted(tenants) if tenant is None else (tenant,):
            places = tenants.get(owner, {})
            for place in sorted(places):
                if namespace is None or place[0] == namespace:
                    yield places[place]
