# SPDX-License-Identifier: Apache-2.0
"""The BPF objects of a fabric, by the kernel's numbers, and waiting until the kernel has freed them.

Removing a pin gives up a reference; the kernel frees what nobody refers to a moment later, after an RCU grace period. A
clean-up that returned before would show `bpftool` objects that are about to go.
"""

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from cloudfabric._fastpath.bpf import Link, Program
from cloudfabric._fastpath.errors import FastpathError
from cloudfabric._fastpath.maps import Map

__all__ = ["BpfObjects"]

_PATIENCE = 2.0  # seconds; a grace period takes milliseconds
_PAUSE = 0.002


class _Closable(Protocol):
    def close(self) -> None: ...


class BpfObjects:
    """The objects that are pinned below a directory now.

    Args:
        root: in a BPF file system, with one directory per host.
    """

    def __init__(self, root: Path) -> None:
        self._programs: set[int] = set()
        self._links: set[int] = set()
        self._maps: set[int] = set()
        for pin in _pins(root, "links"):
            with Link.open_pinned(pin) as link:
                self._links.add(link.id)
                self._programs.add(link.program_id)
        for pin in _pins(root, "maps"):
            with Map.open_pinned(pin) as table:
                self._maps.add(table.id)

    def wait_until_freed(self) -> None:
        """Return when the kernel has freed all of them, or after 2 s: somebody else may hold one."""
        deadline = time.monotonic() + _PATIENCE
        openers: tuple[tuple[Callable[[int], _Closable], set[int]], ...] = (
            (Link.from_id, self._links),
            (Program.from_id, self._programs),
            (Map.from_id, self._maps),
        )
        for opener, numbers in openers:
            for number in numbers:
                while _exists(opener, number) and time.monotonic() < deadline:
                    time.sleep(_PAUSE)


def _pins(root: Path, kind: str) -> Iterator[Path]:
    for directory in root.glob(f"*/{kind}"):
        yield from directory.iterdir()


def _exists(opener: Callable[[int], _Closable], number: int) -> bool:
    try:
        opener(number).close()
    except FastpathError as error:
        return error.errno != errno.ENOENT
    return True
