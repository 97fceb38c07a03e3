# SPDX-License-Identifier: Apache-2.0
"""Packing keys and values: the bytes that the header asks for, and errors that name the field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudfabric._fastpath import hashing, layout
from cloudfabric._fastpath.layout import (
    AddressKey,
    Config,
    Counter,
    Endpoint,
    Group,
    GroupKey,
    Host,
    Interface,
    NextHop,
    Packed,
    Peer,
    Route,
    RouteKey,
)
from cloudfabric._fastpath.offsets import c_offsets

ADDRESS = 0x0A000102
MAC = bytes.fromhex("02cf00000001")

BYTES = [
    (AddressKey(7, ADDRESS), "07000000 0a000102"),
    (Endpoint(3, 4, MAC), "03000000 04000000 02cf00000001 0000"),
    (Interface(7, ADDRESS, 0xFFFFFF00, 2, 4, MAC, 1), "07000000 0a000102 ffffff00 02000000 04000000 02cf00000001 0100"),
    (Host(ADDRESS), "0a000102"),
    (Peer(), "00" * 4),
    (NextHop(ADDRESS, 1, 2, 3, MAC, MAC), "0a000102 01000000 02000000 03000000" + "02cf00000001" * 2 + "00" * 4),
    (RouteKey.of(7, 0x0A000000, 16), "30000000 00000007 0a000000"),
    (Route(9), "09000000"),
    (GroupKey(7, 0), "07000000 00000000"),
    (Group(bytes(4084)), "00" * 4084),
    (Config(ADDRESS, 5, 1500, 9, MAC, 64), "0a000102 05000000 dc050000 09000000 02cf00000001 40 00"),
    (
        Counter(1, 2, 3, 4, 1 << 40),
        "01" + "00" * 7 + "02" + "00" * 7 + "03" + "00" * 7 + "04" + "00" * 12 + "01" + "00" * 2,
    ),
]


@pytest.mark.parametrize(("entry", "expected"), BYTES, ids=[type(entry).__name__ for entry, _ in BYTES])
def test_bytes_are_those_of_the_c_struct(entry: Packed, expected: str) -> None:
    assert entry.pack() == bytes.fromhex(expected)
    assert type(entry).unpack(entry.pack()) == entry
    assert c_offsets()[type(entry).c_name()] == (type(entry).size(), type(entry).offsets())


@given(st.lists(st.builds(AddressKey, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=20))
def test_many_are_one_after_the_other(keys: list[AddressKey]) -> None:
    packed = AddressKey.pack_many(keys)

    assert packed == b"".join(key.pack() for key in keys)
    assert list(AddressKey.unpack_many(packed)) == keys


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (AddressKey(1, 2**32), "AddressKey.*4294967296.*32 bits"),
        (AddressKey(2**32, 1), "AddressKey"),
        (Endpoint(1, 2, b"\2\0"), "mac has 2 bytes, it takes 6"),
        (Endpoint(1, 2, MAC, 65536), "Endpoint"),
        (Group(bytes(1000)), "host has 1000 bytes, it takes 4084"),
    ],
)
def test_a_field_that_does_not_fit_is_named(entry: Packed, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        entry.pack()


def test_data_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="AddressKey: unpack requires a buffer of 8 bytes"):
        AddressKey.unpack(bytes(9))
    with pytest.raises(ValueError, match="AddressKey"):
        AddressKey.unpack_many(bytes(9))


def test_a_maglev_table_is_a_group() -> None:
    assert layout.MAGLEV_SLOTS == hashing.MAGLEV_SLOTS
    assert Group(hashing.maglev_table([ADDRESS])).pack() == ADDRESS.to_bytes(4, "big") * layout.MAGLEV_SLOTS
