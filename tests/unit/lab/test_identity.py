# SPDX-License-Identifier: Apache-2.0
"""Asking who is behind an address, over the loopback of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest

from cloudfabric.lab import identity
from cloudfabric.lab.identity import IdentityServer, ask, connecting_socket, listening_socket

LOOPBACK = IPv4Address("127.0.0.1")


@pytest.fixture(autouse=True)
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Use a port that is free on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    monkeypatch.setattr(identity, "IDENTITY_PORT", number)
    return number


@pytest.fixture
async def server() -> AsyncIterator[IdentityServer]:
    server = IdentityServer("red/web-1")
    await server.start(listening_socket())
    yield server
    server.close()


async def test_a_server_says_who_it_is(server: IdentityServer) -> None:
    answers = await asyncio.gather(*(ask(connecting_socket(), LOOPBACK, 3.0) for _ in range(5)))

    assert answers == ["red/web-1"] * 5


async def test_nobody_listens() -> None:
    assert await ask(connecting_socket(), LOOPBACK, 3.0) is None


async def test_somebody_hangs_up(port: int) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
    async with server:
        assert await ask(connecting_socket(), LOOPBACK, 3.0) is None


async def test_somebody_says_nothing(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        assert await ask(connecting_socket(), LOOPBACK, 0.05) is None


async def test_closing_what_was_not_started_is_harmless() -> None:
    IdentityServer("x").close()
