# SPDX-License-Identifier: Apache-2.0
from os import PathLike

from typing_extensions import Buffer

from cloudfabric._fastpath.clsact import ClsactFilter
from cloudfabric._fastpath.handles import Handle
from cloudfabric._fastpath.results import Hook, ProgramInfo, ProgramType, TestRun, XdpMode

__all__ = ["Link", "Program"]

class Program(Handle):
    id: int
    type: ProgramType

    def __init__(self) -> None: ...  # raises TypeError: NoReturn would make the class uncallable for mypy
    @staticmethod
    def open_pinned(path: str | PathLike[str]) -> Program: ...
    @staticmethod
    def from_fd(fd: int, name: str = "") -> Program: ...
    @staticmethod
    def from_id(id: int) -> Program: ...
    def info(self) -> ProgramInfo: ...
    def test_run(
        self, data: Buffer, *, repeat: int = 1, ifindex: int = 0, ingress_ifindex: int = 0, mark: int = 0
    ) -> TestRun: ...
    def attach_tcx(
        self,
        ifindex: int,
        *,
        ingress: bool = True,
        pin_path: str | PathLike[str] | None = None,
        before: Link | Program | None = None,
        after: Link | Program | None = None,
    ) -> Link: ...
    def attach_xdp(
        self, ifindex: int, *, mode: XdpMode = XdpMode.NATIVE, pin_path: str | PathLike[str] | None = None
    ) -> Link: ...
    def attach_clsact(
        self, ifindex: int, *, ingress: bool = True, priority: int = 1, handle: int = 1, replace: bool = False
    ) -> ClsactFilter: ...

class Link(Handle):
    def __init__(self) -> None: ...  # raises TypeError: NoReturn would make the class uncallable for mypy
    @staticmethod
    def open_pinned(path: str | PathLike[str]) -> Link: ...
    @staticmethod
    def from_id(id: int) -> Link: ...
    @property
    def id(self) -> int: ...
    @property
    def program_id(self) -> int: ...
    @property
    def ifindex(self) -> int: ...
    @property
    def hook(self) -> Hook: ...
    def update_program(self, program: Program, *, old: Program | None = None) -> None: ...
    def detach(self) -> None: ...
