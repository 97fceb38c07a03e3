# SPDX-License-Identifier: Apache-2.0
"""A whole fabric in network namespaces: up, in use, changed while it runs, and down again at any moment."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from cloudfabric.lab import exercise
from cloudfabric.lab.demo import demo_manifest, run_demo
from cloudfabric.lab.lab import Lab
from cloudfabric.lab.readiness import NotReady
from cloudfabric.lab.state import FabricExists
from cloudfabric.lab.substrate import Workload
from cloudfabric.models import (
    Droplet,
    DropletSpec,
    Endpoint,
    EndpointSpec,
    InvalidObject,
    Object,
    ObjectMeta,
    Phase,
)
from tests.support.leftovers import leftovers, nothing_new_since

WAIT = 3.0
NAME = "cft-lab"
PHASES = (
    "check the manifest",
    "make 3 hosts and the links between them",
    "load the hosts' programs; start store and controllers, write the objects",
    "wire the workloads",
)


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail every test here that leaves something on the machine."""
    monkeypatch.setenv("CLOUDFABRIC_RUNTIME_DIR", str(tmp_path / "run"))
    before = leftovers()
    yield
    nothing_new_since(before)
    assert [*tmp_path.glob("run/*")] == []


@asynccontextmanager
async def running(**options: object) -> AsyncIterator[Lab]:
    async with await Lab.up(demo_manifest(), name=NAME, **options) as lab:  # type: ignore[arg-type]
        yield lab


def named(lab: Lab, identity: str) -> Workload:
    [found] = [workload for workload in lab.workloads if workload.identity == identity]
    return found


async def test_the_demo_holds() -> None:
    said: list[str] = []

    report = await run_demo(False, False, said.append)

    assert report.held
    assert report.data_plane == "kernel"
    assert (len(report.pairs), len(report.isolation)) == (24, 2)
    assert said[: len(PHASES)] == list(PHASES)
    assert report.throughput.reason == "not asked for (--no-throughput)"


async def test_the_demo_compares_with_vxlan() -> None:
    report = await run_demo(False, True, lambda text: None)

    assert report.held
    assert report.throughput.fabric is not None
    assert report.throughput.peer is not None
    assert report.throughput.fabric > 1e8
    assert report.throughput.peer > 1e8


async def test_every_endpoint_is_reachable_as_soon_as_it_is_up() -> None:
    async with running() as lab:
        pairs = [(one, other) for one in lab.workloads for other in lab.workloads if one.vni == other.vni]
        answers = await asyncio.gather(*(lab.substrate.ping(one, other.address.ip, WAIT) for one, other in pairs))

        assert None not in answers
        assert [name for name, _ in lab.phases] == list(PHASES)


async def test_objects_in_memory_do_as_well() -> None:
    async with running(durable=False) as lab:
        assert not list(lab.state.store.iterdir())
        assert len(lab.workloads) == 8


async def test_a_name_is_taken_while_the_fabric_runs() -> None:
    async with running() as lab:
        with pytest.raises(FabricExists, match=NAME):
            await Lab.up(demo_manifest(), name=NAME)

        source, target = named(lab, "red/web-1"), named(lab, "red/web-3")
        assert await lab.substrate.ping(source, target.address.ip, WAIT) is not None


async def test_two_fabrics_do_not_see_one_another() -> None:
    async with running() as first, await Lab.up(demo_manifest(), name="cft-lab-2") as second:
        for lab in (first, second):
            found = exercise.pairs(lab.substrate, lab.dataplanes, lab.workloads[:4], 1)
            assert all([pair.held async for pair in found])


async def test_down_may_be_repeated() -> None:
    async with running() as lab:
        await lab.down()


# --- changes while it runs -------------------------------------------------------------------------------------------


async def phase_of(lab: Lab, name: str) -> Phase:
    return (await lab.client.get(Endpoint, name, tenant="red", namespace="default")).status.phase


async def settled(lab: Lab) -> None:
    """Wait until controllers and data planes have followed what was written."""
    await lab.idle()
    await asyncio.gather(*(dataplane.settled() for dataplane in lab.dataplanes.values()))


async def test_endpoints_come_and_go_with_their_objects() -> None:
    async with running() as lab:
        meta = ObjectMeta(tenant="red", namespace="default", name="late")
        await lab.client.create(Endpoint(metadata=meta, spec=EndpointSpec(subnet="data", droplet="host-2")))
        await settled(lab)

        late, source = named(lab, "red/late"), named(lab, "red/web-1")
        assert await phase_of(lab, "late") is Phase.PROVISIONED
        assert await lab.substrate.identify(source, late.address.ip, WAIT) == "red/late"

        await lab.client.delete(Endpoint, "late", tenant="red", namespace="default")
        await settled(lab)

        assert len(lab.workloads) == 8
        assert await lab.substrate.ping(source, late.address.ip, 0.3) is None


async def test_an_endpoint_that_moves_is_found_at_its_new_host() -> None:
    async with running() as lab:
        source, before = named(lab, "red/web-1"), named(lab, "red/data-1")
        assert await lab.substrate.ping(source, before.address.ip, WAIT) is not None

        endpoint = await lab.client.get(Endpoint, "data-1", tenant="red", namespace="default")
        await lab.client.update(endpoint.with_spec(droplet="host-2"))
        await settled(lab)

        after = named(lab, "red/data-1")
        assert (after.host, after.address) == ("host-2", before.address)
        answers = [await lab.substrate.ping(source, after.address.ip, WAIT) for _ in range(3)]
        assert answers[-1] is not None
        assert await lab.substrate.identify(source, after.address.ip, WAIT) == "red/data-1"


async def test_an_endpoint_on_a_host_of_nobody_gets_no_workload() -> None:
    async with running() as lab:
        address = IPv4Address("172.30.9.9")
        await lab.client.create(Droplet(metadata=ObjectMeta(name="elsewhere"), spec=DropletSpec(address=address)))
        meta = ObjectMeta(tenant="red", namespace="default", name="far")
        await lab.client.create(Endpoint(metadata=meta, spec=EndpointSpec(subnet="data", droplet="elsewhere")))

        await asyncio.sleep(0)
        assert all(workload.name != "far" for workload in lab.workloads)


# --- ends of every kind ----------------------------------------------------------------------------------------------


class Injected(Exception):
    """What a test makes go wrong."""


def at(phase: str, action: Callable[[], None]) -> Callable[[str], None]:
    """A progress function that does something when a phase begins."""

    def progress(text: str) -> None:
        if text == phase:
            action()

    return progress


def fail() -> None:
    raise Injected


@pytest.mark.parametrize("phase", PHASES)
async def test_a_failure_in_any_phase_leaves_nothing(phase: str) -> None:
    with pytest.raises(Injected):
        await Lab.up(demo_manifest(), name=NAME, progress=at(phase, fail))


@pytest.mark.parametrize("phase", PHASES)
async def test_a_cancellation_in_any_phase_leaves_nothing(phase: str) -> None:
    task = asyncio.create_task(Lab.up(demo_manifest(), name=NAME, progress=at(phase, lambda: task.cancel())))

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("milliseconds", range(0, 400, 40))
async def test_a_cancellation_at_any_moment_leaves_nothing(milliseconds: int) -> None:
    task = asyncio.create_task(Lab.up(demo_manifest(), name=NAME))
    done, _ = await asyncio.wait([task], timeout=milliseconds / 1000)
    if done:
        await task.result().down()
        return
    task.cancel()
    try:
        lab = await task
    except asyncio.CancelledError:
        return
    await lab.down()


async def test_a_failure_in_use_leaves_nothing() -> None:
    with pytest.raises(Injected):
        async with running():
            raise Injected


async def test_a_bad_manifest_makes_nothing() -> None:
    with pytest.raises(InvalidObject, match="describes no Droplet"):
        await Lab.up([], name=NAME)


async def test_an_object_that_cannot_be_brought_about_ends_it() -> None:
    objects: list[Object] = [obj for obj in demo_manifest() if not isinstance(obj, Droplet)]
    hosts = [
        Droplet(metadata=ObjectMeta(name=f"host-{number}"), spec=DropletSpec(bouncer=False, divider=False))
        for number in (1, 2, 3)
    ]

    with pytest.raises(NotReady, match="Divider blue/main-divider-0 is Pending: no Droplet takes dividers"):
        await Lab.up([*hosts, *objects], name=NAME)
