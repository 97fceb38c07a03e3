# SPDX-License-Identifier: Apache-2.0
"""How long it takes until a fabric stands: from starting `cloudfabric up` to an answer between all of its endpoints.

The peer is the same topology without a fabric: as many namespaces, links, addresses and routes, made by ip(8) as a
person's script would. There nobody can reach a workload on another host.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import permutations
from pathlib import Path

from benchmarks.dataplane.workspace import removed
from cloudfabric.lab import names
from cloudfabric.lab.control import read_status
from cloudfabric.lab.icmp import EchoSocket
from cloudfabric.lab.state import StateDirectory
from cloudfabric.models import Endpoint
from cloudfabric.networking.dataplane import namespaces

__all__ = ["NotReachable", "bare_topology_time", "up_time"]

_FABRIC = "cft-bench-up"
_NOT_FOUND = 4  # exit code of `cloudfabric down`
_ANSWER = 3.0  # seconds


class NotReachable(Exception):
    """Endpoints of one VPC did not answer one another when `cloudfabric up` said that they would."""


@dataclass(frozen=True, slots=True)
class _Workload:
    """An endpoint as others see it; those of one VPC, which is (tenant, name), must reach one another."""

    vpc: tuple[str, str]
    space: str
    address: IPv4Address


def up_time(manifest: Path) -> float:
    """Return how long the fabric of a manifest takes until all pairs inside its VPCs were answered, in seconds.

    Raises:
        CalledProcessError: `cloudfabric up` or `down` failed.
        NotReachable: it was up, but not reachable.
    """
    _down()  # what a killed run left
    try:
        begun = time.perf_counter()
        _cloudfabric("up", str(manifest), "--name", _FABRIC, "--detach")
        workloads = tuple(_workloads())
        silent = asyncio.run(_unanswered(workloads))
        seconds = time.perf_counter() - begun
    finally:
        _down()
    if silent or not workloads:
        raise NotReachable(f"{len(workloads)} workloads; no answer: {'; '.join(silent)}")
    return seconds


def bare_topology_time(hosts: int, workloads: int) -> float:
    """Return how long ip(8) takes for hosts on a switch, each with its share of the workloads, in seconds."""
    switch = "cft-bench-bare-switch"
    host_spaces = [f"cft-bench-bare-host-{number}" for number in range(hosts)]
    spaces = [f"cft-bench-bare-workload-{number}" for number in range(workloads)]
    with removed(switch, *host_spaces, *spaces):
        begun = time.perf_counter()
        for command in _topology(switch, host_spaces, spaces):
            subprocess.run(["ip", *command.split()], check=True)
        return time.perf_counter() - begun


def _topology(switch: str, hosts: Sequence[str], workloads: Sequence[str]) -> Iterator[str]:
    yield f"netns add {switch}"
    yield f"-n {switch} link add switch up type bridge"
    for number, host in enumerate(hosts, 1):
        yield f"netns add {host}"
        yield f"-n {switch} link add port-{number} up master switch type veth peer name uplink netns {host}"
        yield f"-n {host} link set uplink up"
        yield f"-n {host} address add 172.30.0.{number}/16 dev uplink"
    for number, workload in enumerate(workloads, 1):
        yield f"netns add {workload}"
        yield f"-n {hosts[number % len(hosts)]} link add port-{number} up type veth peer name eth0 netns {workload}"
        yield f"-n {workload} link set eth0 up"
        yield f"-n {workload} address add 10.0.0.{number + 1}/24 dev eth0"
        yield f"-n {workload} route add default via 10.0.0.1"


def _cloudfabric(*arguments: str) -> None:
    command = [sys.executable, "-m", "cloudfabric.cli", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _down() -> None:
    try:
        _cloudfabric("down", _FABRIC)
    except subprocess.CalledProcessError as error:
        if error.returncode != _NOT_FOUND:
            raise


def _workloads() -> Iterator[_Workload]:
    """Read from the running fabric which endpoints it has."""
    objects = read_status(StateDirectory.find(_FABRIC))["objects"]
    assert isinstance(objects, list)
    for document in objects:
        if document["kind"] == Endpoint.KIND:
            tenant, namespace, name = (document["metadata"][key] for key in ("tenant", "namespace", "name"))
            space = names.workload(_FABRIC, tenant, namespace, name)
            yield _Workload((tenant, document["status"]["vpc"]), space, IPv4Address(document["status"]["address"]))


async def _unanswered(workloads: Sequence[_Workload]) -> list[str]:
    """Ping every pair inside a VPC, all at once, and return those that got no answer."""
    pairs = [(a, b) for a, b in permutations(workloads, 2) if a.vpc == b.vpc]
    with ExitStack() as stack:
        sockets = {workload.space: _echo_socket(workload.space, stack) for workload in workloads}
        answers = await asyncio.gather(*(sockets[a.space].ping(b.address, _ANSWER) for a, b in pairs))
    return [f"{a.space} -> {b.space}" for (a, b), answer in zip(pairs, answers, strict=True) if answer is None]


def _echo_socket(space: str, stack: ExitStack) -> EchoSocket:
    with namespaces.entered(space):
        echo = EchoSocket()
    stack.callback(echo.close)
    return echo
