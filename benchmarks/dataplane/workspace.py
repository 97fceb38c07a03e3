# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and a BPF file system for the length of a benchmark, gone afterwards whatever happens in between.

Names are fixed, so that what a killed run left behind is removed by the next one; `only_one` keeps runs apart.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cloudfabric.networking.dataplane import namespaces

__all__ = ["bpf_file_system", "network_namespaces", "only_one", "removed"]

_DIRECTORY = Path("/run/cloudfabric-bench")


@contextmanager
def network_namespaces(*names: str) -> Iterator[None]:
    """Create namespaces, and delete them with everything inside."""
    with removed(*names):
        namespaces.create(names)
        yield


@contextmanager
def removed(*names: str) -> Iterator[None]:
    """Delete namespaces with everything inside, before and after, whoever makes them."""
    _delete(names)
    try:
        yield
    finally:
        _delete(names)
        namespaces.release_directory()


@contextmanager
def only_one() -> Iterator[None]:
    """Wait until no other run of these benchmarks is under way on this machine, and keep others waiting."""
    directory = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


@contextmanager
def bpf_file_system(name: str) -> Iterator[Path]:
    """Mount a BPF file system and return its directory; pins go when the block ends."""
    directory = _DIRECTORY / name
    if directory.is_mount():
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
    directory.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["mount", "-t", "bpf", "bpf", str(directory)], check=True)
        try:
            yield directory
        finally:
            subprocess.run(["umount", "--lazy", str(directory)], check=True)
    finally:
        directory.rmdir()
        if not any(_DIRECTORY.iterdir()):
            _DIRECTORY.rmdir()


def _delete(names: Sequence[str]) -> None:
    for name in names:
        namespaces.delete(name)
