# SPDX-License-Identifier: Apache-2.0
"""The Divider operator: a divider's host holds the routes to the VPC's subnets and who their bouncers are."""

from __future__ import annotations

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import VPC, Divider, Droplet
from cloudfabric.models.validation import validate_divider
from cloudfabric.networking.contributions import Topic
from cloudfabric.networking.operators.network import routing_topic
from cloudfabric.networking.operators.roles import RoleOperator

__all__ = ["DividerOperator"]


class DividerOperator(RoleOperator[Divider]):
    """Reconciles Dividers."""

    kind = Divider
    parent_kind = VPC

    def setup(self, context: Context) -> None:
        """Look at VPCs."""
        super().setup(context)
        self._vpcs = context.informer(VPC)

    def parent_key(self, role: Divider) -> ObjectKey:
        """Key of the VPC."""
        return ObjectKey(role.metadata.tenant, "", role.spec.vpc)

    def needs(self, role: Divider) -> frozenset[Topic] | str:
        """The routing of the VPC."""
        vpc = self._vpcs.get(self.parent_key(role))
        if vpc is None or vpc.status.vni is None:
            return f"VPC {role.spec.vpc} has no number yet, or does not exist"
        return frozenset({routing_topic(vpc.status.vni)})

    def accepts(self, droplet: Droplet) -> bool:
        """Whether the host takes dividers."""
        return droplet.spec.divider

    def validate(self, role: Divider, droplet: Droplet | None) -> None:
        """Check a divider that names its host."""
        validate_divider(role, self._vpcs.get(self.parent_key(role)), droplet)
