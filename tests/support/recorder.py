# SPDX-License-Identifier: Apache-2.0
"""A controller that writes down what it is called for, and objects to call it for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from cloudfabric.controllers import Controller, ObjectKey, Result
from cloudfabric.models import VPC, ObjectMeta, Tenant, TenantSpec, VPCSpec


def tenant(name: str, description: str = "") -> Tenant:
    return Tenant(metadata=ObjectMeta(name=name), spec=TenantSpec(description=description))


def key(name: str) -> ObjectKey:
    return ObjectKey("", "", name)


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Recorder(Controller[Tenant]):
    """Writes down what it is called for, and does what it is told."""

    kind = Tenant
    workers: ClassVar[int] = 2

    def __init__(self, act: Callable[[ObjectKey], Result | None] = lambda key: None) -> None:
        self.calls: list[str] = []
        self.act = act

    async def reconcile(self, key: ObjectKey) -> Result | None:
        self.calls.append(str(key))
        return self.act(key)


@dataclass(frozen=True)
class Network:
    tenant: str
    name: str

    def vpc(self, owner: Tenant) -> VPC:
        meta = ObjectMeta(tenant=self.tenant, name=self.name, owner_references=(owner.owner_reference(),))
        cidr = {"cidrs": ["10.0.0.0/16"]}
        return VPC(metadata=meta, spec=VPCSpec.model_validate(cidr))
