# SPDX-License-Identifier: Apache-2.0
"""The victim of test_crash.py: many writers on one store, each acknowledged write told on standard output.

usage: crash_writer.py DIRECTORY ROUND
"""

import asyncio
import os
import sys

from cloudfabric.models import Tenant
from cloudfabric.store import open_store
from cloudfabric.store.client import Client


async def write(client: Client, round_: str, worker: int) -> None:
    for number in range(1_000_000):
        name = f"r{round_}-w{worker}-{number}"
        created = await client.create(Tenant.model_validate({"metadata": {"name": name}}))
        tell(created)
        if number % 3 == 2:
            updated = await client.update(created.with_spec(description="updated"))
            tell(updated)


def tell(tenant: Tenant) -> None:
    line = f"{tenant.metadata.resource_version} {tenant.metadata.name} {tenant.spec.description or '-'}\n"
    os.write(1, line.encode())  # one system call: a line is told as a whole or not at all


async def main(directory: str, round_: str) -> None:
    async with open_store(f"lmdb://{directory}", log_window=64) as store, asyncio.TaskGroup() as group:
        for worker in range(16):
            group.create_task(write(store.client(), round_, worker))


asyncio.run(main(sys.argv[1], sys.argv[2]))
