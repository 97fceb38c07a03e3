# SPDX-License-Identifier: Apache-2.0
"""An object of the kernel (map, program, link) behind a file descriptor that this process owns.

The kernel keeps such an object as long as a descriptor, a pin or another object refers to it. System calls on it run
without the GIL, so another thread may close the handle meanwhile; were the descriptor closed at once, the kernel could
give its number to something else and the call would hit that. Therefore every operation is bracketed by `_enter` and
`_leave`, and a handle closed in between is closed by the last operation that leaves.
"""

from libc.errno cimport EBADF, EINVAL, errno
from posix.unistd cimport close

cimport cloudfabric._fastpath.libbpf as libbpf

import os

from cloudfabric._fastpath.errors import HandleError

__all__ = ["Handle"]


cdef extern from "<fcntl.h>" nogil:
    enum:
        F_DUPFD_CLOEXEC
    int fcntl(int fd, int command, ...)


cdef int own_copy(int fd) except -1:
    """A duplicate of `fd`, so that the caller keeps theirs."""
    cdef int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3)
    if copy < 0:
        raise HandleError(f"file descriptor {fd}", "duplicate", errno)
    return copy


cdef int open_pin(object path, str kind) except -1:
    """Open what is pinned at `path`; `kind` is for the error."""
    cdef bytes raw = os.fsencode(path)
    cdef const char *pathname = raw
    cdef int fd
    with nogil:
        fd = libbpf.bpf_obj_get(pathname)
    if fd < 0:
        raise HandleError(f"{kind} {os.fsdecode(raw)}", "opening the pin", -fd)
    return fd


cdef int check_kind(int fd, str name, str kind) except -1:
    """Raise HandleError unless `fd` is a BPF `kind` (map, prog, link): the kernel's info calls do not check that."""
    try:
        target = os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:  # no /proc: trust the caller
        return 0
    if target.replace("_", "-") != f"anon-inode:bpf-{kind}":
        raise HandleError(name or f"file descriptor {fd}", f"opening as a BPF {kind}", EINVAL,
                          f"{name or f'file descriptor {fd}'} is not a BPF {kind} but {target}")
    return 0


cdef class Handle:
    """Base of Map, Program and Link: a context manager that gives up the handle, not the object behind it."""

    def __cinit__(self):
        self._fd = -1
        self.name = ""

    def __dealloc__(self):
        if self._fd >= 0:
            close(self._fd)

    @property
    def closed(self):
        """Whether `close` was called."""
        return self._closing or self._fd < 0

    def fileno(self):
        """The file descriptor, which stays this object's."""
        if self.closed:
            raise HandleError(self.name, "use after close", EBADF)
        return self._fd

    def close(self):
        """Give up this handle; operations that other threads have under way still finish."""
        self._closing = True
        if self._users == 0 and self._fd >= 0:
            close(self._fd)
            self._fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def pin(self, path):
        """Pin the object at `path`, below a BPF file system, so that it outlives this process.

        Raises HandleError: EEXIST if the path exists, EPERM or EINVAL if it is not on a BPF file system.
        """
        cdef bytes raw = os.fsencode(path)
        cdef const char *pathname = raw
        cdef int error
        self._enter("pin")
        try:
            with nogil:
                error = libbpf.bpf_obj_pin(self._fd, pathname)
        finally:
            self._leave()
        if error:
            raise HandleError(self.name, f"pin at {os.fsdecode(raw)}", -error)

    cdef int _enter(self, str operation) except -1:
        if self._closing or self._fd < 0:
            raise HandleError(self.name, f"{operation} after close", EBADF)
        self._users += 1
        return 0

    cdef void _leave(self) noexcept:
        self._users -= 1
        if self._closing and self._users == 0 and self._fd >= 0:
            close(self._fd)
            self._fd = -1
