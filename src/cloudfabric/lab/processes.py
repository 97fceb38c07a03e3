# SPDX-License-Identifier: Apache-2.0
"""Finds and ends exactly the processes that belong to a fabric, and no other.

A process is known by its id together with its start time, since ids are used again. It is signalled through a pidfd
whose identity is checked after it was opened: from then on the descriptor cannot mean another process.
"""

import os
import select
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Process", "end", "inside"]

_START_TIME = 19  # field 22 of /proc/<pid>/stat (proc(5)), counted from the one behind the parenthesised name
_STATE = 0


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one with its id.

    Args:
        pid: its id.
        start_time: in clock ticks since boot.
    """

    pid: int
    start_time: int

    @classmethod
    def current(cls) -> Self:
        """Return this process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the process that has this id now; raises FileNotFoundError."""
        return cls(pid, int(_stat(pid)[_START_TIME]))

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            fields = _stat(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return int(fields[_START_TIME]) == self.start_time and fields[_STATE] not in ("Z", "X")


def end(process: Process, *, grace: float) -> bool:
    """End a process: SIGTERM, then SIGKILL after `grace` seconds; return False if it had ended before.

    It returns when the process has let go of everything it had (it may stay a zombie until its parent looks).
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not process.alive or process.pid == os.getpid():
            return False
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
            if patience <= 0:
                continue
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], patience)[0]:
                break
        return True
    finally:
        os.close(descriptor)


def inside(namespaces: Collection[tuple[int, int]]) -> Iterator[Process]:
    """Find the processes inside network namespaces given by (device, inode)."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            status = (entry / "ns" / "net").stat()
            if (status.st_dev, status.st_ino) in namespaces:
                yield Process.of(int(entry.name))


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the name, which may itself hold spaces and parentheses."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
