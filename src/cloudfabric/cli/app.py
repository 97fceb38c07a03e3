# SPDX-License-Identifier: Apache-2.0
"""The commands of `cloudfabric` and their options; what they do is in the modules beside this one."""

from pathlib import Path

import click

from cloudfabric.cli.errors import CommandFailed, ExitCode

__all__ = ["cloudfabric"]

_EXIT_CODES = """\b
Exit codes:
  0    done; for `demo`: everything held
  1    something failed; for `demo`: something did not hold
  2    wrong usage, or a manifest that breaks a rule
  3    a fabric of that name runs already
  4    there is no such fabric, or its process does not answer
  130  ended by Ctrl-C before it was done (by another signal: 128 and its number)
"""

_USER_SPACE = click.option(
    "--user-space", is_flag=True, help="Carry packets in this process instead of the kernel; needs no privilege."
)


@click.group(epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cloudfabric", prog_name="cloudfabric")
def cloudfabric() -> None:
    """Build a multi-tenant cloud network on one machine, with real packets.

    Hosts and workloads are network namespaces; packets travel through eBPF bouncers and dividers. Without root or
    without BPF the same fabric runs on a data plane in user space.
    """


@cloudfabric.command(epilog=_EXIT_CODES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", metavar="NAME", help="Name of the fabric. Default: that of FILE without its suffix.")
@click.option("--detach", is_flag=True, help="Return once the fabric is ready; it runs on until `cloudfabric down`.")
@click.option("--memory", is_flag=True, help="Keep the objects in memory instead of in LMDB.")
@_USER_SPACE
@click.option("--ready-fd", type=int, hidden=True)
def up(file: Path, name: str | None, detach: bool, memory: bool, user_space: bool, ready_fd: int | None) -> None:
    """Build the fabric that FILE describes and keep it running until Ctrl-C or `cloudfabric down`.

    FILE is a manifest: YAML documents of Tenants, Droplets (hosts), VPCs, Subnets and Endpoints. It is checked as a
    whole before anything is made. See examples/two-tenants.yaml.
    """
    from cloudfabric.cli import running

    options = running.Options(file, name, memory=memory, user_space=user_space)
    if detach:
        running.up_detached(options)
    else:
        running.up(options, ready_fd)


@cloudfabric.command(epilog=_EXIT_CODES)
@click.argument("name", required=False)
def down(name: str | None) -> None:
    """End a fabric and remove everything that it consists of.

    NAME may be left out when there is only one. It works whatever became of the fabric's process, also after `kill -9`,
    and may be repeated.
    """
    from cloudfabric.cli import running

    running.down(name)


@cloudfabric.command(epilog=_EXIT_CODES)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def status(name: str | None, as_json: bool) -> None:
    """Show a fabric: its objects and their phases, and what each host has counted.

    NAME may be left out when there is only one.
    """
    from cloudfabric.cli import running

    running.status(name, as_json)


@cloudfabric.command(epilog=_EXIT_CODES)
@_USER_SPACE
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON; progress goes to standard error.")
@click.option("--no-throughput", is_flag=True, help="Leave out the iperf3 comparison with the kernel's VXLAN (6 s).")
def demo(user_space: bool, as_json: bool, no_throughput: bool) -> None:
    """Show two tenants with equal addresses on three hosts: build, exercise, show, tear down.

    Exit code 0 only if every pair inside a VPC could be reached, nobody across tenants, and first packets were bounced
    and later ones went direct.
    """
    from cloudfabric.cli import running

    if not running.demo(user_space=user_space, as_json=as_json, throughput=not no_throughput):
        raise CommandFailed("not everything held; see the table", ExitCode.FAILED)
