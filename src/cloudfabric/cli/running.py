# SPDX-License-Identifier: Apache-2.0
"""What the commands do: run a lab until it is ended, ask one that runs, remove one.

`up --detach` starts the command again in a session of its own and waits until that one writes to the descriptor given
by `--ready-fd`, so that what goes wrong at the start is seen at the terminal; afterwards it writes into the fabric's
log.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from cloudfabric.cli import signals
from cloudfabric.cli.errors import CommandFailed, ExitCode, reported

__all__ = ["Options", "demo", "down", "status", "up", "up_detached"]


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked to do.

    Args:
        file: the manifest.
        name: of the fabric; None takes that of the file.
        memory: keep objects in memory.
        user_space: carry packets in user space.
    """

    file: Path
    name: str | None
    memory: bool
    user_space: bool


def up(options: Options, ready_fd: int | None) -> None:
    """Run a fabric until a signal ends it; being ended after it was ready is success."""
    with reported():
        ready: list[bool] = []
        try:
            signals.run(_keep_running(options, ready_fd, ready))
        except signals.Interrupted as interrupted:
            if not ready:
                sys.exit(interrupted.exit_code)
            click.echo("ended; nothing is left")


async def _keep_running(options: Options, ready_fd: int | None, ready: list[bool]) -> None:
    from cloudfabric.lab import names
    from cloudfabric.lab.lab import Lab
    from cloudfabric.models import load_manifest

    begun = time.perf_counter()
    name = names.check(options.name or names.fabric_name_of(options.file))
    objects = load_manifest(options.file.read_text(encoding="utf-8"), str(options.file))
    user_space = _user_space(options.user_space)
    async with await Lab.up(
        objects, name=name, user_space=user_space, durable=not options.memory, progress=_progress
    ) as lab:
        seconds = time.perf_counter() - begun
        click.echo(
            f"fabric {name}: {len(lab.workloads)} workloads on {len(lab.hosts)} hosts, ready after {seconds:.2f} s"
        )
        ready.append(True)
        if ready_fd is None:
            click.echo(f"`cloudfabric status {name}` shows it; Ctrl-C or `cloudfabric down {name}` ends it")
        else:
            _say_ready(ready_fd, lab.state.path / "log")
        await asyncio.Event().wait()


def _say_ready(descriptor: int, log: Path) -> None:
    """Tell the process that waits, and let go of its terminal."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(target, stream)
    os.close(target)
    os.write(descriptor, b"ready")
    os.close(descriptor)


def up_detached(options: Options) -> None:
    """Run `up` in a session of its own and return when its fabric is ready."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "cloudfabric.cli", "up", str(options.file.resolve()), "--ready-fd", str(writing)]
    command += ["--name", options.name] if options.name else []
    command += ["--memory"] if options.memory else []
    command += ["--user-space"] if options.user_space else []
    with os.fdopen(reading, "rb") as ready:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[writing], start_new_session=True)
        os.close(writing)
        try:
            if ready.read() == b"ready":
                return
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
        sys.exit(child.wait())


def down(name: str | None) -> None:
    """Remove a fabric."""
    with reported():
        from cloudfabric.lab import cleanup

        chosen = _only(name)
        cleanup.down(chosen)
        click.echo(f"fabric {chosen} is gone")


def status(name: str | None, as_json: bool) -> None:
    """Show a fabric."""
    with reported():
        from cloudfabric.cli.status import render
        from cloudfabric.lab.control import read_status
        from cloudfabric.lab.state import StateDirectory

        document = read_status(StateDirectory.find(_only(name)))
        if as_json:
            click.echo(json.dumps(document, indent=2))
        else:
            render(document)


def demo(*, user_space: bool, as_json: bool, throughput: bool) -> bool:
    """Run the demo and return whether everything held."""
    from rich.console import Console

    from cloudfabric.lab.demo import run_demo
    from cloudfabric.lab.report import render

    with reported():
        try:
            report = signals.run(run_demo(_user_space(user_space), throughput, _progress))
        except signals.Interrupted as interrupted:
            click.echo("interrupted; nothing is left", err=True)
            sys.exit(interrupted.exit_code)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        render(report, Console())
    return report.held


def _only(name: str | None) -> str:
    """Return the name given, or that of the only fabric there is."""
    from cloudfabric.lab.state import StateDirectory

    if name is not None:
        return name
    known = [state.name for state in StateDirectory.all()]
    if len(known) == 1:
        return known[0]
    text = f"there are several fabrics, name one: {', '.join(known)}" if known else "there is no fabric on this machine"
    raise CommandFailed(text, ExitCode.INVALID if known else ExitCode.NOT_FOUND)


def _user_space(asked_for: bool) -> bool:
    """Return whether to do without the kernel, saying so in one line when that was not asked for."""
    from cloudfabric.lab.preflight import kernel_missing

    if asked_for:
        return True
    reason = kernel_missing()
    if reason:
        click.echo(f"running on the user-space data plane: {reason}", err=True)
    return bool(reason)


def _progress(text: str) -> None:
    click.echo(f"... {text}", err=True)
