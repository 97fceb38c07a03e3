# SPDX-License-Identifier: Apache-2.0
from types import TracebackType
from typing import Self

from cloudfabric._fastpath.results import Hook

__all__ = ["ClsactFilter"]

class ClsactFilter:
    ifindex: int
    ingress: bool
    priority: int
    handle: int

    def __init__(self, ifindex: int, *, ingress: bool = True, priority: int = 1, handle: int = 1) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    @property
    def hook(self) -> Hook: ...
    def program_id(self) -> int | None: ...
    def detach(self) -> bool: ...
