# SPDX-License-Identifier: Apache-2.0
"""The rule of tests/conftest.py: without root or BPF kernel tests are skipped with the reason, in CI they fail."""

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SETTINGS = """
    [pytest]
    markers = kernel: needs the kernel
    asyncio_default_fixture_loop_scope = function
"""

TEST = """
    import pytest

    @pytest.fixture
    def namespace():
        raise AssertionError("fixtures of a kernel test must not run without the kernel")

    @pytest.mark.kernel
    def test_needs_kernel(namespace): pass

    def test_plain(): pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the real conftest.py, on a machine where the kernel is out of reach."""
    absent = "\nkernel_missing = lambda: 'not root'\n"
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8") + absent)
    pytester.makeini(SETTINGS)
    pytester.makepyfile(TEST)
    return pytester


def test_kernel_test_is_skipped_with_the_reason(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    result = project.runpytest("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*needs the kernel: not root"])


@pytest.mark.parametrize("value", ["true", "True"])
def test_in_ci_the_same_is_a_failure(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    result = project.runpytest()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*needs the kernel: not root; CI=true*"])


def test_kernel_test_runs_where_the_kernel_is_within_reach(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8") + "\nkernel_missing = lambda: ''\n")
    pytester.makeini(SETTINGS)
    pytester.makepyfile("import pytest\n\n@pytest.mark.kernel\ndef test_needs_kernel(): pass\n")
    pytester.runpytest().assert_outcomes(passed=1)


def test_everything_below_dataplane_is_a_kernel_test(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    directory = project.mkdir("dataplane")
    (directory / "test_packets.py").write_text("def test_unmarked(): pass\n")
    project.runpytest(directory).assert_outcomes(skipped=1)
