# SPDX-License-Identifier: Apache-2.0
"""What carries the packets of a lab: hosts, workloads, and questions put from inside a workload.

`namespaced.NamespaceSubstrate` makes network namespaces and real packets; `simulated.SimulatedSubstrate` passes frames
between user-space data planes. `Lab` and the demo know only this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Protocol

from cloudfabric.networking.dataplane.protocol import Dataplane, HostFacts

__all__ = ["IDENTITY_PORT", "WORKLOAD_MTU_MARGIN", "Substrate", "Workload"]

IDENTITY_PORT = 7000
"""TCP port on which every workload of a lab answers with its own name."""

WORKLOAD_MTU_MARGIN = 70
"""Bytes that a workload's MTU stays below the underlay's: outer headers with every option there may be."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload as it is wired to its host.

    Args:
        tenant: that it belongs to.
        namespace: of its Endpoint object.
        name: of its Endpoint object.
        vni: of its VPC.
        host: name of the droplet it runs on.
        interface: name of its interface's other end, on the host.
        address: with the prefix length of its subnet.
        gateway: of its subnet.
        mac: 6 bytes.
        mtu: of its interface, in bytes.
    """

    tenant: str
    namespace: str
    name: str
    vni: int
    host: str
    interface: str
    address: IPv4Interface
    gateway: IPv4Address
    mac: bytes
    mtu: int

    @property
    def identity(self) -> str:
        """What it answers when asked who it is: "red/web-1", with its namespace unless that is the default."""
        middle = "" if self.namespace in ("", "default") else f"{self.namespace}/"
        return f"{self.tenant}/{middle}{self.name}"


class Substrate(Protocol):
    """Hosts joined by an underlay, workloads on them, and what workloads can see."""

    @property
    def kind(self) -> str:
        """ "kernel" or "user space"."""
        ...

    async def add_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Make hosts and join them to the underlay."""
        ...

    def dataplane(self, host: str) -> Dataplane:
        """Return the data plane of a host that was added."""
        ...

    async def add_workload(self, workload: Workload) -> None:
        """Make a workload and its interface, and let it answer on IDENTITY_PORT."""
        ...

    async def remove_workload(self, workload: Workload) -> None:
        """Remove a workload and its interface."""
        ...

    async def ping(self, source: Workload, address: IPv4Address, wait: float) -> float | None:
        """Send an ICMP echo request from a workload; return the round-trip time in s, None if none came in `wait` s."""
        ...

    async def identify(self, source: Workload, address: IPv4Address, wait: float) -> str | None:
        """Ask over TCP, from a workload, who has an address; return its identity, None if none came in `wait` s."""
        ...

    async def close(self) -> None:
        """Close what is open; what outlives a process is `cleanup.remove`'s to delete."""
        ...
