# SPDX-License-Identifier: Apache-2.0
"""The kernel's numbers for types of maps, flags of their creation, and modes of an update (`linux/bpf.h`)."""

from enum import IntEnum, IntFlag

__all__ = ["MapFlag", "MapType", "Update"]


class MapType(IntEnum):
    """`enum bpf_map_type` of the kernel."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERF_EVENT_ARRAY = 4
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    STACK_TRACE = 7
    CGROUP_ARRAY = 8
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12
    HASH_OF_MAPS = 13
    DEVMAP = 14
    SOCKMAP = 15
    CPUMAP = 16
    XSKMAP = 17
    SOCKHASH = 18
    CGROUP_STORAGE = 19
    REUSEPORT_SOCKARRAY = 20
    PERCPU_CGROUP_STORAGE = 21
    QUEUE = 22
    STACK = 23
    SK_STORAGE = 24
    DEVMAP_HASH = 25
    STRUCT_OPS = 26
    RINGBUF = 27
    INODE_STORAGE = 28
    TASK_STORAGE = 29
    BLOOM_FILTER = 30
    USER_RINGBUF = 31
    CGRP_STORAGE = 32
    ARENA = 33


class MapFlag(IntFlag):
    """Flags of a map's creation (`map_flags`)."""

    NONE = 0
    NO_PREALLOC = 1
    NO_COMMON_LRU = 2


class Update(IntEnum):
    """Whether an update may create an element, replace one, or both."""

    ANY = 0
    NOEXIST = 1
    EXIST = 2
