# SPDX-License-Identifier: Apache-2.0
"""What the data plane costs: nanoseconds per packet of each way, and end to end beside the kernel's VXLAN + bridge.

Per packet: a frame of 64 bytes (inside the tunnel, where there is one), the shipped programs, BPF_PROG_TEST_RUN with a
fresh packet for each run; `dataplane/rig.py` says how. The peer is a null program of the same type: what running any
program costs. The goals are those of the finished data plane, with connection tracking.

End to end: two hosts and one link, crossed by turns through CloudFabric and through VXLAN + bridge, which are set up
side by side on it (`dataplane/hosts.py`). The round trip is that of ICMP echo, answered by the kernel at the other
end: between two processes it is mostly the time that the scheduler takes to wake them up.

Every figure is that of the best round: whatever else the machine does only ever makes a round worse.
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

import pytest

from benchmarks.dataplane.frames import udp_frame
from benchmarks.dataplane.hosts import TwoHosts, two_hosts
from benchmarks.dataplane.rig import UPLINK, Case, Rig, SharedEntry, open_rig
from benchmarks.dataplane.traffic import Traffic
from benchmarks.dataplane.up import bare_topology_time, up_time
from benchmarks.dataplane.workspace import only_one
from cloudfabric._fastpath.encap import Stage, encapsulate
from cloudfabric._fastpath.layout import AddressKey
from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.dataplane.protocol import GATEWAY_MAC
from cloudfabric.networking.goalstate import Group, KnownHost, LocalEndpoint, Member, Route

pytestmark = pytest.mark.kernel

PACKET_ROUNDS = 150
PACKETS = 5000  # per round
STREAM_ROUNDS, STREAM_SECONDS = 8, 1
DATAGRAM_ROUNDS, DATAGRAM_SECONDS = 10, 0.5
ECHO_ROUNDS, ECHOES = 10, 5000
UP_ROUNDS, UP_SECONDS = 5, 3.0
MANIFEST = Path(__file__).parents[1] / "examples" / "two-tenants.yaml"
VXLAN = "kernel VXLAN + bridge"

VNI = 7
SEGMENT, OTHER_SEGMENT = 1, 2
HERE, BOUNCER, ELSEWHERE = (IPv4Address("172.30.0.1") + number for number in range(3))
ALICE, BOB = IPv4Address("10.0.1.2"), IPv4Address("10.0.1.3")  # on this host
CAROL = IPv4Address("10.0.1.4")  # on another host
DAVE = IPv4Address("10.0.2.2")  # in another subnet


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    extra_info: dict[str, object]

    def pedantic(self, target: Callable[[], object], *, rounds: int) -> object: ...


Paired = Callable[..., None]
TimePackets = Callable[..., None]


def mac_of(address: IPv4Address) -> bytes:
    return bytes.fromhex("02cf") + address.packed


def frame(source: IPv4Address, destination: IPv4Address, *, mac: bytes | None = None) -> bytes:
    """A packet as a workload sends it."""
    return udp_frame(source, destination, source_mac=mac or mac_of(source), destination_mac=GATEWAY_MAC)


def tunnel(inner: bytes, stage: Stage = Stage.NONE) -> bytes:
    """The same packet on its way to this host."""
    return encapsulate(inner, vni=VNI, source=int(BOUNCER), destination=int(HERE), stage=stage)


def local_endpoint(address: IPv4Address, interface: str) -> LocalEndpoint:
    return LocalEndpoint(VNI, int(address), 24, SEGMENT, mac_of(address), interface, interface)


@pytest.fixture(scope="module")
def alone() -> Iterator[None]:
    """Nobody else measures here meanwhile."""
    with only_one():
        yield


@pytest.fixture(scope="module")
def rig(alone: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A host that has two workloads, is bouncer of their subnet, divider of the VPC, and has learnt where Carol is."""
    entries: list[SharedEntry] = [
        *(KnownHost(int(host)) for host in (HERE, BOUNCER, ELSEWHERE)),
        Member(VNI, int(CAROL), int(ELSEWHERE)),
        Route(VNI, int(IPv4Address("10.0.1.0")), 24, SEGMENT),
        Route(VNI, int(IPv4Address("10.0.2.0")), 24, OTHER_SEGMENT),
        *(Group(VNI, segment, (int(BOUNCER),)) for segment in (SEGMENT, OTHER_SEGMENT)),
    ]
    with open_rig(["alice", "bob"], tmp_path_factory.mktemp("rig")) as opened:
        opened.configure(
            HERE,
            entries,
            [local_endpoint(ALICE, "alice"), local_endpoint(BOB, "bob")],
            {AddressKey(VNI, int(CAROL)): BOUNCER},
        )
        yield opened


@pytest.fixture
def time_packets(benchmark: Benchmark, rig: Rig, smoke: bool) -> TimePackets:
    """Time a case by the minimum of rounds and record it beside the null program."""

    def measure(case: Case, *, target: float | None = None) -> None:
        rounds: list[tuple[int, int, int]] = []
        with rig.timed(case, repeat=100 if smoke else PACKETS) as timer:
            benchmark.pedantic(
                lambda: rounds.append((timer.with_programs(), timer.with_null(), timer.null_alone())),
                rounds=1 if smoke else PACKET_ROUNDS,
            )
        programs, idle, null = (min(column) for column in zip(*rounds, strict=True))
        value = programs - idle + null
        kind = "XDP" if case.programs[0].endswith("_xdp") else "tc"
        record(benchmark, value, "ns", f"null {kind} program", null)
        benchmark.extra_info["rig"] = idle
        infos = {name: rig.info(name) for name in case.programs}
        benchmark.extra_info["xlated_bytes"] = {name: info.xlated_len for name, info in infos.items()}
        benchmark.extra_info["jited_bytes"] = {name: info.jited_len for name, info in infos.items()}
        if target is not None:
            benchmark.extra_info["goal"] = {"of": "value", "at_most": target}

    return measure


def record(benchmark: Benchmark, value: float, unit: str, peer: str, peer_value: float) -> None:
    ratio = value / peer_value
    benchmark.extra_info.update({"value": value, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio})


TRANSIT = pytest.mark.parametrize(
    "programs",
    [pytest.param(("cf_transit_xdp",), id="xdp"), pytest.param(("cf_uplink",), id="tcx")],
)
"""As XDP in front of everything, and at the end of the uplink program, as on a virtual uplink."""


@TRANSIT
def test_bouncer_forward(time_packets: TimePackets, programs: tuple[str, ...]) -> None:
    """A bouncer finds the destination in its subnet's table and sends the packet to that host."""
    packet = tunnel(frame(DAVE, CAROL), Stage.BOUNCER)
    time_packets(Case(programs, UPLINK, packet, Verdict.BOUNCER_TO_HOST), target=60)


@TRANSIT
def test_divider_forward(time_packets: TimePackets, programs: tuple[str, ...]) -> None:
    """A divider finds the destination's subnet by longest prefix and sends the packet to a bouncer of it."""
    packet = tunnel(frame(CAROL, DAVE), Stage.DIVIDER)
    time_packets(Case(programs, UPLINK, packet, Verdict.DIVIDER_TO_BOUNCER), target=100)


def test_encapsulate(time_packets: TimePackets) -> None:
    """A workload's packet to an address whose host is learnt: checked, encapsulated, sent there."""
    time_packets(Case(("cf_endpoint",), "alice", frame(ALICE, CAROL), Verdict.SENT_DIRECT), target=200)


def test_decapsulate(time_packets: TimePackets) -> None:
    """A packet for a workload of this host: outer source checked, learnt path compared, decapsulated, delivered."""
    time_packets(Case(("cf_uplink",), UPLINK, tunnel(frame(CAROL, ALICE)), Verdict.DELIVERED), target=150)


def test_local_delivery(time_packets: TimePackets) -> None:
    """From one workload to another on the same host."""
    time_packets(Case(("cf_endpoint",), "alice", frame(ALICE, BOB), Verdict.SENT_LOCAL))


def test_spoofed_drop(time_packets: TimePackets) -> None:
    """A packet whose source address is not the workload's own."""
    packet = frame(BOB, CAROL, mac=mac_of(ALICE))
    time_packets(Case(("cf_endpoint",), "alice", packet, Verdict.DROP_SPOOFED_IP))


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """The traffic programs, compiled."""
    return Traffic.compile(tmp_path_factory.mktemp("traffic"))


@pytest.fixture(scope="module")
def hosts(alone: None, traffic: Traffic) -> Iterator[TwoHosts]:
    """Two hosts whose direct paths are learnt, both ways across."""
    with two_hosts() as joined:
        for way in (joined.fabric, joined.vxlan):
            traffic.round_trip(way, 10)
        yield joined


def test_tcp_stream(paired: Paired, hosts: TwoHosts, traffic: Traffic) -> None:
    """A single TCP stream by iperf3."""
    paired(
        lambda: traffic.tcp_stream(hosts.fabric, STREAM_SECONDS) / 1e9,
        lambda: traffic.tcp_stream(hosts.vxlan, STREAM_SECONDS) / 1e9,
        name=VXLAN,
        unit="Gbit/s",
        rounds=STREAM_ROUNDS,
        at_least=1.1,
    )


def test_udp_pps(paired: Paired, hosts: TwoHosts, traffic: Traffic) -> None:
    """Datagrams of 64 bytes from one socket to another, as fast as they can be sent, counted where they arrive."""
    paired(
        lambda: traffic.udp_packets(hosts.fabric, DATAGRAM_SECONDS) / 1e3,
        lambda: traffic.udp_packets(hosts.vxlan, DATAGRAM_SECONDS) / 1e3,
        name=VXLAN,
        unit="k packets/s",
        rounds=DATAGRAM_ROUNDS,
        at_least=1.5,
    )


def test_round_trip(benchmark: Benchmark, hosts: TwoHosts, traffic: Traffic, smoke: bool) -> None:
    """Median of ICMP echo round trips, the best round of each."""
    count = 200 if smoke else ECHOES
    rounds: list[tuple[tuple[float, float], tuple[float, float]]] = []

    def one_round() -> None:
        rounds.append((traffic.round_trip(hosts.fabric, count), traffic.round_trip(hosts.vxlan, count)))

    benchmark.pedantic(one_round, rounds=1 if smoke else ECHO_ROUNDS)
    own, peer = zip(*rounds, strict=True)
    minimum, value = map(min, zip(*own, strict=True))
    peer_minimum, peer_value = map(min, zip(*peer, strict=True))
    record(benchmark, value * 1e6, "us", VXLAN, peer_value * 1e6)
    benchmark.extra_info.update({"minimum": minimum * 1e6, "peer_minimum": peer_minimum * 1e6})
    benchmark.extra_info["goal"] = {"of": "ratio", "at_most": 0.6}


@pytest.mark.usefixtures("alone")
def test_up_time(benchmark: Benchmark, smoke: bool) -> None:
    """From `cloudfabric up` of the demo's manifest, a new process, to an answer between all endpoints of each VPC."""
    rounds: list[tuple[float, float]] = []
    benchmark.pedantic(
        lambda: rounds.append((up_time(MANIFEST), bare_topology_time(hosts=3, workloads=8))),
        rounds=1 if smoke else UP_ROUNDS,
    )
    value, peer_value = map(min, zip(*rounds, strict=True))
    record(benchmark, value, "s", "bare namespaces and links by ip(8)", peer_value)
    benchmark.extra_info["goal"] = {"of": "value", "at_most": UP_SECONDS}
