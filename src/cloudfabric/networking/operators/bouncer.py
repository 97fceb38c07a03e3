# SPDX-License-Identifier: Apache-2.0
"""The Bouncer operator: a bouncer's host holds where each member of the subnet is, and who the VPC's dividers are."""

from __future__ import annotations

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import VPC, Bouncer, Droplet, Subnet
from cloudfabric.models.validation import validate_bouncer
from cloudfabric.networking.contributions import Topic
from cloudfabric.networking.operators.network import dividers_topic, members_topic
from cloudfabric.networking.operators.roles import RoleOperator

__all__ = ["BouncerOperator"]


class BouncerOperator(RoleOperator[Bouncer]):
    """Reconciles Bouncers."""

    kind = Bouncer
    parent_kind = Subnet

    def setup(self, context: Context) -> None:
        """Look at subnets and VPCs."""
        super().setup(context)
        self._subnets = context.informer(Subnet)
        self._vpcs = context.informer(VPC)

    def parent_key(self, role: Bouncer) -> ObjectKey:
        """Key of the subnet."""
        return ObjectKey(role.metadata.tenant, "", role.spec.subnet)

    def needs(self, role: Bouncer) -> frozenset[Topic] | str:
        """The members of the subnet and the dividers of its VPC."""
        subnet = self._subnets.get(self.parent_key(role))
        if subnet is None or subnet.status.segment is None:
            return f"subnet {role.spec.subnet} has no number yet, or does not exist"
        vpc = self._vpcs.get(ObjectKey(role.metadata.tenant, "", subnet.spec.vpc))
        if vpc is None or vpc.status.vni is None:
            return f"VPC {subnet.spec.vpc} has no number yet, or does not exist"
        return frozenset({members_topic(vpc.status.vni, subnet.status.segment), dividers_topic(vpc.status.vni)})

    def accepts(self, droplet: Droplet) -> bool:
        """Whether the host takes bouncers."""
        return droplet.spec.bouncer

    def validate(self, role: Bouncer, droplet: Droplet | None) -> None:
        """Check a bouncer that names its host."""
        validate_bouncer(role, self._subnets.get(self.parent_key(role)), droplet)
