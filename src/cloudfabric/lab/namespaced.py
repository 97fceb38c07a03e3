# SPDX-License-Identifier: Apache-2.0
"""The substrate with real packets: a network namespace per host and per workload.

                                 cf-<fabric>-_underlay
                                  [ bridge `switch` ]
                        veth /            | veth            \\ veth
          cf-<fabric>-host-1 `uplink`   host-2 `uplink`   host-3 `uplink`
                     | veth cf<uid>
          cf-<fabric>-red_web-1 `eth0`

No interface ever stands in the namespace of the caller. Every namespace is written into the state directory before it
is made. Netlink requests of a host run in its own thread, so hosts are made side by side.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import ParamSpec, TypeVar

from cloudfabric.lab import identity, names
from cloudfabric.lab.icmp import EchoSocket
from cloudfabric.lab.identity import IdentityServer
from cloudfabric.lab.state import StateDirectory
from cloudfabric.lab.substrate import Workload
from cloudfabric.networking.dataplane import namespaces
from cloudfabric.networking.dataplane.kernel import KernelDataplane
from cloudfabric.networking.dataplane.links import Links
from cloudfabric.networking.dataplane.namespaces import NamespaceError, NamespaceExecutor
from cloudfabric.networking.dataplane.protocol import HostFacts

__all__ = ["UNDERLAY_PREFIX_LENGTH", "NamespaceSubstrate"]

UNDERLAY_PREFIX_LENGTH = 16

_SWITCH = "switch"

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Probes:
    """Sockets inside a workload's namespace: one that pings, one that answers who it is."""

    echo: EchoSocket
    listener: socket.socket
    server: IdentityServer


class NamespaceSubstrate:
    """Hosts and workloads as network namespaces of this machine.

    Args:
        state: the fabric's directory, in which everything is written down.
    """

    kind = "kernel"

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._underlay = names.underlay(state.name)
        self._hosts: dict[str, NamespaceExecutor] = {}
        self._dataplanes: dict[str, KernelDataplane] = {}
        self._probes: dict[str, _Probes] = {}
        self._visitor = ThreadPoolExecutor(1, "netns-visitor")  # enters one workload after the other

    async def add_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Make the hosts' namespaces, the switch if there is none yet, and the links between them."""
        spaces = {facts.name: names.host(self._state.name, facts.name) for facts in hosts}
        first = not self._hosts
        mtu = max(facts.mtu for facts in hosts)
        await self._create([*([self._underlay] if first else []), *spaces.values()])
        if first:
            await self._visit(self._underlay, _make_switch, mtu)
        for facts in hosts:
            self._hosts[facts.name] = NamespaceExecutor(spaces[facts.name])
        ports = {f"port-{number}": facts for number, facts in enumerate(hosts, start=len(self._dataplanes) + 1)}
        await self._visit(self._underlay, _plug_in, ports, spaces)
        await asyncio.gather(*(self._hosts[facts.name].run(_configure_host, facts) for facts in hosts))
        for facts in hosts:
            pins = self._state.bpf / facts.name
            self._dataplanes[facts.name] = KernelDataplane(facts, self._hosts[facts.name], pins)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts that were added."""
        return tuple(self._dataplanes)

    def dataplane(self, host: str) -> KernelDataplane:
        """Return the data plane of a host that was added."""
        return self._dataplanes[host]

    def executor(self, host: str) -> NamespaceExecutor:
        """Return the thread inside a host that was added."""
        return self._hosts[host]

    def namespace(self, workload: Workload) -> str:
        """Return the name of a workload's network namespace."""
        return names.workload(self._state.name, workload.tenant, workload.namespace, workload.name)

    async def add_workload(self, workload: Workload) -> None:
        """Make a workload's namespace and interface; the host's data plane sees the interface appear."""
        space = self.namespace(workload)
        await self._create([space])
        await self._hosts[workload.host].run(_add_interface, workload, space)
        await self._visit(space, self._configure_workload, workload, space)
        await self._probes[space].server.start(self._probes[space].listener)

    async def remove_workload(self, workload: Workload) -> None:
        """Remove a workload's interface and namespace."""
        space = self.namespace(workload)
        self._close_probes(space)
        await self._hosts[workload.host].run(_delete_interface, workload.interface)
        await asyncio.to_thread(namespaces.delete, space)
        self._state.forget_namespace(space)

    async def ping(self, source: Workload, address: IPv4Address, wait: float) -> float | None:
        """Send one ICMP echo request from a workload; see `Substrate`."""
        return await self._probes[self.namespace(source)].echo.ping(address, wait)

    async def identify(self, source: Workload, address: IPv4Address, wait: float) -> str | None:
        """Ask over TCP who has an address; see `Substrate`."""
        connecting = self._submit(self.namespace(source), identity.connecting_socket)
        try:
            connection = await asyncio.wrap_future(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_result)
            raise
        return await identity.ask(connection, address, wait)

    async def close(self) -> None:
        """Close sockets and threads; the namespaces stay."""
        for pool in (self._visitor.shutdown, *(host.close for host in self._hosts.values())):
            await asyncio.to_thread(pool)  # a call that was cancelled may still be under way in the thread
        self._hosts.clear()
        for space in tuple(self._probes):
            self._close_probes(space)

    def _close_probes(self, space: str) -> None:
        probes = self._probes.pop(space, None)
        if probes is not None:
            probes.echo.close()
            probes.server.close()
            probes.listener.close()

    def _configure_workload(self, workload: Workload, space: str) -> None:
        """Set up the inside of a workload's namespace; the calling thread is in it."""
        with Links() as links:
            links.set_up("lo")
            links.add_address("eth0", workload.address.ip, workload.address.network.prefixlen)
            links.set_up("eth0")
            links.add_default_route(workload.gateway)
        self._probes[space] = _Probes(EchoSocket(), identity.listening_socket(), IdentityServer(workload.identity))

    async def _create(self, wanted: Sequence[str]) -> None:
        for name in wanted:
            if namespaces.exists(name):  # somebody else's: it must not get into our books
                raise NamespaceError("create", name, errno.EEXIST)
        self._state.record_namespaces(wanted)
        await asyncio.wrap_future(self._visitor.submit(namespaces.create, wanted))  # `close` waits for this thread

    async def _visit(self, space: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function inside a namespace that has no thread of its own."""
        return await asyncio.wrap_future(self._submit(space, function, *args, **kwargs))

    def _submit(self, space: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def call() -> T:
            with namespaces.entered(space):
                return function(*args, **kwargs)

        return self._visitor.submit(call)


def _close_result(done: "Future[socket.socket]") -> None:
    """Close a socket that was made for somebody who does not wait for it any more."""
    if not done.cancelled() and done.exception() is None:
        done.result().close()


def _make_switch(mtu: int) -> None:
    with Links() as links:
        links.add_bridge(_SWITCH, mtu=mtu)


def _plug_in(ports: Mapping[str, HostFacts], spaces: Mapping[str, str]) -> None:
    with Links() as links:
        for port, facts in ports.items():
            links.add_veth(port, facts.uplink, spaces[facts.name], mtu=facts.mtu)
            links.set_master(port, _SWITCH)


def _configure_host(facts: HostFacts) -> None:
    with Links() as links:
        links.set_up("lo")
        links.add_address(facts.uplink, facts.address, UNDERLAY_PREFIX_LENGTH)
        links.set_up(facts.uplink)


def _add_interface(workload: Workload, space: str) -> None:
    with Links() as links:
        links.add_veth(workload.interface, "eth0", space, mtu=workload.mtu, peer_mac=workload.mac)


def _delete_interface(name: str) -> None:
    with Links() as links:
        links.delete(name)
