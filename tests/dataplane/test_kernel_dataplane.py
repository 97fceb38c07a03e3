# SPDX-License-Identifier: Apache-2.0
"""The host side with real packets: a small fabric wired by hand in network namespaces, without any control side."""

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from cloudfabric._fastpath.bpf import Hook, Link, Object, attached
from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.lab import cleanup, exercise
from cloudfabric.lab.namespaced import NamespaceSubstrate
from cloudfabric.lab.paths import changes
from cloudfabric.lab.state import StateDirectory
from cloudfabric.networking.agent import HostAgent
from cloudfabric.networking.dataplane import programs
from cloudfabric.networking.dataplane.kernel import KernelDataplane
from cloudfabric.networking.dataplane.links import LinkError, Links, index_of, require_index
from cloudfabric.networking.dataplane.namespaces import NamespaceExecutor
from cloudfabric.networking.dataplane.protocol import HostFacts, NotWired
from cloudfabric.networking.goalstate import Delta, KnownHost, LocalEndpoint, Member
from tests.support.leftovers import leftovers, nothing_new_since
from tests.support.small_fabric import BOUNCER, DIVIDER, HOSTS, SmallFabric, goal_states, small_fabric

WAIT = 3.0
NAME = "cft-small"


@pytest.fixture
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test when there is something on the machine that was not there before."""
    monkeypatch.setenv("CLOUDFABRIC_RUNTIME_DIR", str(tmp_path))
    before = leftovers()
    yield
    nothing_new_since(before)


@pytest.fixture
def state(nothing_left: None) -> Iterator[StateDirectory]:
    state = StateDirectory.create(NAME, data_plane="kernel")
    try:
        cleanup.mount_bpf(state.bpf)
        yield state
    finally:
        cleanup.remove(state)


@pytest.fixture
async def substrate(state: StateDirectory) -> AsyncIterator[NamespaceSubstrate]:
    substrate = NamespaceSubstrate(state)
    try:
        yield substrate
    finally:
        for name in HOSTS:
            if name in substrate.hosts:
                await substrate.dataplane(name).close()
        await substrate.close()


@pytest.fixture
async def fabric(substrate: NamespaceSubstrate) -> SmallFabric:
    return await small_fabric(substrate)


def again(substrate: NamespaceSubstrate, state: StateDirectory, host: str) -> KernelDataplane:
    """A data plane for the same host, as a new agent would open it over what is pinned."""
    facts = substrate.dataplane(host).facts
    return KernelDataplane(facts, substrate.executor(host), state.bpf / host)


async def test_everybody_reaches_whom_they_may_and_nobody_else(fabric: SmallFabric) -> None:
    found = [pair async for pair in exercise.pairs(fabric.substrate, fabric.dataplanes, fabric.workloads, 3)]
    kept_apart = await exercise.isolation(fabric.substrate, fabric.dataplanes, fabric.workloads)

    assert [pair for pair in found if not pair.held] == []
    assert [result for result in kept_apart if not result.held] == []
    paths = {(pair.source.identity, pair.destination.identity): str(pair.first) for pair in found}
    assert paths["red/web", "red/db"] == "bouncer host-2 → divider host-1 → bouncer host-3"


async def test_a_restarted_agent_disturbs_nobody(
    fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory
) -> None:
    source, target = fabric.named("red/web"), fabric.named("red/db")
    await substrate.ping(source, target.address.ip, WAIT)
    before = await substrate.dataplane("host-1").verdicts()

    await substrate.dataplane("host-1").close()
    assert await substrate.ping(source, target.address.ip, WAIT) is not None
    agent = HostAgent(again(substrate, state, "host-1"))
    await agent.start()
    try:
        assert await agent.resync() == 0
        answer = await agent.apply(Delta(0, 9, tuple(goal_states(fabric.workloads)["host-1"])))

        assert (answer.version, answer.failures) == (9, ())
        assert await substrate.ping(source, target.address.ip, WAIT) is not None
        after = await agent.dataplane.verdicts()
        assert after[Verdict.SENT_DIRECT] == before[Verdict.SENT_DIRECT] + 2
        assert after[Verdict.SENT_BOUNCER] == before[Verdict.SENT_BOUNCER]
        counters = await agent.dataplane.endpoint_counters()
        assert counters[5, int(source.address.ip)].tx_packets == 3
    finally:
        await agent.stop()


async def test_next_hops_can_be_looked_up(fabric: SmallFabric, substrate: NamespaceSubstrate) -> None:
    """Without forwarding at the uplink the kernel refuses bpf_fib_lookup, and every packet takes the slower way."""
    setting = Path("/proc/sys/net/ipv4/conf/uplink/forwarding")
    assert await substrate.executor("host-1").run(setting.read_text) == "1\n"


async def test_a_new_process_replaces_the_programs_in_place(
    fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory
) -> None:
    def running() -> list[tuple[str, int | None]]:
        index = index_of("uplink")
        assert index is not None
        return [(found.program_name, found.link_id) for found in attached(index) if found.hook is Hook.TCX_INGRESS]

    before = await substrate.executor("host-1").run(running)
    dataplane = again(substrate, state, "host-1")
    await dataplane.open()
    try:
        assert await substrate.executor("host-1").run(running) == before
        assert [name for name, _ in before] == ["cf_uplink"]
    finally:
        await dataplane.close()


async def test_workloads_come_back_after_their_interface_was_gone(
    fabric: SmallFabric, substrate: NamespaceSubstrate
) -> None:
    source, target = fabric.named("red/web"), fabric.named("red/db")
    await substrate.remove_workload(target)
    assert await substrate.ping(source, target.address.ip, 0.2) is None

    await substrate.add_workload(target)
    await substrate.dataplane("host-3").settled()

    assert await substrate.ping(source, target.address.ip, WAIT) is not None


async def test_a_host_that_leaves_is_forgotten(fabric: SmallFabric, substrate: NamespaceSubstrate) -> None:
    source, target = fabric.named("red/web"), fabric.named("red/db")
    await substrate.ping(source, target.address.ip, WAIT)

    await substrate.dataplane("host-1").apply([], [KnownHost(int(HOSTS["host-3"])).key])

    assert await substrate.ping(source, target.address.ip, 0.2) is None
    verdicts = await substrate.dataplane("host-1").verdicts()
    assert verdicts[Verdict.SENT_BOUNCER] == 2


async def test_a_full_map_fails_its_entry_only(state: StateDirectory, substrate: NamespaceSubstrate) -> None:
    await substrate.add_hosts([HostFacts("host-1", HOSTS["host-1"])])
    dataplane = KernelDataplane(
        substrate.dataplane("host-1").facts,
        substrate.executor("host-1"),
        state.bpf / "host-1",
        max_entries={"members": 8},
    )
    await dataplane.open()
    try:
        members = [Member(5, address, 1) for address in range(20)]
        failures = await dataplane.apply(members, [])

        assert 0 < len(failures) <= 12  # a hash without preallocation may take a few more than it was made for
        assert all("members is full (8 entries)" in failure.reason for failure in failures)
    finally:
        await dataplane.close()


async def test_an_endpoint_that_cannot_be_wired_when_its_interface_appears(
    state: StateDirectory, substrate: NamespaceSubstrate, nothing_left: None
) -> None:
    await substrate.add_hosts([HostFacts("host-1", HOSTS["host-1"])])
    dataplane = KernelDataplane(
        substrate.dataplane("host-1").facts,
        substrate.executor("host-1"),
        state.bpf / "host-1",
        max_entries={"endpoint_counters": 1},
    )
    await dataplane.open()
    try:
        endpoints = [LocalEndpoint(5, number, 24, 1, bytes(6), f"cf{number}", "u") for number in (1, 2)]
        assert await dataplane.apply(endpoints, []) == ()

        def appear() -> None:
            with Links() as links:
                for name in ("cf1", "cf2"):
                    links.add_bridge(name, mtu=1500)

        await substrate.executor("host-1").run(appear)

        with pytest.raises(NotWired, match=r"host host-1: .*all 1 endpoint slots") as caught:
            await dataplane.settled()
        assert {failure.key for failure in caught.value.failures} < {endpoint.key for endpoint in endpoints}
    finally:
        await dataplane.close()


async def test_a_host_without_its_uplink_does_not_open(state: StateDirectory, substrate: NamespaceSubstrate) -> None:
    await substrate.add_hosts([HostFacts("host-1", HOSTS["host-1"])])
    facts = HostFacts("host-1", IPv4Address("172.30.0.1"), uplink="missing")
    dataplane = KernelDataplane(facts, substrate.executor("host-1"), state.bpf / "host-1")

    with pytest.raises(LinkError, match="interface missing: look up: No such device"):
        await dataplane.open()
    with pytest.raises(RuntimeError, match="data plane of host-1 is not open"):
        await dataplane.verdicts()
    await dataplane.close()


# --- other ways to attach --------------------------------------------------------------------------------------------


async def test_kernels_without_tcx_use_clsact(substrate: NamespaceSubstrate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "tcx_supported", lambda: False)
    fabric = await small_fabric(substrate)

    found = [pair async for pair in exercise.pairs(substrate, fabric.dataplanes, fabric.workloads, 1)]

    assert [pair for pair in found if not pair.held] == []
    hooks = await substrate.executor("host-1").run(hooks_of, "uplink")
    assert hooks == [(Hook.CLSACT_INGRESS, "cf_uplink")]
    wired = fabric.named("red/web")
    await substrate.dataplane("host-1").apply([], [("endpoint", wired.vni, int(wired.address.ip))])
    assert await substrate.executor("host-1").run(hooks_of, wired.interface) == []


def hooks_of(interface: str) -> list[tuple[Hook, str]]:
    """Where programs run at an interface of the calling thread's namespace, and which."""
    index = index_of(interface)
    assert index is not None
    return [(found.hook, found.program_name) for found in attached(index, clsact_priorities=(1, 2))]


async def test_transit_runs_as_xdp_where_it_is_asked_for(state: StateDirectory, substrate: NamespaceSubstrate) -> None:
    await substrate.add_hosts([HostFacts("host-1", HOSTS["host-1"])])
    facts, executor = substrate.dataplane("host-1").facts, substrate.executor("host-1")
    for _ in range(2):  # the second takes the place of the first
        dataplane = KernelDataplane(facts, executor, state.bpf / "host-1", xdp=True)
        await dataplane.open()
        await dataplane.close()

        assert await executor.run(hooks_of, "uplink") == [
            (Hook.TCX_INGRESS, "cf_uplink"),
            (Hook.XDP, "cf_transit_xdp"),
        ]


async def test_a_bouncer_forwards_in_xdp_alone(
    fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory, compile_bpf: Callable[[str], Path]
) -> None:
    """With the uplink program taken away from the bouncer's host, only XDP can send the first packet on."""
    bouncer, executor = BOUNCER[1], substrate.executor(BOUNCER[1])
    facts = substrate.dataplane(bouncer).facts
    dataplane = KernelDataplane(facts, executor, state.bpf / bouncer, xdp=True)
    async with AsyncExitStack() as stack:
        await dataplane.open()
        stack.push_async_callback(dataplane.close)
        with Link.open_pinned(state.bpf / bouncer / "links" / "uplink") as link:
            link.detach()
        # A veth takes frames from XDP_TX only if its other end runs XDP as well.
        underlay = NamespaceExecutor(f"cf-{NAME}-_underlay")
        stack.callback(underlay.close)
        passing = stack.enter_context(Object(compile_bpf("probe"), programs=["pass"])).programs["pass"]
        port = await underlay.run(require_index, "port-2")
        stack.enter_context(await underlay.run(passing.attach_xdp, port))
        # XDP cannot ask for a neighbour's MAC address.
        inside(bouncer, "ping", "-c", "1", "-W", "2", str(HOSTS[DIVIDER]))
        source, target = fabric.named("red/web"), fabric.named("red/db")
        before = await dataplane.verdicts()

        assert await substrate.ping(source, target.address.ip, WAIT) is not None

        met = changes({bouncer: before}, {bouncer: await dataplane.verdicts()})[bouncer]
        assert met == {Verdict.BOUNCER_TO_DIVIDER: 1}
        assert await executor.run(hooks_of, "uplink") == [(Hook.XDP, "cf_transit_xdp")]


def inside(space: str, *command: str) -> None:
    """Run a command in a namespace of the fabric."""
    subprocess.run(["ip", "netns", "exec", f"cf-{NAME}-{space}", *command], check=True, capture_output=True)


async def test_a_link_pinned_for_an_interface_that_was_replaced_gives_way(
    fabric: SmallFabric, substrate: NamespaceSubstrate, state: StateDirectory
) -> None:
    """The workload's interface goes and comes back, as another one of its name, while no agent looks."""
    source, target = fabric.named("red/web"), fabric.named("red/db")
    await substrate.dataplane("host-3").close()
    await substrate.remove_workload(target)
    await substrate.add_workload(target)

    agent = HostAgent(again(substrate, state, "host-3"))
    await agent.start()
    try:
        await agent.apply(Delta(0, 1, tuple(goal_states(fabric.workloads)["host-3"])))
        assert await substrate.ping(source, target.address.ip, WAIT) is not None
    finally:
        await agent.stop()
