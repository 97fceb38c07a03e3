# SPDX-License-Identifier: Apache-2.0
"""Reading iperf3's report, and what is said where it is not installed."""

import json
import shutil

import pytest

from cloudfabric.lab.throughput import ThroughputError, missing_program, received_rate


def test_the_receiver_s_rate_counts() -> None:
    report = {"end": {"sum_sent": {"bits_per_second": 9e9}, "sum_received": {"bits_per_second": 8.5e9}}}

    assert received_rate(json.dumps(report)) == 8.5e9


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ('{"error": "unable to connect to server"}', "iperf3: unable to connect to server"),
        ("", "printed no result: ''"),
        ('{"end": {}}', "printed no result"),
        ('{"end": {"sum_received": {"bits_per_second": null}}}', "printed no result"),
    ],
)
def test_a_report_without_a_rate_is_an_error(output: str, text: str) -> None:
    with pytest.raises(ThroughputError, match=text):
        received_rate(output)


@pytest.mark.parametrize(
    ("present", "missing"), [({"iperf3"}, "util-linux"), ({"setpriv"}, "iperf3"), (set(), "iperf3")]
)
def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, present: set[str], missing: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in present else None)

    assert f"Debian's package {missing}" in str(missing_program())


def test_nothing_is_missing_where_both_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")

    assert missing_program() is None
