# SPDX-License-Identifier: Apache-2.0
"""How another process asks a running lab how it is: one JSON document over a Unix socket in the state directory.

The process that runs a lab holds its store locked, so `cloudfabric status` cannot read it itself. Whoever connects is
sent the document and the connection is closed; file permissions say who may. (An API server replaces this for objects;
the counters of the lab's hosts are what remains.)
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from cloudfabric.lab.state import StateDirectory

__all__ = ["ControlSocket", "NotAnswering", "read_status"]

_ANSWER = 10.0  # seconds


class NotAnswering(Exception):
    """The process of a fabric has ended, or does not answer."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"fabric {name} does not answer ({reason}); if its process has ended, `cloudfabric down {name}`"
        )
        self.name = name
        self.reason = reason


class ControlSocket:
    """Answers questions about a running lab.

    Args:
        path: of the socket.
        snapshot: what to answer.
    """

    def __init__(self, path: Path, snapshot: Callable[[], Awaitable[Mapping[str, object]]]) -> None:
        self._path = path
        self._snapshot = snapshot
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to answer. If it is cancelled, `close` finds whatever there is by then."""
        # Serving begins in a second step: a call that makes the server and serves may be cancelled between the two.
        self._server = await asyncio.start_unix_server(self._answer, self._path, start_serving=False)
        await self._server.start_serving()

    async def close(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(await self._snapshot()).encode())
            await writer.drain()
        except ConnectionError:
            return  # whoever asked has gone
        finally:
            writer.close()


def read_status(state: StateDirectory) -> dict[str, object]:
    """Ask a fabric of this machine how it is; raises NotAnswering."""
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER)
            connection.connect(str(state.control))
            while part := connection.recv(1 << 16):
                answer += part
        document = json.loads(answer)
    except (OSError, ValueError) as error:
        raise NotAnswering(state.name, str(error)) from error
    if not isinstance(document, dict):
        raise NotAnswering(state.name, "an answer that is no mapping")
    return document
