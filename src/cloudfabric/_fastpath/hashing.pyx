# SPDX-License-Identifier: Apache-2.0
"""The flow hash and Maglev tables, from the header that the BPF programs include, so that all agree on every bit.

Which bouncer, divider or source port a flow gets follows from its hash; which hosts share a duty, from a Maglev table
(Eisenbud et al., NSDI 2016): a permutation of the slots per host, dealt out in turns. Every host gets the same number
of slots, give or take one, and when one of N hosts goes, about 1/N of the slots change hands beside its own.

Addresses are integers (10.0.0.1 is 0x0a000001); in buffers everything is in network byte order, as in a packet.
"""

from cpython cimport array
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc

from array import array as new_array

__all__ = ["FLOW_SIZE", "MAGLEV_SLOTS", "flow_hash", "flow_hash_batch", "maglev_table", "maglev_table_batch"]


cdef extern from "<arpa/inet.h>" nogil:
    uint32_t htonl(uint32_t value)
    uint16_t htons(uint16_t value)

cdef extern from "flow_batch.h" nogil:
    enum:
        CF_MAGLEV_SLOTS
        CF_FLOW_SIZE

    struct cf_group:
        uint32_t host[1]  # CF_MAGLEV_SLOTS of them

    uint32_t cf_flow_hash(uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port,
                          uint8_t protocol)
    void cf_flow_hash_many(const char *flows, size_t count, uint32_t *hashes)
    void cf_maglev_fill(cf_group *group, const uint32_t *hosts, uint32_t count, uint32_t *next)

MAGLEV_SLOTS = CF_MAGLEV_SLOTS
FLOW_SIZE = CF_FLOW_SIZE


def flow_hash(uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port,
              uint8_t protocol):
    """The 32-bit hash of an IPv4 flow; ports are 0 for protocols without any and for fragments."""
    return cf_flow_hash(htonl(source), htonl(destination), htons(source_port), htons(destination_port), protocol)


def flow_hash_batch(flows):
    """Hash many flows: an array of type "I", one hash per flow, in order.

    `flows` is a buffer of FLOW_SIZE (13) bytes per flow, packed as `struct.pack("!IIHHB", source, destination,
    source_port, destination_port, protocol)`. Raises ValueError when its length is not a multiple of that.
    """
    cdef Py_buffer view
    cdef array.array hashes
    cdef size_t count
    PyObject_GetBuffer(flows, &view, PyBUF_SIMPLE)
    try:
        if view.len % CF_FLOW_SIZE:
            raise ValueError(f"flows: {view.len} bytes is not a multiple of {CF_FLOW_SIZE}")
        count = view.len // CF_FLOW_SIZE
        hashes = array.clone(TEMPLATE, count, zero=False)
        with nogil:
            cf_flow_hash_many(<const char *>view.buf, count, <uint32_t *>hashes.data.as_uints)
    finally:
        PyBuffer_Release(&view)
    return hashes


def maglev_table(hosts):
    """The table (struct cf_group, 1004 bytes) of a set of host addresses, whatever their order.

    An empty set gives a table of zeros. Raises ValueError for address 0, for an address given twice, for more hosts
    than slots; OverflowError for what is not an IPv4 address.
    """
    return maglev_table_batch([hosts])


def maglev_table_batch(groups):
    """The tables of many sets of hosts, one after the other in one bytes object; see `maglev_table`."""
    ordered = [checked_hosts(hosts) for hosts in groups]
    cdef size_t count = len(ordered), index, first = 0
    cdef size_t total = sum(map(len, ordered))
    cdef bytes tables = PyBytes_FromStringAndSize(NULL, count * CF_MAGLEV_SLOTS * sizeof(uint32_t))
    cdef uint32_t *target = <uint32_t *>PyBytes_AS_STRING(tables)
    cdef uint32_t *sizes = <uint32_t *>malloc((count + total + CF_MAGLEV_SLOTS) * sizeof(uint32_t))
    cdef uint32_t *members
    cdef uint32_t *scratch
    if sizes == NULL:
        raise MemoryError
    try:
        members = sizes + count
        scratch = members + total
        for index in range(count):
            sizes[index] = len(ordered[index])
            for host in ordered[index]:
                members[first] = htonl(host)
                first += 1
        with nogil:
            for index in range(count):
                cf_maglev_fill(<cf_group *>(target + index * CF_MAGLEV_SLOTS), members, sizes[index], scratch)
                members += sizes[index]
    finally:
        free(sizes)
    return tables


cdef list checked_hosts(hosts):
    """The hosts in the order that makes every host of the fabric compute the same table."""
    ordered = sorted(hosts)
    if len(ordered) > CF_MAGLEV_SLOTS:
        raise ValueError(f"{len(ordered)} hosts do not fit a table of {CF_MAGLEV_SLOTS} slots")
    if len(set(ordered)) != len(ordered):
        raise ValueError("an address is given twice")
    if ordered and ordered[0] == 0:
        raise ValueError("0.0.0.0 is not a host: 0 marks a slot without one")
    return ordered


cdef array.array TEMPLATE = new_array("I")
