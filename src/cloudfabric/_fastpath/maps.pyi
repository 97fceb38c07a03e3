# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from os import PathLike

from typing_extensions import Buffer

from cloudfabric._fastpath.handles import Handle

__all__ = ["Map", "MapFlag", "MapType", "Update"]

class MapType(IntEnum):
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
    NONE = 0
    NO_PREALLOC = 1
    NO_COMMON_LRU = 2

class Update(IntEnum):
    ANY = 0
    NOEXIST = 1
    EXIST = 2

class Map(Handle):
    id: int
    type: MapType
    flags: int

    def __init__(self) -> None: ...  # raises TypeError: NoReturn would make the class uncallable for mypy
    @staticmethod
    def create(
        name: str,
        type: MapType,
        key_size: int,
        value_size: int,
        max_entries: int,
        *,
        flags: int = 0,
        inner: Map | None = None,
    ) -> Map: ...
    @staticmethod
    def open_pinned(path: str | PathLike[str]) -> Map: ...
    @staticmethod
    def from_fd(fd: int, name: str = "") -> Map: ...
    @staticmethod
    def from_id(id: int) -> Map: ...
    @property
    def key_size(self) -> int: ...
    @property
    def value_size(self) -> int: ...
    @property
    def max_entries(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def cpus(self) -> int: ...
    def update(self, key: Buffer, value: Buffer, flags: Update = Update.ANY) -> None: ...
    def update_batch(
        self, keys: Buffer, values: Buffer, count: int | None = None, *, flags: Update = Update.ANY
    ) -> int: ...
    def delete(self, key: Buffer) -> bool: ...
    def delete_batch(self, keys: Buffer, count: int | None = None, *, missing_ok: bool = True) -> int: ...
    def lookup(self, key: Buffer) -> bytes | None: ...
    def lookup_batch(self, *, chunk: int | None = None) -> tuple[bytes, bytes]: ...
    def items(self) -> Iterator[tuple[bytes, bytes]]: ...
    def sum_u64(self) -> tuple[bytes, memoryview[int]]: ...
    def sum_u64_of(self, key: Buffer) -> tuple[int, ...] | None: ...
