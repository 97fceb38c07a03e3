# SPDX-License-Identifier: Apache-2.0
"""What `make test` counts: JUnit reports of real pytest runs, and exit codes of gates that have none."""

from pathlib import Path

import pytest

from scripts.run_gates import Outcome, judge

TESTS = """
    import pytest

    def test_passes(): pass
    def test_fails(): assert False
    def test_skips(): pytest.skip("not on this machine")
    def test_skips_for_the_kernel(): pytest.skip("needs the kernel: not root")

    @pytest.fixture
    def broken(): raise RuntimeError
    def test_errors(broken): pass
"""
SETTINGS = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"


def test_every_result_is_counted_once(pytester: pytest.Pytester, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    pytester.makeini(SETTINGS)
    pytester.makepyfile(TESTS)
    status = pytester.runpytest(f"--junit-xml={report}").ret
    assert judge("unit", status, report, 1.5) == Outcome("unit", 1, 2, 2, 1, 1.5)


@pytest.mark.parametrize(("status", "passed", "failed"), [(0, 1, 0), (1, 0, 1)])
def test_gate_without_tests_counts_as_one(tmp_path: Path, status: int, passed: int, failed: int) -> None:
    assert judge("lint", status, tmp_path / "absent.xml", 0.0) == Outcome("lint", passed, failed, 0, 0, 0.0)


def test_failure_outside_of_a_test_is_not_lost(pytester: pytest.Pytester, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    pytester.makeini(SETTINGS)
    pytester.makepyfile("def test_passes(): pass")
    pytester.runpytest(f"--junit-xml={report}").assert_outcomes(passed=1)
    assert judge("unit", 1, report, 0.0).failed == 1
