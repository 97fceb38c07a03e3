# SPDX-License-Identifier: Apache-2.0
"""The command, ended in every way there is: afterwards the machine is as it was, as its own tools list it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudfabric.lab import cleanup
from cloudfabric.lab.cleanup import CleanupError
from cloudfabric.lab.processes import Process
from cloudfabric.lab.state import StateDirectory
from cloudfabric.networking.dataplane import namespaces
from tests.support.command import EXAMPLE, Command, run, started
from tests.support.leftovers import leftovers, nothing_new_since, wait_until

NAME = "cft-cli"
UP = ("up", str(EXAMPLE), "--name", NAME)
PHASES = ("make 3 hosts", "load the hosts' programs", "wire the workloads")
DEMO_STEPS = (
    "load the hosts' programs",
    "ping and connect",
    "try every address",
    "iperf3 for",
    "the same over the kernel",
)


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Fail every test here that leaves something on the machine; return the directory of all fabrics."""
    base = tmp_path / "run"
    monkeypatch.setenv("CLOUDFABRIC_RUNTIME_DIR", str(base))
    before = leftovers()
    yield base
    nothing_new_since(before)
    assert [*base.glob("*")] == []


def crash(command: Command) -> None:
    """End a command as the kernel's out-of-memory killer would."""
    command.signal(signal.SIGKILL)
    assert command.end() == -signal.SIGKILL


# --- up --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_running_fabric_ends_in_order(number: int) -> None:
    with started(*UP) as command:
        command.wait_for("Ctrl-C")
        command.signal(number)
        code = command.end()

    assert code == 0
    assert command.lines[-1] == "ended; nothing is left"


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_building_is_ended_by_a_signal(phase: str, number: int, code: int) -> None:
    with started(*UP) as command:
        command.wait_for(phase)
        command.signal(number)
        ended = command.end()

    assert ended in (code, 0)  # 0: it was ready by then


@pytest.mark.parametrize("phase", [*PHASES, "Ctrl-C"])
def test_down_removes_what_a_killed_process_left(phase: str) -> None:
    with started(*UP) as command:
        command.wait_for(phase)
        crash(command)

    assert run("down", NAME) == (0, f"fabric {NAME} is gone")


def test_down_ends_a_running_fabric(base: Path) -> None:
    with started(*UP) as command:
        command.wait_for("Ctrl-C")

        assert run("down") == (0, f"fabric {NAME} is gone")

        assert command.end() == 0


def test_down_twice_says_that_there_is_none() -> None:
    code, text = run("down", NAME)

    assert (code, text) == (4, f"Error: no fabric {NAME} on this machine; there is none")


def test_down_ends_a_process_that_does_not_listen(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process handles no signal but SIGKILL."""
    monkeypatch.setattr(cleanup, "_GRACE", 0.2)
    with started(*UP) as command:
        command.wait_for("Ctrl-C")
        command.signal(signal.SIGSTOP)

        cleanup.down(NAME)

        assert command.end() == -signal.SIGKILL


def test_a_killed_fabric_gives_way_to_the_next_of_its_name() -> None:
    with started(*UP) as command:
        command.wait_for("Ctrl-C")
        crash(command)

    with started(*UP) as command:
        command.wait_for("Ctrl-C")
        command.signal(signal.SIGINT)
        assert command.end() == 0


def test_a_detached_fabric_runs_until_it_is_ended(base: Path) -> None:
    code, text = run(*UP, "--detach")
    assert code == 0
    assert "8 workloads on 3 hosts, ready after" in text

    code, text = run("status", NAME)
    assert code == 0
    assert "red/default/web-1" in text
    code, text = run("status", "--json")
    assert json.loads(text)["dataPlane"] == "kernel"
    assert run(*UP) == (3, text) or run(*UP)[0] == 3

    assert run("down", NAME)[0] == 0


def test_a_detached_fabric_that_cannot_start_says_why(tmp_path: Path) -> None:
    manifest = tmp_path / "bad.yaml"
    manifest.write_text(EXAMPLE.read_text(encoding="utf-8").replace("10.0.2.0/24", "10.1.2.0/24"), encoding="utf-8")

    code, text = run("up", str(manifest), "--detach")

    assert code == 2
    assert "Error: Subnet red/data: spec.cidr: 10.1.2.0/24 is outside" in text


# --- demo ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", DEMO_STEPS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_demo_is_ended_by_a_signal(step: str, number: int, code: int) -> None:
    with started("demo") as command:
        command.wait_for(step)
        command.signal(number)

        assert command.end() == code

    assert command.lines[-1] == "interrupted; nothing is left"


@pytest.mark.parametrize("step", DEMO_STEPS)
def test_down_removes_what_a_killed_demo_left(step: str) -> None:
    with started("demo") as command:
        command.wait_for(step)
        crash(command)

    assert run("down") == (0, "fabric demo is gone")


# --- what is removed, and what is not --------------------------------------------------------------------------------


@pytest.fixture
def state() -> StateDirectory:
    return StateDirectory.create(NAME, data_plane="kernel")


def test_processes_inside_are_ended_and_no_others(state: StateDirectory) -> None:
    state.record_namespaces(["cft-cli-inside"])
    namespaces.create(["cft-cli-inside"])
    sleep = [sys.executable, "-S", "-c", "import signal; print('up', flush=True); signal.pause()"]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE)
        for command in (["ip", "netns", "exec", "cft-cli-inside", *sleep], sleep, sleep)
    ]
    inside, recorded, other = children
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    state.record_process(Process.of(recorded.pid))
    mistaken = Process.of(other.pid)
    state.record_process(Process(mistaken.pid, mistaken.start_time + 1))
    try:
        cleanup.remove(state)

        assert inside.wait(5) == -signal.SIGKILL
        assert recorded.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_what_cannot_be_removed_is_kept_in_the_books(state: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    state.record_namespaces(["cft-cli-stuck"])

    def refuse(name: str) -> bool:
        raise namespaces.NamespaceError("unmount", name, 16)

    with monkeypatch.context() as patched:
        patched.setattr(namespaces, "delete", refuse)
        with pytest.raises(CleanupError, match=rf"cft-cli-stuck: unmount: .*; run `cloudfabric down {NAME}` again"):
            cleanup.remove(state)

    assert StateDirectory.find(NAME).namespaces == ("cft-cli-stuck",)
    cleanup.remove(state)


def test_a_half_made_directory_can_be_removed(base: Path) -> None:
    (base / NAME).mkdir(parents=True)

    cleanup.down(NAME)


def test_a_mount_that_is_refused_is_an_error(base: Path) -> None:
    base.mkdir()
    file = base / "file"
    file.touch()
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        cleanup.mount_bpf(file)
    file.unlink()


def test_bpf_file_systems_are_unmounted_however_many_there_are(state: StateDirectory) -> None:
    for _ in range(2):
        cleanup.mount_bpf(state.bpf)

    cleanup.remove(state)

    assert str(state.bpf) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


def test_no_child_outlives_a_killed_demo() -> None:
    """Before anybody runs `down`: the kernel ends iperf3 with the thread that started it."""
    with started("demo") as command:
        command.wait_for("iperf3 for")
        [state] = StateDirectory.all()
        wait_until(lambda: len(state.processes) == 2, "iperf3 server and client run")
        children = state.processes
        crash(command)

        wait_until(lambda: not any(child.alive for child in children), "iperf3 has ended")

    assert os.path.exists(f"/run/netns/cf-{state.name}-_underlay")
    assert run("down")[0] == 0
