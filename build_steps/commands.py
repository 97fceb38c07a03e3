# SPDX-License-Identifier: Apache-2.0
"""setuptools commands: ``build_generated`` runs before everything else that ``build`` does, in editable mode too."""

from pathlib import Path

from setuptools import Command, Distribution
from setuptools.command.build import build

from build_steps import bpf, verdicts


class BuildGenerated(Command):
    """Make the files that are not in the repository: BPF objects and ``verdicts.py``, in place below ``src``.

    Implements setuptools' SubCommand protocol, so that wheels, editable installs and source archives agree on it.
    """

    description = "compile BPF objects and generate Python from the C headers"
    user_options: list[tuple[str, str | None, str]] = []
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
    """``build``, with the generated files first."""

    sub_commands = [("build_generated", None), *build.sub_commands]


class PlatformDistribution(Distribution):
    """A distribution that is never pure Python, even in a tree that has no .pyx yet."""

    def has_ext_modules(self) -> bool:
        """Return True: the wheel is tagged for this platform."""
        return True


COMMANDS = {"build": Build, "build_generated": BuildGenerated}
