# SPDX-License-Identifier: Apache-2.0
"""One TCP stream between two network namespaces, measured by iperf3.

iperf3 is the only program that the lab starts. It is started by a thread inside the namespace, so it needs no wrapper
to get there; setpriv(1) has the kernel end it with that thread, so that not even `kill -9` leaves it behind; and it is
written into the state directory, so that `cloudfabric down` knows it.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address

from cloudfabric.lab.processes import Process
from cloudfabric.lab.state import StateDirectory
from cloudfabric.networking.dataplane.namespaces import NamespaceExecutor

__all__ = ["ThroughputError", "missing_program", "tcp_stream"]

_PORT = 5201
_PROGRAMS = {"iperf3": "iperf3", "setpriv": "util-linux"}


class ThroughputError(Exception):
    """iperf3 did not bring a figure; its own words are in the text."""


def missing_program() -> str | None:
    """Return what to install for `tcp_stream` to work, None if everything is there."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian's package {package})"
    return None


async def tcp_stream(state: StateDirectory, server: str, client: str, address: IPv4Address, seconds: int) -> float:
    """Measure a single TCP stream from one network namespace to another.

    Args:
        state: where the processes are written down.
        server: namespace that receives.
        client: namespace that sends.
        address: of the receiver.
        seconds: how long to send; iperf3 takes whole seconds only, and 0 for ever.

    Returns:
        What the receiver got, in bits per second.

    Raises:
        ThroughputError: iperf3 failed, or took 10 s longer than it should have.
    """
    listen = ["iperf3", "--server", "--one-off", "--forceflush", "--port", str(_PORT)]
    send = ["iperf3", "--client", str(address), "--port", str(_PORT), "--time", str(seconds), "--json"]
    try:
        async with asyncio.timeout(seconds + 10), AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(_running(state, server, listen))
            await asyncio.to_thread(_wait_until_listening, receiver)
            sender = await stack.enter_async_context(_running(state, client, send))
            output, _ = await asyncio.to_thread(sender.communicate)
    except TimeoutError:
        raise ThroughputError(f"iperf3 to {address} did not end in time") from None
    return received_rate(output)


def received_rate(output: str) -> float:
    """Read the receiver's rate in bits per second from iperf3's JSON; raises ThroughputError."""
    try:
        report = json.loads(output)
        if "error" in report:
            raise ThroughputError(f"iperf3: {report['error']}")
        return float(report["end"]["sum_received"]["bits_per_second"])
    except (ValueError, KeyError, TypeError) as error:
        raise ThroughputError(f"iperf3 printed no result: {output[:200]!r}") from error


@asynccontextmanager
async def _running(
    state: StateDirectory, namespace: str, command: Sequence[str]
) -> AsyncIterator[subprocess.Popen[str]]:
    executor = await asyncio.to_thread(NamespaceExecutor, namespace)
    try:
        child = await executor.run(_start, command)
        process = Process.of(child.pid)
        state.record_process(process)
        try:
            yield child
        finally:
            child.kill()
            await asyncio.shield(asyncio.to_thread(_reap, child))
            state.forget_process(process)
    finally:
        await asyncio.to_thread(executor.close)


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    wrapped = ["setpriv", "--pdeathsig", "KILL", "--", *command]
    return subprocess.Popen(
        wrapped, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _reap(child: subprocess.Popen[str]) -> None:
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _wait_until_listening(server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None
    said = []
    for line in server.stdout:
        if "listening" in line:
            return
        said.append(line.strip())
    raise ThroughputError(f"iperf3 as a server: {' '.join(said)}")
