# SPDX-License-Identifier: Apache-2.0
"""The Endpoint operator: an endpoint gets its address and MAC, and is wired.

What is wired is the interface on the endpoint's own host and one member entry on its subnet's bouncers, and nothing
else anywhere. The endpoint is Provisioned when all of these hosts have acknowledged and the subnet is Provisioned, so
that whoever waits for the phase can send packets at once. On deletion the hosts let go first; only then is the address
free.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import VPC, Allocation, Bouncer, Droplet, Endpoint, InvalidObject, Phase, Subnet
from cloudfabric.models.validation import validate_endpoint
from cloudfabric.networking.allocation import Allocator, PoolExhausted, ValueTaken, describe
from cloudfabric.networking.contributions import Contribution, host_topic
from cloudfabric.networking.goalstate import LocalEndpoint, Member, interface_name
from cloudfabric.networking.ipam import address_pool, addresses_of, is_derived_mac, mac_of, mac_pool, parse_mac
from cloudfabric.networking.operators.droplet import address_of, is_usable
from cloudfabric.networking.operators.network import Network, bouncers_topic, members_topic
from cloudfabric.networking.operators.operator import READY, Operator
from cloudfabric.networking.operators.roles import BY_PARENT
from cloudfabric.networking.operators.subnet import BY_SUBNET

__all__ = ["EndpointOperator"]

BY_HOST = "by-host"


class _Refused(Exception):
    """What an endpoint asks for cannot be had, for now or for good."""

    def __init__(self, phase: Phase, reason: str, message: str) -> None:
        self.phase = phase
        self.reason = reason
        self.message = message
        super().__init__(message)


class EndpointOperator(Operator[Endpoint]):
    """Reconciles Endpoints.

    Args:
        network: What the operators share.
        allocator: Takes and gives back addresses.
    """

    kind = Endpoint

    def __init__(self, network: Network, allocator: Allocator) -> None:
        super().__init__(network)
        self._allocator = allocator
        self._waiting_for_value: dict[str, set[ObjectKey]] = {}

    def setup(self, context: Context) -> None:
        """Hear of the subnet, of the host, and of values that become free."""
        super().setup(context)
        self._subnets = context.informer(Subnet)
        self._vpcs = context.informer(VPC)
        self._droplets = context.informer(Droplet)
        self._bouncers = context.informer(Bouncer)
        self.informer.index(BY_HOST, lambda endpoint: (endpoint.spec.droplet,))
        self._subnets.add_handler(self._subnet_changed)
        self._droplets.add_handler(self._droplet_changed)
        context.informer(Allocation).add_handler(self._allocation_changed)

    async def reconcile(self, key: ObjectKey) -> None:
        """Wire an endpoint, or release it."""
        endpoint = self.informer.get(key)
        for waiting in self._waiting_for_value.values():
            waiting.discard(key)
        if endpoint is None:
            self.network.contributions.withdraw(self.owner(key))
        elif endpoint.metadata.deletion_timestamp is not None:
            await self._release(endpoint)
        else:
            endpoint = await self.hold(endpoint)
            try:
                await self._wire(endpoint)
            except _Refused as refused:
                await self.report(endpoint, refused.phase, refused.reason, refused.message)

    async def _wire(self, endpoint: Endpoint) -> None:
        subnet, vni, segment = self._find_subnet(endpoint)
        droplet = self._droplets.get(ObjectKey("", "", endpoint.spec.droplet))
        host = None if droplet is None or not is_usable(droplet) else address_of(droplet)
        if droplet is None or host is None:
            self.contribute(endpoint, Contribution())
            message = f"Droplet {endpoint.spec.droplet} does not exist, has no address yet, or is being deleted"
            raise _Refused(Phase.PENDING, "DropletNotReady", message)
        try:
            validate_endpoint(endpoint, subnet, droplet)
        except InvalidObject as error:
            raise _Refused(Phase.FAILED, "InvalidEndpoint", str(error)) from None
        address = await self._take_address(endpoint, subnet, vni)
        mac = await self._take_mac(endpoint, address, vni)
        interface = interface_name(endpoint.metadata.uid)
        local = LocalEndpoint(
            vni, int(address), subnet.spec.cidr.prefixlen, segment, parse_mac(mac), interface, endpoint.metadata.uid
        )
        pending = self.contribute(
            endpoint,
            Contribution(
                publish={
                    host_topic(int(host)): (local,),
                    members_topic(vni, segment): (Member(vni, int(address), int(host)),),
                },
                subscribe={bouncers_topic(vni, segment): frozenset({int(host)})},
            ),
        )
        phase, reason, message = self._judge(endpoint, pending, subnet, droplet)
        await self.report(
            endpoint,
            phase,
            reason,
            message,
            address=address,
            mac=mac,
            vpc=subnet.spec.vpc,
            vni=vni,
            interface=interface,
        )
        if not pending:
            held = {(address_pool(vni), int(address)), (mac_pool(vni), int.from_bytes(parse_mac(mac), "big"))}
            await self._allocator.release(endpoint, lambda item: (item.spec.pool, item.spec.value) in held)

    def _judge(
        self, endpoint: Endpoint, pending: frozenset[int], subnet: Subnet, droplet: Droplet
    ) -> tuple[Phase, str, str]:
        if failure := self.failure_of(endpoint):
            return Phase.FAILED, "NotApplied", failure
        if self._is_settled(endpoint):
            return Phase.PROVISIONED, "Provisioned", "wired"
        if pending:
            return Phase.PENDING, "WaitingForHosts", f"waiting for {self.waiting_for(pending)} to acknowledge"
        if subnet.status.phase is not Phase.PROVISIONED:
            return Phase.PENDING, "WaitingForSubnet", f"waiting for subnet {endpoint.spec.subnet}"
        if droplet.status.phase is not Phase.PROVISIONED:
            return Phase.PENDING, "WaitingForDroplet", f"waiting for Droplet {endpoint.spec.droplet}"
        return Phase.PROVISIONED, "Provisioned", "wired"

    def _is_settled(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint was Provisioned as it is specified now; it stays so while hosts or roles come and go."""
        return endpoint.status.phase is Phase.PROVISIONED and any(
            condition.type == READY and condition.observed_generation == endpoint.metadata.generation
            for condition in endpoint.status.conditions
        )

    def _find_subnet(self, endpoint: Endpoint) -> tuple[Subnet, int, int]:
        """The subnet, with the VNI of its VPC and its segment."""
        name = endpoint.spec.subnet
        subnet = self._subnets.get(_subnet_key(endpoint))
        if subnet is None:
            raise _Refused(Phase.PENDING, "SubnetNotFound", f"there is no subnet {name}; create it")
        vpc = self._vpcs.get(ObjectKey(endpoint.metadata.tenant, "", subnet.spec.vpc))
        vni, segment = None if vpc is None else vpc.status.vni, subnet.status.segment
        if vni is None or segment is None:
            raise _Refused(Phase.PENDING, "SubnetNotReady", f"subnet {name} has no number yet")
        if subnet.metadata.deletion_timestamp is not None and endpoint.status.address is None:
            raise _Refused(Phase.PENDING, "SubnetNotReady", f"subnet {name} is being deleted")
        return subnet, vni, segment

    # --- values ------------------------------------------------------------------------------------------------------

    async def _take_address(self, endpoint: Endpoint, subnet: Subnet, vni: int) -> IPv4Address:
        wanted, current = endpoint.spec.address, endpoint.status.address
        values = addresses_of(subnet, vni)
        if wanted is None and current is not None and int(current) in values:
            wanted = current
        if wanted is not None:
            await self._take(endpoint, values.pool, int(wanted), "spec.address", str(wanted))
            return wanted
        try:
            return IPv4Address(await self._allocator.claim(values, endpoint))
        except PoolExhausted:
            self._waiting_for_value.setdefault(values.pool, set()).add(ObjectKey.of(endpoint))
            message = (
                f"subnet {endpoint.spec.subnet} ({subnet.spec.cidr}) is full: {len(values)} of {len(values)} addresses "
                "are taken; delete endpoints, or use another subnet"
            )
            raise _Refused(Phase.PENDING, "AddressesExhausted", message) from None

    async def _take_mac(self, endpoint: Endpoint, address: IPv4Address, vni: int) -> str:
        mac = endpoint.spec.mac
        if mac is None or mac == mac_of(address):
            return mac_of(address)
        if is_derived_mac(mac):
            message = f"spec.mac: {mac} is reserved for another address; choose one that does not begin with 02:cf"
            raise _Refused(Phase.FAILED, "InvalidEndpoint", message)
        await self._take(endpoint, mac_pool(vni), int.from_bytes(parse_mac(mac), "big"), "spec.mac", mac)
        return mac

    async def _take(self, endpoint: Endpoint, pool: str, value: int, field: str, shown: str) -> None:
        try:
            await self._allocator.claim_value(pool, value, endpoint)
        except ValueTaken as taken:
            self._waiting_for_value.setdefault(pool, set()).add(ObjectKey.of(endpoint))
            message = f"{field}: {shown} is held by {describe(taken.holder)}; choose another, or leave it out"
            reason = "AddressTaken" if field == "spec.address" else "MACTaken"
            raise _Refused(Phase.FAILED, reason, message) from None

    # --- end ---------------------------------------------------------------------------------------------------------

    async def _release(self, endpoint: Endpoint) -> None:
        if pending := self.withdraw(endpoint, self._held_by(endpoint)):
            message = f"waiting for {self.waiting_for(pending)} to let go"
            await self.report(endpoint, Phase.TERMINATING, "WaitingForHosts", message)
            return
        await self._allocator.release(endpoint)
        await self.let_go(endpoint)

    def _held_by(self, endpoint: Endpoint) -> Iterable[int]:
        """Hosts that may hold something of an endpoint: its own and those of its subnet's bouncers."""
        if endpoint.status.address is None:
            return
        droplet = self._droplets.get(ObjectKey("", "", endpoint.spec.droplet))
        host = None if droplet is None else address_of(droplet)
        if host is not None:
            yield int(host)
        for bouncer in self._bouncers.by_index(BY_PARENT, _subnet_key(endpoint)):
            if bouncer.status.address is not None:
                yield int(bouncer.status.address)

    # --- events ------------------------------------------------------------------------------------------------------

    def _subnet_changed(self, old: Subnet | None, new: Subnet | None) -> None:
        """Endpoints that wait for a subnet look again; those that are wired only if the subnet itself is another."""
        subnet = new or old
        assert subnet is not None
        everybody = old is not None and new is not None and old.spec.cidr != new.spec.cidr
        for endpoint in self.informer.by_index(BY_SUBNET, ObjectKey.of(subnet)):
            if everybody or endpoint.status.phase is not Phase.PROVISIONED:
                self.context.enqueue(ObjectKey.of(endpoint))

    def _droplet_changed(self, old: Droplet | None, new: Droplet | None) -> None:
        """Endpoints that wait for a host look again; those that are wired only if the host comes, goes or moves."""
        droplet = new or old
        assert droplet is not None
        everybody = old is None or new is None or is_usable(old) != is_usable(new) or address_of(old) != address_of(new)
        for endpoint in self.informer.by_index(BY_HOST, droplet.metadata.name):
            if everybody or endpoint.status.phase is not Phase.PROVISIONED:
                self.context.enqueue(ObjectKey.of(endpoint))

    def _allocation_changed(self, old: Allocation | None, new: Allocation | None) -> None:
        if new is None and old is not None:
            for key in self._waiting_for_value.get(old.spec.pool, ()):
                self.context.enqueue(key)
        elif old is None and new is not None and new.spec.holder.kind == Endpoint.KIND:
            # Perhaps another instance's, which lost the race for the status: one of the two must be given back.
            holder = new.spec.holder
            self.context.enqueue(ObjectKey(holder.tenant, holder.namespace, holder.name))


def _subnet_key(endpoint: Endpoint) -> ObjectKey:
    return ObjectKey(endpoint.metadata.tenant, "", endpoint.spec.subnet)
