# SPDX-License-Identifier: Apache-2.0
"""One TCP stream over the fabric and over the kernel's VXLAN; every process and interface goes afterwards."""

from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from cloudfabric.lab import cleanup, throughput
from cloudfabric.lab.namespaced import NamespaceSubstrate
from cloudfabric.lab.state import StateDirectory
from cloudfabric.lab.throughput import ThroughputError, missing_program, tcp_stream
from cloudfabric.lab.vxlan import vxlan_bed
from tests.support.leftovers import leftovers, nothing_new_since
from tests.support.small_fabric import SmallFabric, small_fabric


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDirectory]:
    if missing := missing_program():
        pytest.skip(missing)
    monkeypatch.setenv("CLOUDFABRIC_RUNTIME_DIR", str(tmp_path))
    before = leftovers()
    state = StateDirectory.create("cft-stream", data_plane="kernel")
    try:
        cleanup.mount_bpf(state.bpf)
        yield state
    finally:
        cleanup.remove(state)
    nothing_new_since(before)


@pytest.fixture
async def substrate(state: StateDirectory) -> AsyncIterator[NamespaceSubstrate]:
    substrate = NamespaceSubstrate(state)
    try:
        yield substrate
    finally:
        for name in substrate.hosts:
            await substrate.dataplane(name).close()
        await substrate.close()


@pytest.fixture
async def fabric(substrate: NamespaceSubstrate) -> SmallFabric:
    return await small_fabric(substrate)


async def test_a_stream_over_the_fabric(
    fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory
) -> None:
    source, target = fabric.named("red/web"), fabric.named("red/db")

    rate = await tcp_stream(state, substrate.namespace(target), substrate.namespace(source), target.address.ip, 1)

    assert rate > 1e6
    assert state.processes == ()


async def test_a_stream_over_vxlan(fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory) -> None:
    hosts = substrate.dataplane("host-1").facts, substrate.dataplane("host-3").facts
    before = state.namespaces

    async with vxlan_bed(state, substrate, hosts) as bed:
        assert await tcp_stream(state, bed.server, bed.client, bed.address, 1) > 1e6

    assert state.namespaces == before
    assert await fabric.substrate.ping(fabric.named("red/web"), fabric.named("red/db").address.ip, 3.0) is not None


async def test_a_stream_to_nobody_fails(
    fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory
) -> None:
    ends = substrate.namespace(fabric.named("red/db")), substrate.namespace(fabric.named("red/web"))

    with pytest.raises(ThroughputError, match="iperf3"):
        await tcp_stream(state, *ends, IPv4Address("127.0.0.1"), 1)

    assert state.processes == ()


async def test_a_server_that_does_not_start_says_why(
    fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = substrate.namespace(fabric.named("red/db"))
    monkeypatch.setattr(throughput, "_PORT", 99999)

    with pytest.raises(ThroughputError, match="iperf3 as a server"):
        await tcp_stream(state, space, space, IPv4Address("127.0.0.1"), 1)
