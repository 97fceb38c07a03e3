# SPDX-License-Identifier: Apache-2.0
"""What the demo found, as a table for people and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloudfabric.lab.exercise import Isolation, PairResult
from cloudfabric.lab.substrate import Workload

__all__ = ["DemoReport", "Throughput", "render"]

_WIDTH = 140  # columns, where the output is not a terminal that says how many it has


@dataclass(frozen=True, slots=True)
class Throughput:
    """One TCP stream over the fabric beside the same over the kernel's VXLAN and bridge.

    Args:
        source: identity of the sending workload.
        destination: identity of the receiving workload.
        fabric: in bits per second; None if it was not measured.
        peer: the same over VXLAN.
        reason: why it was not measured, empty if it was.
        failed: whether it should have been measured.
    """

    source: str = ""
    destination: str = ""
    fabric: float | None = None
    peer: float | None = None
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Everything that the demo shows.

    Args:
        data_plane: "kernel" or "user space".
        hosts: how many there were.
        phases: how long each step of building took, in s.
        pairs: inside the VPCs.
        isolation: between the tenants.
        throughput: of one stream.
        seconds: how long the whole took.
    """

    data_plane: str
    hosts: int
    phases: tuple[tuple[str, float], ...]
    pairs: tuple[PairResult, ...]
    isolation: tuple[Isolation, ...]
    throughput: Throughput
    seconds: float

    @property
    def held(self) -> bool:
        """Whether everything was as it must be."""
        every = [*(pair.held for pair in self.pairs), *(result.held for result in self.isolation)]
        return bool(self.pairs) and bool(self.isolation) and all(every) and not self.throughput.failed

    @property
    def build_seconds(self) -> float:
        """How long it took until all endpoints were reachable."""
        return sum(seconds for _, seconds in self.phases)

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "held": self.held,
            "dataPlane": self.data_plane,
            "hosts": self.hosts,
            "seconds": round(self.seconds, 3),
            "phases": {name: round(seconds, 4) for name, seconds in self.phases},
            "pairs": [_pair_json(pair) for pair in self.pairs],
            "isolation": [
                {
                    "from": result.source,
                    "to": result.destination,
                    "held": result.held,
                    "asked": result.asked,
                    "answeredByOwnTenant": result.own,
                    "unanswered": result.silent,
                    "leaks": list(result.leaks),
                }
                for result in self.isolation
            ],
            "throughput": {
                "from": self.throughput.source,
                "to": self.throughput.destination,
                "bitsPerSecond": self.throughput.fabric,
                "vxlanBitsPerSecond": self.throughput.peer,
                "reason": self.throughput.reason,
            },
        }


def render(report: DemoReport, console: Console) -> None:
    """Print the report as one table and one sentence."""
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    table = Table(box=box.SIMPLE_HEAD, title=_title(report), title_justify="left", header_style="bold", pad_edge=False)
    for column in ("", "From", "To", "ICMP", "TCP", "First packet", "Later"):
        table.add_column(column)
    table.add_column("Round trip µs\nmin / median", justify="right")
    for tenant, group in groupby(report.pairs, key=lambda pair: pair.source.tenant):
        _add_pairs(table, tenant, list(group))
    for result in report.isolation:
        table.add_row(*_isolation_row(result))
    table.add_section()
    table.add_row(*_throughput_row(report.throughput))
    console.print(table)
    for line in (leak for result in report.isolation for leak in result.leaks):
        console.print(f"  leak: {line}", style="red")
    console.print(_verdict(report))


def _title(report: DemoReport) -> str:
    tenants = len({pair.source.tenant for pair in report.pairs})
    endpoints = len({pair.source for pair in report.pairs})
    return (
        f"CloudFabric: {tenants} tenants with the same addresses, {endpoints} workloads on {report.hosts} hosts, "
        f"{report.data_plane} data plane, reachable after {report.build_seconds:.2f} s"
    )


def _add_pairs(table: Table, tenant: str, pairs: Sequence[PairResult]) -> None:
    for number, pair in enumerate(pairs):
        table.add_row(
            Text(tenant if number == 0 else "", "bold"),
            _end(pair.source),
            _end(pair.destination),
            _mark(pair.icmp),
            _mark(pair.tcp == pair.destination.identity),
            str(pair.first),
            str(pair.later),
            _round_trip(pair),
            style=None if pair.held else "red",
        )
    table.add_section()


def _end(workload: Workload) -> str:
    return f"{workload.address.ip} {workload.name} {workload.host}"


def _isolation_row(result: Isolation) -> tuple[str | Text, ...]:
    found = f"{result.asked} questions: {result.own} answered by {result.source} itself, {result.silent} by nobody"
    word = Text("none", "green") if result.held else Text("LEAK", "red bold")
    own, others = f"every workload of {result.source}", f"every address of {result.destination}"
    return (Text(result.source, "bold"), own, others, word, word, found, "", "")


def _throughput_row(throughput: Throughput) -> tuple[str, ...]:
    ends = "", throughput.source, throughput.destination
    if throughput.fabric is None or throughput.peer is None:
        return (*ends, "", "", f"throughput not measured: {throughput.reason}", "", "")
    found = (
        f"one stream: {throughput.fabric / 1e9:.1f} Gbit/s; kernel VXLAN + bridge on the same links: "
        f"{throughput.peer / 1e9:.1f} Gbit/s"
    )
    return (*ends, "", "iperf3", found, f"{throughput.fabric / throughput.peer:.2f} times", "")


def _verdict(report: DemoReport) -> Text:
    good = sum(pair.held for pair in report.pairs)
    reached = f"{good} of {len(report.pairs)} pairs inside the VPCs as they must be"
    kept = f"{sum(result.held for result in report.isolation)} of {len(report.isolation)} tenants kept out of the other"
    summary = "Everything held" if report.held else "NOT everything held"
    return Text(f"{summary}: {reached}, {kept}; {report.seconds:.1f} s in all.", "green" if report.held else "red bold")


def _mark(good: bool) -> Text:
    return Text("yes", "green") if good else Text("NO", "red bold")


def _round_trip(pair: PairResult) -> str:
    if pair.minimum is None or pair.median is None:
        return "none"
    return f"{pair.minimum * 1e6:.0f} / {pair.median * 1e6:.0f}"


def _pair_json(pair: PairResult) -> dict[str, object]:
    return {
        "from": pair.source.identity,
        "to": pair.destination.identity,
        "fromHost": pair.source.host,
        "toHost": pair.destination.host,
        "address": str(pair.destination.address.ip),
        "held": pair.held,
        "icmp": pair.icmp,
        "tcp": pair.tcp,
        "firstPath": str(pair.first),
        "laterPath": str(pair.later),
        "roundTripMinimum": pair.minimum,
        "roundTripMedian": pair.median,
    }
