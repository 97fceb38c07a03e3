# SPDX-License-Identifier: Apache-2.0
from array import array
from collections.abc import Iterable

from typing_extensions import Buffer

__all__ = ["FLOW_SIZE", "MAGLEV_SLOTS", "flow_hash", "flow_hash_batch", "maglev_table", "maglev_table_batch"]

MAGLEV_SLOTS: int
FLOW_SIZE: int

def flow_hash(source: int, destination: int, source_port: int, destination_port: int, protocol: int) -> int: ...
def flow_hash_batch(flows: Buffer) -> array[int]: ...
def maglev_table(hosts: Iterable[int]) -> bytes: ...
def maglev_table_batch(groups: Iterable[Iterable[int]]) -> bytes: ...
