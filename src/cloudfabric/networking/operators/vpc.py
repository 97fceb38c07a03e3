# SPDX-License-Identifier: Apache-2.0
"""The VPC operator: a VPC gets its VNI and its dividers; its bouncers are told who the dividers are."""

from __future__ import annotations

from collections.abc import Iterable

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import VPC, Bouncer, Divider, DividerSpec, InvalidObject, ObjectMeta, Phase, Subnet
from cloudfabric.models.validation import validate_vpc
from cloudfabric.networking.contributions import Contribution
from cloudfabric.networking.goalstate import DIVIDERS, Group
from cloudfabric.networking.operators.groups import GroupOperator
from cloudfabric.networking.operators.network import dividers_topic
from cloudfabric.networking.operators.roles import Role
from cloudfabric.networking.vni import VNIS

__all__ = ["BY_VPC", "VPCOperator"]

BY_VPC = "by-vpc"


class VPCOperator(GroupOperator[VPC]):
    """Reconciles VPCs."""

    kind = VPC
    values = VNIS
    role_kind = Divider

    def setup(self, context: Context) -> None:
        """Hear of subnets, which a deleted VPC waits for."""
        super().setup(context)
        self._subnets = context.informer(Subnet)
        self._subnets.index(BY_VPC, lambda subnet: (ObjectKey(subnet.metadata.tenant, "", subnet.spec.vpc),))
        self._bouncers = context.informer(Bouncer)
        context.watch(Subnet, lambda subnet: (ObjectKey(subnet.metadata.tenant, "", subnet.spec.vpc),))

    def parent_key(self, role: Role) -> ObjectKey:
        """Key of a divider's VPC."""
        assert isinstance(role, Divider)
        return ObjectKey(role.metadata.tenant, "", role.spec.vpc)

    def wanted(self, holder: VPC) -> int:
        """The number of dividers."""
        return holder.spec.dividers

    def make_role(self, holder: VPC, meta: ObjectMeta) -> Divider:
        """A divider of the VPC."""
        return Divider(metadata=meta, spec=DividerSpec(vpc=holder.metadata.name))

    def contribution(self, holder: VPC, hosts: tuple[int, ...]) -> Contribution:
        """The group of the dividers, for the VPC's bouncers."""
        vni = holder.status.vni
        if vni is None or not hosts:
            return Contribution()
        return Contribution(publish={dividers_topic(vni): (Group(vni, DIVIDERS, hosts),)})

    def dependants(self, holder: VPC) -> tuple[Subnet, ...]:
        """The VPC's subnets."""
        return self._subnets.by_index(BY_VPC, ObjectKey.of(holder))

    def held_by(self, holder: VPC) -> Iterable[int]:
        """Nobody: with the last subnet the last bouncer has gone."""
        return ()

    async def reconcile(self, key: ObjectKey) -> None:
        """Give a VPC its number and its dividers, or take it apart."""
        vpc = self.informer.get(key)
        if vpc is None:
            self.forget(key)
            return
        if vpc.metadata.deletion_timestamp is not None:
            await self.see_off(vpc)
            return
        try:
            # Subnets without a number were never accepted: they are at fault, not the VPC.
            validate_vpc(vpc, [subnet for subnet in self.dependants(vpc) if subnet.status.segment is not None])
        except InvalidObject as error:
            await self.report(vpc, Phase.FAILED, "InvalidVPC", str(error))
            return
        vpc = await self.hold(vpc)
        if vpc.status.vni is None:
            number = await self.claim_number(vpc)
            if isinstance(number, str):
                await self.report(vpc, Phase.FAILED, "NoVNI", number)
                return
            vpc = await self.report(vpc, Phase.PENDING, "NoDivider", "none of its dividers is ready", vni=number)
        await self.keep(vpc, True, "")
