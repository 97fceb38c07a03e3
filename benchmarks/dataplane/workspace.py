# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and a BPF file system for the length of a benchmark, gone afterwards whatever happens in between.

Names are fixed, so that what a killed run left behind is removed by the next one.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cloudfabric.networking.dataplane import namespaces

__all__ = ["bpf_file_system", "network_namespaces"]

_DIRECTORY = Path("/run/cloudfabric-bench")


@contextmanager
def network_namespaces(*names: str) -> Iterator[None]:
    """Create namespaces, and delete them with everything inside."""
    _delete(names)
    try:
        namespaces.create(names)
        yield
    finally:
        _delete(names)
        namespaces.release_directory()


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
