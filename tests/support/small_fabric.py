# SPDX-License-Identifier: Apache-2.0
"""A small fabric on either substrate: two tenants with equal addresses, wired by hand as the control side would."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from cloudfabric.lab.substrate import Substrate, Workload
from cloudfabric.networking.dataplane.protocol import Dataplane, HostFacts
from cloudfabric.networking.goalstate import DIVIDERS, Entry, Group, KnownHost, LocalEndpoint, Member, Route

HOSTS = {f"host-{number}": IPv4Address(f"172.30.0.{number}") for number in (1, 2, 3)}
BOUNCER = {1: "host-2", 2: "host-3"}  # of each subnet, by segment
DIVIDER = "host-1"


def workload(tenant: str, name: str, vni: int, host: str, address: str) -> Workload:
    """A workload in subnet 10.0.<segment>.0/24."""
    interface = IPv4Interface(f"{address}/24")
    gateway = IPv4Address(interface.network.network_address + 1)
    mac = b"\x02\xcf" + bytes([vni]) + interface.packed[1:4]
    return Workload(tenant, "default", name, vni, host, f"cf-{tenant}-{name}", interface, gateway, mac, 1430)


WORKLOADS = (
    workload("red", "web", 5, "host-1", "10.0.1.10"),
    workload("red", "api", 5, "host-1", "10.0.1.11"),
    workload("red", "db", 5, "host-3", "10.0.2.10"),
    workload("blue", "web", 6, "host-2", "10.0.1.10"),
    workload("blue", "db", 6, "host-3", "10.0.2.20"),
)


def segment_of(member: Workload) -> int:
    return member.address.packed[2]


def goal_states(workloads: tuple[Workload, ...]) -> dict[str, list[Entry]]:
    """What each host must hold for these workloads."""
    states: dict[str, dict[object, Entry]] = {name: {} for name in HOSTS}

    def give(host: str, *entries: Entry) -> None:
        states[host].update({entry.key: entry for entry in entries})

    for name in HOSTS:
        give(name, *(KnownHost(int(address)) for address in HOSTS.values()))
    for member in workloads:
        vni, address, segment = member.vni, int(member.address.ip), segment_of(member)
        bouncer = BOUNCER[segment]
        group = Group(vni, segment, (int(HOSTS[bouncer]),))
        give(member.host, LocalEndpoint(vni, address, 24, segment, member.mac, member.interface, member.name), group)
        give(bouncer, Member(vni, address, int(HOSTS[member.host])), Group(vni, DIVIDERS, (int(HOSTS[DIVIDER]),)))
        give(DIVIDER, Route(vni, int(member.address.network.network_address), 24, segment), group)
    return {name: list(entries.values()) for name, entries in states.items()}


@dataclass(frozen=True)
class SmallFabric:
    """Three hosts, two tenants, five workloads."""

    substrate: Substrate
    workloads: tuple[Workload, ...]

    @property
    def dataplanes(self) -> Mapping[str, Dataplane]:
        return {name: self.substrate.dataplane(name) for name in HOSTS}

    def named(self, identity: str) -> Workload:
        [found] = [member for member in self.workloads if member.identity == identity]
        return found


async def small_fabric(substrate: Substrate) -> SmallFabric:
    """Build it, and return when every workload is wired."""
    await substrate.add_hosts([HostFacts(name, address) for name, address in HOSTS.items()])
    for name, entries in goal_states(WORKLOADS).items():
        await substrate.dataplane(name).open()
        assert await substrate.dataplane(name).replace(entries) == ()
    for member in WORKLOADS:
        await substrate.add_workload(member)
    for name in HOSTS:
        await substrate.dataplane(name).settled()
    return SmallFabric(substrate, WORKLOADS)
