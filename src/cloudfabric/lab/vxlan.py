# SPDX-License-Identifier: Apache-2.0
"""The peer that the demo measures CloudFabric against: the kernel's own VXLAN and bridge, on the same underlay links.

Two hosts of the lab each get a VXLAN interface over their uplink, a bridge, and one workload plugged into it by veth:
what a person would set up by hand. All of it goes when the `with` block ends.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from cloudfabric.lab import names
from cloudfabric.lab.namespaced import NamespaceSubstrate
from cloudfabric.lab.state import StateDirectory
from cloudfabric.networking.dataplane import namespaces
from cloudfabric.networking.dataplane.links import Links
from cloudfabric.networking.dataplane.protocol import HostFacts

__all__ = ["VxlanBed", "vxlan_bed"]

_VNI = 4096
_OVERHEAD = 50  # outer IPv4, UDP, VXLAN and inner Ethernet headers (RFC 7348)
_PREFIX_LENGTH = 24
_ADDRESSES = (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))
_TUNNEL, _BRIDGE, _PORT = "vxlan-peer", "vxlan-bridge", "vxlan-port"


@dataclass(frozen=True, slots=True)
class VxlanBed:
    """Two workloads joined by the kernel's VXLAN: their namespaces, and the second one's address."""

    client: str
    server: str
    address: IPv4Address


@asynccontextmanager
async def vxlan_bed(
    state: StateDirectory, substrate: NamespaceSubstrate, hosts: tuple[HostFacts, HostFacts]
) -> AsyncIterator[VxlanBed]:
    """Set the peer up between two hosts of a lab, and take it down again."""
    spaces = [names.host(state.name, f"_vxlan-{number}") for number in (1, 2)]
    state.record_namespaces(spaces)
    try:
        await asyncio.to_thread(namespaces.create, spaces)
        for index, facts in enumerate(hosts):
            executor = substrate.executor(facts.name)
            await executor.run(_add_host_side, facts, hosts[1 - index].address, spaces[index])
            await asyncio.to_thread(_configure_workload, spaces[index], _ADDRESSES[index])
        yield VxlanBed(spaces[0], spaces[1], _ADDRESSES[1])
    finally:
        await asyncio.shield(_remove(state, substrate, hosts, spaces))


async def _remove(
    state: StateDirectory, substrate: NamespaceSubstrate, hosts: Sequence[HostFacts], spaces: Sequence[str]
) -> None:
    for facts in hosts:
        await substrate.executor(facts.name).run(_delete_host_side)
    for space in spaces:
        await asyncio.to_thread(namespaces.delete, space)
        state.forget_namespace(space)


def _add_host_side(facts: HostFacts, remote: IPv4Address, space: str) -> None:
    mtu = facts.mtu - _OVERHEAD
    with Links() as links:
        links.add_vxlan(_TUNNEL, vni=_VNI, local=facts.address, remote=remote, device=facts.uplink, mtu=mtu)
        links.add_bridge(_BRIDGE, mtu=mtu)
        links.add_veth(_PORT, "eth0", space, mtu=mtu)
        links.set_master(_TUNNEL, _BRIDGE)
        links.set_master(_PORT, _BRIDGE)


def _delete_host_side() -> None:
    with Links() as links:
        for name in (_PORT, _TUNNEL, _BRIDGE):
            links.delete(name)


def _configure_workload(space: str, address: IPv4Address) -> None:
    with namespaces.entered(space), Links() as links:
        links.add_address("eth0", address, _PREFIX_LENGTH)
        links.set_up("eth0")
