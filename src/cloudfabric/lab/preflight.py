# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can carry a fabric in its kernel, asked before anything is made."""

import os
from importlib import resources
from pathlib import Path

__all__ = ["kernel_missing"]


def kernel_missing() -> str:
    """Return why network namespaces with BPF programs are not possible here, in words; empty if they are."""
    if os.geteuid() != 0:
        return "not root"
    if "\tbpf\n" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        return "this kernel has no BPF file system"
    if not resources.files("cloudfabric._bpf").joinpath("endpoint.bpf.o").is_file():
        return "this installation was built without BPF programs"
    return _bpf_refused()


def _bpf_refused() -> str:
    try:
        from cloudfabric._fastpath.errors import FastpathError
        from cloudfabric._fastpath.maps import Map, MapType
    except ImportError as error:  # libbpf is not installed
        return str(error)
    try:
        Map.create("cf_preflight", MapType.ARRAY, 4, 4, 1).close()
    except FastpathError as error:
        return f"this kernel refuses BPF maps: {error}"
    return ""
