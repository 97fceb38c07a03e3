# SPDX-License-Identifier: Apache-2.0
"""``import cloudfabric`` is light: it loads none of the package's parts, and nothing heavy behind them."""

import importlib
import json
import subprocess
import sys

import pytest

import cloudfabric

HEAVY = ("click", "grpc", "lmdb", "msgpack", "pydantic", "pyroute2", "rich", "yaml")

PROGRAM = """
import json, sys, time
start = time.perf_counter()
import cloudfabric
print(json.dumps({"seconds": time.perf_counter() - start, "modules": sorted(sys.modules)}))
"""


def test_import_loads_no_part_and_nothing_heavy() -> None:
    # A fresh interpreter: what this one has loaded says nothing.
    output = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    loaded = json.loads(output)
    parts = [name for name in loaded["modules"] if name.startswith("cloudfabric.")]
    heavy = [name for name in HEAVY if name in loaded["modules"]]
    print(f"import cloudfabric: {loaded['seconds'] * 1e3:.1f} ms")
    assert parts == []
    assert heavy == []


@pytest.mark.parametrize("name", cloudfabric.__all__)
def test_every_public_name_loads_from_its_home(name: str) -> None:
    value = getattr(cloudfabric, name)
    home = importlib.import_module(cloudfabric._HOME[name])
    assert value is getattr(home, name)
    assert name in home.__all__


def test_public_names_are_listed_before_they_are_loaded() -> None:
    assert set(cloudfabric.__all__) <= set(dir(cloudfabric))
    assert set(cloudfabric.__all__) == set(cloudfabric._HOME)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Fabirc'"):
        _ = cloudfabric.Fabirc
