# SPDX-License-Identifier: Apache-2.0
"""Interfaces, addresses and routes of the namespace that the calling thread is in.

A thin, typed layer over pyroute2: one netlink socket per `Links`, one request per call, errors that name the
interface. Use it from a thread inside the namespace (`namespaces.NamespaceExecutor` or `namespaces.entered`).
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from types import TracebackType
from typing import Any, Self

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from cloudfabric.networking.dataplane import namespaces

__all__ = ["LinkError", "Links", "format_mac", "index_of", "require_index"]


class LinkError(OSError):
    """The kernel refused a change to an interface, an address or a route."""

    def __init__(self, operation: str, link: str, number: int) -> None:
        super().__init__(number, f"interface {link}: {operation}: {os.strerror(number)}")
        self.operation = operation
        self.link = link


class Links:
    """The links of one network namespace, over one netlink socket."""

    def __init__(self) -> None:
        self._netlink = IPRoute()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the netlink socket."""
        self._netlink.close()

    def add_veth(
        self, name: str, peer: str, peer_namespace: str, *, mtu: int, mac: bytes = b"", peer_mac: bytes = b""
    ) -> None:
        """Create a pair of interfaces, one end here and up, the other (down) in `peer_namespace`; MTU in bytes."""
        ends: list[dict[str, Any]] = [{"ifname": name, "mtu": mtu}, {"ifname": peer, "mtu": mtu}]
        for end, address in zip(ends, (mac, peer_mac), strict=True):
            if address:
                end["address"] = format_mac(address)
        with open(namespaces.DIRECTORY / peer_namespace, "rb") as namespace, _reported("add veth", name):
            near, far = ends
            far["net_ns_fd"] = namespace.fileno()
            self._netlink.link("add", kind="veth", state="up", peer=far, **near)

    def add_bridge(self, name: str, *, mtu: int) -> None:
        """Create a bridge without spanning tree or multicast snooping (a plain switch), and set it up."""
        with _reported("add bridge", name):
            self._netlink.link("add", ifname=name, kind="bridge", mtu=mtu, state="up", br_mcast_snooping=0)

    def add_vxlan(self, name: str, *, vni: int, local: IPv4Address, remote: IPv4Address, device: str, mtu: int) -> None:
        """Create a point-to-point VXLAN interface on top of `device`, and set it up; UDP port 4789."""
        with _reported("add vxlan", name):
            self._netlink.link(
                "add",
                ifname=name,
                kind="vxlan",
                vxlan_id=vni,
                vxlan_link=require_index(device),
                vxlan_local=str(local),
                vxlan_group=str(remote),
                vxlan_port=4789,
                mtu=mtu,
                state="up",
            )

    def set_master(self, name: str, bridge: str) -> None:
        """Plug an interface into a bridge."""
        with _reported("set master", name):
            self._netlink.link("set", index=require_index(name), master=require_index(bridge))

    def set_up(self, name: str) -> None:
        """Set an interface up."""
        with _reported("set up", name):
            self._netlink.link("set", index=require_index(name), state="up")

    def add_address(self, name: str, address: IPv4Address, prefix_length: int) -> None:
        """Give an interface an address."""
        with _reported("add address", name):
            index = require_index(name)
            self._netlink.addr("add", index=index, address=str(address), prefixlen=prefix_length)

    def add_default_route(self, gateway: IPv4Address) -> None:
        """Send everything that has no closer route to `gateway`."""
        with _reported("add default route", str(gateway)):
            self._netlink.route("add", dst="default", gateway=str(gateway))

    def delete(self, name: str) -> bool:
        """Delete an interface, and its peer with it; return False if there was none."""
        index = index_of(name)
        if index is None:
            return False
        try:
            self._netlink.link("del", index=index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise LinkError("delete", name, error.code) from error
        return True

    def mtu(self, name: str) -> int:
        """Return an interface's MTU in bytes."""
        [link] = self._netlink.get_links(require_index(name))
        return int(link.get("mtu"))


def index_of(name: str) -> int | None:
    """Return the index of an interface, None if there is none of this name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def require_index(name: str) -> int:
    """Return the index of an interface; raises LinkError (ENODEV) if there is none of this name."""
    index = index_of(name)
    if index is None:
        raise LinkError("look up", name, errno.ENODEV)
    return index


def format_mac(mac: bytes) -> str:
    """Return a MAC address as people write it."""
    return mac.hex(":")


@contextmanager
def _reported(operation: str, link: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise LinkError(operation, link, error.code) from error
