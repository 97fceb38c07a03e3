# SPDX-License-Identifier: Apache-2.0
"""Stores to test with: every engine behind one fixture, and a clock that stands still until it is moved."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudfabric.store import Store

Opener = Callable[..., Awaitable[Store]]


class Clock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "lmdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"lmdb://{tmp_path}/db"


@pytest.fixture
async def open_(url: str, clock: Clock) -> AsyncIterator[Opener]:
    """Open the store of this test with options; whatever is still open at the end is closed."""
    async with AsyncExitStack() as stack:

        async def open_store(**options: object) -> Store:
            return await stack.enter_async_context(
                await Store.open(url, clock=clock, randomness=random.Random(7), **options)  # type: ignore[arg-type]
            )

        yield open_store


@pytest.fixture
async def store(open_: Opener) -> Store:
    return await open_()
