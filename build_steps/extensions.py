# SPDX-License-Identifier: Apache-2.0
"""Describes the Cython extensions: one per ``src/cloudfabric/_fastpath/*.pyx``.

All see the C headers of ``bpf/include``. Those whose sources include libbpf's headers are linked with libbpf,
dynamically: Debian's libbpf.a is not position independent, so it cannot go into a shared object. An extension that
needs more says so in its own file (``# distutils:`` comments).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension

PACKAGE = Path("src/cloudfabric/_fastpath")
INCLUDES = (Path("bpf/include"), PACKAGE)
GENERATED_C = Path("build/cython")

_QUOTED = re.compile(r"""(?:extern from|include) *["<]([^">]+)[">]|extern from *['<]([^'>]+)['>]""")
_CIMPORT = re.compile(r"^\s*(?:from +([\w.]+) +cimport|cimport +([\w.]+))", re.MULTILINE)


def extension_modules() -> list[Extension]:
    """Return the extensions, translated to C where a .pyx is newer than its C file."""
    sources = sorted(PACKAGE.glob("*.pyx"))
    if not sources:
        return []
    from Cython.Build import cythonize  # a build requirement, not needed by `setup.py --version` in a bare tree

    depends = [str(path) for root in INCLUDES for pattern in ("*.h", "*.pxd") for path in sorted(root.rglob(pattern))]
    extensions = [
        Extension(
            f"cloudfabric._fastpath.{source.stem}",
            [str(source)],
            include_dirs=[str(path) for path in INCLUDES],
            libraries=["bpf"] if includes_libbpf(source) else [],
            depends=depends,
            extra_compile_args=["-O3", "-g0", "-Wall", "-Wno-unused-function"],
        )
        for source in sources
    ]
    directives = {"language_level": 3, "boundscheck": True, "embedsignature": True, "show_performance_hints": False}
    modules: list[Extension] = cythonize(extensions, build_dir=str(GENERATED_C), compiler_directives=directives)
    return modules


def includes_libbpf(source: Path) -> bool:
    """Return whether `source` includes a header of libbpf, itself or through its .pxd files and local headers."""
    return any(name.startswith("bpf/") for name in _includes(source, set()))


def _includes(path: Path, seen: set[Path]) -> Iterator[str]:
    if path in seen or not path.exists():
        return
    seen.add(path)
    text = path.read_text(encoding="utf-8")
    yield from _includes(path.with_suffix(".pxd"), seen)
    for match in _QUOTED.finditer(text):
        name = match.group(1) or match.group(2)
        yield name
        for root in INCLUDES:
            yield from _includes(root / name, seen)
    for match in _CIMPORT.finditer(text):
        module = (match.group(1) or match.group(2)).rpartition(".")[2]
        yield from _includes(PACKAGE / f"{module}.pxd", seen)
