# SPDX-License-Identifier: Apache-2.0
"""The base of Map, Program and Link for the other Cython modules."""


cdef class Handle:
    cdef int _fd
    cdef int _users       # operations that run on the descriptor without the GIL
    cdef bint _closing    # close() came while some did: the last of them closes
    cdef readonly str name

    cdef int _enter(self, str operation) except -1
    cdef void _leave(self) noexcept


cdef int own_copy(int fd) except -1
cdef int open_pin(object path, str kind) except -1
cdef int check_kind(int fd, str name, str kind) except -1
