# SPDX-License-Identifier: Apache-2.0
"""Compiles what a benchmark needs in C: traffic programs for this machine, and programs for its kernel."""

import subprocess
import sysconfig
from pathlib import Path

from build_steps.bpf import FLAGS

__all__ = ["bpf_object", "program"]


def program(source: Path, directory: Path) -> Path:
    """Compile a C program into `directory` with gcc and return its path; raises CalledProcessError."""
    target = directory / source.stem
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", str(target), str(source)], check=True)
    return target


def bpf_object(source: Path, directory: Path) -> Path:
    """Compile a BPF object into `directory`, as the build compiles the product's, and return its path."""
    target = directory / source.with_suffix(".o").name
    multiarch = sysconfig.get_config_var("MULTIARCH")
    system = ["-I", f"/usr/include/{multiarch}"] if multiarch else []
    subprocess.run(["clang", *FLAGS, *system, "-c", str(source), "-o", str(target)], check=True)
    return target
