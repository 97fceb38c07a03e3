# SPDX-License-Identifier: Apache-2.0
"""BPF objects are compiled when an input changed, and only then."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from build_steps import bpf

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not in PATH: nothing to build with")

SOURCE = '#include "answer.h"\nint program(void *context) { return ANSWER; }\n'


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one program and one header, as the current directory; it has been built."""
    monkeypatch.chdir(tmp_path)
    headers = bpf.SOURCES / "include"
    headers.mkdir(parents=True)
    (headers / "answer.h").write_text("#define ANSWER 1\n")
    path = bpf.SOURCES / "small.bpf.c"
    path.write_text(SOURCE)
    assert bpf.compile_all() == [bpf.object_of(path)]
    return path


def age(path: Path, seconds: float) -> None:
    """Move the time of the last change of `path` by `seconds`."""
    changed = path.stat().st_mtime_ns + int(seconds * 1e9)
    os.utime(path, ns=(changed, changed))


def test_nothing_is_compiled_when_nothing_changed(source: Path) -> None:
    before = bpf.object_of(source).stat()
    bpf.compile_all()
    assert bpf.object_of(source).stat() == before


@pytest.mark.parametrize("changed", ["bpf/small.bpf.c", "bpf/include/answer.h"])
def test_newer_input_is_compiled_again(source: Path, changed: str) -> None:
    assert bpf.is_current(source)
    age(Path(changed), +60)
    assert not bpf.is_current(source)


def test_removed_header_is_noticed(source: Path) -> None:
    (bpf.SOURCES / "include" / "answer.h").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        bpf.compile_all()


def test_other_flags_are_compiled_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "FLAGS", (*bpf.FLAGS, "-DEXTRA"))
    assert not bpf.is_current(source)


def test_source_that_does_not_compile_leaves_no_object(source: Path) -> None:
    source.write_text("int program(void) { return UNKNOWN; }\n")
    age(source, +60)
    with pytest.raises(subprocess.CalledProcessError):
        bpf.compile_all()
    assert not bpf.object_of(source).exists()


def test_object_without_a_source_is_removed(source: Path) -> None:
    source.unlink()
    assert bpf.compile_all() == []
    assert not bpf.object_of(source).exists()


def test_missing_compiler_names_its_package(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age(source, +60)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(bpf.MissingToolError, match="install Debian's package clang"):
        bpf.compile_all()
