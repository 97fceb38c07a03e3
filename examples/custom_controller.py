# SPDX-License-Identifier: Apache-2.0
"""Your own controller in your own program: every new tenant gets a VPC (python examples/custom_controller.py)."""

import asyncio

from cloudfabric.controllers import Controller, ObjectKey
from cloudfabric.fabric import Fabric
from cloudfabric.models import VPC, ObjectMeta, Tenant, parse_as


class DefaultVPC(Controller[Tenant]):
    kind = Tenant

    async def reconcile(self, key: ObjectKey) -> None:
        tenant = self.informer.get(key)
        if tenant is not None and not (await self.client.list(VPC, tenant=key.name)).items:
            meta = {"tenant": key.name, "name": "default"}
            await self.client.create(parse_as(VPC, {"metadata": meta, "spec": {"cidrs": ["10.0.0.0/16"]}}))
            print(f"made a VPC for {key}: {tenant.spec.description or 'a new tenant'}")


async def main() -> None:
    async with Fabric.open("memory://") as fabric:
        fabric.add(DefaultVPC())
        for name in ("red", "blue"):
            await fabric.client.create(Tenant(metadata=ObjectMeta(name=name)))
        await fabric.idle()


asyncio.run(main())
