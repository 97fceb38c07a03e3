# SPDX-License-Identifier: Apache-2.0
"""The BPF programs, the C core and Python agree on every byte of the maps' keys and values.

clang wrote what it did into the objects' BTF; the C compiler's view comes from `offsets`, Python's from `layout`.
"""

import json
import os
import shutil
import subprocess
from importlib import resources
from typing import Any

import pytest

from cloudfabric._fastpath import layout
from cloudfabric._fastpath.layout import Packed
from cloudfabric._fastpath.offsets import c_offsets

pytestmark = pytest.mark.kernel

Fields = dict[str, tuple[int, int]]

STRUCTS: list[type[Packed]] = [
    entry
    for name in layout.__all__
    if isinstance(entry := getattr(layout, name), type) and issubclass(entry, Packed) and entry is not Packed
]


def bpftool_types(path: str) -> dict[int, dict[str, Any]]:
    """Return the types of an object's BTF by number."""
    bpftool = shutil.which("bpftool", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if bpftool is None:
        pytest.fail("bpftool is not in PATH")
    output = subprocess.run([bpftool, "--json", "btf", "dump", "file", path], capture_output=True, check=True).stdout
    return {entry["id"]: entry for entry in json.loads(output)["types"]}


def size_of(types: dict[int, dict[str, Any]], number: int) -> int:
    entry = types[number]
    if "size" in entry:
        return int(entry["size"])
    if entry["kind"] == "ARRAY":
        return int(entry["nr_elems"]) * size_of(types, entry["type_id"])
    return size_of(types, entry["type_id"])  # typedef, const


@pytest.fixture(scope="module")
def from_btf() -> dict[str, list[tuple[int, Fields]]]:
    """Every layout of every `cf_` struct in any object."""
    found: dict[str, list[tuple[int, Fields]]] = {}
    for file in resources.files("cloudfabric._bpf").iterdir():
        if not file.name.endswith(".bpf.o"):
            continue
        types = bpftool_types(str(file))
        for entry in types.values():
            if entry["kind"] == "STRUCT" and entry["name"].startswith("cf_"):
                fields = {
                    member["name"]: (member["bits_offset"] // 8, size_of(types, member["type_id"]))
                    for member in entry["members"]
                }
                found.setdefault(entry["name"], []).append((entry["size"], fields))
    return found


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_all_agree(struct: type[Packed], from_btf: dict[str, list[tuple[int, Fields]]]) -> None:
    python = (struct.size(), struct.offsets())

    assert c_offsets()[struct.c_name()] == python
    assert from_btf[struct.c_name()], "no object's BTF has it"
    assert all(seen == python for seen in from_btf[struct.c_name()])


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_there_is_no_padding(struct: type[Packed], from_btf: dict[str, list[tuple[int, Fields]]]) -> None:
    size, fields = from_btf[struct.c_name()][0]

    assert size == sum(length for _, length in fields.values())


def test_no_struct_is_missing() -> None:
    assert {struct.c_name() for struct in STRUCTS} == set(c_offsets())
