# SPDX-License-Identifier: Apache-2.0
"""The command as a user without root meets it: texts, exit codes, and a fabric in user space from up to down."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudfabric.cli.app import cloudfabric
from cloudfabric.cli.errors import ExitCode
from cloudfabric.lab.state import StateDirectory
from tests.support.command import EXAMPLE, run, started

NAME = "cft-cli"
UP = ("up", str(EXAMPLE), "--name", NAME, "--user-space")


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give every test a machine without fabrics, and see that it is left so."""
    base = tmp_path / "run"
    monkeypatch.setenv("CLOUDFABRIC_RUNTIME_DIR", str(base))
    yield base
    assert [*base.glob("*")] == []


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), ("up",), ("down",), ("status",), ("demo",)])
def test_help_tells_the_exit_codes(command: tuple[str, ...]) -> None:
    code, text = run(*command, "--help")

    assert code == 0
    documented = {int(number) for number in re.findall(r"^\s+(\d+)  ", text, re.MULTILINE)}
    assert documented == {int(code) for code in ExitCode}
    assert "another signal: 128 and its number" in text


def test_every_option_is_documented() -> None:
    for name, command in cloudfabric.commands.items():
        assert command.help, name
        for parameter in command.params:
            hidden = getattr(parameter, "hidden", False)
            assert hidden or parameter.param_type_name == "argument" or getattr(parameter, "help", ""), (
                name,
                parameter,
            )


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['cloudfabric', '--help']\n"
        "from cloudfabric.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'pyroute2', 'lmdb', 'rich', 'asyncio', 'cloudfabric.lab', 'cloudfabric.models'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said.splitlines()[-1] == "[]"


def test_the_version_is_the_package_s() -> None:
    code, text = run("--version")

    assert code == 0
    assert re.fullmatch(r"cloudfabric, version \d+\.\d+\.\S+", text)


# --- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("up",), 2, "Missing argument 'FILE'"),
        (("up", "/nowhere.yaml"), 2, "'/nowhere.yaml' does not exist"),
        (("fly",), 2, "No such command 'fly'"),
        (("up", str(EXAMPLE), "--name", "Not Good"), 2, "Error: fabric name 'Not Good'"),
        (("down",), 4, "Error: there is no fabric on this machine"),
        (("down", "x"), 4, "Error: no fabric x on this machine; there is none"),
        (("status", "x"), 4, "Error: no fabric x on this machine"),
        (("down", ".."), 2, "Error: fabric name '..'"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], code: int, text: str) -> None:
    ended, said = run(*arguments)

    assert ended == code
    assert text in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            "cidr: 10.0.2.0/24",
            "cidr: 10.1.2.0/24",
            "Subnet red/data: spec.cidr: 10.1.2.0/24 is outside VPC main (10.0.0.0/16)",
        ),
        (
            "cidr: 10.0.2.0/24",
            "cidr: 10.0.2.1/24",
            "two.yaml#7: Subnet red/data: spec.cidr: 10.0.2.1/24 has host bits set",
        ),
        ("kind: VPC", "kind: Vpc", "is not a known kind"),
        ("kind: VPC", "kind: [", "is not valid YAML"),
        ("kind: Droplet", "kind: Tenant", "Endpoint red/default/web-1: spec.droplet: host-1"),
    ],
)
def test_a_manifest_that_breaks_a_rule(tmp_path: Path, old: str, new: str, text: str) -> None:
    manifest = tmp_path / "two.yaml"
    changed = EXAMPLE.read_text(encoding="utf-8").replace(old, new)
    if new == "kind: Tenant":
        changed = changed.replace("network.cloudfabric.io/v1\nkind: Tenant", "fabric.cloudfabric.io/v1\nkind: Tenant")
    manifest.write_text(changed, encoding="utf-8")

    code, said = run("up", str(manifest), "--user-space")

    assert code == 2
    assert text in said
    assert "Traceback" not in said


# --- a fabric in user space ------------------------------------------------------------------------------------------


def test_up_status_down(base: Path) -> None:
    with started(*UP) as command:
        line = command.wait_for("ready after")
        command.wait_for("Ctrl-C")
        assert "fabric cft-cli: 8 workloads on 3 hosts" in line

        code, text = run("status")
        assert code == 0
        assert "Fabric cft-cli, user space data plane" in text
        assert re.search(r"Endpoint +red/default/data-1 +Provisioned .*address 10\.0\.2\.10", text)
        assert "host-3 (172.30.0.3)" in text
        assert "Allocation" not in text
        code, text = run("status", NAME, "--json")
        document = json.loads(text)
        assert {obj["kind"] for obj in document["objects"]} >= {"VPC", "Endpoint", "Bouncer", "Divider", "Allocation"}
        assert document["hosts"]["host-1"]["endpoints"][0]["dropped"] == 0

        assert run(*UP)[0] == 3
        assert run("down") == (0, "fabric cft-cli is gone")
        assert command.end() == 0

    assert command.lines[-1] == "ended; nothing is left"


def test_up_takes_the_name_of_its_file() -> None:
    with started("up", str(EXAMPLE), "--user-space", "--memory") as command:
        assert "fabric two-tenants: 8 workloads" in command.wait_for("ready after")
        command.wait_for("Ctrl-C")
        hears_it = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # not so below nohup(1)
        command.signal(signal.SIGHUP if hears_it else signal.SIGTERM)

        assert command.end() == 0


def test_with_several_fabrics_one_must_be_named() -> None:
    with started(*UP) as one, started("up", str(EXAMPLE), "--user-space") as other:
        for command in (one, other):
            command.wait_for("Ctrl-C")

        code, text = run("status")

        assert (code, text) == (2, "Error: there are several fabrics, name one: cft-cli, two-tenants")
        for command in (one, other):
            command.signal(signal.SIGTERM)
            assert command.end() == 0


def test_a_detached_fabric(base: Path) -> None:
    code, text = run(*UP, "--detach", "--memory")
    assert code == 0
    assert "ready after" in text
    assert "Ctrl-C" not in text
    log = base / NAME / "log"
    assert log.exists()

    assert run("down")[0] == 0


def test_a_detached_fabric_that_cannot_start(tmp_path: Path) -> None:
    manifest = tmp_path / "empty.yaml"
    manifest.write_text("", encoding="utf-8")

    code, text = run("up", str(manifest), "--user-space", "--detach")

    assert code == 2
    assert "describes no Droplet" in text


def test_a_fabric_whose_process_was_killed() -> None:
    with started(*UP) as command:
        command.wait_for("Ctrl-C")
        command.signal(signal.SIGKILL)
        command.end()

    code, text = run("status")
    assert code == 4
    assert "fabric cft-cli does not answer" in text
    assert run("down", NAME)[0] == 0


def test_an_object_that_is_not_brought_about(tmp_path: Path) -> None:
    manifest = tmp_path / "roleless.yaml"
    text = EXAMPLE.read_text(encoding="utf-8")
    for number in (1, 2, 3):
        host = f"metadata: {{name: host-{number}}}"
        text = text.replace(host, f"{host}\nspec: {{bouncer: false, divider: false}}")
    manifest.write_text(text, encoding="utf-8")

    code, said = run("up", str(manifest), "--user-space")

    assert code == 1
    assert "Error: Divider blue/main-divider-0 is Pending: no Droplet takes dividers" in said


# --- demo ------------------------------------------------------------------------------------------------------------


def test_the_demo_in_user_space() -> None:
    begun = time.monotonic()
    code, text = run("demo", "--user-space")

    assert code == 0
    assert "24 of 24 pairs inside the VPCs as they must be, 2 of 2 tenants kept out" in text
    assert "throughput not measured: packets are carried in user space" in " ".join(text.split())
    assert time.monotonic() - begun < 30


def test_the_demo_as_json() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cloudfabric.cli", "demo", "--user-space", "--json"], capture_output=True, check=True
    )

    document = json.loads(ended.stdout)

    assert document["held"] is True
    assert len(document["pairs"]) == 24
    assert {result["unanswered"] for result in document["isolation"]} == {8}
    assert b"... ping and connect" in ended.stderr


def test_without_root_the_demo_says_so_in_one_line(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        ended = subprocess.run([sys.executable, "-m", "cloudfabric.cli", "demo"], capture_output=True, text=True)
    else:
        program = "import os; os.geteuid = lambda: 1000\nfrom cloudfabric.cli import main\nmain()"
        ended = subprocess.run([sys.executable, "-c", program, "demo"], capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[0] == "running on the user-space data plane: not root"


def test_a_demo_that_does_not_hold_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer is hidden from the demo, as if nobody could be reached."""
    program = (
        "from cloudfabric.lab.simulated import SimulatedSubstrate\n"
        "async def silent(self, source, address, wait): return None\n"
        "SimulatedSubstrate.ping = silent\n"
        "from cloudfabric.cli import main\nmain()"
    )

    ended = subprocess.run([sys.executable, "-c", program, "demo", "--user-space"], capture_output=True, text=True)

    assert ended.returncode == 1
    assert "NOT everything held: 0 of 24 pairs" in ended.stdout
    assert "Error: not everything held; see the table" in ended.stderr


def test_no_state_is_left_by_anything_here() -> None:
    assert StateDirectory.all() == ()
