# SPDX-License-Identifier: Apache-2.0
"""The wheel carries compiled code and needs no compiler: installed into a fresh environment without clang in PATH."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IMPORTS = """
import importlib, importlib.resources, sys
import cloudfabric
for name in {modules!r}:
    importlib.import_module(name)
carried = [entry.name for entry in importlib.resources.files("cloudfabric._bpf").iterdir()]
assert cloudfabric.__file__.startswith(sys.prefix), cloudfabric.__file__
print(*sorted(name for name in carried if name.endswith(".bpf.o")))
"""


def names(pattern: str, directory: str) -> list[str]:
    """Return the stems of the sources that match `pattern`."""
    return sorted(path.name.partition(".")[0] for path in (ROOT / directory).glob(pattern))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that tox built for this run, or, outside of tox, one that pip builds now."""
    if built := os.environ.get("TOX_PACKAGE"):
        return next(Path(name) for name in built.split(os.pathsep) if name.endswith(".whl"))
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(command, check=True)
    (found,) = directory.glob("*.whl")
    return found


def test_wheel_holds_what_runs_and_no_sources_of_the_build(wheel: Path) -> None:
    content = zipfile.ZipFile(wheel).namelist()
    for stem in names("*.pyx", "src/cloudfabric/_fastpath"):
        assert any(name.startswith(f"cloudfabric/_fastpath/{stem}.") and name.endswith(".so") for name in content)
    for stem in names("*.bpf.c", "bpf"):
        assert f"cloudfabric/_bpf/{stem}.bpf.o" in content
    assert "cloudfabric/_fastpath/verdicts.py" in content
    assert "cloudfabric/py.typed" in content
    strays = [name for name in content if name.endswith((".c", ".pyx")) or name.startswith(("tests", "build_steps"))]
    assert strays == []


def test_wheel_holds_every_module_and_its_data(wheel: Path) -> None:
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for pattern in ("*.py", "*.pyi", "*.yaml", "py.typed")
        for path in (source / "cloudfabric").rglob(pattern)
    }
    assert sorted(wanted - set(zipfile.ZipFile(wheel).namelist())) == []


def test_wheel_carries_every_licence(wheel: Path) -> None:
    content = zipfile.ZipFile(wheel).namelist()
    for licence in ("LICENSE", "NOTICE", "LICENSES/GPL-2.0-only.txt", "LICENSES/BSD-2-Clause.txt"):
        assert any(name.endswith(f".dist-info/licenses/{licence}") for name in content), licence


def test_wheel_imports_without_a_compiler(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)

    modules = [f"cloudfabric._fastpath.{stem}" for stem in names("*.pyx", "src/cloudfabric/_fastpath")]
    bare = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    program = [python, "-c", IMPORTS.format(modules=modules)]
    output = subprocess.run(program, env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert output.returncode == 0, output.stderr
    assert output.stdout.split() == [f"{stem}.bpf.o" for stem in names("*.bpf.c", "bpf")]
