# SPDX-License-Identifier: Apache-2.0
"""Runs a coroutine so that Ctrl-C, SIGTERM and a closed terminal end it in order, however often they come.

The first signal cancels the coroutine, which then takes down what it built; further ones are ignored until that is
done, since half a clean-up is worse than a slow one.
"""

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

__all__ = ["Interrupted", "run"]

T = TypeVar("T")


class Interrupted(Exception):
    """The coroutine was ended by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a process that a signal ended exits with, by the shell's convention."""
        return 128 + self.number


def run(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine in a new event loop; raises Interrupted if a signal ended it."""
    received: list[int] = []

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(main)

        def stop(number: int) -> None:
            if not received:
                received.append(number)
                task.cancel()

        heeded = [signal.SIGINT, signal.SIGTERM]  # SIGINT also where a shell that put us into the background ignores it
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) ignores it for us
            heeded.append(signal.SIGHUP)
        for number in heeded:
            loop.add_signal_handler(number, stop, number)
        try:
            return await task
        finally:
            for number in heeded:
                loop.remove_signal_handler(number)

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise Interrupted(received[0] if received else signal.SIGINT) from None
