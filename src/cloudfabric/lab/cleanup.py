# SPDX-License-Identifier: Apache-2.0
"""Removes a fabric from this machine, whatever state it was left in.

The same steps serve a normal end, a failed start and `cloudfabric down` after `kill -9`: each does nothing where there
is nothing to do, and the state directory, which says what belongs to the fabric, goes last. Namespaces take their
interfaces with them; BPF programs go with the file system that pins their links.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

from cloudfabric.lab import processes
from cloudfabric.lab.state import FabricNotFound, StateDirectory
from cloudfabric.networking.dataplane import namespaces

__all__ = ["CleanupError", "down", "mount_bpf", "remove", "remove_if_abandoned"]

_GRACE = 10.0  # seconds that a running fabric has to end by itself
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


class CleanupError(Exception):
    """Something of a fabric could not be removed; its state directory is kept, so that it can be tried again."""

    def __init__(self, name: str, failures: tuple[str, ...]) -> None:
        super().__init__(f"fabric {name}: {'; '.join(failures)}; run `cloudfabric down {name}` again")
        self.name = name
        self.failures = failures


def down(name: str) -> None:
    """End a fabric and remove all that is left of it.

    Args:
        name: of the fabric; its process is asked to end (SIGTERM) and ended (SIGKILL) if it does not within 10 s.

    Raises:
        FabricNotFound: there is no such fabric.
        CleanupError: something could not be removed.
    """
    state = StateDirectory.find(name)
    owner = state.owner
    if owner is not None:
        processes.end(owner, grace=_GRACE)
    if state.path.exists():
        remove(state)


def remove_if_abandoned(name: str) -> None:
    """Remove what is left of a fabric whose process has ended without doing so; raises CleanupError."""
    try:
        state = StateDirectory.find(name)
    except FabricNotFound:
        return
    owner = state.owner
    if owner is not None and not owner.alive:
        remove(state)


def remove(state: StateDirectory) -> None:
    """Remove everything that a fabric consists of, its processes except this one included; raises CleanupError."""
    failures: list[str] = []
    freed = _bpf_objects(state)
    for step in (_end_processes, _unmount_bpf, _delete_namespaces):
        _attempt(step, state, failures)
    if failures:
        raise CleanupError(state.name, tuple(failures))
    freed()
    if state.path.exists():
        state.remove()
    namespaces.release_directory()


def mount_bpf(directory: Path) -> None:
    """Make `directory` and mount a BPF file system on it; raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if _libc.mount(b"cloudfabric", bytes(directory), b"bpf", 0, b"mode=0700") < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount a BPF file system on {directory}: {os.strerror(number)}")


def _bpf_objects(state: StateDirectory) -> Callable[[], None]:
    """Return what waits until the kernel has freed the fabric's BPF objects."""
    if not os.path.ismount(state.bpf):
        return lambda: None
    from cloudfabric.lab.bpf_objects import BpfObjects  # needs libbpf, which a fabric in user space does not

    return BpfObjects(state.bpf).wait_until_freed


def _attempt(step: Callable[[StateDirectory], None], state: StateDirectory, failures: list[str]) -> None:
    try:
        step(state)
    except OSError as error:
        failures.append(str(error))


def _end_processes(state: StateDirectory) -> None:
    for child in state.processes:
        processes.end(child, grace=0)
    there = {namespaces.identity(name) for name in state.namespaces if namespaces.exists(name)}
    for child in tuple(processes.inside(there)):
        processes.end(child, grace=0)


def _unmount_bpf(state: StateDirectory) -> None:
    while state.bpf.exists():
        if _libc.umount2(bytes(state.bpf), _MNT_DETACH) < 0:
            number = ctypes.get_errno()
            if number not in (errno.EINVAL, errno.ENOENT):
                raise OSError(number, f"unmount {state.bpf}: {os.strerror(number)}")
            return


def _delete_namespaces(state: StateDirectory) -> None:
    for name in state.namespaces:
        namespaces.delete(name)
        state.forget_namespace(name)
