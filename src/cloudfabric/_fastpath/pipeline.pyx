# SPDX-License-Identifier: Apache-2.0
"""The data plane in user space: the headers of bpf/include compiled for Python.

`Host` is one host's data plane: the same maps as in the kernel, and `process`, which takes a frame through one of the
programs and tells what became of it. It needs no privilege, so it runs the fabric where BPF is not allowed, simulates
many hosts in one process, explains a packet's way, and is what the kernel's programs are compared with.

Frames begin with an Ethernet header and have no check sequence at the end; hosts' addresses are integers in host order.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport E2BIG, ENOENT, ENOSPC
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from dataclasses import dataclass
from enum import IntEnum

from cloudfabric._fastpath.errors import MapError, MapFull
from cloudfabric._fastpath.verdicts import Verdict

__all__ = ["Action", "Host", "Outcome", "Program", "UserMap"]


cdef extern from "user_programs.h" nogil:
    enum:
        CF_USER_HEADROOM
        CF_USER_MAX_FRAME

    struct cf_user_map:
        uint32_t key_size
        uint32_t value_size
        uint32_t max_entries
        uint32_t count

    struct cf_user_host:
        cf_user_map config
        cf_user_map endpoints
        cf_user_map interfaces
        cf_user_map members
        cf_user_map learnt
        cf_user_map hosts
        cf_user_map routes
        cf_user_map groups
        cf_user_map endpoint_counters
        cf_user_map verdicts

    struct cf_user_context:
        cf_user_host *host
        unsigned char *data
        unsigned char *data_end
        uint32_t ifindex
        uint32_t out_ifindex
        uint32_t out_host
        uint32_t counted
        uint32_t verdicts[8]
        int action
        unsigned char buffer[1]

    int cf_user_host_init(cf_user_host *host, const uint32_t *sizes)
    void cf_user_host_free(cf_user_host *host)
    void *cf_user_map_get(cf_user_map *map, const void *key, int exact)
    int cf_user_map_set(cf_user_map *map, const void *key, const void *value, uint64_t flags)
    int cf_user_map_delete(cf_user_map *map, const void *key)
    void cf_user_map_copy(const cf_user_map *map, char *keys, char *values)
    int cf_user_run(cf_user_context *ctx, int program)

cdef extern from "<arpa/inet.h>" nogil:
    uint32_t ntohl(uint32_t value)

# Default sizes, in the order that cf_user_host_init takes them.
_SIZES = {
    "endpoints": 4096, "interfaces": 4096, "members": 1 << 20, "learnt": 65536, "hosts": 65536, "routes": 65536,
    "groups": 65536, "endpoint_counters": 4096,
}


class Program(IntEnum):
    """The programs of a host: at a workload's interface, at the uplink, and the XDP one that may come before that."""

    ENDPOINT = 0
    UPLINK = 1
    TRANSIT = 2


class Action(IntEnum):
    """What is to be done with a processed frame."""

    PASS = 0      # not the fabric's
    DROP = 1
    DELIVER = 2   # to the workload behind `Outcome.ifindex`
    REPLY = 3     # back out of the interface that it came in by
    TRANSMIT = 4  # to the fabric host `Outcome.host`, through the uplink


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a frame: `verdicts` in the order in which they were counted, `frame` as it is afterwards."""

    action: Action
    ifindex: int
    host: int
    frame: bytes
    verdicts: tuple[Verdict, ...]


cdef class UserMap:
    """A map of the user-space data plane, used like `cloudfabric._fastpath.maps.Map`."""

    cdef cf_user_map *_map
    cdef Host _owner
    cdef readonly str name

    def __init__(self):
        raise TypeError("maps come from Host.maps")

    @property
    def key_size(self):
        """Bytes of a key."""
        return self._map.key_size

    @property
    def value_size(self):
        """Bytes of a value."""
        return self._map.value_size

    @property
    def stride(self):
        """Bytes of one element's value in a buffer: `value_size`, there is one CPU."""
        return self._map.value_size

    @property
    def cpus(self):
        """Values per element."""
        return 1

    @property
    def max_entries(self):
        """How many entries the map takes."""
        return self._map.max_entries

    def __len__(self):
        return self._map.count

    cdef failure(self, str operation, int error, index):
        if error in (E2BIG, ENOSPC) and operation == "update":
            return MapFull(self.name, operation, error, index, self._map.max_entries)
        return MapError(self.name, operation, error, index)

    cdef Py_ssize_t elements(self, str what, Py_ssize_t length, uint32_t size) except -1:
        if length % size:
            raise ValueError(f"map {self.name}: {what}: {length} bytes is not a multiple of {size}")
        return length // size

    cdef Py_ssize_t write(self, keys, values, count, uint64_t flags, bint batch) except -1:
        cdef const unsigned char[::1] key_view = keys
        cdef const unsigned char[::1] value_view = values
        cdef Py_ssize_t total = self.elements("keys", key_view.shape[0], self._map.key_size)
        cdef Py_ssize_t given = self.elements("values", value_view.shape[0], self._map.value_size), index
        cdef int error
        if count is not None:
            if not 0 <= count <= min(total, given):
                raise ValueError(f"map {self.name}: count {count}, but the buffers hold {total} keys and {given} "
                                 "values")
            total = given = count
        if total != given or not (batch or total == 1):
            raise ValueError(f"map {self.name}: {total} keys, but {given} values")
        for index in range(total):
            error = cf_user_map_set(self._map, &key_view[index * self._map.key_size],
                                    &value_view[index * self._map.value_size], flags)
            if error:
                raise self.failure("update", -error, index if batch else None)
        return total

    def update(self, key, value, flags=0):
        """Write one element; `flags` as in `maps.Update`. Raises MapFull or MapError."""
        self.write(key, value, None, flags, False)

    def update_batch(self, keys, values, count=None, *, flags=0):
        """Write `count` elements (default: all of the buffers) and return how many; see `maps.Map.update_batch`."""
        return self.write(keys, values, count, flags, True)

    def delete(self, key):
        """Remove one element; return whether it was there."""
        return self.delete_batch(key) == 1

    def delete_batch(self, keys, count=None, *, missing_ok=True):
        """Remove `count` keys (default: all of the buffer) and return how many were there."""
        cdef const unsigned char[::1] view = keys
        cdef Py_ssize_t total = self.elements("keys", view.shape[0], self._map.key_size), index, found = 0
        cdef int error
        if count is not None:
            if not 0 <= count <= total:
                raise ValueError(f"map {self.name}: count {count}, but the buffer holds {total} keys")
            total = count
        for index in range(total):
            error = cf_user_map_delete(self._map, &view[index * self._map.key_size])
            if error and not (error == -ENOENT and missing_ok):
                raise self.failure("delete", -error, index)
            found += not error
        return found

    def lookup(self, key):
        """The value of one key, or None; of a longest-prefix-match map, the value of the longest match."""
        cdef const unsigned char[::1] view = key
        cdef void *value
        if view.shape[0] != self._map.key_size:
            raise ValueError(f"map {self.name}: key: {view.shape[0]} bytes, but it takes {self._map.key_size}")
        value = cf_user_map_get(self._map, &view[0], 0)
        return None if value is NULL else PyBytes_FromStringAndSize(<char *>value, self._map.value_size)

    def lookup_batch(self, *, chunk=None):
        """Read the whole map: `(keys, values)`, buffers in the same order. `chunk` is accepted for symmetry."""
        cdef Py_ssize_t count = self._map.count
        keys = PyBytes_FromStringAndSize(NULL, count * self._map.key_size)
        values = PyBytes_FromStringAndSize(NULL, count * self._map.value_size)
        cf_user_map_copy(self._map, PyBytes_AS_STRING(keys), PyBytes_AS_STRING(values))
        return keys, values

    def items(self):
        """Iterate over `(key, value)` as bytes, in a snapshot."""
        keys, values = self.lookup_batch()
        cdef Py_ssize_t index, key_size = self._map.key_size, size = self._map.value_size
        for index in range(len(keys) // key_size):
            yield keys[index * key_size:(index + 1) * key_size], values[index * size:(index + 1) * size]

    def sum_u64(self):
        """A map of 64-bit counters as `(keys, sums)`: see `maps.Map.sum_u64`. Raises TypeError for other values."""
        if self._map.value_size % 8:
            raise TypeError(f"map {self.name}: a value of {self._map.value_size} bytes is not made of 64-bit counters")
        keys, values = self.lookup_batch()
        count = len(keys) // self._map.key_size
        view = memoryview(values)
        return keys, view.cast("Q", [count, self._map.value_size // 8]) if count else view.cast("Q")


cdef class Host:
    """The data plane of one host in user space. `sizes` overrides max_entries of maps by name.

    `maps` are filled as the kernel's would be (`layout` packs keys and values). Raises ValueError for an unknown or
    impossible size. Not for use by several threads at once without a lock: a frame is processed under the GIL.
    """

    cdef cf_user_host _host
    cdef cf_user_context *_context
    cdef readonly dict maps

    def __cinit__(self, sizes=None):
        cdef uint32_t numbers[8]
        cdef int error
        memset(&self._host, 0, sizeof(self._host))
        wanted = dict(_SIZES)
        for name, size in (sizes or {}).items():
            if name not in wanted:
                raise ValueError(f"no map {name!r} with a size to choose; there are {', '.join(wanted)}")
            if not 0 < size < 1 << 32:
                raise ValueError(f"map {name}: {size} is not a number of entries")
            wanted[name] = size
        for index, size in enumerate(wanted.values()):
            numbers[index] = size
        error = cf_user_host_init(&self._host, numbers)
        self._context = <cf_user_context *>malloc(sizeof(cf_user_context))
        if error or self._context is NULL:
            raise MemoryError("no memory for the maps of a host")
        self._context.host = &self._host
        self.maps = {
            "config": self.adopt("config", &self._host.config),
            "endpoints": self.adopt("endpoints", &self._host.endpoints),
            "interfaces": self.adopt("interfaces", &self._host.interfaces),
            "members": self.adopt("members", &self._host.members),
            "learnt": self.adopt("learnt", &self._host.learnt),
            "hosts": self.adopt("hosts", &self._host.hosts),
            "routes": self.adopt("routes", &self._host.routes),
            "groups": self.adopt("groups", &self._host.groups),
            "endpoint_counters": self.adopt("endpoint_counters", &self._host.endpoint_counters),
            "verdicts": self.adopt("verdicts", &self._host.verdicts),
        }

    cdef UserMap adopt(self, str name, cf_user_map *map):
        cdef UserMap made = UserMap.__new__(UserMap)
        made.name = name
        made._map = map
        made._owner = self  # a map lives as long as its host
        return made

    def __dealloc__(self):
        cf_user_host_free(&self._host)
        free(self._context)

    def process(self, program, frame, int ifindex=0):
        """Take one frame that came in by `ifindex` through `program` and return its Outcome.

        Raises ValueError when the frame is empty or longer than 65,549 bytes.
        """
        return self.run(program, frame, ifindex)

    def process_batch(self, program, frames, ifindexes):
        """Take each of `frames` through `program`, in order; `ifindexes` is one number, or one for each frame."""
        if isinstance(ifindexes, int):
            return [self.run(program, frame, ifindexes) for frame in frames]
        return [self.run(program, frame, ifindex) for frame, ifindex in zip(frames, ifindexes, strict=True)]

    cdef run(self, int program, frame, int ifindex):
        cdef const unsigned char[::1] view = frame
        cdef cf_user_context *context = self._context
        if not 0 < view.shape[0] <= CF_USER_MAX_FRAME:
            raise ValueError(f"a frame of {view.shape[0]} bytes; it must have 1 to {CF_USER_MAX_FRAME}")
        if not 0 <= program <= 2:
            raise ValueError(f"no program {program}; see Program")
        context.data = &context.buffer[0] + CF_USER_HEADROOM
        context.data_end = context.data + view.shape[0]
        context.ifindex = ifindex
        memcpy(context.data, &view[0], view.shape[0])
        cf_user_run(context, program)
        return Outcome(
            Action(context.action), context.out_ifindex, ntohl(context.out_host),
            PyBytes_FromStringAndSize(<char *>context.data, context.data_end - context.data),
            tuple([Verdict(context.verdicts[index]) for index in range(context.counted)]),
        )
