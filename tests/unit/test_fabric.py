# SPDX-License-Identifier: Apache-2.0
"""The composition: a store, controllers and bundles of them, opened and closed together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from cloudfabric.controllers import Controller, Manager, ObjectKey, VirtualClock
from cloudfabric.fabric import ControllerBundle, Fabric
from cloudfabric.models import ObjectMeta, Phase, Tenant
from cloudfabric.networking.operators import NetworkControllers
from cloudfabric.store import InvalidStoreURL, StoreClosed
from tests.support.network_world import RecordingHosts

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_controller.py"


def test_the_readme_shows_the_example() -> None:
    readme = (EXAMPLE.parents[1] / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- embedding -->")[1].split("<!-- /embedding -->")[0].strip()
    code = EXAMPLE.read_text(encoding="utf-8").split("\n", 1)[1]  # without the licence line
    assert shown == f"```python\n{code}```"


class Welcome(Controller[Tenant]):
    kind = Tenant
    name: ClassVar[str] = "welcome"

    async def reconcile(self, key: ObjectKey) -> None:
        tenant = self.informer.get(key)
        if tenant is not None:
            await self.client.update_status(tenant.with_status(phase=Phase.TERMINATING))


def tenant(name: str) -> Tenant:
    return Tenant(metadata=ObjectMeta(name=name))


async def test_a_controller_runs_over_a_store() -> None:
    async with Fabric.open("memory://", clock=VirtualClock()) as fabric:
        fabric.add(Welcome())
        await fabric.client.create(tenant("red"))
        await fabric.idle()
        assert (await fabric.client.get(Tenant, "red")).status.phase is Phase.TERMINATING
        assert fabric.metrics()["welcome"].failures == 0


async def test_a_bundle_is_added_like_a_controller() -> None:
    bundle = NetworkControllers(RecordingHosts())
    assert isinstance(bundle, ControllerBundle)
    async with Fabric.open("memory://") as fabric:
        fabric.add(bundle, Welcome())
        await fabric.idle()
        assert {"EndpointOperator", "welcome"} < set(fabric.metrics())
        assert isinstance(fabric.manager, Manager)
        with pytest.raises(RuntimeError, match="added to a manager already"):
            fabric.add(bundle)


async def test_objects_survive_in_a_store_on_disk(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path}/store"
    async with Fabric.open(url) as fabric:
        await fabric.client.create(tenant("red"))
    async with Fabric.open(url) as fabric:
        fabric.add(Welcome())
        await fabric.idle()
        assert (await fabric.client.get(Tenant, "red")).status.phase is Phase.TERMINATING


async def test_leaving_closes_the_store() -> None:
    async with Fabric.open("memory://") as fabric:
        client = fabric.client
    with pytest.raises(StoreClosed):
        await client.get(Tenant, "red")


async def test_an_error_in_the_block_is_raised_as_it_is() -> None:
    async def body() -> None:
        async with Fabric.open("memory://") as fabric:
            fabric.add(Welcome())
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await body()


async def test_a_url_that_names_no_store_is_refused() -> None:
    async def body() -> None:
        async with Fabric.open("sqlite://"):
            pass

    with pytest.raises(InvalidStoreURL):
        await body()


def test_the_example_is_short_and_runs() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 30
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        "made a VPC for blue: a new tenant",
        "made a VPC for red: a new tenant",
    ]
