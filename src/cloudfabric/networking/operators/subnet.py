# SPDX-License-Identifier: Apache-2.0
"""The Subnet operator: a subnet gets its segment, its gateway and its bouncers; dividers are told where it is."""

from __future__ import annotations

from collections.abc import Iterable

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import (
    VPC,
    Bouncer,
    BouncerSpec,
    Divider,
    Endpoint,
    InvalidObject,
    ObjectMeta,
    Phase,
    Subnet,
)
from cloudfabric.models.validation import validate_subnet
from cloudfabric.networking.contributions import Contribution, Topic
from cloudfabric.networking.goalstate import Entry, Group, Route
from cloudfabric.networking.operators.groups import GroupOperator
from cloudfabric.networking.operators.network import bouncers_topic, owner_of, routing_topic
from cloudfabric.networking.operators.roles import BY_PARENT, Role
from cloudfabric.networking.operators.vpc import BY_VPC
from cloudfabric.networking.vni import SEGMENTS

__all__ = ["BY_SUBNET", "SubnetOperator"]

BY_SUBNET = "by-subnet"


class SubnetOperator(GroupOperator[Subnet]):
    """Reconciles Subnets."""

    kind = Subnet
    values = SEGMENTS
    role_kind = Bouncer

    def setup(self, context: Context) -> None:
        """Hear of the VPC, of sibling subnets, and of endpoints, which a deleted subnet waits for."""
        super().setup(context)
        self._vpcs = context.informer(VPC)
        self._dividers = context.informer(Divider)
        self._endpoints = context.informer(Endpoint)
        self._endpoints.index(BY_SUBNET, lambda endpoint: (_subnet_of(endpoint),))
        self.informer.index(BY_VPC, lambda subnet: (_vpc_of(subnet),))
        context.watch(VPC, self._of_vpc)
        context.watch(Subnet, self._siblings_that_wait)
        context.watch(Endpoint, self._if_deleted)

    def parent_key(self, role: Role) -> ObjectKey:
        """Key of a bouncer's subnet."""
        assert isinstance(role, Bouncer)
        return ObjectKey(role.metadata.tenant, "", role.spec.subnet)

    def wanted(self, holder: Subnet) -> int:
        """The number of bouncers."""
        return holder.spec.bouncers

    def make_role(self, holder: Subnet, meta: ObjectMeta) -> Bouncer:
        """A bouncer of the subnet."""
        return Bouncer(metadata=meta, spec=BouncerSpec(subnet=holder.metadata.name))

    def contribution(self, holder: Subnet, hosts: tuple[int, ...]) -> Contribution:
        """The route to the subnet for the VPC's dividers; the group of its bouncers for those and for its endpoints."""
        vpc, segment = self._vpcs.get(_vpc_of(holder)), holder.status.segment
        if vpc is None or vpc.status.vni is None or segment is None:
            return self.network.contributions.contribution(owner_of(holder))
        vni, cidr = vpc.status.vni, holder.spec.cidr
        routing: tuple[Entry, ...] = (Route(vni, int(cidr.network_address), cidr.prefixlen, segment),)
        publish: dict[Topic, tuple[Entry, ...]] = {}
        if hosts:
            group = Group(vni, segment, hosts)
            publish[bouncers_topic(vni, segment)] = (group,)
            routing = (*routing, group)
        return Contribution(publish={routing_topic(vni): routing, **publish})

    def dependants(self, holder: Subnet) -> tuple[Endpoint, ...]:
        """The subnet's endpoints."""
        return self._endpoints.by_index(BY_SUBNET, ObjectKey.of(holder))

    def held_by(self, holder: Subnet) -> Iterable[int]:
        """The VPC's dividers."""
        dividers = self._dividers.by_index(BY_PARENT, _vpc_of(holder))
        return (int(divider.status.address) for divider in dividers if divider.status.address is not None)

    async def reconcile(self, key: ObjectKey) -> None:
        """Give a subnet its number and its bouncers, or take it apart."""
        subnet = self.informer.get(key)
        if subnet is None:
            self.forget(key)
            return
        if subnet.metadata.deletion_timestamp is not None:
            await self.see_off(subnet)
            return
        vpc = self._vpcs.get(_vpc_of(subnet))
        if vpc is None or vpc.status.vni is None or (vpc.metadata.deletion_timestamp and not subnet.status.segment):
            message = f"VPC {subnet.spec.vpc} does not exist, is being deleted, or has no VNI yet"
            await self.report(subnet, Phase.PENDING, "VPCNotReady", message)
            return
        try:
            validate_subnet(subnet, vpc, self._before(subnet))
        except InvalidObject as error:
            await self.report(subnet, Phase.FAILED, "InvalidSubnet", str(error))
            return
        subnet = await self.hold(subnet)
        gateway = subnet.spec.gateway_address
        if subnet.status.segment is None:
            number = await self.claim_number(subnet)
            if isinstance(number, str):
                await self.report(subnet, Phase.FAILED, "NoSegment", number)
                return
            message = "none of its bouncers is ready"
            subnet = await self.report(subnet, Phase.PENDING, "NoBouncer", message, segment=number, gateway=gateway)
        ready = vpc.status.phase is Phase.PROVISIONED
        await self.keep(subnet, ready, f"waiting for VPC {subnet.spec.vpc}", gateway=gateway)

    def _before(self, subnet: Subnet) -> list[Subnet]:
        """The other subnets of the VPC that came first: the later one of two that overlap is at fault."""
        return [other for other in self.informer.by_index(BY_VPC, _vpc_of(subnet)) if _rank(other) < _rank(subnet)]

    def _of_vpc(self, vpc: VPC) -> Iterable[ObjectKey]:
        return (ObjectKey.of(subnet) for subnet in self.informer.by_index(BY_VPC, ObjectKey.of(vpc)))

    def _siblings_that_wait(self, subnet: Subnet) -> Iterable[ObjectKey]:
        """Subnets that may become valid when this one changes."""
        for sibling in self.informer.by_index(BY_VPC, _vpc_of(subnet)):
            if sibling.status.phase is Phase.FAILED:
                yield ObjectKey.of(sibling)

    def _if_deleted(self, endpoint: Endpoint) -> Iterable[ObjectKey]:
        subnet = self.informer.get(_subnet_of(endpoint))
        if subnet is not None and subnet.metadata.deletion_timestamp is not None:
            yield ObjectKey.of(subnet)


def _rank(subnet: Subnet) -> tuple[object, ...]:
    meta = subnet.metadata
    return (subnet.status.segment is None, meta.creation_timestamp, meta.uid)


def _vpc_of(subnet: Subnet) -> ObjectKey:
    return ObjectKey(subnet.metadata.tenant, "", subnet.spec.vpc)


def _subnet_of(endpoint: Endpoint) -> ObjectKey:
    return ObjectKey(endpoint.metadata.tenant, "", endpoint.spec.subnet)
