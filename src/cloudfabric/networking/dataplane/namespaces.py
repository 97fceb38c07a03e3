# SPDX-License-Identifier: Apache-2.0
"""Named network namespaces, and a thread that lives in one.

A named namespace is what `ip netns` makes: a file below /run/netns with a namespace mounted on it. A namespace
belongs to a thread, not to a process, so everything here runs in threads that enter one: a socket, a netlink
request or a BPF link made in such a thread belongs to that namespace whichever thread uses it afterwards. No
process is started, which makes a namespace cost half a millisecond.

/run/netns is kept a shared mount as iproute2 keeps it, or a later `ip netns add` would hide our namespaces below a
second mount and they could never be freed.
"""

import ctypes
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

__all__ = [
    "DIRECTORY",
    "NamespaceError",
    "NamespaceExecutor",
    "create",
    "delete",
    "entered",
    "exists",
    "identity",
    "names",
    "release_directory",
]

DIRECTORY = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 4096, 16384, 1 << 20
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)

P = ParamSpec("P")
T = TypeVar("T")


class NamespaceError(OSError):
    """The kernel refused to make, enter or delete a network namespace."""

    def __init__(self, operation: str, name: str, number: int) -> None:
        super().__init__(number, f"network namespace {name}: {operation}: {os.strerror(number)}")
        self.operation = operation
        self.name = name


def create(names: Iterable[str]) -> None:
    """Create namespaces with their loopback down and IPv6 switched off; raises NamespaceError (EEXIST: name taken).

    Those that were made before a failure stay: the caller knows their names and deletes them.
    """
    wanted = tuple(names)
    _in_new_thread(lambda: _create_all(wanted))


def _create_all(names: tuple[str, ...]) -> None:
    with _locked_directory(make=True):
        _share_directory()
        for name in names:
            _create_here(name)


def _create_here(name: str) -> None:
    """Move the calling thread into a new namespace and give that a name."""
    path = DIRECTORY / name
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
    except OSError as error:
        raise NamespaceError("create", name, error.errno or 0) from error
    _check(_libc.unshare(_CLONE_NEWNET), "unshare", name)
    _mount(b"/proc/thread-self/ns/net", bytes(path), _MS_BIND, "mount", name)
    for scope in ("all", "default"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1", encoding="ascii")


def delete(name: str) -> bool:
    """Remove a namespace's name, and with it the namespace once nobody is inside; return False if there was none."""
    path = DIRECTORY / name
    if _libc.umount2(bytes(path), _MNT_DETACH) < 0 and ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT):
        raise NamespaceError("unmount", name, ctypes.get_errno())
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def exists(name: str) -> bool:
    """Return whether a namespace has this name."""
    return (DIRECTORY / name).exists()


def names() -> tuple[str, ...]:
    """Return the names of all named namespaces, sorted."""
    return tuple(sorted(entry.name for entry in DIRECTORY.iterdir())) if DIRECTORY.exists() else ()


def identity(name: str) -> tuple[int, int]:
    """Return (device, inode) of a namespace: what /proc/<pid>/ns/net of a process inside shows."""
    status = os.stat(DIRECTORY / name)
    return status.st_dev, status.st_ino


@contextmanager
def entered(name: str) -> Iterator[None]:
    """Put the calling thread inside a namespace for the length of a `with` block."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(name)
        try:
            yield
        finally:
            _check(_libc.setns(home, _CLONE_NEWNET), "return from", name)
    finally:
        os.close(home)


class NamespaceExecutor:
    """One thread inside one network namespace: all netlink and BPF calls of a host go through it, in order.

    It keeps blocking calls off the event loop, and keeps its namespace alive until it is closed.

    Args:
        name: the namespace to enter; None stays in the one of the caller (an agent on a real host).
    """

    def __init__(self, name: str | None) -> None:
        self.name = name
        self._pool = ThreadPoolExecutor(1, f"netns-{name}")
        if name is not None:
            try:
                self._pool.submit(_enter, name).result()
            except NamespaceError:
                self._pool.shutdown()
                raise

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call for the thread; asyncio code awaits it through `asyncio.wrap_future` or `run`."""
        return self._pool.submit(function, *args, **kwargs)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function inside the namespace, off the event loop."""
        import asyncio

        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._pool.shutdown()


def release_directory() -> None:
    """Undo what `create` did to /run/netns if no namespace is left; does nothing otherwise."""
    with suppress(OSError), _locked_directory(make=False):
        if not any(DIRECTORY.iterdir()):
            _libc.umount2(bytes(DIRECTORY), _MNT_DETACH)  # our own descriptor for the lock is inside
            DIRECTORY.rmdir()


def _share_directory() -> None:
    target = bytes(DIRECTORY)
    if _libc.mount(b"", target, b"none", _MS_SHARED | _MS_REC, None) < 0:
        _mount(target, target, _MS_BIND | _MS_REC, "bind", str(DIRECTORY))
        _mount(b"", target, _MS_SHARED | _MS_REC, "share", str(DIRECTORY))


@contextmanager
def _locked_directory(*, make: bool) -> Iterator[None]:
    """Hold the lock that iproute2 takes as well while it turns the directory into a mount point.

    Whoever held it before may have removed the directory; then this is about the next one of its name.
    """
    while True:
        if make:
            with suppress(FileExistsError):
                DIRECTORY.mkdir(mode=0o755)
        try:
            directory = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if make:
                continue
            raise
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if DIRECTORY.exists() and os.path.samestat(os.fstat(directory), os.stat(DIRECTORY)):
                yield
                return
        finally:
            os.close(directory)


def _enter(name: str) -> None:
    try:
        descriptor = os.open(DIRECTORY / name, os.O_RDONLY)
    except OSError as error:
        raise NamespaceError("open", name, error.errno or 0) from error
    try:
        _check(_libc.setns(descriptor, _CLONE_NEWNET), "enter", name)
    finally:
        os.close(descriptor)


def _mount(source: bytes, target: bytes, flags: int, operation: str, name: str) -> None:
    _check(_libc.mount(source, target, b"none", flags, None), operation, name)


def _check(result: int, operation: str, name: str) -> None:
    if result < 0:
        raise NamespaceError(operation, name, ctypes.get_errno())


def _in_new_thread(function: Callable[[], None]) -> None:
    """Run `function` in a thread of its own that ends afterwards: unshare changes the thread for good."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="netns-create")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
