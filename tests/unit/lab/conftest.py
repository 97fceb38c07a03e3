# SPDX-License-Identifier: Apache-2.0
"""What tests of the lab share."""

import pytest

from cloudfabric.lab.simulated import SimulatedSubstrate
from tests.support.small_fabric import SmallFabric, small_fabric


@pytest.fixture
async def fabric() -> SmallFabric:
    return await small_fabric(SimulatedSubstrate())
