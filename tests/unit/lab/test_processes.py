# SPDX-License-Identifier: Apache-2.0
"""Ending processes by identity, never by a number alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from cloudfabric.lab import processes
from cloudfabric.lab.processes import Process

Start = Callable[[str], "subprocess.Popen[str]"]

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
WILLING = "import signal; print('ready', flush=True); signal.pause()"


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[subprocess.Popen[str]] = []

    def run(program: str) -> subprocess.Popen[str]:
        child = subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


def test_this_process_is_alive() -> None:
    assert Process.current().alive


def test_another_start_time_is_another_process() -> None:
    mine = Process.current()

    assert not Process(mine.pid, mine.start_time + 1).alive


def test_no_process_is_not_alive() -> None:
    assert not Process(2**22 + 1, 1).alive
    assert not processes.end(Process(2**22 + 1, 1), grace=0)


@pytest.mark.parametrize(
    ("program", "grace", "number"),
    [(WILLING, 10.0, signal.SIGTERM), (STUBBORN, 0.05, signal.SIGKILL), (WILLING, 0.0, signal.SIGKILL)],
)
def test_a_process_is_asked_before_it_is_killed(start: Start, program: str, grace: float, number: int) -> None:
    child = start(program)

    assert processes.end(Process.of(child.pid), grace=grace)

    assert child.wait(10) == -number


def test_a_process_that_has_another_s_id_is_left_alone(start: Start) -> None:
    child = start(WILLING)
    mistaken = Process(child.pid, Process.of(child.pid).start_time - 1)

    assert not processes.end(mistaken, grace=0)

    assert child.poll() is None


def test_it_does_not_end_itself() -> None:
    assert not processes.end(Process.current(), grace=0)


def test_finds_those_inside_a_namespace(start: Start) -> None:
    child = start(WILLING)
    status = os.stat("/proc/self/ns/net")

    found = set(processes.inside({(status.st_dev, status.st_ino)}))

    assert {Process.current(), Process.of(child.pid)} <= found
    assert not list(processes.inside({(0, 0)}))
