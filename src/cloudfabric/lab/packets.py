# SPDX-License-Identifier: Apache-2.0
"""Frames of simulated workloads: built and read, ARP and IPv4 with ICMP echo and TCP, nothing else.

Addresses are integers in host order. Checksums are computed on building and not verified on reading, as by a network
card that checks them.
"""

import struct
from dataclasses import dataclass

from cloudfabric.lab.icmp import checksum, echo_request

__all__ = [
    "ACK",
    "BROADCAST",
    "FIN",
    "PSH",
    "SYN",
    "Arp",
    "Echo",
    "Tcp",
    "arp",
    "echo",
    "parse",
    "tcp",
]

BROADCAST = b"\xff" * 6
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6sI6sI")
_IPV4 = struct.Struct("!BBHHHBBHII")
_ECHO = struct.Struct("!BBHHH")
_TCP = struct.Struct("!HHIIBBHHH")
_TYPE_IPV4, _TYPE_ARP = 0x0800, 0x0806
_ICMP, _TCP_NUMBER = 1, 6
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_TTL, _WINDOW, _DONT_FRAGMENT = 64, 65535, 0x4000


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP packet: opcode 1 asks, 2 answers."""

    opcode: int
    sender_mac: bytes
    sender: int
    target: int


@dataclass(frozen=True, slots=True)
class Echo:
    """An ICMP echo request or reply."""

    source: int
    destination: int
    request: bool
    identifier: int
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP segment without options."""

    source: int
    destination: int
    source_port: int
    destination_port: int
    sequence: int
    acknowledgement: int
    flags: int
    payload: bytes = b""


def arp(packet: Arp, source_mac: bytes) -> bytes:
    """Return the broadcast frame of an ARP request."""
    body = _ARP.pack(1, _TYPE_IPV4, 6, 4, packet.opcode, packet.sender_mac, packet.sender, bytes(6), packet.target)
    return _ETHERNET.pack(BROADCAST, source_mac, _TYPE_ARP) + body


def echo(packet: Echo, source_mac: bytes, destination_mac: bytes) -> bytes:
    """Return the frame of an ICMP echo request or reply."""
    if packet.request:
        body = echo_request(packet.identifier, packet.sequence, packet.payload)
    else:
        head = _ECHO.pack(_ECHO_REPLY, 0, 0, packet.identifier, packet.sequence)
        total = checksum(head + packet.payload)
        body = _ECHO.pack(_ECHO_REPLY, 0, total, packet.identifier, packet.sequence) + packet.payload
    return _frame(source_mac, destination_mac, packet.source, packet.destination, _ICMP, body)


def tcp(segment: Tcp, source_mac: bytes, destination_mac: bytes) -> bytes:
    """Return the frame of a TCP segment."""
    ports = (segment.source_port, segment.destination_port)
    fields = (*ports, segment.sequence, segment.acknowledgement, 5 << 4, segment.flags, _WINDOW)
    body = _TCP.pack(*fields, 0, 0) + segment.payload
    pseudo = struct.pack("!IIBBH", segment.source, segment.destination, 0, _TCP_NUMBER, len(body))
    body = _TCP.pack(*fields, checksum(pseudo + body), 0) + segment.payload
    return _frame(source_mac, destination_mac, segment.source, segment.destination, _TCP_NUMBER, body)


def parse(frame: bytes) -> Arp | Echo | Tcp | None:
    """Read a frame; None if it is of a kind that simulated workloads do not speak, or cut short."""
    try:
        _, _, kind = _ETHERNET.unpack_from(frame)
        if kind == _TYPE_ARP:
            _, _, _, _, opcode, mac, sender, _, target = _ARP.unpack_from(frame, _ETHERNET.size)
            return Arp(opcode, mac, sender, target)
        return _parse_ipv4(frame) if kind == _TYPE_IPV4 else None
    except struct.error:
        return None


def _parse_ipv4(frame: bytes) -> Echo | Tcp | None:
    version_ihl, _, length, _, _, _, protocol, _, source, destination = _IPV4.unpack_from(frame, _ETHERNET.size)
    body = frame[_ETHERNET.size + (version_ihl & 0xF) * 4 : _ETHERNET.size + length]
    if protocol == _ICMP:
        kind, _, _, identifier, sequence = _ECHO.unpack_from(body)
        if kind not in (_ECHO_REPLY, _ECHO_REQUEST):
            return None
        return Echo(source, destination, kind == _ECHO_REQUEST, identifier, sequence, body[_ECHO.size :])
    if protocol == _TCP_NUMBER:
        source_port, destination_port, sequence, acknowledgement, offset, flags, *_ = _TCP.unpack_from(body)
        payload = body[(offset >> 4) * 4 :]
        return Tcp(source, destination, source_port, destination_port, sequence, acknowledgement, flags, payload)
    return None


def _frame(
    source_mac: bytes, destination_mac: bytes, source: int, destination: int, protocol: int, body: bytes
) -> bytes:
    fields = (0x45, 0, _IPV4.size + len(body), 0, _DONT_FRAGMENT, _TTL, protocol)
    total = checksum(_IPV4.pack(*fields, 0, source, destination))
    header = _IPV4.pack(*fields, total, source, destination)
    return _ETHERNET.pack(destination_mac, source_mac, _TYPE_IPV4) + header + body
