# SPDX-License-Identifier: Apache-2.0
"""A TCP service that says whose it is: how the lab proves which of two equal addresses answered.

Sockets are made in a workload's namespace and then served by the lab's own event loop, so a workload needs no process.
"""

import asyncio
import errno
import socket
from ipaddress import IPv4Address

from cloudfabric.lab.substrate import IDENTITY_PORT

__all__ = ["IdentityServer", "ask", "connecting_socket", "listening_socket"]


def listening_socket() -> socket.socket:
    """Return a TCP socket that listens on every address of the calling thread's namespace."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", IDENTITY_PORT))
    listener.listen(64)
    return listener


def connecting_socket() -> socket.socket:
    """Return a TCP socket of the calling thread's namespace for `ask`."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


class IdentityServer:
    """Answers every connection with one line and closes it.

    Args:
        identity: what to answer.
    """

    def __init__(self, identity: str) -> None:
        self._line = f"{identity}\n".encode()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve a listening socket until `close`, also if this is cancelled."""
        self._server = await asyncio.start_server(self._answer, sock=listener, start_serving=False)
        await self._server.start_serving()

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._line)
        writer.close()


async def ask(connection: socket.socket, address: IPv4Address, wait: float) -> str | None:
    """Connect, read the identity and close the socket; None if there was no answer within `wait` s."""
    loop = asyncio.get_running_loop()
    answer = b""
    with connection:
        try:
            async with asyncio.timeout(wait):
                await loop.sock_connect(connection, (str(address), IDENTITY_PORT))
                while not answer.endswith(b"\n"):
                    part = await loop.sock_recv(connection, 512)
                    if not part:
                        return None
                    answer += part
        except TimeoutError:
            return None
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET):
                return None
            raise
    return answer.decode().strip()
