# SPDX-License-Identifier: Apache-2.0
"""A fabric for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.network_world import World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world
