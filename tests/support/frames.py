# SPDX-License-Identifier: Apache-2.0
"""Frames and tables for tests of the data plane: one small fabric, seen from host 1.

    tenant's VPC (VNI 7): subnet 1 = 10.0.1.0/24, subnet 2 = 10.0.2.0/24
    host 1 (172.30.0.1): endpoint 10.0.1.2 at interface 3, endpoint 10.0.1.3 at interface 4
    hosts 2 to 4:        whatever a test's tables say

scapy builds the frames, so that they are right independently of the code that is tested.
"""

import struct
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from itertools import count
from typing import Protocol

from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from cloudfabric._fastpath.layout import MAGLEV_SLOTS

VNI = 7
OTHER_VNI = 8
GATEWAY_MAC = "02:cf:00:00:00:01"
UPLINK, FIRST, SECOND = 2, 3, 4  # interface indexes
MTU = 1500
HOSTS = {number: f"172.30.0.{number}" for number in range(1, 5)}
OPTION_CLASS = 0xFFCF
BOUNCE = 1


def mac_of(address: str) -> str:
    """The MAC address of the endpoint with an inner address."""
    return "02:cf:" + ":".join(f"{octet:02x}" for octet in ip_address(address).packed)


class WritableMap(Protocol):
    """What tables are written to: a map of the kernel or of user space."""

    def update(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> bool: ...
    def lookup(self, key: bytes) -> bytes | None: ...


class Tables:
    """Writes a host's maps from readable values, by the layout that types.h describes."""

    _generations = count(1)

    def __init__(self, maps: Mapping[str, WritableMap]) -> None:
        self.maps = maps

    def configure(self, *, host: int = 1, uplink: int = UPLINK, mtu: int = MTU) -> None:
        generation = next(self._generations)
        value = packed(HOSTS[host]) + struct.pack("=III", uplink, mtu, generation) + mac(GATEWAY_MAC) + bytes([64, 0])
        self.maps["config"].update(struct.pack("=I", 0), value)

    def endpoint(
        self, address: str, interface: int, *, vni: int = VNI, segment: int = 1, slot: int = 0, prefix: int = 24
    ) -> None:
        hardware = mac(mac_of(address))
        netmask = ip_network(f"0.0.0.0/{prefix}").netmask.packed
        self.maps["endpoints"].update(key(vni, address), struct.pack("=II6sH", interface, slot, hardware, 0))
        self.maps["interfaces"].update(
            struct.pack("=I", interface),
            struct.pack("=I4s4sII6sH", vni, packed(address), netmask, segment, slot, hardware, 0),
        )

    def member(self, address: str, host: int, *, vni: int = VNI) -> None:
        self.maps["members"].update(key(vni, address), packed(HOSTS[host]))

    def learnt(self, address: str, host: int, *, vni: int = VNI) -> None:
        self.maps["learnt"].update(key(vni, address), packed(HOSTS[host]))

    def learnt_host(self, address: str, *, vni: int = VNI) -> str | None:
        value = self.maps["learnt"].lookup(key(vni, address))
        return None if value is None else str(ip_address(value))

    def known_hosts(self, *hosts: int) -> None:
        for host in hosts:
            self.maps["hosts"].update(packed(HOSTS[host]), bytes(4))

    def forget_host(self, host: int) -> None:
        self.maps["hosts"].delete(packed(HOSTS[host]))
        self.configure()

    def route(self, network: str, segment: int, *, vni: int = VNI) -> None:
        parsed = ip_network(network)
        self.maps["routes"].update(
            struct.pack("=I", 32 + parsed.prefixlen) + struct.pack(">I", vni) + parsed.network_address.packed,
            struct.pack("=I", segment),
        )

    def group(self, segment: int, host: int, *, vni: int = VNI) -> None:
        """One host in every slot, so that the choice does not depend on the flow."""
        self.maps["groups"].update(struct.pack("=II", vni, segment), packed(HOSTS[host]) * MAGLEV_SLOTS)


def packed(address: str) -> bytes:
    return ip_address(address).packed


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def key(vni: int, address: str) -> bytes:
    return struct.pack("=I", vni) + packed(address)


def inner(source: str = "10.0.1.2", destination: str = "10.0.2.9", **ip: object) -> Packet:
    """A workload's UDP packet as it leaves the workload: to the gateway's MAC."""
    sport = ip.pop("sport", 40000)
    payload = ip.pop("payload", b"payload")
    return (
        Ether(src=mac_of(source), dst=GATEWAY_MAC)
        / IP(src=source, dst=destination, **ip)
        / UDP(sport=sport, dport=53)
        / Raw(payload)
    )


def arp(asked: str, *, source: str = "10.0.1.2", sender: str | None = None, op: int = 1) -> Packet:
    hardware = mac_of(source)
    return Ether(src=hardware, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=op, hwsrc=hardware, psrc=source if sender is None else sender, hwdst="00:00:00:00:00:00", pdst=asked
    )


def tunnel(
    frame: Packet | bytes,
    *,
    source: int = 2,
    destination: int = 1,
    vni: int = VNI,
    stage: int = 0,
    sender: int = 2,
    control: bool = False,
    options: bytes = b"",
    **ip: object,
) -> Packet:
    """A Geneve packet between two hosts; with a stage it carries the bounce option."""
    raw = [Raw(options)] if options else []
    geneve = GENEVE(proto=0x6558, vni=vni, oam=int(control))
    if stage:
        data = packed(HOSTS[sender]) + bytes([stage, 0, 0, 0])
        geneve.options = [GeneveOptions(classid=OPTION_CLASS, type=BOUNCE, length=2, data=data)]
    elif options:
        geneve.optionlen = len(options) // 4
        geneve.options = raw
    return (
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        / IP(**({"src": HOSTS[source], "dst": HOSTS[destination], "flags": "DF", "id": 0} | ip))
        / UDP(sport=50000, dport=6081, chksum=0)
        / geneve
        / Raw(bytes(frame))
    )
