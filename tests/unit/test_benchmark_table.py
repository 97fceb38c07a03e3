# SPDX-License-Identifier: Apache-2.0
"""The table that `make bench` prints: a figure, its peer's, and whether the goal was reached."""

import json
from pathlib import Path

import pytest

from scripts.benchmark_table import main, rows


def entry(name: str, **info: object) -> dict[str, object]:
    return {"fullname": f"benchmarks/{name}", "extra_info": info, "stats": {"min": 2e-6}}


FIGURES: dict[str, object] = {"value": 1234.5, "unit": "ns", "peer": "C", "peer_value": 0.25, "ratio": 1.5}


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        ({"of": "ratio", "at_least": 1.5}, "ratio >= 1.5"),
        ({"of": "ratio", "at_least": 1.6}, "ratio >= 1.6 MISSED"),
        ({"of": "value", "at_most": 2000}, "<= 2000"),
        ({"of": "value", "at_most": 1000}, "<= 1000 MISSED"),
    ],
)
def test_a_row_says_whether_the_goal_was_reached(goal: dict[str, object], text: str) -> None:
    assert rows([entry("b.py::test_x", **FIGURES, goal=goal)]) == [
        ("b.py::test_x", "1,234 ns", "C", "0.25 ns", "1.50", text)
    ]


def test_a_benchmark_without_figures_shows_its_time() -> None:
    assert rows([entry("b.py::test_x")]) == [("b.py::test_x", "2 us (min)", "-", "-", "-", "-")]


def test_the_table_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "latest.json"
    machine = {"system": "Linux", "release": "6.18", "cpu": {"count": 2}}
    results.write_text(json.dumps({"machine_info": machine, "benchmarks": [entry("b.py::test_x[xdp]", **FIGURES)]}))

    main(results)

    assert "Linux 6.18, 2 CPUs" in (printed := capsys.readouterr().out)
    assert "b.py::test_x[xdp]" in printed
    assert "1,234 ns" in printed


def test_a_run_that_left_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="was not written: no benchmark came to an end"):
        main(tmp_path / "none.json")
