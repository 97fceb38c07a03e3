# SPDX-License-Identifier: Apache-2.0
"""The direct path in a running fabric: learnt from the first packet, forgotten when its end has gone, nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from cloudfabric._fastpath.verdicts import Category, Verdict
from cloudfabric.lab.demo import demo_manifest
from cloudfabric.lab.lab import Lab
from cloudfabric.lab.paths import changes
from cloudfabric.lab.substrate import Workload
from cloudfabric.models import Endpoint, EndpointSpec, ObjectMeta

WAIT = 3.0
DATA = IPv4Address("10.0.2.10")  # red/data-1, on host-3


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFABRIC_RUNTIME_DIR", str(tmp_path / "run"))


@asynccontextmanager
async def running() -> AsyncIterator[Lab]:
    async with await Lab.up(demo_manifest(), name="cft-direct", durable=False) as lab:
        yield lab


def named(lab: Lab, identity: str) -> Workload:
    [found] = [workload for workload in lab.workloads if workload.identity == identity]
    return found


async def ping(lab: Lab, source: Workload, address: IPv4Address) -> Mapping[Verdict, int]:
    """Ping once, insist on the answer, and return all verdicts that request and reply met, on all hosts together."""
    before = {name: await dataplane.verdicts() for name, dataplane in lab.dataplanes.items()}
    assert await lab.substrate.ping(source, address, WAIT) is not None
    after = {name: await dataplane.verdicts() for name, dataplane in lab.dataplanes.items()}
    total: dict[Verdict, int] = {}
    for counts in changes(before, after).values():
        for verdict, count in counts.items():
            total[verdict] = total.get(verdict, 0) + count
    assert not [verdict for verdict in total if verdict.category is Category.DROP]
    return total


async def settled(lab: Lab) -> None:
    await lab.idle()
    await asyncio.gather(*(dataplane.settled() for dataplane in lab.dataplanes.values()))


async def test_only_the_first_packet_meets_a_bouncer() -> None:
    async with running() as lab:
        source = named(lab, "red/web-1")

        first, second = [await ping(lab, source, DATA) for _ in range(2)]

        assert first[Verdict.LEARNT] == 2  # each end learns the other
        assert first[Verdict.SENT_DIRECT] == 1  # the reply, already
        assert Verdict.DIVIDER_TO_BOUNCER in first
        assert second == {Verdict.SENT_DIRECT: 2, Verdict.DELIVERED: 2}


async def test_an_endpoint_recreated_elsewhere_with_its_address_is_reached_by_the_very_next_packet() -> None:
    """The old path is still believed in: the packet comes back, the path is forgotten, nothing is lost."""
    async with running() as lab:
        source = named(lab, "red/web-1")
        await ping(lab, source, DATA)

        await lab.client.delete(Endpoint, "data-1", tenant="red", namespace="default")
        await settled(lab)
        spec = EndpointSpec(subnet="data", droplet="host-2", address=DATA)
        meta = ObjectMeta(tenant="red", namespace="default", name="data-1")
        await lab.client.create(Endpoint(metadata=meta, spec=spec))
        await settled(lab)
        assert (named(lab, "red/data-1").host, named(lab, "red/data-1").address.ip) == ("host-2", DATA)

        first = await ping(lab, source, DATA)
        assert (first[Verdict.RETURNED], first[Verdict.FORGOTTEN], first[Verdict.RESENT]) == (1, 1, 1)
        assert await ping(lab, source, DATA) == {Verdict.SENT_DIRECT: 2, Verdict.DELIVERED: 2}
        assert await lab.substrate.identify(source, DATA, WAIT) == "red/data-1"


async def test_an_endpoint_that_is_gone_is_forgotten_and_its_packets_end_at_a_bouncer() -> None:
    async with running() as lab:
        source = named(lab, "red/web-1")
        await ping(lab, source, DATA)
        await lab.client.delete(Endpoint, "data-1", tenant="red", namespace="default")
        await settled(lab)
        before = {name: await dataplane.verdicts() for name, dataplane in lab.dataplanes.items()}

        assert await lab.substrate.ping(source, DATA, 0.3) is None

        after = {name: await dataplane.verdicts() for name, dataplane in lab.dataplanes.items()}
        met = {verdict for counts in changes(before, after).values() for verdict in counts}
        assert {Verdict.RETURNED, Verdict.FORGOTTEN, Verdict.RESENT, Verdict.DROP_UNKNOWN_ADDRESS} <= met
