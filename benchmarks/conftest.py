# SPDX-License-Identifier: Apache-2.0
"""How suites measure: two contestants in turns, in one process or two, each round's figure from both.

Whatever else the machine does meets both alike, and each side's best round is its figure: noise only ever makes a round
worse. `CLOUDFABRIC_BENCH=smoke` (tox, CI) runs everything once and small, to see that it works.

What is to be reached stands beside a figure as its goal, `extra_info["goal"]`: of the ratio or of the value, at least
or at most, how much. A run reports and does not judge, because the machine may be busy with something else.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.conftest import pytest_runtest_setup  # noqa: F401  # the rule for what needs the kernel holds here too

PEERS = Path(__file__).parent / "peers"
INCLUDE = Path(__file__).parents[1] / "bpf" / "include"
SMOKE = os.environ.get("CLOUDFABRIC_BENCH") == "smoke"

Round = Callable[[], float]


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    extra_info: dict[str, object]

    def pedantic(self, target: Callable[[], object], *, rounds: int) -> object: ...


class Paired(Protocol):
    """Runs two contestants in turns and records the figures: see `paired`."""

    def __call__(
        self, own: Round, peer: Round, *, name: str, unit: str, rounds: int, at_least: float | None = None
    ) -> None: ...


@pytest.fixture
def smoke() -> bool:
    """Whether this run only shows that the benchmark works."""
    return SMOKE


@pytest.fixture
def paired(benchmark: Benchmark) -> Paired:
    """Measure `own` beside `peer` and store value, unit, peer, peer_value and ratio.

    Each call of either runs one round and returns its figure in `unit`, where more is better. `name` says what the
    peer is; `at_least` is the goal for the ratio.
    """

    def measure(own: Round, peer: Round, *, name: str, unit: str, rounds: int, at_least: float | None = None) -> None:
        figures: list[tuple[float, float]] = []

        def one_round() -> None:
            first = len(figures) % 2 == 0  # take turns in going first, too
            before = own() if first else 0.0
            theirs = peer()
            figures.append((before if first else own(), theirs))

        benchmark.pedantic(one_round, rounds=1 if SMOKE else rounds)
        value, peer_value = (max(column) for column in zip(*figures, strict=True))
        ratio = value / peer_value
        benchmark.extra_info.update(
            {"value": value, "unit": unit, "peer": name, "peer_value": peer_value, "ratio": ratio}
        )
        if at_least is not None:
            benchmark.extra_info["goal"] = {"of": "ratio", "at_least": at_least}

    return measure


@pytest.fixture
def c_peer(tmp_path: Path) -> Iterator[Callable[..., Callable[[], float]]]:
    """Compile a program of `peers`, start it, and return what asks it for a round: nanoseconds per element."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: str, libraries: tuple[str, ...] = ()) -> Callable[[], float]:
        program, source = tmp_path / name, PEERS / f"{name}.c"
        link = [f"-l{library}" for library in libraries]
        flags = ["-O3", "-Wall", "-I", str(INCLUDE)]
        subprocess.run(["gcc", *flags, str(source), "-o", str(program), *link], check=True)
        process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        running.append(process)

        def one_round() -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        return one_round

    yield start
    for process in running:
        process.communicate()  # end of input ends the program
