# SPDX-License-Identifier: Apache-2.0
"""The flow hash in batch beside the same loop in C, and Maglev tables beside the paper's algorithm in Python."""

import random
import struct
import time
from collections.abc import Callable

from cloudfabric._fastpath.hashing import FLOW_SIZE, MAGLEV_SLOTS, flow_hash, flow_hash_batch, maglev_table_batch

Paired = Callable[..., None]
StartPeer = Callable[..., Callable[[], float]]

FLOWS = 1 << 20
TABLES = 200
HOSTS = 8
WORD = (1 << 64) - 1


def rate(work: Callable[[], object], count: int) -> Callable[[], float]:
    """Return a round: millions per second."""

    def one_round() -> float:
        start = time.perf_counter()
        work()
        return count / (time.perf_counter() - start) / 1e6

    return one_round


def test_flow_hash_batch(paired: Paired, c_peer: StartPeer) -> None:
    """A million flows, from a buffer into an array, beside a C loop over the same header."""
    flows = random.Random(1).randbytes(FLOWS * FLOW_SIZE)
    nanoseconds = c_peer("flow_hash", str(FLOWS))

    paired(
        rate(lambda: flow_hash_batch(flows), FLOWS),
        lambda: 1e3 / nanoseconds(),
        name="C loop",
        unit="M flows/s",
        rounds=30,
    )


def test_flow_hash_single(paired: Paired) -> None:
    """A batch beside calling flow_hash for every flow: what the batch saves."""
    count = 100_000
    flows = random.Random(1).randbytes(count * FLOW_SIZE)
    tuples = list(struct.iter_unpack("!IIHHB", flows))
    assert [flow_hash(*flow) for flow in tuples[:100]] == flow_hash_batch(flows[: 100 * FLOW_SIZE]).tolist()

    def one_by_one() -> None:
        for source, destination, source_port, destination_port, protocol in tuples:
            flow_hash(source, destination, source_port, destination_port, protocol)

    paired(
        rate(lambda: flow_hash_batch(flows), count),
        rate(one_by_one, count),
        name="flow_hash, one by one",
        unit="M flows/s",
        rounds=10,
    )


def mix(x: int) -> int:
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & WORD
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & WORD
    return x ^ x >> 33


def table_in_python(hosts: list[int]) -> bytes:
    """Algorithm 1 of the Maglev paper."""
    hosts = sorted(hosts)
    hashes = [mix(0x636C6F7564666162 ^ struct.unpack("=I", struct.pack("!I", host))[0]) for host in hosts]
    places = [((h >> 32) % MAGLEV_SLOTS, (h & 0xFFFFFFFF) % (MAGLEV_SLOTS - 1) + 1) for h in hashes]
    turn, table, filled = [0] * len(hosts), [0] * MAGLEV_SLOTS, 0
    while True:
        for index, host in enumerate(hosts):
            offset, skip = places[index]
            while table[slot := (offset + turn[index] * skip) % MAGLEV_SLOTS]:
                turn[index] += 1
            table[slot] = host
            filled += 1
            if filled == MAGLEV_SLOTS:
                return struct.pack(f"!{MAGLEV_SLOTS}I", *table)


def test_maglev_tables(paired: Paired) -> None:
    """Two hundred subnets' tables over eight bouncers each."""
    source = random.Random(1)
    groups = [source.sample(range(1, 1 << 32), HOSTS) for _ in range(TABLES)]
    assert maglev_table_batch(groups) == b"".join(map(table_in_python, groups))

    paired(
        rate(lambda: maglev_table_batch(groups), TABLES),
        rate(lambda: [table_in_python(hosts) for hosts in groups], TABLES),
        name="pure Python",
        unit="M tables/s",
        rounds=10,
    )
