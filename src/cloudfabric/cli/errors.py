# SPDX-License-Identifier: Apache-2.0
"""What the command's exit codes mean, and how errors become one line on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

__all__ = ["CommandFailed", "ExitCode", "reported"]


class ExitCode(IntEnum):
    """Exit codes of `cloudfabric`."""

    OK = 0
    FAILED = 1  # something did not work, or the demo did not hold
    INVALID = 2  # wrong usage, or a manifest that breaks a rule
    CONFLICT = 3  # a fabric of that name runs already
    NOT_FOUND = 4  # there is no such fabric, or it does not answer
    INTERRUPTED = 130  # Ctrl-C before the command was done; for other signals, too, 128 and the signal's number


class CommandFailed(click.ClickException):
    """An error for the person at the terminal: one text, one exit code."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click declares a class variable and reads an attribute
        """What the process exits with."""
        return self.code


@contextmanager
def reported() -> Iterator[None]:
    """Turn the errors that a person can do something about into CommandFailed; others stay tracebacks."""
    from cloudfabric.lab.cleanup import CleanupError
    from cloudfabric.lab.control import NotAnswering
    from cloudfabric.lab.names import FabricNameError
    from cloudfabric.lab.readiness import NotReady
    from cloudfabric.lab.state import FabricExists, FabricNotFound
    from cloudfabric.models import InvalidObject

    codes: dict[type[Exception], ExitCode] = {
        InvalidObject: ExitCode.INVALID,
        FabricNameError: ExitCode.INVALID,
        FabricExists: ExitCode.CONFLICT,
        FabricNotFound: ExitCode.NOT_FOUND,
        NotAnswering: ExitCode.NOT_FOUND,
        CleanupError: ExitCode.FAILED,
        NotReady: ExitCode.FAILED,
        OSError: ExitCode.FAILED,
    }
    try:
        yield
    except tuple(codes) as error:
        code = next(code for kind, code in codes.items() if isinstance(error, kind))
        raise CommandFailed(str(error), code) from error
