# SPDX-License-Identifier: Apache-2.0
"""Prints pytest-benchmark's JSON as one table: each benchmark's figure beside its peer's from the same run."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def figure(value: float, unit: str) -> str:
    """Return `value` with three or four significant digits and its unit."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}"


def goal(info: dict) -> str:
    """Return the goal that `extra_info` names, and whether this run reached it."""
    if "goal" not in info:
        return "-"
    wanted, value = info["goal"], info[info["goal"]["of"]]
    least, most = wanted.get("at_least"), wanted.get("at_most")
    bound, reached = (f">= {least:g}", value >= least) if least is not None else (f"<= {most:g}", value <= most)
    return ("ratio " if wanted["of"] == "ratio" else "") + bound + ("" if reached else " MISSED")


def rows(benchmarks: list[dict]) -> list[tuple[str, ...]]:
    """Return one row per benchmark: name, figure, peer, peer's figure, ratio (figure / peer's figure), goal."""
    found = []
    for entry in benchmarks:
        name = str(entry["fullname"]).removeprefix("benchmarks/")
        info = entry["extra_info"]
        if "value" not in info:
            minimum = entry["stats"]["min"]
            found.append((name, figure(minimum * 1e6, "us (min)"), "-", "-", "-", "-"))
            continue
        unit = str(info.get("unit", ""))
        peer_value = info.get("peer_value")
        peer = figure(peer_value, unit) if peer_value is not None else "-"
        ratio = f"{info['ratio']:.2f}" if info.get("ratio") is not None else "-"
        found.append((name, figure(info["value"], unit), str(info.get("peer", "-")), peer, ratio, goal(info)))
    return found


def main(path: Path) -> None:
    """Print the table of the results in `path`; exit with a message when the run left none."""
    if not path.exists() or path.stat().st_size == 0:
        sys.exit(f"{path} was not written: no benchmark came to an end")
    results = json.loads(path.read_text(encoding="utf-8"))
    machine = results["machine_info"]
    table = Table(title=f"{machine['system']} {machine['release']}, {machine['cpu'].get('count', '?')} CPUs")
    for column in ("benchmark", "CloudFabric", "peer", "peer's figure", "ratio", "goal"):
        table.add_column(
            column, justify="left" if column in ("benchmark", "peer", "goal") else "right", overflow="fold"
        )
    for row in rows(results["benchmarks"]):
        table.add_row(*map(escape, row))  # a parametrised name ends in brackets, which rich would take for a style
    Console(width=160 if not sys.stdout.isatty() else None).print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
