# SPDX-License-Identifier: Apache-2.0
"""Runs the tox environments named on the command line (all without a name) and ends with one line of counts.

A gate without tests of its own (lint, types, coverage) counts as one test, so that "0 failed" means that everything
held. The exit code is 0 only then. Coverage runs last, over what the tests left; where the kernel's tests were skipped
(no root, no BPF, and not in CI) it reports without a minimum, because the code they run cannot have been covered.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ENVIRONMENTS = ("lint", "types", "unit", "dataplane", "bench", "coverage")
WORK = Path(".tox")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one environment came to: counts of tests, and how long it took in seconds."""

    environment: str
    passed: int
    failed: int
    skipped: int
    kernel_skipped: int
    seconds: float


def run(environment: str, *, coverage_minimum: int) -> Outcome:
    """Run one tox environment, its output going straight to the terminal."""
    report = WORK / f"{environment}.xml"
    report.unlink(missing_ok=True)
    print(f"\n=== {environment}", flush=True)
    start = time.monotonic()
    tox = [sys.executable, "-m", "tox", "run", "--quiet", "-e", environment]
    status = subprocess.run(tox, env={**os.environ, "COVERAGE_MINIMUM": str(coverage_minimum)}, check=False).returncode
    return judge(environment, status, report, time.monotonic() - start)


def judge(environment: str, status: int, report: Path, seconds: float) -> Outcome:
    """Return what exit code `status` and pytest's JUnit `report`, if it wrote one, come to."""
    if not report.exists():
        return Outcome(environment, int(status == 0), int(status != 0), 0, 0, seconds)
    results = list(_results(report))
    failed = results.count("failed")
    if status != 0 and failed == 0:
        failed = 1  # the environment failed outside of a test: collection, installation, a crash
    kernel = results.count("kernel")
    return Outcome(environment, results.count("passed"), failed, results.count("skipped") + kernel, kernel, seconds)


def _results(report: Path) -> Iterator[str]:
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            yield "failed"
        elif skip is None:
            yield "passed"
        else:
            yield "kernel" if "needs the kernel:" in skip.get("message", "") else "skipped"


def main(environments: list[str]) -> int:
    """Run the gates and print the table; return the exit code."""
    outcomes: list[Outcome] = []
    for environment in environments or ENVIRONMENTS:
        partial = any(outcome.kernel_skipped for outcome in outcomes)
        if environment == "coverage" and partial:
            print("\ncoverage: kernel tests were skipped here, so the minimum of 90 % is not asked for")
        outcomes.append(run(environment, coverage_minimum=0 if partial else 90))
    print("\n=== gates")
    for outcome in outcomes:
        verdict = "failed" if outcome.failed else "ok"
        counts = f"{outcome.passed:5} passed {outcome.failed:4} failed {outcome.skipped:4} skipped"
        print(f"{outcome.environment:10} {verdict:7} {counts} {outcome.seconds:7.1f} s")
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    skipped = sum(o.skipped for o in outcomes)
    summary = f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
    WORK.mkdir(exist_ok=True)
    (WORK / "summary").write_text(f"{summary}\n", encoding="utf-8")  # for .ci/run
    print(summary)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
