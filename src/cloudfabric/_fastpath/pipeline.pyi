# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import final

from typing_extensions import Buffer

from cloudfabric._fastpath.verdicts import Verdict

__all__: list[str]

class Program(IntEnum):
    ENDPOINT = 0
    UPLINK = 1
    TRANSIT = 2

class Action(IntEnum):
    PASS = 0
    DROP = 1
    DELIVER = 2
    REPLY = 3
    TRANSMIT = 4

@dataclass(frozen=True, slots=True)
class Outcome:
    action: Action
    ifindex: int
    host: int
    frame: bytes
    verdicts: tuple[Verdict, ...]

@final
class UserMap:
    name: str
    @property
    def key_size(self) -> int: ...
    @property
    def value_size(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def cpus(self) -> int: ...
    @property
    def max_entries(self) -> int: ...
    def __len__(self) -> int: ...
    def update(self, key: Buffer, value: Buffer, flags: int = 0) -> None: ...
    def update_batch(self, keys: Buffer, values: Buffer, count: int | None = None, *, flags: int = 0) -> int: ...
    def delete(self, key: Buffer) -> bool: ...
    def delete_batch(self, keys: Buffer, count: int | None = None, *, missing_ok: bool = True) -> int: ...
    def lookup(self, key: Buffer) -> bytes | None: ...
    def lookup_batch(self, *, chunk: int | None = None) -> tuple[bytes, bytes]: ...
    def items(self) -> Iterator[tuple[bytes, bytes]]: ...
    def sum_u64(self) -> tuple[bytes, memoryview]: ...

@final
class Host:
    maps: dict[str, UserMap]
    def __init__(self, sizes: Mapping[str, int] | None = None) -> None: ...
    def process(self, program: int, frame: Buffer, ifindex: int = 0) -> Outcome: ...
    def process_batch(
        self, program: int, frames: Iterable[Buffer], ifindexes: int | Sequence[int]
    ) -> list[Outcome]: ...
