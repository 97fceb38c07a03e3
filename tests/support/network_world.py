# SPDX-License-Identifier: Apache-2.0
"""A fabric whose hosts only remember: the control side as it is, and agents that follow the protocol to the letter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from cloudfabric.controllers import Clock
from cloudfabric.fabric import Fabric
from cloudfabric.models import (
    VPC,
    Bouncer,
    Condition,
    Divider,
    Droplet,
    DropletSpec,
    Endpoint,
    EndpointSpec,
    Object,
    ObjectMeta,
    PhasedStatus,
    Subnet,
    SubnetSpec,
    VPCSpec,
)
from cloudfabric.networking.goalstate import (
    Acknowledgement,
    Delta,
    Entry,
    Failure,
    GoalState,
    Key,
    VersionMismatch,
)
from cloudfabric.networking.operators import NetworkControllers
from cloudfabric.store import NotFound

T = TypeVar("T", bound=Object)
E = TypeVar("E", bound=Entry)


def _nothing(key: Key) -> str:
    return ""


@dataclass
class RecordingHost:
    """An agent that remembers its goal state.

    Args:
        name: Of its Droplet.
        address: Of its uplink.
    """

    name: str
    address: int
    state: GoalState = field(default_factory=GoalState)
    told: list[Delta] = field(default_factory=list)
    changes: list[Delta] = field(default_factory=list)
    down: Exception | None = None
    connections: int = 0
    refuses: Callable[[Key], str] = _nothing

    def __post_init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()

    async def apply(self, delta: Delta) -> Acknowledgement:
        if self.down is not None:
            raise self.down
        self.told.append(delta)
        try:
            changes = self.state.changes(delta)
        except VersionMismatch as mismatch:
            return Acknowledgement(self.address, mismatch.held)
        keys = (*(entry.key for entry in changes.upserts), *changes.deletes)
        failures = tuple(Failure(key, reason) for key in keys if (reason := self.refuses(key)))
        self.changes.append(self.state.apply(delta, {failure.key for failure in failures}))
        await self.answers.wait()
        return Acknowledgement(self.address, delta.version, failures)

    async def resync(self) -> int:
        if self.down is not None:
            raise self.down
        self.connections += 1
        return self.state.version

    def restart(self) -> None:
        """Lose everything."""
        self.state = GoalState()

    def of(self, sort: type[E]) -> list[E]:
        """The entries of one sort that it holds."""
        return [entry for entry in self.state if isinstance(entry, sort)]


class RecordingHosts:
    """Finds recording hosts by the names of their Droplets."""

    def __init__(self) -> None:
        self.by_name: dict[str, RecordingHost] = {}

    def __getitem__(self, number: int) -> RecordingHost:
        return self.by_name[f"node-{number}"]

    def __iter__(self) -> Iterator[RecordingHost]:
        return iter(self.by_name.values())

    async def connect(self, droplet: str) -> RecordingHost:
        try:
            return self.by_name[droplet]
        except KeyError:
            raise ConnectionRefusedError(f"{droplet} has no agent") from None


class World:
    """A fabric with recording hosts, and short ways to say what tests say."""

    def __init__(self, fabric: Fabric, hosts: RecordingHosts, network: NetworkControllers) -> None:
        self.fabric = fabric
        self.client = fabric.client
        self.hosts = hosts
        self.controllers = network

    # --- making things -----------------------------------------------------------------------------------------------

    async def droplet(self, number: int, *, bouncer: bool = True, divider: bool = True, agent: bool = True) -> Droplet:
        address = IPv4Address(f"172.16.0.{number + 1}")
        if agent:
            self.hosts.by_name.setdefault(f"node-{number}", RecordingHost(f"node-{number}", int(address)))
        spec = DropletSpec(address=address, bouncer=bouncer, divider=divider)
        return await self.client.create(Droplet(metadata=ObjectMeta(name=f"node-{number}"), spec=spec))

    async def vpc(self, path: str = "red/main", *cidrs: str, dividers: int = 1) -> VPC:
        tenant, name = path.split("/")
        networks = tuple(IPv4Network(cidr) for cidr in cidrs or ("10.0.0.0/16",))
        spec = VPCSpec(cidrs=networks, dividers=dividers)
        return await self.client.create(VPC(metadata=ObjectMeta(tenant=tenant, name=name), spec=spec))

    async def subnet(
        self, path: str = "red/web", cidr: str = "10.0.0.0/24", *, vpc: str = "main", bouncers: int = 1
    ) -> Subnet:
        tenant, name = path.split("/")
        spec = SubnetSpec(vpc=vpc, cidr=IPv4Network(cidr), bouncers=bouncers)
        return await self.client.create(Subnet(metadata=ObjectMeta(tenant=tenant, name=name), spec=spec))

    async def endpoint(
        self,
        path: str,
        host: int = 0,
        *,
        subnet: str = "web",
        address: str | None = None,
        mac: str | None = None,
    ) -> Endpoint:
        tenant, name = path.split("/")
        spec = EndpointSpec(
            subnet=subnet, droplet=f"node-{host}", address=None if address is None else IPv4Address(address), mac=mac
        )
        meta = ObjectMeta(tenant=tenant, namespace="default", name=name)
        return await self.client.create(Endpoint(metadata=meta, spec=spec))

    async def small(self, hosts: int = 3, *, bouncers: int = 1, dividers: int = 1) -> None:
        """Hosts, one VPC and one subnet."""
        for number in range(hosts):
            await self.droplet(number)
        await self.vpc(dividers=dividers)
        await self.subnet(bouncers=bouncers)

    # --- looking -----------------------------------------------------------------------------------------------------

    async def get(self, kind: type[T], path: str) -> T:
        """An object by "name" or "tenant/name"; endpoints are in the namespace "default"."""
        tenant, _, name = path.rpartition("/")
        return await self.client.get(kind, name, tenant=tenant, namespace="default" if kind is Endpoint else "")

    async def all(self, kind: type[T]) -> tuple[T, ...]:
        return (await self.client.list(kind)).items

    async def gone(self, kind: type[Object], path: str) -> bool:
        try:
            await self.get(kind, path)
        except NotFound:
            return True
        return False

    async def phase(self, kind: type[Object], path: str) -> str:
        status = (await self.get(kind, path)).status
        assert isinstance(status, PhasedStatus)
        return status.phase.value

    async def ready(self, kind: type[Object], path: str) -> Condition:
        """The condition Ready of an object."""
        return await self.condition(kind, path, "Ready")

    async def condition(self, kind: type[Object], path: str, type: str) -> Condition:
        status = (await self.get(kind, path)).status
        assert isinstance(status, PhasedStatus)
        return next(condition for condition in status.conditions if condition.type == type)

    async def address(self, path: str) -> str:
        return str((await self.get(Endpoint, path)).status.address)

    async def unprovisioned(self) -> list[str]:
        """Objects that are not Provisioned, with the reason."""
        kinds = (Droplet, VPC, Subnet, Bouncer, Divider, Endpoint)
        return [
            f"{obj.KIND} {obj.metadata.path}: {obj.status.phase} {[c.message for c in obj.status.conditions]}"
            for kind in kinds
            for obj in await self.all(kind)
            if isinstance(obj.status, PhasedStatus) and obj.status.phase.value != "Provisioned"
        ]

    # --- changing ----------------------------------------------------------------------------------------------------

    async def edit(self, kind: type[T], path: str, **spec: object) -> T:
        return await self.client.update((await self.get(kind, path)).with_spec(**spec))

    async def delete(self, kind: type[Object], path: str) -> None:
        tenant, _, name = path.rpartition("/")
        await self.client.delete(kind, name, tenant=tenant, namespace="default" if kind is Endpoint else "")

    # --- waiting -----------------------------------------------------------------------------------------------------

    async def idle(self) -> None:
        await self.fabric.idle(20)

    async def reported(self, kind: type[T], path: str, phase: str) -> T:
        """Wait until an object reports a phase."""
        async with asyncio.timeout(20):
            listed = await self.client.list(kind)
            async with self.client.watch(kind, resource_version=listed.resource_version) as watch:
                obj = await self.get(kind, path)
                while not isinstance(obj.status, PhasedStatus) or obj.status.phase.value != phase:
                    event = await anext(watch)
                    if event.object.metadata.uid == obj.metadata.uid:
                        obj = event.object
                return obj

    async def turns(self, count: int = 200) -> None:
        """Let everything that can happen happen, without waiting for anything."""
        for _ in range(count):
            await asyncio.sleep(0)


@asynccontextmanager
async def opened(
    url: str = "memory://", hosts: RecordingHosts | None = None, clock: Clock | None = None
) -> AsyncIterator[World]:
    """A fabric with the network's controllers, over hosts that may be there from before."""
    registry = RecordingHosts() if hosts is None else hosts
    async with Fabric.open(url, clock=clock) as fabric:
        network = NetworkControllers(registry)
        fabric.add(network)
        yield World(fabric, registry, network)
