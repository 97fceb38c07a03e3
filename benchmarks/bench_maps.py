# SPDX-License-Identifier: Apache-2.0
"""Filling a map of the endpoints' shape from Python: in one batch, beside C, ctypes and BCC doing the same.

A round fills an empty hash map (8-byte keys, 16-byte values) with 16,384 entries; only the filling counts. All sides
have their keys and values ready in memory. Figures are millions of entries per second.

The map is preallocated, as the data plane's `endpoints` is. Its large tables (`members`, `groups`) are allocated entry
by entry; there the kernel's allocator takes most of the time on every side, which leaves less to win. Those figures
are here too, with a bound only where both sides make the same calls.
"""

import ctypes
import sys
import time
from array import array
from collections.abc import Callable, Iterator

import pytest

from cloudfabric._fastpath.layout import AddressKey, Endpoint
from cloudfabric._fastpath.maps import Map, MapFlag, MapType

pytestmark = pytest.mark.kernel

ENTRIES = 16384
ROUNDS = 30
Paired = Callable[..., None]
StartPeer = Callable[..., Callable[[], float]]

UNIT = "M entries/s"
DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"  # where python3-bpfcc puts BCC, outside of a virtual environment

KEYS = AddressKey.pack_many(AddressKey(7, 0x0A000000 + index) for index in range(ENTRIES))
VALUES = Endpoint.pack_many(Endpoint(index, index, bytes(6)) for index in range(ENTRIES))


def endpoints_map(flags: MapFlag) -> Map:
    return Map.create("endpoints", MapType.HASH, AddressKey.size(), Endpoint.size(), ENTRIES, flags=flags)


@pytest.fixture
def endpoints() -> Iterator[Map]:
    with endpoints_map(MapFlag.NONE) as table:
        yield table


@pytest.fixture
def allocating_endpoints() -> Iterator[Map]:
    with endpoints_map(MapFlag.NO_PREALLOC) as table:
        yield table


def filling(table: Map, fill: Callable[[], object]) -> Callable[[], float]:
    """Return a round: `fill` on an empty map, in million entries per second."""

    def one_round() -> float:
        table.delete_batch(KEYS)
        start = time.perf_counter()
        fill()
        return ENTRIES / (time.perf_counter() - start) / 1e6

    return one_round


def batch(table: Map) -> Callable[[], float]:
    return filling(table, lambda: table.update_batch(KEYS, VALUES))


def assert_filled(table: Map) -> None:
    """The peer's last round did all the work it was timed for, if it came last."""
    assert len(table.lookup_batch()[0]) == len(KEYS)


def test_map_batch_update(endpoints: Map, paired: Paired, c_peer: StartPeer) -> None:
    """The C program calls bpf_map_update_batch on a map of its own."""
    beside_c(endpoints, paired, c_peer)


def test_map_batch_update_allocating(allocating_endpoints: Map, paired: Paired, c_peer: StartPeer) -> None:
    """The same, where the kernel allocates every entry."""
    beside_c(allocating_endpoints, paired, c_peer)


def beside_c(table: Map, paired: Paired, c_peer: StartPeer) -> None:
    nanoseconds = c_peer("map_batch", str(ENTRIES), str(int(table.flags)), libraries=("bpf",))
    paired(
        batch(table),
        lambda: 1e3 / nanoseconds(),
        name="C, bpf_map_update_batch",
        unit=UNIT,
        rounds=ROUNDS,
        at_least=0.9,
    )


class Key(ctypes.Structure):
    _fields_ = (("vni", ctypes.c_uint32), ("address", ctypes.c_uint32))


class Leaf(ctypes.Structure):
    _fields_ = (
        ("ifindex", ctypes.c_uint32),
        ("slot", ctypes.c_uint32),
        ("mac", ctypes.c_uint8 * 6),
        ("flags", ctypes.c_uint16),
    )


def test_map_one_by_one_ctypes(endpoints: Map, paired: Paired) -> None:
    """libbpf's bpf_map_update_elem through ctypes, with structures from an array, passed by reference."""
    beside_ctypes(endpoints, paired, at_least=5.0)


def test_map_one_by_one_ctypes_allocating(allocating_endpoints: Map, paired: Paired) -> None:
    """The same, where the kernel allocates every entry."""
    beside_ctypes(allocating_endpoints, paired, at_least=None)


def beside_ctypes(table: Map, paired: Paired, at_least: float | None) -> None:
    update, reference = ctypes.CDLL("libbpf.so.1").bpf_map_update_elem, ctypes.byref
    update.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
    keys, leaves = (Key * ENTRIES).from_buffer_copy(KEYS), (Leaf * ENTRIES).from_buffer_copy(VALUES)
    descriptor = table.fileno()

    def one_by_one() -> None:
        for key, leaf in zip(keys, leaves, strict=True):
            if update(descriptor, reference(key), reference(leaf), 0):
                raise AssertionError("update failed")

    paired(
        batch(table),
        filling(table, one_by_one),
        name="ctypes, one by one",
        unit=UNIT,
        rounds=ROUNDS,
        at_least=at_least,
    )
    assert_filled(table)


@pytest.fixture
def bcc_table(endpoints: Map, monkeypatch: pytest.MonkeyPatch) -> object:
    """BCC's HashTable on the very map that we fill.

    BCC makes its tables while it compiles a program, for which it wants headers of the running kernel. Its table API
    needs no more of that than the map's descriptor and the types of key and value, so it gets those.
    """
    monkeypatch.setattr(sys, "path", [*sys.path, DEBIAN_PACKAGES])
    try:
        from bcc.table import HashTable
    except (ImportError, OSError) as error:
        pytest.xfail(f"BCC cannot be imported (Debian's python3-bpfcc): {error}")
    table = HashTable.__new__(HashTable)
    table.map_fd, table.Key, table.Leaf, table.max_entries = endpoints.fileno(), Key, Leaf, ENTRIES
    return table


def test_map_bcc_table(endpoints: Map, bcc_table: object, paired: Paired) -> None:
    """`table[key] = leaf`, as BCC's users write it, with keys and leaves made beforehand."""
    keys, leaves = (Key * ENTRIES).from_buffer_copy(KEYS), (Leaf * ENTRIES).from_buffer_copy(VALUES)
    pairs = [(keys[index], leaves[index]) for index in range(ENTRIES)]

    def one_by_one() -> None:
        for key, leaf in pairs:
            bcc_table[key] = leaf  # type: ignore[index]

    paired(batch(endpoints), filling(endpoints, one_by_one), name="BCC table, item by item", unit=UNIT, rounds=ROUNDS)
    assert_filled(endpoints)


def test_map_bcc_batch(endpoints: Map, bcc_table: object, paired: Paired) -> None:
    """BCC's items_update_batch, for those who know it."""
    keys, leaves = (Key * ENTRIES).from_buffer_copy(KEYS), (Leaf * ENTRIES).from_buffer_copy(VALUES)

    paired(
        batch(endpoints),
        filling(endpoints, lambda: bcc_table.items_update_batch(keys, leaves)),  # type: ignore[attr-defined]
        name="BCC items_update_batch",
        unit=UNIT,
        rounds=ROUNDS,
    )
    assert_filled(endpoints)


def test_counter_sums(paired: Paired) -> None:
    """Adding up 4,096 endpoints' counters over all CPUs, beside the same in Python from one batch lookup."""
    count, fields = 4096, 5
    with Map.create("counters", MapType.PERCPU_ARRAY, 4, 8 * fields, count) as table:
        keys = array("I", range(count)).tobytes()
        table.update_batch(keys, array("Q", range(count * fields * table.cpus)).tobytes())

        def in_python() -> list[list[int]]:
            values = memoryview(table.lookup_batch()[1]).cast("Q")
            width = fields * table.cpus
            return [
                [sum(values[first + field : first + width : fields]) for field in range(fields)]
                for first in range(0, len(values), width)
            ]

        def timed(read: Callable[[], object]) -> Callable[[], float]:
            def one_round() -> float:
                start = time.perf_counter()
                read()
                return count / (time.perf_counter() - start) / 1e6

            return one_round

        assert table.sum_u64()[1].tolist() == in_python()
        paired(timed(table.sum_u64), timed(in_python), name="lookup_batch, then Python", unit=UNIT, rounds=10)
