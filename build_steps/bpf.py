# SPDX-License-Identifier: Apache-2.0
"""Compiles ``bpf/*.bpf.c`` to the BPF objects that the package carries.

One object is compiled again when its source, any header it includes (clang writes the list), or its command line
changed since the last time. DWARF is stripped, BTF is kept: libbpf needs BTF, nobody needs DWARF at run time and it
is nine tenths of the file.
"""

import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

SOURCES = Path("bpf")
OBJECTS = Path("src/cloudfabric/_bpf")
STATE = Path("build/bpf")

# v3 instructions: 32-bit jumps and arithmetic, on every kernel the project supports (5.10 and newer).
FLAGS = ("-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-fno-stack-protector")


class MissingToolError(RuntimeError):
    """A program that the build needs is not installed."""

    def __init__(self, tool: str, package: str) -> None:
        super().__init__(
            f"{tool} is not in PATH: install Debian's package {package} (`make setup` does) and build again"
        )
        self.tool = tool
        self.package = package


def compile_all() -> list[Path]:
    """Bring every BPF object up to date and return their paths; objects without a source are removed."""
    OBJECTS.mkdir(parents=True, exist_ok=True)
    STATE.mkdir(parents=True, exist_ok=True)
    sources = sorted(SOURCES.glob("*.bpf.c"))
    wanted = {object_of(source) for source in sources}
    for stale in set(OBJECTS.glob("*.bpf.o")) - wanted:
        stale.unlink()
    for source in sources:
        if not is_current(source):
            compile_one(source)
    return sorted(wanted)


def object_of(source: Path) -> Path:
    """Return where the object of `source` is put."""
    return OBJECTS / source.with_suffix(".o").name


def is_current(source: Path) -> bool:
    """Return whether the object of `source` is newer than everything it was made from, by the same command."""
    target, command = object_of(source), STATE / f"{source.name}.cmd"
    if not target.exists() or not command.exists() or command.read_text() != shlex.join(command_line(source)):
        return False
    inputs = dependencies(STATE / f"{source.name}.d")
    built = target.stat().st_mtime_ns
    return bool(inputs) and all(path.exists() and path.stat().st_mtime_ns <= built for path in inputs)


def dependencies(depfile: Path) -> list[Path]:
    """Return the inputs that a make-style dependency file (clang -MD) lists."""
    if not depfile.exists():
        return []
    _, _, inputs = depfile.read_text().replace("\\\n", " ").partition(":")
    return [Path(name) for name in inputs.split()]


def command_line(source: Path) -> list[str]:
    """Return the compiler command for `source`."""
    multiarch = sysconfig.get_config_var("MULTIARCH")
    system = ["-I", f"/usr/include/{multiarch}"] if multiarch else []  # asm/types.h, which -target bpf does not find
    output = ["-MD", "-MF", str(STATE / f"{source.name}.d"), "-c", str(source), "-o", str(object_of(source))]
    return ["clang", *FLAGS, "-I", str(SOURCES / "include"), *system, *output]


def compile_one(source: Path) -> None:
    """Compile `source`; raise MissingToolError without clang, CalledProcessError when it does not compile."""
    if shutil.which("clang") is None:
        raise MissingToolError("clang", "clang")
    print(f"clang {source} -> {object_of(source)}", flush=True)
    command = command_line(source)
    record = STATE / f"{source.name}.cmd"
    record.unlink(missing_ok=True)
    try:
        subprocess.run(command, check=True)
        if shutil.which("llvm-strip") is not None:
            subprocess.run(["llvm-strip", "-g", str(object_of(source))], check=True)
    except subprocess.CalledProcessError:
        object_of(source).unlink(missing_ok=True)
        raise
    record.write_text(shlex.join(command))
