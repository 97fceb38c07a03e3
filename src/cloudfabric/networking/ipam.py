# SPDX-License-Identifier: Apache-2.0
"""Which addresses a subnet may give out, and the MAC address that goes with each.

Addresses are values of a pool of the VPC (not of the subnet), because (VNI, address) is what the data plane's map keys
hold: two endpoints with the same key cannot come to be, not even if two subnets were made to overlap by a race.

A MAC address is made of the address: 02:cf, which marks it as locally administered, and the four bytes of the IPv4
address. So it is unique in the VPC without being allocated, and a person who reads a trace sees whose it is. The
gateway that workloads see, 02:cf:00:00:00:01, stands for 0.0.0.1, which no endpoint has.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from cloudfabric.models import Subnet
from cloudfabric.networking.allocation import ValueRange

__all__ = ["address_pool", "addresses_of", "is_derived_mac", "mac_of", "mac_pool", "parse_mac"]

_MAC_PREFIX = 0x02CF << 32


def address_pool(vni: int) -> str:
    """Name of the pool of a VPC's addresses.

    Args:
        vni: The VPC's number.
    """
    return f"address.{vni}"


def mac_pool(vni: int) -> str:
    """Name of the pool of the MAC addresses that were asked for in a VPC.

    Args:
        vni: The VPC's number.
    """
    return f"mac.{vni}"


def addresses_of(subnet: Subnet, vni: int) -> ValueRange:
    """The addresses that endpoints of a subnet may have: without network, gateway and broadcast address.

    Args:
        subnet: The subnet.
        vni: Its VPC's number.
    """
    cidr = subnet.spec.cidr
    gateway = int(subnet.spec.gateway_address)
    return ValueRange(
        address_pool(vni), int(cidr.network_address) + 1, int(cidr.broadcast_address) - 1, frozenset({gateway})
    )


def mac_of(address: IPv4Address) -> str:
    """The MAC address that goes with an address, e.g. 02:cf:0a:00:01:05 with 10.0.1.5."""
    return (_MAC_PREFIX | int(address)).to_bytes(6, "big").hex(":")


def parse_mac(mac: str) -> bytes:
    """A MAC address as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def is_derived_mac(mac: str) -> bool:
    """Whether a MAC address is one of those that are made of addresses."""
    return mac.startswith("02:cf:")
