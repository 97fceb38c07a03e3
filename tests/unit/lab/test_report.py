# SPDX-License-Identifier: Apache-2.0
"""What the demo shows, and when it says that everything held."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.lab.exercise import Isolation, PairResult
from cloudfabric.lab.paths import Hop, Path
from cloudfabric.lab.report import DemoReport, Throughput, render
from tests.support.small_fabric import WORKLOADS

WEB, API, DB = WORKLOADS[:3]
ACROSS = PairResult(
    WEB, DB, True, "red/db", Path(hops=(Hop("bouncer", "host-2"),)), Path(direct=True), (10e-6, 12e-6, 20e-6)
)
WITHIN = PairResult(WEB, API, True, "red/api", Path(local=True), Path(local=True), (5e-6,))
APART = Isolation("red", "blue", 10, 6, 4, ())
STREAM = Throughput("red/web", "red/db", 20e9, 10e9)
GOOD = DemoReport("kernel", 3, (("make hosts", 0.25), ("wire", 0.5)), (ACROSS, WITHIN), (APART,), STREAM, 8.0)


def rendered(report: DemoReport) -> str:
    console = Console(file=io.StringIO(), width=80)
    render(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_good_report_holds() -> None:
    assert GOOD.held
    assert GOOD.build_seconds == 0.75


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, pairs=()),
        replace(GOOD, isolation=()),
        replace(GOOD, pairs=(replace(ACROSS, icmp=False),)),
        replace(GOOD, pairs=(replace(ACROSS, tcp="blue/db"),)),
        replace(GOOD, pairs=(replace(ACROSS, tcp=None),)),
        replace(GOOD, pairs=(replace(ACROSS, first=Path(direct=True)),)),
        replace(GOOD, pairs=(replace(ACROSS, first=Path(dropped=(Verdict.DROP_NO_ROUTE,))),)),
        replace(GOOD, pairs=(replace(ACROSS, later=ACROSS.first),)),
        replace(GOOD, pairs=(replace(WITHIN, first=ACROSS.first),)),
        replace(GOOD, pairs=(replace(WITHIN, later=Path(direct=True)),)),
        replace(GOOD, isolation=(replace(APART, leaks=("red/web heard blue/db",)),)),
        replace(GOOD, isolation=(replace(APART, silent=5),)),
        replace(GOOD, throughput=Throughput(reason="iperf3 failed", failed=True)),
    ],
)
def test_one_fault_is_enough_not_to_hold(bad: DemoReport) -> None:
    assert not bad.held
    assert "NOT everything held" in rendered(bad)


def test_throughput_that_was_not_asked_for_is_no_fault() -> None:
    report = replace(GOOD, throughput=Throughput("red/web", "red/db", reason="not asked for"))

    assert report.held
    assert "throughput not measured: not asked for" in " ".join(rendered(report).split())


def test_the_table_tells_it_all() -> None:
    text = rendered(GOOD)

    for part in (
        "reachable after 0.75 s",
        "10.0.1.10 web host-1",
        "bouncer host-2",
        "direct",
        "10 / 12",
        "every address of blue",
        "10 questions: 4 answered by red itself, 6 by nobody",
        "2.00 times",
        "Everything held: 2 of 2 pairs",
    ):
        assert part in " ".join(text.split()), part


def test_leaks_and_silence_are_told() -> None:
    mute = replace(ACROSS, icmp=False, tcp=None, round_trips=())
    text = rendered(replace(GOOD, pairs=(mute,), isolation=(replace(APART, leaks=("red/web heard blue/db",)),)))

    assert "leak: red/web heard blue/db" in text
    assert "LEAK" in text
    assert "none" in text


def test_json_holds_what_programs_need() -> None:
    document = json.loads(json.dumps(GOOD.to_json()))

    assert document["held"] is True
    assert document["phases"] == {"make hosts": 0.25, "wire": 0.5}
    assert document["pairs"][0]["firstPath"] == "bouncer host-2"
    assert document["pairs"][0]["roundTripMedian"] == pytest.approx(12e-6)
    assert document["isolation"][0]["unanswered"] == 6
    assert document["throughput"]["vxlanBitsPerSecond"] == 10e9
