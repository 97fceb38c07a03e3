# SPDX-License-Identifier: Apache-2.0
"""What kernel tests share: a BPF file system, a network namespace, BPF objects compiled from tests/dataplane/bpf.

Each fixture undoes what it did: nothing is mounted, attached or left running after a test, failed or not.
"""

import ctypes
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CLONE_NEWNET = 0x40000000


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """Mount a BPF file system of the test's own."""
    directory = tmp_path / "bpffs"
    directory.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.fixture
def network_namespace() -> Iterator[None]:
    """Put the test's thread into a new network namespace, whose loopback is up."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            if libc.setns(before, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(before)


@pytest.fixture(scope="session")
def compile_bpf(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compile a source of tests/dataplane/bpf by its name without `.bpf.c`; once per session."""
    directory = tmp_path_factory.mktemp("bpf")

    def compiled(name: str) -> Path:
        target = directory / f"{name}.bpf.o"
        if not target.exists():
            if shutil.which("clang") is None:
                pytest.skip("clang is not in PATH")
            flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"]
            multiarch = sysconfig.get_config_var("MULTIARCH")
            includes = ["-I", str(REPOSITORY / "bpf/include"), "-I", f"/usr/include/{multiarch}"]
            source = Path(__file__).parent / "bpf" / f"{name}.bpf.c"
            subprocess.run(["clang", *flags, *includes, "-c", str(source), "-o", str(target)], check=True)
        return target

    return compiled


@pytest.fixture
def no_leaked_descriptors() -> Iterator[None]:
    """Fail the test when it leaves more file descriptors open than it found."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def open_descriptors() -> dict[str, str]:
    """Return this process's descriptors and what is behind each."""
    found = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found[descriptor] = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # the one that listed the directory
            continue
    return found
