# SPDX-License-Identifier: Apache-2.0
"""Tells when interfaces of a namespace appear and vanish.

The kernel multicasts every change to members of RTMGRP_LINK. The socket belongs to the namespace of the thread that
opens it, and is read by the event loop. When messages were lost (ENOBUFS) the watcher says so once with `None`, and
its user looks at what is there.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["LinkEvent", "LinkWatch", "parse"]

_RTMGRP_LINK = 1
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_IFLA_IFNAME = 3
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_IFINFO = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_AF_BRIDGE = 7


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """An interface that exists (perhaps newly so), or does not any more."""

    name: str
    index: int
    present: bool


class LinkWatch:
    """Reads link events of the namespace in which it is made.

    Args:
        notify: called in the event loop with each event, and with None after events were lost.
    """

    def __init__(self, notify: Callable[[LinkEvent | None], None]) -> None:
        self._notify = notify
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_LINK))
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to call `notify` from the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)

    def stop(self) -> None:
        """Cease to call `notify`; to be called from the event loop."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None

    def close(self) -> None:
        """Close the socket of a watch that was stopped or never started."""
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._notify(None)
            return
        for event in parse(data):
            self._notify(event)


def parse(data: bytes) -> Iterator[LinkEvent]:
    """Read the link events of one netlink datagram; messages of other types are passed over."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        if kind in (_RTM_NEWLINK, _RTM_DELLINK) and length >= _HEADER.size + _IFINFO.size:
            family, _, index, *_ = _IFINFO.unpack_from(data, offset + _HEADER.size)
            name = _name(data[offset + _HEADER.size + _IFINFO.size : offset + length])
            if name and family != _AF_BRIDGE:  # a bridge reports its ports once more, when they leave it
                yield LinkEvent(name, index, kind == _RTM_NEWLINK)
        offset += (length + 3) & ~3


def _name(attributes: bytes) -> str:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, offset)
        if length < _ATTRIBUTE.size:
            break
        if kind == _IFLA_IFNAME:
            return attributes[offset + _ATTRIBUTE.size : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += (length + 3) & ~3
    return ""
