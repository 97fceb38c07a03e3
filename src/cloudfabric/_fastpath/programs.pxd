# SPDX-License-Identifier: Apache-2.0
"""What the loader needs of `programs`: to make a Program of a file descriptor."""

from cloudfabric._fastpath.handles cimport Handle


cdef class Program(Handle):
    cdef readonly int id
    cdef readonly object type


cdef class Link(Handle):
    pass


cdef Program adopt_program(int fd, str name)
