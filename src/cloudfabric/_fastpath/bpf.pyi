# SPDX-License-Identifier: Apache-2.0
from collections.abc import Collection, Mapping
from os import PathLike
from types import TracebackType
from typing import Self

from typing_extensions import Buffer

from cloudfabric._fastpath.attachments import attached, tcx_supported
from cloudfabric._fastpath.clsact import ClsactFilter
from cloudfabric._fastpath.maps import Map
from cloudfabric._fastpath.programs import Link, Program
from cloudfabric._fastpath.results import Attachment, Hook, ProgramInfo, ProgramType, TestRun, XdpMode

__all__ = [
    "Attachment",
    "ClsactFilter",
    "Hook",
    "Link",
    "Object",
    "Program",
    "ProgramInfo",
    "ProgramType",
    "TestRun",
    "XdpMode",
    "attached",
    "tcx_supported",
]

class Object:
    name: str
    maps: Mapping[str, Map]
    programs: Mapping[str, Program]

    def __init__(
        self,
        source: str | PathLike[str] | Buffer,
        *,
        name: str | None = None,
        max_entries: Mapping[str, int] | None = None,
        pin_root: str | PathLike[str] | None = None,
        programs: Collection[str] | None = None,
    ) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
