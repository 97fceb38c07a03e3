# SPDX-License-Identifier: Apache-2.0
"""The state directory: reserves a name, and lists what belongs to a fabric."""

import json
import os
from pathlib import Path

import pytest

from cloudfabric.lab.processes import Process
from cloudfabric.lab.state import FabricExists, FabricNotFound, StateDirectory, base_directory


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOUDFABRIC_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def test_a_new_directory_says_who_owns_it(runtime_directory: Path) -> None:
    state = StateDirectory.create("demo", data_plane="kernel")

    assert state.path == runtime_directory / "demo"
    assert state.name == "demo"
    assert state.owner == Process.current()
    assert state.data_plane == "kernel"
    assert state.namespaces == state.processes == ()
    assert state.store.is_dir()
    assert not state.bpf.exists()


def test_a_name_is_given_once() -> None:
    StateDirectory.create("demo", data_plane="kernel")

    with pytest.raises(FabricExists, match=f"runs already .process {os.getpid()}.*cloudfabric down demo") as caught:
        StateDirectory.create("demo", data_plane="kernel")

    assert (caught.value.name, caught.value.pid) == ("demo", os.getpid())


def test_finding_one_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(FabricNotFound, match="no fabric x on this machine; there is none"):
        StateDirectory.find("x")
    StateDirectory.create("a", data_plane="kernel")
    StateDirectory.create("b", data_plane="kernel")

    with pytest.raises(FabricNotFound, match="there are: a, b"):
        StateDirectory.find("x")

    assert StateDirectory.find("a").name == "a"


def test_records_survive_in_another_process_s_eyes() -> None:
    state = StateDirectory.create("demo", data_plane="kernel")
    state.record_namespaces(["cf-demo-host-2", "cf-demo-host-1"])
    state.record_process(Process(12, 34))

    again = StateDirectory.find("demo")

    assert again.namespaces == ("cf-demo-host-1", "cf-demo-host-2")
    assert again.processes == (Process(12, 34),)


def test_what_is_struck_out_is_forgotten() -> None:
    state = StateDirectory.create("demo", data_plane="kernel")
    state.record_namespaces(["n"])
    state.record_process(Process(12, 34))

    state.forget_namespace("n")
    state.forget_namespace("n")
    state.forget_process(Process(12, 34))

    assert state.namespaces == state.processes == ()


@pytest.mark.parametrize("record", [None, "", "[]", "{}", '{"pid": "x", "startTime": 1}'])
def test_an_incomplete_directory_has_no_owner(runtime_directory: Path, record: str | None) -> None:
    (runtime_directory / "demo").mkdir(parents=True)
    if record is not None:
        (runtime_directory / "demo" / "fabric.json").write_text(record)

    state = StateDirectory.find("demo")

    assert state.owner is None
    assert state.data_plane == ""
    assert state.namespaces == state.processes == ()
    with pytest.raises(FabricExists):
        StateDirectory.create("demo", data_plane="kernel")


def test_a_broken_process_record_is_passed_over() -> None:
    state = StateDirectory.create("demo", data_plane="kernel")
    (state.path / "processes" / "12").write_text("no number")

    assert state.processes == ()


def test_the_record_is_plain_json() -> None:
    state = StateDirectory.create("demo", data_plane="user space")

    record = json.loads((state.path / "fabric.json").read_text())

    assert record["name"] == "demo"
    assert record["dataPlane"] == "user space"


def test_removal_frees_the_name() -> None:
    state = StateDirectory.create("demo", data_plane="kernel")
    (state.store / "data.mdb").write_text("x")

    state.remove()

    assert StateDirectory.all() == ()
    StateDirectory.create("demo", data_plane="kernel")


def test_the_base_directory_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDFABRIC_RUNTIME_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert base_directory() == Path("/run/cloudfabric")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert base_directory() == Path("/run/user/1000/cloudfabric")

    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert base_directory().name == "cloudfabric-1000"
