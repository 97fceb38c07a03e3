# SPDX-License-Identifier: Apache-2.0
"""The rule for tests that need the kernel, and what every test may use.

A test marked ``kernel`` needs root, bpf(2) and a BPF file system. Where one of them is missing it is skipped with that
reason; with ``CI=true`` the same reason is a failure, because a run that skipped the data plane has tested nothing
of it. Everything below ``tests/dataplane`` carries the mark without saying so.
"""

import ctypes
import functools
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

DATAPLANE = Path(__file__).parent / "dataplane"

_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_BPF_MAP_CREATE = 0
_ARRAY_MAP = (ctypes.c_uint32 * 4)(2, 4, 4, 1)  # type array, key and value of 4 bytes, one entry


@functools.cache
def kernel_missing() -> str:
    """Return why kernel tests cannot run here, or an empty string where they can."""
    if os.geteuid() != 0:
        return "not root"
    if reason := bpf_missing():
        return reason
    return bpffs_missing()


def bpf_missing() -> str:
    """Return why bpf(2) cannot create a map, or an empty string where it can."""
    number = _SYS_BPF.get(os.uname().machine)
    if number is None:
        return f"bpf(2) has no known number on {os.uname().machine}"
    attributes = (ctypes.c_char * 128)()
    ctypes.memmove(attributes, _ARRAY_MAP, ctypes.sizeof(_ARRAY_MAP))
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(number, _BPF_MAP_CREATE, attributes, len(attributes))
    if descriptor < 0:
        return f"bpf(2) cannot create a map: {os.strerror(ctypes.get_errno())}"
    os.close(descriptor)
    return ""


def bpffs_missing() -> str:
    """Return why a BPF file system cannot be mounted, or an empty string where it can; nothing stays mounted."""
    with tempfile.TemporaryDirectory(prefix="cft-bpffs-") as directory:
        command = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "bpf", "bpf", directory]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except FileNotFoundError:
            return "unshare(1) is not in PATH"
    return "" if result.returncode == 0 else f"no BPF file system can be mounted: {result.stderr.strip()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below tests/dataplane."""
    for item in items:
        if DATAPLANE in item.path.parents:
            item.add_marker(pytest.mark.kernel)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a kernel test before any of its fixtures runs."""
    if item.get_closest_marker("kernel") is None:
        return
    if reason := kernel_missing():
        message = f"needs the kernel: {reason}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{message}; CI=true, so this is not skipped", pytrace=False)
        pytest.skip(message)
