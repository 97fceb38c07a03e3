# SPDX-License-Identifier: Apache-2.0
"""What `bpf` needs of `maps`: to make a Map of a file descriptor."""

from libc.stdint cimport uint32_t

from cloudfabric._fastpath.handles cimport Handle


cdef extern from "map_batch.h" nogil:
    struct cf_map_shape:
        int fd
        uint32_t key_size
        uint32_t value_size
        uint32_t stride
        uint32_t cpus
        uint32_t max_entries
        bint buckets
        bint array


cdef class Map(Handle):
    cdef cf_map_shape _shape
    cdef readonly object type
    cdef readonly int id
    cdef readonly int flags


cdef Map adopt(int fd, str name)
