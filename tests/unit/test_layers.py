# SPDX-License-Identifier: Apache-2.0
"""What import-linter cannot see: imports inside Cython modules, and a package that loads one side of the network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "cloudfabric"
CYTHON = sorted(path for pattern in ("*.pyx", "*.pxd", "*.pyi") for path in (PACKAGE / "_fastpath").glob(pattern))

IMPORTED = re.compile(r"^\s*(?:from|cimport|import)\s+(cloudfabric[\w.]*)", re.MULTILINE)

HOST_SIDE = ("cloudfabric.networking.dataplane", "cloudfabric.networking.agent")
CONTROL_PLANE = (
    "cloudfabric.store",
    "cloudfabric.controllers",
    "cloudfabric.fabric",
    "cloudfabric.networking.operators",
)


@pytest.mark.parametrize("path", CYTHON, ids=lambda path: path.name)
def test_fastpath_imports_no_sibling_package(path: Path) -> None:
    imported = IMPORTED.findall(path.read_text(encoding="utf-8"))
    assert [name for name in imported if not name.startswith("cloudfabric._fastpath")] == []


def loaded_by(module: str) -> set[str]:
    """Return the modules in a fresh interpreter that imported `module`."""
    program = [sys.executable, "-c", f"import {module}, sys; print(*sys.modules)"]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize("module", HOST_SIDE)
def test_host_side_runs_without_the_control_plane(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert sorted(name for name in loaded if name.startswith(CONTROL_PLANE)) == []


def test_networking_loads_neither_side() -> None:
    assert sorted(name for name in loaded_by("cloudfabric.networking") if name.startswith(HOST_SIDE)) == []
