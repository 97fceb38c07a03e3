# SPDX-License-Identifier: Apache-2.0
"""The `cloudfabric` command. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

__all__ = ["main"]


def main() -> None:
    """Run the command line; the process exits with the codes of `cloudfabric.cli.errors.ExitCode`."""
    from cloudfabric.cli.app import cloudfabric

    cloudfabric()
