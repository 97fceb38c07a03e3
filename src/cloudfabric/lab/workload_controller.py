# SPDX-License-Identifier: Apache-2.0
"""Makes the workloads of a lab follow the Endpoint objects, as a container runtime with its CNI plugin would.

An endpoint that was given an address gets a workload on its host; one that changes host or address gets a new one; one
that is being deleted loses it. Endpoints on hosts that the lab does not carry are none of its business.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Interface
from typing import ClassVar

from cloudfabric.controllers import Context, Controller, ObjectKey
from cloudfabric.lab.substrate import WORKLOAD_MTU_MARGIN, Substrate, Workload
from cloudfabric.models import Endpoint, Subnet
from cloudfabric.networking.dataplane.protocol import HostFacts

__all__ = ["WorkloadController"]

_BY_SUBNET = "lab-by-subnet"


class WorkloadController(Controller[Endpoint]):
    """Reconciles Endpoints into workloads.

    Args:
        substrate: where the workloads live.
        hosts: the hosts that it carries, by name.
    """

    kind: ClassVar[type[Endpoint]] = Endpoint
    workers: ClassVar[int] = 8

    def __init__(self, substrate: Substrate, hosts: Mapping[str, HostFacts]) -> None:
        self._substrate = substrate
        self._hosts = hosts
        self._workloads: dict[ObjectKey, Workload] = {}

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """The workloads there are, ordered by tenant, namespace and name."""
        return tuple(workload for _, workload in sorted(self._workloads.items()))

    def setup(self, context: Context) -> None:
        """Look at a subnet's endpoints again when it changes: the prefix length and the gateway are in it."""
        self.informer.index(_BY_SUBNET, _subnet_of)
        self._subnets = context.informer(Subnet)
        context.watch(Subnet, self._endpoints_of)

    async def reconcile(self, key: ObjectKey) -> None:
        """Make, remake or remove the workload of one endpoint."""
        wanted, present = self._wanted(key), self._workloads.get(key)
        if wanted == present:
            return
        if present is not None:
            del self._workloads[key]
            await self._substrate.remove_workload(present)
        if wanted is not None:
            await self._substrate.add_workload(wanted)
            self._workloads[key] = wanted

    def _wanted(self, key: ObjectKey) -> Workload | None:
        endpoint = self.informer.get(key)
        if endpoint is None or endpoint.metadata.deletion_timestamp is not None:
            return None
        spec, status = endpoint.spec, endpoint.status
        host = self._hosts.get(spec.droplet)
        subnet = self._subnets.get(ObjectKey(key.tenant, "", spec.subnet))
        if host is None or subnet is None:
            return None
        if status.address is None or status.mac is None or status.vni is None or status.interface is None:
            return None
        return Workload(
            tenant=key.tenant,
            namespace=key.namespace,
            name=key.name,
            vni=status.vni,
            host=host.name,
            interface=status.interface,
            address=IPv4Interface((status.address, subnet.spec.cidr.prefixlen)),
            gateway=subnet.spec.gateway_address,
            mac=bytes.fromhex(status.mac.replace(":", "")),
            mtu=host.mtu - WORKLOAD_MTU_MARGIN,
        )

    def _endpoints_of(self, subnet: Subnet) -> Iterable[ObjectKey]:
        found = self.informer.by_index(_BY_SUBNET, (subnet.metadata.tenant, subnet.metadata.name))
        return [ObjectKey.of(endpoint) for endpoint in found]


def _subnet_of(endpoint: Endpoint) -> Iterable[tuple[str, str]]:
    return [(endpoint.metadata.tenant, endpoint.spec.subnet)]
