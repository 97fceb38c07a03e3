# SPDX-License-Identifier: Apache-2.0
"""The state directory of a fabric: what belongs to it, written down before it exists.

    /run/cloudfabric/<fabric>/
        fabric.json      who runs it: process id and start time, kind of data plane
        namespaces/      one empty file per network namespace, made before the namespace is
        processes/       one file per child process, named by its id, with its start time
        control.sock     where `cloudfabric status` asks
        bpf/             a BPF file system: the programs, maps and links of the hosts
        store/           the object store (LMDB)

Making the directory is what reserves the name: of two `cloudfabric up` with one name, one gets an error. It goes last,
so that a clean-up that was itself interrupted can be repeated.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cloudfabric.lab import names
from cloudfabric.lab.processes import Process

__all__ = ["FabricExists", "FabricNotFound", "StateDirectory", "base_directory"]


class FabricExists(Exception):
    """A fabric of this name runs already."""

    def __init__(self, name: str, pid: int) -> None:
        super().__init__(
            f"fabric {name} runs already (process {pid}); "
            f"end it with `cloudfabric down {name}` or choose another --name"
        )
        self.name = name
        self.pid = pid


class FabricNotFound(Exception):
    """No fabric of this name was started on this machine."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        there = f"there are: {', '.join(known)}" if known else "there is none"
        super().__init__(f"no fabric {name} on this machine; {there}")
        self.name = name
        self.known = known


def base_directory() -> Path:
    """Return where all fabrics are: $CLOUDFABRIC_RUNTIME_DIR, /run/cloudfabric, or a place of the user's own."""
    configured = os.environ.get("CLOUDFABRIC_RUNTIME_DIR")
    if configured:
        return Path(configured)
    if os.geteuid() == 0:
        return Path("/run/cloudfabric")
    own = os.environ.get("XDG_RUNTIME_DIR")
    return Path(own) / "cloudfabric" if own else Path(tempfile.gettempdir()) / f"cloudfabric-{os.geteuid()}"


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """One fabric's directory.

    Args:
        path: where it is; its last part is the fabric's name.
    """

    path: Path

    @classmethod
    def create(cls, name: str, *, data_plane: str) -> Self:
        """Reserve a name for this process; raises FabricExists (also when its owner has died: clean up first)."""
        state = cls(base_directory() / names.check(name))
        state.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            state.path.mkdir(mode=0o700)
        except FileExistsError:
            owner = state.owner
            raise FabricExists(name, owner.pid if owner else 0) from None
        owner = Process.current()
        record = {"name": name, "pid": owner.pid, "startTime": owner.start_time, "dataPlane": data_plane}
        draft = state.path / ".fabric.json"
        draft.write_text(json.dumps(record), encoding="utf-8")
        draft.rename(state.path / "fabric.json")
        for part in ("namespaces", "processes", "store"):
            (state.path / part).mkdir()
        return state

    @classmethod
    def find(cls, name: str) -> Self:
        """Return the directory of an existing fabric; raises FabricNotFound."""
        state = cls(base_directory() / names.check(name))
        if not state.path.is_dir():
            raise FabricNotFound(name, tuple(found.name for found in cls.all()))
        return state

    @classmethod
    def all(cls) -> tuple[Self, ...]:
        """Return the directories of all fabrics on this machine, by name."""
        base = base_directory()
        return tuple(cls(path) for path in sorted(base.iterdir()) if path.is_dir()) if base.is_dir() else ()

    @property
    def name(self) -> str:
        """The fabric's name."""
        return self.path.name

    @property
    def bpf(self) -> Path:
        """Where the fabric's BPF file system is mounted."""
        return self.path / "bpf"

    @property
    def control(self) -> Path:
        """The socket on which the fabric's process tells how it is."""
        return self.path / "control.sock"

    @property
    def store(self) -> Path:
        """Where the object store keeps its files."""
        return self.path / "store"

    @property
    def data_plane(self) -> str:
        """The kind of data plane: "kernel", "user space", or "" in a directory that is not complete."""
        return str(self._record().get("dataPlane", ""))

    @property
    def owner(self) -> Process | None:
        """The process that runs the fabric; None in a directory that was left before that was written."""
        record = self._record()
        try:
            return Process(int(str(record["pid"])), int(str(record["startTime"])))
        except (KeyError, ValueError):
            return None

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The names of the network namespaces that may exist."""
        return _names(self.path / "namespaces")

    @property
    def processes(self) -> tuple[Process, ...]:
        """The child processes that may run."""
        directory = self.path / "processes"
        found = []
        for name in _names(directory):
            with suppress(OSError, ValueError):
                found.append(Process(int(name), int((directory / name).read_text(encoding="ascii"))))
        return tuple(found)

    def record_namespaces(self, wanted: Iterable[str]) -> None:
        """Write down namespaces that are about to be made."""
        for name in wanted:
            (self.path / "namespaces" / name).touch()

    def forget_namespace(self, name: str) -> None:
        """Strike out a namespace that is gone."""
        (self.path / "namespaces" / name).unlink(missing_ok=True)

    def record_process(self, process: Process) -> None:
        """Write down a child process."""
        (self.path / "processes" / str(process.pid)).write_text(str(process.start_time), encoding="ascii")

    def forget_process(self, process: Process) -> None:
        """Strike out a child process that has ended."""
        (self.path / "processes" / str(process.pid)).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the directory, and that of all fabrics if this was the last one."""
        shutil.rmtree(self.path, ignore_errors=False)
        if "CLOUDFABRIC_RUNTIME_DIR" not in os.environ:
            with suppress(OSError):
                self.path.parent.rmdir()

    def _record(self) -> dict[str, object]:
        try:
            record = json.loads((self.path / "fabric.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def _names(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in directory.iterdir())) if directory.is_dir() else ()
