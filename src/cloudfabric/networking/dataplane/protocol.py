# SPDX-License-Identifier: Apache-2.0
"""What an agent asks of one host's data plane, whichever way packets are carried there.

`kernel.KernelDataplane` writes BPF maps and attaches programs; `userspace.UserSpaceDataplane` does the same to the
user-space twin of those programs. Entries are those of the goal state; nothing here knows how they are encoded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.goalstate import Entry, Failure, Key

__all__ = ["GATEWAY_MAC", "Dataplane", "EndpointCounters", "HostFacts", "NotWired"]

GATEWAY_MAC = bytes.fromhex("02cf00000001")
"""What every workload sees as the owner of every other address; the same everywhere, so migration changes nothing."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the programs of a host must know about it.

    Args:
        name: of the host, for people.
        address: on the underlay.
        uplink: name of the interface to the underlay.
        mtu: of the underlay, in bytes, without the Ethernet header.
        ttl: of the outer headers.
    """

    name: str
    address: IPv4Address
    uplink: str = "uplink"
    mtu: int = 1500
    ttl: int = 64


@dataclass(frozen=True, slots=True)
class EndpointCounters:
    """What an endpoint has sent and received since it was wired, in packets and in bytes of Ethernet frames.

    Args:
        tx_packets: sent by the workload and accepted.
        tx_bytes: of those.
        rx_packets: delivered to the workload.
        rx_bytes: of those.
        dropped: packets that the workload sent and that were refused.
    """

    tx_packets: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    rx_bytes: int = 0
    dropped: int = 0


class NotWired(Exception):
    """Local endpoints whose interface exists could not be wired.

    Args:
        host: name of their host.
        failures: which, and why.
    """

    def __init__(self, host: str, failures: tuple[Failure, ...]) -> None:
        super().__init__(f"host {host}: " + "; ".join(f"{failure.key}: {failure.reason}" for failure in failures))
        self.host = host
        self.failures = failures


class Dataplane(Protocol):
    """One host's data plane. Calls for one host do not overlap."""

    @property
    def facts(self) -> HostFacts:
        """The host that it works for."""
        ...

    async def open(self) -> None:
        """Begin, taking over what an earlier process left running."""
        ...

    async def close(self) -> None:
        """Stop looking after the host; packets keep flowing where the data plane outlives its process."""
        ...

    async def apply(self, upserts: Sequence[Entry], deletes: Sequence[Key]) -> tuple[Failure, ...]:
        """Write entries and remove keys, and return those that could not be."""
        ...

    async def replace(self, entries: Sequence[Entry]) -> tuple[Failure, ...]:
        """Make `entries` the whole state, writing only what differs, and return those that could not be written."""
        ...

    async def settled(self) -> None:
        """Wait until the interface of every local endpoint exists and is wired; raises NotWired if one cannot be."""
        ...

    async def verdicts(self) -> Mapping[Verdict, int]:
        """Return how many packets met each verdict so far."""
        ...

    async def endpoint_counters(self) -> Mapping[tuple[int, int], EndpointCounters]:
        """Return the counters of each endpoint of this host, by (VNI, address)."""
        ...

    async def forget_learnt(self) -> None:
        """Forget all direct paths, so that the next packet of every pair meets a bouncer again."""
        ...
