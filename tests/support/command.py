# SPDX-License-Identifier: Apache-2.0
"""Runs the `cloudfabric` command as a process of its own, and follows what it says."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["EXAMPLE", "Command", "run", "started"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "two-tenants.yaml"

_PATIENCE = 60.0  # seconds


class Command:
    """A running command; its output and progress come as one stream of lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []

    def wait_for(self, text: str) -> str:
        """Read until a line holds `text`, and return that line; fail if the output ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        raise AssertionError(f"{text!r} was not said before the command ended:\n" + "\n".join(self.lines))

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Read the rest and return the exit code; negative for a signal."""
        rest, _ = self.process.communicate(timeout=_PATIENCE)
        self.lines += rest.splitlines()
        return self.process.returncode


@contextmanager
def started(*arguments: str) -> Iterator[Command]:
    """Start a command; it is killed if it still runs at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudfabric.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield Command(process)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.communicate()


def run(*arguments: str) -> tuple[int, str]:
    """Run a command to its end and return its exit code and what it printed."""
    with started(*arguments) as command:
        code = command.end()
    return code, "\n".join(command.lines)
