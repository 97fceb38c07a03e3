# SPDX-License-Identifier: Apache-2.0
"""Sends traffic from one workload to the other and returns what arrived.

Programs are started by a thread inside the workload's namespace, which is what puts them there; setpriv(1) has the
kernel end them with that thread. Sender and receiver have a processor each, where there are two (packets are carried as
far as the receiver's socket by the sender's, whichever way they go), and precedence over whatever else wants it.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.dataplane import compiled
from benchmarks.dataplane.hosts import Way
from cloudfabric.networking.dataplane.namespaces import NamespaceExecutor

__all__ = ["Traffic", "TrafficError"]

_PEERS = Path(__file__).parents[1] / "peers"
_PORT = 5201
_DATAGRAM = 64  # bytes of UDP payload
_PRECEDENCE = -20  # nice(2): the highest
_PATIENCE = 10.0  # seconds that a program may take longer than it should


class TrafficError(Exception):
    """A traffic program failed; its own words are in the text."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The compiled traffic programs; made by `compile`."""

    echo: Path
    udp: Path

    @classmethod
    def compile(cls, directory: Path) -> Self:
        """Compile the programs into a directory."""
        return cls(
            compiled.program(_PEERS / "traffic_echo.c", directory),
            compiled.program(_PEERS / "traffic_udp.c", directory),
        )

    def tcp_stream(self, way: Way, seconds: int) -> float:
        """Return the rate of one TCP stream by iperf3, as its receiver saw it, in bits per second."""
        listen = ["iperf3", "--server", "--one-off", "--forceflush", "--port", str(_PORT)]
        send = ["iperf3", "--client", str(way.address), "--port", str(_PORT), "--time", str(seconds), "--json"]
        with ExitStack() as stack:
            server = stack.enter_context(_running(way.server, listen, processor=1))
            _await_line(server, "listening")
            client = stack.enter_context(_running(way.client, send, processor=0))
            report = json.loads(_output(client, seconds))
        if "error" in report:
            raise TrafficError(f"iperf3: {report['error']}")
        return float(report["end"]["sum_received"]["bits_per_second"])

    def udp_packets(self, way: Way, seconds: float) -> float:
        """Return how many datagrams of 64 bytes arrive per second from a sender that never waits."""
        with ExitStack() as stack:
            receive = [str(self.udp), "receive", str(_PORT), str(seconds)]
            server = stack.enter_context(_running(way.server, receive, processor=1))
            _await_line(server, "ready")
            send = [str(self.udp), "send", str(way.address), str(_PORT), str(_DATAGRAM)]
            stack.enter_context(_running(way.client, send, processor=0))
            return float(_output(server, seconds))

    def round_trip(self, way: Way, count: int) -> tuple[float, float]:
        """Return minimum and median of `count` ICMP echo round trips, one at a time, in seconds."""
        with _running(way.client, [str(self.echo), str(way.address), str(count)], processor=0) as client:
            minimum, median = _output(client, count * 1e-3).split()
        return float(minimum) / 1e9, float(median) / 1e9


@contextmanager
def _running(namespace: str, command: Sequence[str], *, processor: int) -> Iterator[subprocess.Popen[str]]:
    executor = NamespaceExecutor(namespace)
    try:
        child = executor.submit(_start, command).result()
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(child.pid, {allowed[processor % len(allowed)]})
        os.setpriority(os.PRIO_PROCESS, child.pid, _PRECEDENCE)
        try:
            yield child
        finally:
            child.kill()
            child.communicate()
    finally:
        executor.close()


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _await_line(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if word in line:
            return
    raise TrafficError(f"{child.args!r}: {child.communicate()[1].strip()}")


def _output(child: subprocess.Popen[str], seconds: float) -> str:
    try:
        output, errors = child.communicate(timeout=seconds + _PATIENCE)
    except subprocess.TimeoutExpired:
        raise TrafficError(f"{child.args!r} did not end") from None
    if child.returncode:
        raise TrafficError(f"{child.args!r}: {errors.strip() or output.strip()}")
    return output
