# SPDX-License-Identifier: Apache-2.0
"""The main job, shown: build the manifest of examples/two-tenants.yaml, put it to the test, tear it down."""

import time
from importlib import resources

from cloudfabric.lab import exercise
from cloudfabric.lab.lab import Lab, Progress
from cloudfabric.lab.namespaced import NamespaceSubstrate
from cloudfabric.lab.report import DemoReport, Throughput
from cloudfabric.lab.substrate import Workload
from cloudfabric.lab.throughput import ThroughputError, missing_program, tcp_stream
from cloudfabric.lab.vxlan import vxlan_bed
from cloudfabric.models import Object, load_manifest

__all__ = ["demo_manifest", "run_demo"]

_NAME = "demo"
_ROUND_TRIPS = 20
_STREAM_SECONDS = 2


def demo_manifest() -> list[Object]:
    """Return the objects of the built-in manifest, which is examples/two-tenants.yaml."""
    text = resources.files("cloudfabric.lab").joinpath("two-tenants.yaml").read_text(encoding="utf-8")
    return load_manifest(text, "two-tenants.yaml")


async def run_demo(user_space: bool, throughput: bool, progress: Progress) -> DemoReport:
    """Run the demo.

    Args:
        user_space: without the kernel.
        throughput: with the iperf3 comparison, where the kernel carries the packets.
        progress: told about each step.

    Raises:
        NotReady: the fabric did not come up.
    """
    begun = time.perf_counter()
    async with await Lab.up(demo_manifest(), name=_NAME, user_space=user_space, progress=progress) as lab:
        substrate, dataplanes, workloads = lab.substrate, lab.dataplanes, lab.workloads
        progress("ping and connect every pair inside each VPC, and follow the first packet")
        pairs = [pair async for pair in exercise.pairs(substrate, dataplanes, workloads, _ROUND_TRIPS)]
        progress("try every address of the other tenant")
        isolation = await exercise.isolation(substrate, dataplanes, workloads)
        measured = await _throughput(lab, throughput, progress)
        progress("tear everything down")
        phases, hosts = tuple(lab.phases), len(lab.hosts)
    seconds = time.perf_counter() - begun
    return DemoReport(substrate.kind, hosts, phases, tuple(pairs), tuple(isolation), measured, seconds)


async def _throughput(lab: Lab, wanted: bool, progress: Progress) -> Throughput:
    source, destination = _distant_pair(lab.workloads)
    ends = source.identity, destination.identity
    if not wanted:
        return Throughput(*ends, reason="not asked for (--no-throughput)")
    if not isinstance(lab.substrate, NamespaceSubstrate):
        return Throughput(*ends, reason="packets are carried in user space, one by one")
    missing = missing_program()
    if missing:
        return Throughput(*ends, reason=missing)
    try:
        return await _compare(lab, lab.substrate, source, destination, progress)
    except ThroughputError as error:
        return Throughput(*ends, reason=str(error), failed=True)


async def _compare(
    lab: Lab, substrate: NamespaceSubstrate, source: Workload, destination: Workload, progress: Progress
) -> Throughput:
    hosts = lab.hosts[source.host], lab.hosts[destination.host]
    progress(f"iperf3 for {_STREAM_SECONDS} s from {source.identity} to {destination.identity}")
    namespaces = substrate.namespace(destination), substrate.namespace(source)
    fabric = await tcp_stream(lab.state, *namespaces, destination.address.ip, _STREAM_SECONDS)
    progress(f"the same over the kernel's VXLAN and bridge between {hosts[0].name} and {hosts[1].name}")
    async with vxlan_bed(lab.state, substrate, hosts) as bed:
        peer = await tcp_stream(lab.state, bed.server, bed.client, bed.address, _STREAM_SECONDS)
    return Throughput(source.identity, destination.identity, fabric, peer)


def _distant_pair(workloads: tuple[Workload, ...]) -> tuple[Workload, Workload]:
    """Return two workloads of one VPC on different hosts."""
    return next(
        (one, other) for one in workloads for other in workloads if one.vni == other.vni and one.host != other.host
    )
