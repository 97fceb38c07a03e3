# SPDX-License-Identifier: Apache-2.0
"""Why a machine cannot carry a fabric in its kernel."""

import os
import sys
from pathlib import Path

import pytest

from cloudfabric._fastpath.errors import MapError
from cloudfabric._fastpath.maps import Map
from cloudfabric.lab import preflight


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, **_: "nodev\tbpf\n")


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert preflight.kernel_missing() == "not root"


def test_without_a_bpf_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, **_: "nodev\tproc\n")

    assert preflight.kernel_missing() == "this kernel has no BPF file system"


def test_without_programs(monkeypatch: pytest.MonkeyPatch, file_systems: None, tmp_path: Path) -> None:
    monkeypatch.setattr(preflight.resources, "files", lambda package: tmp_path)

    assert preflight.kernel_missing() == "this installation was built without BPF programs"


def test_without_libbpf(monkeypatch: pytest.MonkeyPatch, file_systems: None) -> None:
    monkeypatch.setitem(sys.modules, "cloudfabric._fastpath.maps", None)

    assert "cloudfabric._fastpath.maps" in preflight.kernel_missing()


def test_a_kernel_that_refuses(monkeypatch: pytest.MonkeyPatch, file_systems: None) -> None:
    class Refusing:
        @staticmethod
        def create(name: str, *shape: object) -> Map:
            raise MapError(name, "create", 1)

    monkeypatch.setattr("cloudfabric._fastpath.maps.Map", Refusing)

    assert preflight.kernel_missing().startswith("this kernel refuses BPF maps: map cf_preflight: create failed")
