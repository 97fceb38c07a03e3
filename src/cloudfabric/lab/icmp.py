# SPDX-License-Identifier: Apache-2.0
"""ICMP echo from inside a network namespace, many at a time, without a process per ping.

One raw socket per namespace, read by the event loop; replies find their request by sequence number. The round-trip
time ends when the kernel received the reply (SO_TIMESTAMPNS), so the event loop's own delay is not in it.
"""

import asyncio
import itertools
import socket
import struct
import time
from contextlib import suppress
from ipaddress import IPv4Address

__all__ = ["EchoSocket", "checksum", "echo_request"]

_SO_TIMESTAMPNS = 35
_SOL_RAW, _ICMP_FILTER = 255, 1
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_ECHO = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number (RFC 792)
_TIMESPEC = struct.Struct("=qq")
_PAYLOAD = bytes(range(48))  # with the header, as many bytes as ping(8) sends by default less its timestamp


class EchoSocket:
    """Sends echo requests from the namespace in which it was made; used from one event loop."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.setblocking(False)
        self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY) & 0xFFFFFFFF))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._identifier = id(self) >> 4 & 0xFFFF
        self._sequence = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ping(self, address: IPv4Address, wait: float) -> float | None:
        """Send one request; return the round-trip time in s, None if nothing came within `wait` s."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._socket.fileno(), self._read)
        sequence = next(self._sequence) & 0xFFFF
        reply = self._waiting[sequence] = self._loop.create_future()
        try:
            sent = time.time_ns()
            self._socket.sendto(echo_request(self._identifier, sequence), (str(address), 0))
            async with asyncio.timeout(wait):
                received: int = await reply
            return (received - sent) / 1e9
        except (TimeoutError, OSError):  # OSError: no route, or a queue in the way is full
            return None
        finally:
            self._waiting.pop(sequence, None)

    def close(self) -> None:
        """Close the socket; pings under way end without an answer when their time is up."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = self._socket.recvmsg(2048, 64)
                self._accept(data, ancillary)

    def _accept(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        header = (data[0] & 0xF) * 4
        if len(data) < header + _ECHO.size:
            return
        _, _, _, identifier, sequence = _ECHO.unpack_from(data, header)
        reply = self._waiting.get(sequence)
        if identifier != self._identifier or reply is None or reply.done():
            return
        received = time.time_ns()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                received = seconds * 1_000_000_000 + nanoseconds
        reply.set_result(received)


def echo_request(identifier: int, sequence: int, payload: bytes = _PAYLOAD) -> bytes:
    """Return an ICMP echo request (RFC 792) with its checksum."""
    header = _ECHO.pack(_ECHO_REQUEST, 0, 0, identifier, sequence)
    return _ECHO.pack(_ECHO_REQUEST, 0, checksum(header + payload), identifier, sequence) + payload


def checksum(data: bytes) -> int:
    """Return the Internet checksum of RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
