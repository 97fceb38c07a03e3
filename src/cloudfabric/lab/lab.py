# SPDX-License-Identifier: Apache-2.0
"""A whole fabric on this machine: from the objects of a manifest to workloads that reach one another, and back.

`Lab.up` goes through phases, each of which is timed and announced: check the manifest, make hosts, load their programs,
start store and controllers and write the objects, wait until every workload is wired. Whatever ends it early (an error,
a signal) takes down what was built so far. The objects are the only input: workloads follow the Endpoints, also those
that are created later through `Lab.client`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from cloudfabric.fabric import Fabric
from cloudfabric.lab import cleanup
from cloudfabric.lab.control import ControlSocket
from cloudfabric.lab.namespaced import NamespaceSubstrate
from cloudfabric.lab.plan import host_facts, in_order, plan
from cloudfabric.lab.readiness import NotReady, check_provisioned
from cloudfabric.lab.simulated import SimulatedSubstrate
from cloudfabric.lab.state import StateDirectory
from cloudfabric.lab.substrate import Substrate, Workload
from cloudfabric.lab.workload_controller import WorkloadController
from cloudfabric.models import Object, registered
from cloudfabric.networking.agent import HostAgent
from cloudfabric.networking.dataplane.protocol import Dataplane, HostFacts, NotWired
from cloudfabric.networking.delivery import HostRegistry
from cloudfabric.networking.goalstate import HostChannel
from cloudfabric.networking.operators import NetworkControllers
from cloudfabric.store import Client

__all__ = ["Lab", "Progress"]

Progress = Callable[[str], None]
"""Told what is being done, in words, before it is done."""

_READY = 60.0  # seconds


class Lab:
    """A running fabric. Made by `up`; an async context manager that ends with `down`.

    Attributes:
        state: what belongs to it, on disk.
        substrate: what carries its packets.
        hosts: by name.
        phases: what was done to build it, and how long each took in s.
    """

    def __init__(self, name: str, progress: Progress) -> None:
        self.name = name
        self.phases: list[tuple[str, float]] = []
        self.hosts: Mapping[str, HostFacts] = {}
        self.agents: dict[str, HostAgent] = {}
        self.state: StateDirectory
        self.substrate: Substrate
        self._progress = progress
        self._stack = AsyncExitStack()
        self._fabric: Fabric
        self._workloads: WorkloadController

    @classmethod
    async def up(
        cls,
        objects: Iterable[Object],
        *,
        name: str,
        user_space: bool = False,
        durable: bool = True,
        progress: Progress = lambda text: None,
    ) -> Self:
        """Build a fabric and return when every endpoint of it is reachable.

        Args:
            objects: of a manifest that is complete in itself.
            name: of the fabric; unique on this machine.
            user_space: carry packets in this process instead of the kernel.
            durable: keep the objects in LMDB (in the state directory) instead of in memory.
            progress: told about each phase.

        Raises:
            InvalidObject: the manifest breaks a rule; nothing was made.
            FabricExists: a fabric of this name runs.
            NotReady: an object was refused, or did not become ready in 60 s; nothing is left.
            OSError: the kernel refused something; nothing is left.
        """
        lab = cls(name, progress)
        try:
            await lab._build(tuple(objects), user_space, durable)
        except BaseException:
            await lab.down()
            raise
        return lab

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    @property
    def client(self) -> Client:
        """Access to the fabric's objects."""
        return self._fabric.client

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """The workloads, ordered by tenant, namespace and name."""
        return self._workloads.workloads

    @property
    def dataplanes(self) -> dict[str, Dataplane]:
        """The data planes by host."""
        return {name: agent.dataplane for name, agent in self.agents.items()}

    async def idle(self) -> None:
        """Wait until the controllers have followed everything that was written through `client`; raises NotIdle."""
        await self._fabric.idle()

    async def down(self) -> None:
        """End it and remove everything that it consisted of; harmless if it is down."""
        await self._stack.aclose()

    async def snapshot(self) -> dict[str, object]:
        """Return objects, phases and counters as plain data, for `cloudfabric status`."""
        objects = [obj for kind in registered() for obj in (await self.client.list(kind)).items]
        return {
            "name": self.name,
            "dataPlane": self.substrate.kind,
            "phases": dict(self.phases),
            "objects": [obj.to_wire() for obj in objects],
            "hosts": {name: await _host_snapshot(agent) for name, agent in self.agents.items()},
        }

    async def _build(self, objects: tuple[Object, ...], user_space: bool, durable: bool) -> None:
        async with self._phase("check the manifest"):
            planned = plan(objects)
            self.hosts = host_facts(planned)
            self.substrate = self._reserve(user_space)
            self._stack.push_async_callback(self.substrate.close)
        async with self._phase(f"make {len(self.hosts)} hosts and the links between them"):
            await self.substrate.add_hosts(tuple(self.hosts.values()))
        async with self._phase("load the hosts' programs; start store and controllers, write the objects"):
            await self._start(planned, durable)
        async with self._phase("wire the workloads"):
            await self._wait_until_ready()

    def _reserve(self, user_space: bool) -> Substrate:
        """Take the fabric's name; from here on `down` has something to remove."""
        cleanup.remove_if_abandoned(self.name)
        kind = SimulatedSubstrate.kind if user_space else NamespaceSubstrate.kind
        self.state = StateDirectory.create(self.name, data_plane=kind)
        self._stack.push_async_callback(asyncio.to_thread, cleanup.remove, self.state)
        if user_space:
            return SimulatedSubstrate()
        cleanup.mount_bpf(self.state.bpf)
        return NamespaceSubstrate(self.state)

    async def _start(self, objects: tuple[Object, ...], durable: bool) -> None:
        """Start agents and fabric side by side: the kernel's verifier takes as long as everything else together."""
        self.agents = {name: HostAgent(self.substrate.dataplane(name)) for name in self.hosts}
        for agent in self.agents.values():
            self._stack.push_async_callback(agent.stop)
        try:
            async with asyncio.TaskGroup() as group:
                starts = {name: group.create_task(agent.start()) for name, agent in self.agents.items()}
                await self._start_fabric(objects, durable, _LabHosts(self.agents, starts))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _start_fabric(self, objects: tuple[Object, ...], durable: bool, registry: HostRegistry) -> None:
        url = f"lmdb://{self.state.store}" if durable else "memory://"
        self._fabric = await self._stack.enter_async_context(Fabric.open(url))
        self._workloads = WorkloadController(self.substrate, self.hosts)
        self._fabric.add(NetworkControllers(registry), self._workloads)
        for group in in_order(objects):
            await asyncio.gather(*(self.client.create(obj) for obj in group))
        control = ControlSocket(self.state.control, self.snapshot)
        self._stack.push_async_callback(control.close)
        await control.start()

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(_READY):
                await self._fabric.idle()
                await check_provisioned(self.client)
                await asyncio.gather(*(dataplane.settled() for dataplane in self.dataplanes.values()))
        except TimeoutError as error:
            raise NotReady((str(error) or f"the workloads were not wired within {_READY:.0f} s",)) from error
        except NotWired as error:
            raise NotReady((str(error),)) from error

    @asynccontextmanager
    async def _phase(self, text: str) -> AsyncIterator[None]:
        self._progress(text)
        begun = time.perf_counter()
        yield
        self.phases.append((text, time.perf_counter() - begun))


class _LabHosts:
    """Finds a host's agent for the control side, once it has started.

    Args:
        agents: by host.
        starts: by host, what starts the agent.
    """

    def __init__(self, agents: Mapping[str, HostAgent], starts: Mapping[str, asyncio.Task[None]]) -> None:
        self._agents = agents
        self._starts = starts

    async def connect(self, droplet: str) -> HostChannel:
        """Return the agent; raises ConnectionError for a host that is not one of the lab's."""
        if droplet not in self._agents:
            raise ConnectionError(f"Droplet {droplet} is no host of this lab, which has {', '.join(self._agents)}")
        await asyncio.shield(self._starts[droplet])
        return self._agents[droplet]


async def _host_snapshot(agent: HostAgent) -> dict[str, object]:
    verdicts, counters = await agent.dataplane.verdicts(), await agent.dataplane.endpoint_counters()
    return {
        "address": str(agent.dataplane.facts.address),
        "version": agent.version,
        "verdicts": {verdict.name: count for verdict, count in verdicts.items() if count},
        "endpoints": [
            {"vni": vni, "address": str(IPv4Address(address)), **asdict(counted)}
            for (vni, address), counted in sorted(counters.items())
        ],
    }
