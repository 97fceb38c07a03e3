# SPDX-License-Identifier: Apache-2.0
"""Asking a running lab how it is, from another process (here: another thread)."""

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from cloudfabric.lab.control import ControlSocket, NotAnswering, read_status
from cloudfabric.lab.state import StateDirectory


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path)


async def test_a_lab_answers(state: StateDirectory) -> None:
    async def snapshot() -> Mapping[str, object]:
        return {"name": "demo", "objects": ["x" * 100_000]}

    control = ControlSocket(state.control, snapshot)
    await control.start()
    try:
        for _ in range(2):
            assert (await asyncio.to_thread(read_status, state))["name"] == "demo"
    finally:
        await control.close()

    assert not state.control.exists()


async def test_a_start_that_is_cancelled_leaves_no_socket(state: StateDirectory) -> None:
    """An open socket that nobody closes would be a ResourceWarning, which is an error here."""

    async def snapshot() -> Mapping[str, object]:
        return {}

    control = ControlSocket(state.control, snapshot)
    starting = asyncio.ensure_future(control.start())
    await asyncio.sleep(0)  # it has made the socket, and waits for the event loop to take it up
    assert state.control.exists()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    await control.close()
    gc.collect()

    assert not state.control.exists()


async def test_closing_what_was_not_started_is_harmless(state: StateDirectory) -> None:
    async def snapshot() -> Mapping[str, object]:
        return {}

    await ControlSocket(state.control, snapshot).close()


def test_nobody_answers(state: StateDirectory) -> None:
    with pytest.raises(NotAnswering, match=f"fabric {state.name} does not answer") as caught:
        read_status(state)

    assert caught.value.name == state.name


@pytest.mark.parametrize("answer", [b"", b"{", json.dumps([1]).encode()])
def test_an_answer_that_is_no_document(state: StateDirectory, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state.control))
        server.listen()

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        try:
            with pytest.raises(NotAnswering):
                read_status(state)
        finally:
            thread.join()


async def test_whoever_hangs_up_does_no_harm(state: StateDirectory) -> None:
    asked = asyncio.Event()

    async def snapshot() -> Mapping[str, object]:
        asked.set()
        return {"objects": "x" * 10_000_000}

    control = ControlSocket(state.control, snapshot)
    await control.start()
    _, writer = await asyncio.open_unix_connection(state.control)
    await asked.wait()
    writer.transport.abort()
    try:
        assert len(str((await asyncio.to_thread(read_status, state))["objects"])) == 10_000_000
    finally:
        await control.close()
