# SPDX-License-Identifier: Apache-2.0
"""Map access against the kernel: every map type, batches that fail half-way, reading while others write."""

import array
import errno
import struct
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudfabric._fastpath.errors import HandleError, MapError, MapFull
from cloudfabric._fastpath.maps import Map, MapFlag, MapType, Update

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("no_leaked_descriptors")]


def numbers(count: int, first: int = 0) -> bytes:
    """Pack `count` consecutive 32-bit numbers."""
    return array.array("I", range(first, first + count)).tobytes()


def prefixes(count: int, first: int = 0) -> bytes:
    """Pack `count` /32 keys of a trie over 32 bits."""
    return b"".join(struct.pack("=I", 32) + struct.pack("!I", address) for address in range(first, first + count))


def entries(source: Map) -> dict[bytes, bytes]:
    """Read a map through `items`; fail when a key comes twice."""
    pairs = list(source.items())
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def hash_map(count: int = 64, value_size: int = 4) -> Map:
    return Map.create("numbers", MapType.HASH, 4, value_size, count)


TYPES = [
    (MapType.HASH, 0, numbers),
    (MapType.HASH, MapFlag.NO_PREALLOC, numbers),
    (MapType.PERCPU_HASH, 0, numbers),
    (MapType.LRU_HASH, 0, numbers),
    (MapType.LRU_PERCPU_HASH, 0, numbers),
    (MapType.LPM_TRIE, MapFlag.NO_PREALLOC, prefixes),
]


@pytest.mark.parametrize(("kind", "flags", "keys"), TYPES)
def test_batches_round_trip(kind: MapType, flags: int, keys: Callable[[int], bytes]) -> None:
    size = len(keys(1))
    with Map.create("any", kind, size, 12, 4096, flags=flags) as table:
        values = bytes(range(table.stride)) * 50
        assert table.update_batch(keys(50), values) == 50

        found = entries(table)
        removed = table.delete_batch(keys(20))

        assert set(found) == {keys(50)[i * size : (i + 1) * size] for i in range(50)}
        # The kernel clears what lies between one CPU's value and the next.
        assert {value[:12] for value in found.values()} == {bytes(range(12))}
        assert (removed, len(entries(table))) == (20, 30)


@pytest.mark.parametrize("kind", [MapType.ARRAY, MapType.PERCPU_ARRAY])
def test_an_array_has_all_its_elements_from_the_start(kind: MapType) -> None:
    with Map.create("slots", kind, 4, 8, 100) as table:
        table.update_batch(numbers(10), struct.pack("=Q", 7) * 10 * (table.stride // 8))

        keys, values = table.lookup_batch(chunk=7)

        assert keys == numbers(100)
        assert values == struct.pack("=Q", 7) * 10 * (table.stride // 8) + bytes(90 * table.stride)


@pytest.mark.parametrize("kind", [MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS])
def test_a_map_of_maps_takes_descriptors_and_gives_numbers(kind: MapType) -> None:
    with hash_map() as inner, Map.create("outer", kind, 4, 4, 4, inner=inner) as outer:
        outer.update_batch(numbers(3), struct.pack("=I", inner.fileno()) * 3)

        assert entries(outer) == {numbers(1, i): struct.pack("=I", inner.id) for i in range(3)}
        with Map.from_id(inner.id) as again:
            assert (again.id, again.max_entries) == (inner.id, 64)


@pytest.mark.parametrize("kind", [MapType.DEVMAP, MapType.DEVMAP_HASH])
def test_a_type_without_batch_commands_works_one_by_one(kind: MapType) -> None:
    loopback = numbers(1, 1)
    with Map.create("devices", kind, 4, 4, 5) as table:
        assert table.update_batch(numbers(4), loopback * 4) == 4
        assert table.delete_batch(numbers(1, 2) + numbers(1, 3)) == 2
        assert entries(table) == {numbers(1, 0): loopback, numbers(1, 1): loopback}

        with pytest.raises(MapError) as caught:
            table.update_batch(numbers(4), loopback * 2 + numbers(1, 0xFFFFFF) + loopback)
        assert caught.value.index == 2


def test_a_queue_has_no_keys_to_batch() -> None:
    with Map.create("queue", MapType.QUEUE, 0, 4, 4) as queue, pytest.raises(ValueError, match="not a multiple of 0"):
        queue.update_batch(b"", numbers(1))


@pytest.mark.parametrize("chunk", [None, 1, 3, 1000])
def test_reading_returns_every_entry_once_whatever_the_chunk(chunk: int | None) -> None:
    """Some buckets hold several entries: a chunk of one cannot take them and has to grow."""
    with hash_map(5000) as table:
        table.update_batch(numbers(5000), numbers(5000))

        keys, values = table.lookup_batch(chunk=chunk)

        assert keys == values
        assert sorted(memoryview(keys).cast("I")) == list(range(5000))


@pytest.mark.parametrize(
    ("kind", "flags", "keys"),
    [(MapType.HASH, 0, numbers), (MapType.HASH, MapFlag.NO_PREALLOC, numbers), (MapType.LPM_TRIE, 1, prefixes)],
)
def test_reading_while_entries_come_and_go(kind: MapType, flags: int, keys: Callable[[int, int], bytes]) -> None:
    """Entries that stay are returned once each, however others change."""
    size = len(keys(1, 0))
    stay, churn = keys(300, 0), keys(300, 1000)
    expected = {stay[i * size : (i + 1) * size] for i in range(300)}
    with Map.create("busy", kind, size, 4, 4096, flags=flags) as table:
        table.update_batch(stay, numbers(300))
        done = threading.Event()

        def change() -> None:
            while not done.is_set():
                table.update_batch(churn, numbers(300))
                table.delete_batch(churn)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(100):
                found, _ = table.lookup_batch(chunk=16)
                seen = Counter(found[i : i + size] for i in range(0, len(found), size))
                assert max(seen.values()) == 1
                assert expected <= set(seen)
        finally:
            done.set()
            thread.join()


def test_a_full_map_is_an_error_that_says_where() -> None:
    with hash_map(10) as table:
        with pytest.raises(MapFull) as caught:
            table.update_batch(numbers(12), numbers(12))

        assert (caught.value.index, caught.value.max_entries, caught.value.errno) == (10, 10, errno.E2BIG)
        assert str(caught.value) == (
            "map numbers is full (10 entries) at element 10 of the batch; create it with a larger max_entries"
        )
        assert set(entries(table)) == {numbers(1, i) for i in range(10)}


def test_a_full_trie_is_the_same_error() -> None:
    with Map.create("routes", MapType.LPM_TRIE, 8, 4, 3, flags=MapFlag.NO_PREALLOC) as table:
        with pytest.raises(MapFull) as caught:
            table.update_batch(prefixes(5), numbers(5))

        assert (caught.value.index, caught.value.errno, len(entries(table))) == (3, errno.ENOSPC, 3)


def test_a_batch_that_fails_half_way_says_where_and_why() -> None:
    with hash_map() as table:
        table.update(numbers(1, 3), numbers(1, 99))

        with pytest.raises(
            MapError, match=r"map numbers: update failed at element 3: File exists \(EEXIST\)"
        ) as caught:
            table.update_batch(numbers(6), numbers(6), flags=Update.NOEXIST)

        assert (caught.value.name, caught.value.operation) == ("numbers", "update")
        assert (caught.value.index, caught.value.errno) == (3, errno.EEXIST)
        assert set(entries(table)) == {numbers(1, i) for i in range(4)}
        assert table.lookup(numbers(1, 3)) == numbers(1, 99)


def test_a_malformed_key_is_found_within_its_batch() -> None:
    keys = prefixes(2) + struct.pack("=I", 33) + bytes(4) + prefixes(1, 9)
    with Map.create("routes", MapType.LPM_TRIE, 8, 4, 8, flags=MapFlag.NO_PREALLOC) as table:
        with pytest.raises(MapError) as caught:
            table.update_batch(keys, numbers(4))

        assert (caught.value.index, caught.value.errno, len(entries(table))) == (2, errno.EINVAL, 2)


def test_an_index_outside_an_array_is_not_called_full() -> None:
    with Map.create("slots", MapType.ARRAY, 4, 4, 3) as table:
        with pytest.raises(MapError) as caught:
            table.update_batch(numbers(5), numbers(5))

        assert type(caught.value) is MapError
        assert (caught.value.index, caught.value.errno) == (3, errno.E2BIG)
        with pytest.raises(MapError) as caught:
            table.delete_batch(numbers(1))
        assert (caught.value.index, caught.value.errno) == (0, errno.EINVAL)


def test_deleting_skips_what_is_not_there_unless_told() -> None:
    with hash_map() as table:
        table.update_batch(numbers(4), numbers(4))

        assert table.delete_batch(numbers(1, 50) + numbers(2) + numbers(1, 51) + numbers(1, 2)) == 3
        with pytest.raises(MapError) as caught:
            table.delete_batch(numbers(1, 3) + numbers(1, 50) + numbers(1, 51), missing_ok=False)
        assert (caught.value.index, caught.value.errno) == (1, errno.ENOENT)
        assert entries(table) == {}


def test_single_elements() -> None:
    with hash_map(2) as table:
        table.update(numbers(1), numbers(1, 5), Update.NOEXIST)

        assert table.lookup(numbers(1)) == numbers(1, 5)
        assert table.lookup(numbers(1, 1)) is None
        assert (table.delete(numbers(1)), table.delete(numbers(1))) == (True, False)
        with pytest.raises(MapError) as caught:
            table.update(numbers(1), numbers(1), Update.EXIST)
        assert (caught.value.index, caught.value.errno) == (None, errno.ENOENT)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda data: array.array("I", data)])
def test_any_contiguous_buffer_will_do(make: Callable[[bytes], bytes]) -> None:
    with hash_map() as table:
        assert table.update_batch(make(numbers(8)), make(numbers(8, 100))) == 8
        assert table.update_batch(make(numbers(8)), make(numbers(8, 200)), 4) == 4
        assert table.lookup(make(numbers(1, 3))) == numbers(1, 203)
        assert table.lookup(make(numbers(1, 4))) == numbers(1, 104)
        assert table.delete(make(numbers(1, 4)))
        assert table.delete_batch(make(numbers(8)), 2) == 2


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda table: table.update_batch(bytes(9), bytes(8)), "map numbers: keys: 9 bytes is not a multiple of 4"),
        (lambda table: table.update_batch(bytes(8), bytes(4)), "values: 4 bytes, but 2 elements of 4 bytes take 8"),
        (lambda table: table.update_batch(bytes(8), bytes(12)), "values: 12 bytes, but 2 elements of 4 bytes take 8"),
        (lambda table: table.update_batch(bytes(8), bytes(8), 3), "keys: 8 bytes, but 3 elements of 4 bytes take 12"),
        (lambda table: table.update_batch(bytes(8), bytes(8), -1), "count -1 is not between"),
        (lambda table: table.update(bytes(8), bytes(4)), "key: 8 bytes, but it takes 4"),
        (lambda table: table.update(bytes(4), bytes(3)), "value: 3 bytes, but it takes 4"),
        (lambda table: table.delete(bytes(8)), "keys: 8 bytes, but it takes 4"),
        (lambda table: table.lookup(bytes(5)), "key: 5 bytes, but it takes 4"),
        (lambda table: table.lookup_batch(chunk=0), "chunk 0 is less than 1"),
    ],
)
def test_buffers_of_the_wrong_length_are_refused(call: Callable[[Map], object], text: str) -> None:
    with hash_map() as table:
        with pytest.raises(ValueError, match=text):
            call(table)
        assert entries(table) == {}


def test_buffers_with_gaps_are_refused() -> None:
    with hash_map() as table, pytest.raises(BufferError, match="contiguous"):
        table.update_batch(memoryview(bytes(16))[::2], bytes(8))


def test_an_empty_batch_does_nothing() -> None:
    with hash_map() as table:
        assert (table.update_batch(b"", b""), table.delete_batch(b""), table.lookup_batch()) == (0, 0, (b"", b""))


@pytest.mark.parametrize("kind", [MapType.PERCPU_ARRAY, MapType.PERCPU_HASH])
def test_counters_are_added_up_over_the_cpus(kind: MapType) -> None:
    with Map.create("counters", kind, 4, 24, 100) as table:
        per_cpu = [struct.pack("=3Q", cpu, 2 * cpu, 1 << 40) for cpu in range(table.cpus)]
        table.update_batch(numbers(100), b"".join(per_cpu) * 100)
        total = sum(range(table.cpus))
        expected = (total, 2 * total, table.cpus << 40)

        keys, sums = table.sum_u64()

        assert table.lookup(numbers(1, 5)) == b"".join(per_cpu)
        assert sorted(memoryview(keys).cast("I")) == list(range(100))
        assert (sums.shape, sums.format) == ((100, 3), "Q")
        assert sums.tolist() == [list(expected)] * 100
        assert table.sum_u64_of(numbers(1, 5)) == expected


def test_rows_of_sums_belong_to_their_keys() -> None:
    with Map.create("counters", MapType.PERCPU_HASH, 4, 8, 1000) as table:
        for key in range(0, 1000, 7):
            table.update(numbers(1, key), struct.pack("=Q", key) * table.cpus)

        keys, sums = table.sum_u64()

        rows = zip(memoryview(keys).cast("I"), sums.tolist(), strict=True)
        assert {key: row for key, (row,) in rows} == {key: key * table.cpus for key in range(0, 1000, 7)}
        assert table.sum_u64_of(numbers(1, 1)) is None


def test_sums_of_nothing_and_of_what_is_not_counters() -> None:
    with Map.create("counters", MapType.PERCPU_HASH, 4, 8, 10) as empty, hash_map(value_size=12) as other:
        keys, sums = empty.sum_u64()
        assert (keys, len(sums)) == (b"", 0)
        with pytest.raises(TypeError, match="a value of 12 bytes is not made of 64-bit counters"):
            other.sum_u64()


def test_batches_release_the_gil() -> None:
    with Map.create("large", MapType.HASH, 4, 64, 200_000) as table:
        keys, values = numbers(200_000), bytes(64 * 200_000)
        started = threading.Event()

        def write() -> None:
            started.set()
            table.update_batch(keys, values)

        thread = threading.Thread(target=write)
        thread.start()
        started.wait()
        turns = 0
        while thread.is_alive():
            turns += 1
        thread.join()

        assert turns > 100


def test_closing_waits_for_operations_under_way() -> None:
    table = Map.create("large", MapType.HASH, 4, 64, 200_000)
    keys, values = numbers(200_000), bytes(64 * 200_000)
    written: list[int] = []
    thread = threading.Thread(target=lambda: written.append(table.update_batch(keys, values)))
    with Map.from_fd(table.fileno()) as other:
        thread.start()
        while other.lookup(numbers(1)) is None:  # until the batch is under way
            pass
        table.close()
        thread.join()

        assert written == [200_000]
        assert other.lookup(numbers(1, 199_999)) == bytes(64)


def test_a_closed_map_says_so() -> None:
    table = hash_map()
    table.close()
    table.close()

    assert table.closed
    assert "closed" in repr(table)
    for use in (table.fileno, table.lookup_batch, lambda: table.update(bytes(4), bytes(4))):
        with pytest.raises(HandleError, match=r"numbers: .* after close") as caught:
            use()
        assert caught.value.errno == errno.EBADF


def test_a_pinned_map_outlives_its_handle(bpffs: Path) -> None:
    with hash_map() as table:
        table.update(numbers(1), numbers(1, 8))
        table.pin(bpffs / "table")

    with Map.open_pinned(bpffs / "table") as again:
        assert (again.name, again.type, again.key_size, again.value_size) == ("table", MapType.HASH, 4, 4)
        assert again.lookup(numbers(1)) == numbers(1, 8)
        with pytest.raises(HandleError, match=r"pin at .*/table failed: File exists \(EEXIST\)"):
            again.pin(bpffs / "table")


def test_what_cannot_be_opened_says_what_and_why(bpffs: Path, tmp_path: Path) -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: Map.open_pinned(bpffs / "none"), r"map .*/none: opening the pin failed: .*ENOENT"),
        (lambda: Map.create("bad", MapType.HASH, 0, 4, 4), r"map bad: create failed: .*EINVAL"),
        (lambda: Map.from_id(0xFFFFFF), r"map id 16777215: opening by id failed: .*ENOENT"),
        (lambda: Map.from_fd(-1), r"file descriptor -1: duplicate failed: .*EBADF"),
    ]
    for call, text in cases:
        with pytest.raises(HandleError, match=text):
            call()
    with (tmp_path / "file").open("w") as file, pytest.raises(HandleError):
        Map.from_fd(file.fileno())
    with pytest.raises(TypeError, match=r"use Map\.create"):
        Map()


def test_the_kernel_names_what_has_no_name() -> None:
    with hash_map() as table, Map.from_fd(table.fileno()) as again:
        assert again.name == "numbers"
        assert repr(again).startswith("<Map numbers HASH key=4 value=4 max_entries=64 fd=")
