# SPDX-License-Identifier: Apache-2.0
"""BPF maps from Python: many elements per call, in buffers, without the GIL and without an object per element.

A map is a table in the kernel whose keys and values are C structs of one size. Here they stay bytes: `keys` is a buffer
of `count * key_size` bytes, `values` one of `count * stride`, in the same order (`layout` packs and unpacks). Any
contiguous buffer will do: bytes, bytearray, memoryview, array, a NumPy array.

`stride` is what one element's value takes in such a buffer. It is `value_size`, except in per-CPU maps, where an
element has a value for every possible CPU (`cpus` of them), each rounded up to 8 bytes.

Reading the whole of a hash map returns every entry that stays in it during the call exactly once: the kernel walks
buckets, not keys. In a longest-prefix-match trie a deletion during the call makes the kernel start again; what it
returns twice is removed here. An entry that is added or deleted during the call may or may not be returned.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport E2BIG, ENOENT, ENOSPC
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

cimport cloudfabric._fastpath.libbpf as libbpf
from cloudfabric._fastpath.handles cimport Handle, check_kind, open_pin, own_copy

import os

from cloudfabric._fastpath.errors import MapError, MapFull
from cloudfabric._fastpath.map_types import MapFlag, MapType, Update

__all__ = ["Map", "MapFlag", "MapType", "Update"]


cdef extern from "map_batch.h" nogil:
    struct cf_map_contents:
        char *keys
        char *values
        size_t row
        size_t count

    int cf_map_update_many(const cf_map_shape *map, const char *keys, const char *values, uint32_t count,
                           uint64_t flags, uint32_t *done)
    int cf_map_delete_many(const cf_map_shape *map, const char *keys, uint32_t count, bint missing_ok,
                           uint32_t *done, uint32_t *missing)
    int cf_map_collect(const cf_map_shape *map, uint32_t chunk, bint sum, cf_map_contents *out)
    void cf_sum_cpus(const cf_map_shape *map, const char *values, unsigned long long *sums)

# How much memory one batch lookup may take, unless the caller names a chunk.
cdef enum:
    CHUNK_BYTES = 1 << 20


cdef Map adopt(int fd, str name):
    """A Map that owns `fd`; `fd` is closed if it is not a map's."""
    cdef libbpf.bpf_map_info info
    cdef uint32_t size = sizeof(info)
    cdef int error
    cdef Map self = Map.__new__(Map)
    self._fd = fd  # from here on the destructor closes it
    self.name = name
    check_kind(fd, name, "map")
    memset(&info, 0, sizeof(info))
    error = libbpf.bpf_obj_get_info_by_fd(fd, &info, &size)
    if error:
        raise MapError(name, "reading the map's shape", -error)
    self.id = info.id
    self.flags = info.map_flags
    self.type = MapType(info.type)
    if not name:
        self.name = info.name.decode("ascii", "replace")
    self._shape.fd = fd
    self._shape.key_size = info.key_size
    self._shape.value_size = info.value_size
    self._shape.max_entries = info.max_entries
    self._shape.cpus = 1
    self._shape.stride = info.value_size
    if info.type in (libbpf.BPF_MAP_TYPE_PERCPU_ARRAY, libbpf.BPF_MAP_TYPE_PERCPU_HASH,
                     libbpf.BPF_MAP_TYPE_LRU_PERCPU_HASH):
        self._shape.cpus = possible_cpus()
        self._shape.stride = (info.value_size + 7) // 8 * 8 * self._shape.cpus
    self._shape.buckets = info.type in (
        libbpf.BPF_MAP_TYPE_HASH, libbpf.BPF_MAP_TYPE_PERCPU_HASH, libbpf.BPF_MAP_TYPE_LRU_HASH,
        libbpf.BPF_MAP_TYPE_LRU_PERCPU_HASH, libbpf.BPF_MAP_TYPE_HASH_OF_MAPS)
    self._shape.array = info.type in (
        libbpf.BPF_MAP_TYPE_ARRAY, libbpf.BPF_MAP_TYPE_PERCPU_ARRAY, libbpf.BPF_MAP_TYPE_ARRAY_OF_MAPS)
    return self


cdef uint32_t possible_cpus() except 0:
    cdef int count = libbpf.libbpf_num_possible_cpus()
    if count <= 0:
        raise MapError("", "reading /sys/devices/system/cpu/possible", -count)
    return count


cdef failure(Map self, str operation, int error, index=None):
    full = error == E2BIG or (error == ENOSPC and self.type == MapType.LPM_TRIE)
    if full and operation == "update" and not self._shape.array:
        return MapFull(self.name, operation, error, index, self._shape.max_entries)
    return MapError(self.name, operation, error, index)


cdef uint32_t count_of(Map self, str what, Py_ssize_t length, uint32_t size, count, bint exact) except? 0xffffffff:
    """How many elements of `size` bytes to take from a buffer of `length`, which may be longer unless `exact`."""
    if count is None:
        if size == 0 or length % size:
            raise ValueError(f"map {self.name}: {what}: {length} bytes is not a multiple of {size}")
        count = length // size
    if not 0 <= count < 0xffffffff:
        raise ValueError(f"map {self.name}: count {count} is not between 0 and 4294967294")
    if count * size > length or (exact and count * size != length):
        wanted = f"it takes {size}" if count == 1 else f"{count} elements of {size} bytes take {count * size}"
        raise ValueError(f"map {self.name}: {what}: {length} bytes, but {wanted}")
    return count


cdef uint32_t update_elements(Map self, keys, values, count, uint64_t flags, bint batch) except? 0:
    cdef Py_buffer key_view, value_view
    cdef uint32_t total, done = 0
    cdef int error
    PyObject_GetBuffer(keys, &key_view, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(values, &value_view, PyBUF_SIMPLE)
        try:
            total = count_of(self, "keys" if batch else "key", key_view.len, self._shape.key_size, count, not batch)
            exact = count is None or not batch
            count_of(self, "values" if batch else "value", value_view.len, self._shape.stride, total, exact)
            self._enter("update")
            try:
                with nogil:
                    error = cf_map_update_many(&self._shape, <const char *>key_view.buf,
                                               <const char *>value_view.buf, total, flags, &done)
            finally:
                self._leave()
        finally:
            PyBuffer_Release(&value_view)
    finally:
        PyBuffer_Release(&key_view)
    if error:
        raise failure(self, "update", -error, done if batch else None)
    return total


cdef int collect(Map self, cf_map_contents *contents, chunk, bint sums) except -1:
    """Read everything into `contents`, whose two buffers the caller frees unless this raises."""
    cdef uint32_t size
    cdef int error
    if chunk is None:
        chunk = max(1, min(self.max_entries, CHUNK_BYTES // (self.stride + self.key_size)))
    elif chunk < 1:
        raise ValueError(f"map {self.name}: chunk {chunk} is less than 1")
    size = chunk
    self._enter("lookup")
    try:
        with nogil:
            error = cf_map_collect(&self._shape, size, sums, contents)
    finally:
        self._leave()
    if error:
        free(contents.keys)
        free(contents.values)
        raise failure(self, "reading all entries", -error)
    return 0


cdef Py_ssize_t fields_of(Map self) except -1:
    if self._shape.value_size % 8:
        raise TypeError(f"map {self.name}: a value of {self._shape.value_size} bytes is not made of 64-bit counters")
    return self._shape.value_size // 8


cdef uint32_t delete_elements(Map self, keys, count, bint missing_ok, bint exact) except? 0xffffffff:
    cdef Py_buffer view
    cdef uint32_t total, done = 0, missing = 0
    cdef int error
    PyObject_GetBuffer(keys, &view, PyBUF_SIMPLE)
    try:
        total = count_of(self, "keys", view.len, self._shape.key_size, count, exact)
        self._enter("delete")
        try:
            with nogil:
                error = cf_map_delete_many(&self._shape, <const char *>view.buf, total, missing_ok, &done, &missing)
        finally:
            self._leave()
    finally:
        PyBuffer_Release(&view)
    if error:
        raise failure(self, "delete", -error, done)
    return total - missing


cdef class Map(Handle):
    """An open BPF map. Made by `create`, `open_pinned`, `from_fd`, `from_id`, or found in an `Object`'s `maps`.

    Closing it (or leaving it as a context manager) gives up this handle only: the kernel keeps the map as long as a
    pin, a program or another handle refers to it. Every operation may be called from several threads at once.
    """

    def __init__(self):
        raise TypeError("use Map.create, Map.open_pinned, Map.from_fd or Map.from_id")

    @staticmethod
    def create(str name, type, uint32_t key_size, uint32_t value_size, uint32_t max_entries, *, uint32_t flags=0,
               Map inner=None):
        """Make a new map in the kernel; sizes are in bytes, `inner` is the template of a map of maps."""
        cdef bytes raw = name.encode()[:15]  # the kernel keeps 15 characters
        cdef const char *kernel_name = raw
        cdef int map_type = type, fd
        cdef libbpf.bpf_map_create_opts options
        memset(&options, 0, sizeof(options))
        options.sz = sizeof(options)
        options.map_flags = flags
        if inner is not None:
            options.inner_map_fd = inner.fileno()
        with nogil:
            fd = libbpf.bpf_map_create(map_type, kernel_name, key_size, value_size, max_entries, &options)
        if fd < 0:
            raise MapError(name, "create", -fd)
        return adopt(fd, name)

    @staticmethod
    def open_pinned(path):
        """Open the map pinned at `path`; it is named after the last component. Raises HandleError."""
        return adopt(open_pin(path, "map"), os.path.basename(os.fsdecode(path)))

    @staticmethod
    def from_fd(int fd, name=""):
        """Open the map behind a file descriptor, which stays the caller's; the kernel's name unless one is given."""
        return adopt(own_copy(fd), name)

    @staticmethod
    def from_id(uint32_t id):
        """Open the map with the kernel's number `id`. Raises MapError(ENOENT) when it is gone."""
        cdef int fd
        with nogil:
            fd = libbpf.bpf_map_get_fd_by_id(id)
        if fd < 0:
            raise MapError(f"id {id}", "opening by id", -fd)
        return adopt(fd, "")

    @property
    def key_size(self):
        """Bytes of a key."""
        return self._shape.key_size

    @property
    def value_size(self):
        """Bytes of a value (of one CPU's, in a per-CPU map)."""
        return self._shape.value_size

    @property
    def max_entries(self):
        """How many entries the map takes."""
        return self._shape.max_entries

    @property
    def stride(self):
        """Bytes of one element's value in a buffer: see the module's docstring."""
        return self._shape.stride

    @property
    def cpus(self):
        """Values per element: the possible CPUs in a per-CPU map, otherwise 1."""
        return self._shape.cpus

    def __repr__(self):
        state = "closed" if self.closed else f"fd={self._fd}"
        return (f"<Map {self.name} {self.type.name} key={self.key_size} value={self.value_size} "
                f"max_entries={self.max_entries} {state}>")

    def update(self, key, value, flags=Update.ANY):
        """Write one element. Raises MapFull, or MapError (EEXIST, ENOENT as `flags` ask)."""
        update_elements(self, key, value, 1, flags, False)

    def update_batch(self, keys, values, count=None, *, flags=Update.ANY):
        """Write `count` elements (default: all of the buffers) and return how many.

        Raises ValueError when the buffers do not hold that many, MapFull or MapError with `index` on the first element
        that the kernel refuses: those before it are written, it and those after it are not.
        """
        return update_elements(self, keys, values, count, flags, True)

    def delete(self, key):
        """Remove one element; return whether it was there."""
        return delete_elements(self, key, 1, True, True) == 1

    def delete_batch(self, keys, count=None, *, missing_ok=True):
        """Remove `count` keys (default: all of the buffer) and return how many were there.

        Raises MapError with `index`: ENOENT at the first key that is not there unless `missing_ok`, EINVAL for arrays,
        whose elements cannot be removed.
        """
        return delete_elements(self, keys, count, missing_ok, count is None)

    def lookup(self, key):
        """The value of one key (all CPUs' values, `stride` bytes, in a per-CPU map), or None when there is none."""
        cdef Py_buffer view
        cdef bytes value = PyBytes_FromStringAndSize(NULL, self._shape.stride)
        cdef char *target = PyBytes_AS_STRING(value)
        cdef int error
        PyObject_GetBuffer(key, &view, PyBUF_SIMPLE)
        try:
            count_of(self, "key", view.len, self._shape.key_size, 1, True)
            self._enter("lookup")
            try:
                with nogil:
                    error = libbpf.bpf_map_lookup_elem(self._fd, view.buf, target)
            finally:
                self._leave()
        finally:
            PyBuffer_Release(&view)
        if error == -ENOENT:
            return None
        if error:
            raise failure(self, "lookup", -error)
        return value

    def lookup_batch(self, *, chunk=None):
        """Read the whole map: `(keys, values)`, buffers in the same order.

        `chunk` is how many elements to ask the kernel for at a time (default: what fits 1 MiB).
        """
        cdef cf_map_contents contents
        collect(self, &contents, chunk, False)
        try:
            return (PyBytes_FromStringAndSize(contents.keys, contents.count * self._shape.key_size),
                    PyBytes_FromStringAndSize(contents.values, contents.count * contents.row))
        finally:
            free(contents.keys)
            free(contents.values)

    def items(self):
        """Iterate over `(key, value)` as bytes, in a snapshot made by `lookup_batch`; for few entries."""
        keys, values = self.lookup_batch()
        cdef Py_ssize_t index, key_size = self._shape.key_size, stride = self._shape.stride
        for index in range(len(keys) // key_size):
            yield (keys[index * key_size:(index + 1) * key_size], values[index * stride:(index + 1) * stride])

    def sum_u64(self):
        """Add up a map of 64-bit counters over all CPUs: `(keys, sums)`.

        `sums` is a memoryview of format "Q" and shape (entries, fields of a value), rows in the order of `keys`: of an
        array, row i is element i. Works on ordinary maps too. Raises TypeError unless value_size is a multiple of 8.
        """
        cdef cf_map_contents contents
        cdef Py_ssize_t fields = fields_of(self)
        collect(self, &contents, None, True)
        try:
            count = contents.count
            keys = PyBytes_FromStringAndSize(contents.keys, count * self._shape.key_size)
            sums = PyBytes_FromStringAndSize(contents.values, count * contents.row)
        finally:
            free(contents.keys)
            free(contents.values)
        # A memoryview of no rows cannot have a shape of two dimensions.
        return keys, memoryview(sums).cast("Q", [count, fields]) if count else memoryview(sums).cast("Q")

    def sum_u64_of(self, key):
        """The counters of one key, added up over all CPUs, or None when there is no such key."""
        cdef Py_ssize_t fields = fields_of(self)
        cdef bytes value = self.lookup(key)
        cdef bytes sums
        if value is None:
            return None
        sums = PyBytes_FromStringAndSize(NULL, fields * 8)
        cf_sum_cpus(&self._shape, PyBytes_AS_STRING(value), <unsigned long long *>PyBytes_AS_STRING(sums))
        return tuple(memoryview(sums).cast("Q"))
