# SPDX-License-Identifier: Apache-2.0
"""What the map access and the BPF loader raise: one family, each error with the fields that a caller decides by.

`errno` is always the kernel's number (positive). The texts say what failed on what, and what to do where that is known.
"""

import errno as errno_names
import os

__all__ = [
    "AttachError",
    "FastpathError",
    "HandleError",
    "LoadError",
    "MapError",
    "MapFull",
    "PinMismatch",
    "ProgramError",
]

_LIBBPF_ERRORS = 4000
_LOG_TAIL_LINES = 25


def _reason(errno: int) -> str:
    """Text of an error number: `No such file or directory (ENOENT)`; libbpf's own numbers start at 4000."""
    if errno >= _LIBBPF_ERRORS:
        return f"libbpf error {errno}"
    return f"{os.strerror(errno)} ({errno_names.errorcode.get(errno, errno)})"


class FastpathError(Exception):
    """Base of every error of `cloudfabric._fastpath`; `errno` is the kernel's number."""

    def __init__(self, text: str, errno: int) -> None:
        super().__init__(text)
        self.errno = errno


class HandleError(FastpathError):
    """A map, program or link could not be opened, pinned or used; fields `name`, `operation`, `errno`."""

    def __init__(self, name: str, operation: str, errno: int, text: str = "") -> None:
        super().__init__(text or f"{name}: {operation} failed: {_reason(errno)}", errno)
        self.name = name
        self.operation = operation


class MapError(HandleError):
    """An operation on a BPF map failed.

    Fields: `name` of the map, `operation`, `errno`, and `index` of the element within the batch at which it failed
    (None if the operation has no elements). The elements before `index` were applied, those from `index` on were not.
    """

    def __init__(self, name: str, operation: str, errno: int, index: int | None = None, text: str = "") -> None:
        where = "" if index is None else f" at element {index}"
        super().__init__(name, operation, errno, text or f"map {name}: {operation} failed{where}: {_reason(errno)}")
        self.index = index


class MapFull(MapError):
    """The map holds `max_entries` entries and does not take another."""

    def __init__(self, name: str, operation: str, errno: int, index: int | None, max_entries: int) -> None:
        where = "" if index is None else f" at element {index} of the batch"
        text = f"map {name} is full ({max_entries} entries){where}; create it with a larger max_entries"
        super().__init__(name, operation, errno, index, text)
        self.max_entries = max_entries


class LoadError(FastpathError):
    """A BPF object could not be opened or loaded; `log` is everything libbpf and the verifier said."""

    def __init__(self, source: str, operation: str, errno: int, log: str) -> None:
        tail = "\n".join(log.splitlines()[-_LOG_TAIL_LINES:])
        super().__init__(f"{source}: {operation} failed: {_reason(errno)}" + (f"\n{tail}" if tail else ""), errno)
        self.source = source
        self.operation = operation
        self.log = log


class PinMismatch(FastpathError):
    """A map is pinned already, with another shape than the object asks for.

    Fields: `name`, `path` of the pin, `differences` as {attribute: (pinned, wanted)}.
    """

    def __init__(self, name: str, path: str, differences: dict[str, tuple[int, int]], errno: int) -> None:
        shape = ", ".join(f"{key} is {pinned}, wanted {wanted}" for key, (pinned, wanted) in differences.items())
        super().__init__(
            f"map {name} is pinned at {path} with another shape: {shape}; ask for the pinned shape, "
            "or remove the pin once no program uses the map",
            errno,
        )
        self.name = name
        self.path = path
        self.differences = differences


class ProgramError(HandleError):
    """An operation on a loaded BPF program or link failed."""

    def __init__(self, name: str, operation: str, errno: int, detail: str = "") -> None:
        text = f"{name}: {operation} failed: {_reason(errno)}" + (f"; {detail}" if detail else "")
        super().__init__(name, operation, errno, text)


class AttachError(ProgramError):
    """A program could not be attached; `hook` and `ifindex` (of the calling thread's network namespace) say to what."""

    def __init__(self, name: str, hook: str, ifindex: int, errno: int, detail: str = "") -> None:
        super().__init__(name, f"attach to {hook} of interface {ifindex}", errno, detail)
        self.hook = hook
        self.ifindex = ifindex
