# SPDX-License-Identifier: Apache-2.0
"""The packets that the benchmarks feed to programs: UDP in IPv4, as short as Ethernet has them."""

import struct
from ipaddress import IPv4Address

from cloudfabric.lab.icmp import checksum

__all__ = ["FRAME_LENGTH", "udp_frame"]

FRAME_LENGTH = 64
"""Bytes of a frame with its Ethernet header."""

_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")


def udp_frame(
    source: IPv4Address,
    destination: IPv4Address,
    *,
    source_mac: bytes,
    destination_mac: bytes,
    source_port: int = 40000,
) -> bytes:
    """Return a frame of `FRAME_LENGTH` bytes with an Ethernet, an IPv4 and a UDP header without checksum."""
    length = FRAME_LENGTH - _ETHERNET.size
    fields = (0x45, 0, length, 0, 0x4000, 64, 17)
    header = _IPV4.pack(
        *fields, checksum(_IPV4.pack(*fields, 0, source.packed, destination.packed)), source.packed, destination.packed
    )
    udp = _UDP.pack(source_port, 53, length - _IPV4.size, 0)
    frame = _ETHERNET.pack(destination_mac, source_mac, 0x0800) + header + udp
    return frame.ljust(FRAME_LENGTH, b"\0")
