# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from enum import IntEnum

from typing_extensions import Buffer

from cloudfabric._fastpath.verdicts import Verdict

__all__: list[str]

OVERHEAD_DIRECT: int
OVERHEAD_BOUNCED: int
OVERHEAD_RESERVED: int

class Stage(IntEnum):
    NONE = 0
    BOUNCER = 1
    DIVIDER = 2
    SUBNET_BOUNCER = 3
    HOST = 4

class MalformedPacket(ValueError):
    verdict: Verdict
    index: int | None
    def __init__(self, verdict: Verdict, index: int | None = None) -> None: ...

@dataclass(frozen=True, slots=True)
class Tunnel:
    vni: int
    source: int
    sender: int
    stage: Stage
    control: bool
    frame: bytes

def encapsulate(
    frame: bytes,
    *,
    vni: int,
    source: int,
    destination: int,
    sender: int | None = None,
    stage: int = Stage.NONE,
    ttl: int = 64,
) -> bytes: ...
def encapsulate_batch(
    frames: Buffer,
    lengths: Buffer,
    *,
    vni: int,
    source: int,
    destination: int,
    sender: int | None = None,
    stage: int = Stage.NONE,
    ttl: int = 64,
) -> tuple[bytes, memoryview]: ...
def decapsulate(packet: Buffer) -> Tunnel: ...
def decapsulate_batch(packets: Buffer, lengths: Buffer) -> tuple[bytes, memoryview, memoryview]: ...
