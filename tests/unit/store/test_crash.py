# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load: every acknowledged write is there afterwards, and no revision comes twice."""

import subprocess
import sys
from pathlib import Path

from cloudfabric.models import Tenant
from cloudfabric.store import open_store

ROUNDS = 4
WRITER = Path(__file__).with_name("crash_writer.py")


def write_until_killed(directory: Path, round_: int, acknowledgements: int) -> list[tuple[int, str, str]]:
    """Run the writer, kill it after so many acknowledgements, and return all that it told."""
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(directory), str(round_)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        lines += process.stdout.readlines()
    assert process.wait(timeout=30) == -9
    told = [line.split() for line in lines if line.endswith("\n")]
    return [(int(revision), name, description) for revision, name, description in told]


async def test_every_acknowledged_write_survives(tmp_path: Path) -> None:
    acknowledged: dict[str, tuple[int, str]] = {}
    revisions: list[int] = []

    for round_ in range(ROUNDS):
        # Different lengths, so that the kill meets the writer at different points of its commits and compactions.
        told = write_until_killed(tmp_path / "db", round_, 100 + 37 * round_)
        for revision, name, description in told:
            acknowledged[name] = (revision, description)
            revisions.append(revision)

        async with open_store(f"lmdb://{tmp_path}/db", log_window=64) as store:
            found = {tenant.metadata.name: tenant for tenant in (await store.client().list(Tenant)).items}
            newest = int(store.resource_version)
            oldest = max(0, newest - 32)
            async with store.client().watch(Tenant, resource_version=str(oldest)) as watch:
                replayed = [int((await anext(watch)).resource_version) for _ in range(newest - oldest)]

        assert newest >= max(revisions)
        assert replayed == list(range(oldest + 1, newest + 1))
        for name, (revision, description) in acknowledged.items():
            tenant = found[name]
            # A later update may have been made durable just before the kill, and not been told any more.
            assert int(tenant.metadata.resource_version) >= revision
            assert description == "-" or tenant.spec.description == description

    assert len(revisions) == len(set(revisions))
