# SPDX-License-Identifier: Apache-2.0
"""setuptools commands: ``build_generated`` runs before everything else that ``build`` does, in editable mode too."""

import os
import shutil
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, Extension
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

from build_steps import bpf, verdicts


class BuildGenerated(Command):
    """Make the files that are not in the repository: BPF objects and ``verdicts.py``, in place below ``src``.

    Implements setuptools' SubCommand protocol, so that wheels, editable installs and source archives agree on it.
    """

    description = "compile BPF objects and generate Python from the C headers"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        """Nothing to configure."""

    def finalize_options(self) -> None:
        """Nothing to configure."""

    def run(self) -> None:
        """Bring every generated file up to date."""
        verdicts.generate()
        bpf.compile_all()

    def get_source_files(self) -> list[str]:
        """Return what a source archive must hold: bpf/ in full."""
        return [str(path) for path in sorted(Path("bpf").rglob("*")) if path.is_file()]

    def get_outputs(self) -> list[str]:
        """Return nothing: the files are package data, which build_py copies."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Return nothing: see get_outputs."""
        return {}


class Build(build):
    """``build``, with the generated files first and without leftovers of modules that were renamed or removed."""

    sub_commands: ClassVar = [("build_generated", None), *build.sub_commands]

    def run(self) -> None:
        """Empty the tree that a wheel is packed from, then run the sub-commands."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildExtensions(build_ext):
    """``build_ext``, in which a wheel reuses the extension modules built in place, and leaves those it builds there.

    So `make build` and any number of wheels compile each extension once.
    """

    def finalize_options(self) -> None:
        """Compile as many extensions at a time as there are processors, unless told otherwise."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extension(self, ext: Extension) -> None:
        """Compile `ext` unless it is current in place, and for a wheel copy it to where wheels are packed."""
        target = Path(self.get_ext_fullpath(ext.name))
        in_place = Path("src", self.get_ext_filename(ext.name))
        if target.resolve() == in_place.resolve():
            super().build_extension(ext)
            return
        if newer_group([*ext.sources, *ext.depends], str(in_place), "newer"):
            super().build_extension(ext)
            replace(target, in_place)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(in_place, target)


def replace(source: Path, target: Path) -> None:
    """Copy `source` over `target` at one moment: a process may have the old one mapped."""
    fresh = target.with_suffix(".new")
    shutil.copy2(source, fresh)
    fresh.replace(target)


class PlatformDistribution(Distribution):
    """A distribution that is never pure Python, even in a tree that has no .pyx yet."""

    def has_ext_modules(self) -> bool:
        """Return True: the wheel is tagged for this platform."""
        return True


COMMANDS = {"build": Build, "build_ext": BuildExtensions, "build_generated": BuildGenerated}
