# SPDX-License-Identifier: Apache-2.0
"""What a fabric could leave behind on a machine, listed by tools that are not its own."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["leftovers", "nothing_new_since", "wait_until"]


def leftovers() -> dict[str, set[str]]:
    """Return namespaces, links, BPF objects, mounts, files and processes, as the system lists them now."""
    return {
        "namespaces": _namespaces(),
        "links": _links(),
        "programs": _bpf("prog"),
        "maps": _bpf("map"),
        "bpf links": _bpf("link"),
        "mounts": _mounts(),
        "files": _files(),
        "processes": _processes(),
    }


def nothing_new_since(before: dict[str, set[str]], seconds: float = 15.0) -> None:
    """Fail if there is something that was not there before; the kernel frees BPF objects a moment after their end."""

    def new() -> dict[str, set[str]]:
        return {kind: found - before[kind] for kind, found in leftovers().items() if found - before[kind]}

    deadline = time.monotonic() + seconds
    while found := new():
        assert time.monotonic() < deadline, f"left behind: {found}"
        time.sleep(0.02)  # the condition is the system's, which tells nobody


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Return once the condition holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)  # the condition is the system's, which tells nobody


def _namespaces() -> set[str]:
    listed = json.loads(_output("ip", "-json", "netns", "list") or "[]")
    return {entry["name"] for entry in listed if entry}


def _links() -> set[str]:
    return {entry["ifname"] for entry in json.loads(_output("ip", "-json", "link", "show"))}


_GOING = ("No such file", "temporarily unavailable")
"""What bpftool says of an object that goes while it is listed."""


def _bpf(kind: str) -> set[str]:
    while True:
        listed = subprocess.run(["bpftool", "--json", kind, "list"], capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            break
        assert any(word in listed.stdout for word in _GOING), listed
    entries = json.loads(listed.stdout)
    return {f"{entry['id']} {entry.get('name', entry.get('type'))}" for entry in entries}


def _mounts() -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return {line.split()[4] for line in lines}


def _files() -> set[str]:
    roots = (Path("/run/cloudfabric"), Path("/run/netns"))
    found = set()
    for root in roots:
        with suppress(FileNotFoundError):  # gone while it was listed
            found |= {str(path) for path in (root, *root.rglob("*")) if path.exists()}
    return found


def _processes() -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "cloudfabric.cli" in command or "bin/cloudfabric" in command or "iperf3" in command:
                found.add(f"{entry.name} {command}")
    return found


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
