# SPDX-License-Identifier: Apache-2.0
"""How long ``import cloudfabric`` takes in a fresh interpreter, beside ``import pydantic``.

Each round starts an interpreter that times one import statement: the interpreter's own start is not counted. The
bound is 150 ms, for the process that embeds the SDK pays this before it does anything. pydantic is the peer because
every user of the models pays for it later, when the first model is asked for.
"""

import statistics
import subprocess
import sys

import pytest

BOUND_MS = 150.0
ROUNDS = 15

PROGRAM = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def import_milliseconds(module: str) -> float:
    """Return how long a fresh interpreter takes to import `module`."""
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1e3


def test_import(benchmark: pytest.FixtureRequest) -> None:
    """Median of rounds that alternate between the two, so that both meet the same machine."""
    import_milliseconds("cloudfabric")  # byte code is written once
    rounds: list[tuple[float, float]] = []

    def one_round() -> None:
        rounds.append((import_milliseconds("cloudfabric"), import_milliseconds("pydantic")))

    benchmark.pedantic(one_round, rounds=ROUNDS)
    own, peer = (statistics.median(column) for column in zip(*rounds, strict=True))
    benchmark.extra_info.update(
        {"value": own, "unit": "ms", "peer": "import pydantic", "peer_value": peer, "ratio": own / peer}
    )
    benchmark.extra_info["goal"] = {"of": "value", "at_most": BOUND_MS}
