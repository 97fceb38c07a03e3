# SPDX-License-Identifier: Apache-2.0
"""CloudFabric: an SDK for building a multi-tenant cloud, from objects in a store to packets in eBPF.

    async with Fabric.open("lmdb:///var/lib/cloudfabric") as fabric:
        await fabric.client.create(VPC(...))

Importing this package imports none of its parts: each public name is loaded when it is first asked for (PEP 562), so
that a program pays only for what it uses, and a host agent never loads a store.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudfabric.controllers import Controller, Manager, ObjectKey, Result
    from cloudfabric.fabric import Fabric
    from cloudfabric.models import (
        VPC,
        Bouncer,
        Divider,
        Droplet,
        Endpoint,
        Object,
        ObjectMeta,
        Subnet,
        Tenant,
        load_manifest,
    )
    from cloudfabric.store import Client, open_store

__all__ = [
    "VPC",
    "Bouncer",
    "Client",
    "Controller",
    "Divider",
    "Droplet",
    "Endpoint",
    "Fabric",
    "Manager",
    "Object",
    "ObjectKey",
    "ObjectMeta",
    "Result",
    "Subnet",
    "Tenant",
    "load_manifest",
    "open_store",
]

_MODELS = (
    "VPC",
    "Bouncer",
    "Divider",
    "Droplet",
    "Endpoint",
    "Object",
    "ObjectMeta",
    "Subnet",
    "Tenant",
    "load_manifest",
)
_HOME = {
    **dict.fromkeys(_MODELS, "cloudfabric.models"),
    **dict.fromkeys(("Controller", "Manager", "ObjectKey", "Result"), "cloudfabric.controllers"),
    **dict.fromkeys(("Client", "open_store"), "cloudfabric.store"),
    "Fabric": "cloudfabric.fabric",
}


def __getattr__(name: str) -> object:
    """Load the part that `name` lives in, once; raise AttributeError for a name that is not public."""
    if name not in _HOME:
        raise AttributeError(f"module 'cloudfabric' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*globals(), *__all__})
