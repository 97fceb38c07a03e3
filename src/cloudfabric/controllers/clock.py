# SPDX-License-Identifier: Apache-2.0
"""Time as a dependency: everything in this package that waits asks a `Clock`, so that a test can move time itself.

`SystemClock` is the event loop's monotonic clock. `VirtualClock` stands still until `advance` is called; timers fire in
order of their deadline, so a test of a minute's backoff takes microseconds and gives the same result every time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "SystemClock", "Timer", "VirtualClock", "sleep"]


class Timer(Protocol):
    """A callback that is due later."""

    def cancel(self) -> None:
        """Make the callback not happen; no effect when it has happened."""
        ...


class Clock(Protocol):
    """Monotonic time in seconds, and timers on it."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `delay` seconds from now, from the event loop."""
        ...


class SystemClock:
    """The running event loop's clock."""

    def now(self) -> float:
        """Seconds of the loop's monotonic clock."""
        return asyncio.get_running_loop().time()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `delay` seconds from now."""
        return asyncio.get_running_loop().call_later(delay, callback)


class _VirtualTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """A clock that moves only when told to.

    Args:
        start: What `now` returns at first, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _VirtualTimer]] = []

    def now(self) -> float:
        """Seconds of virtual time."""
        return self._now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, from `advance`, when virtual time has moved `delay` seconds on."""
        timer = _VirtualTimer(callback)
        heapq.heappush(self._timers, (self._now + delay, next(self._order), timer))
        return timer

    def next_deadline(self) -> float | None:
        """When the next timer is due, in virtual time; None without one."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def advance(self, seconds: float) -> int:
        """Move time on and call what becomes due, in order of the deadlines.

        Args:
            seconds: How far, at least 0.

        Returns:
            The number of callbacks that were called.
        """
        end = self._now + seconds
        called = 0
        while (deadline := self.next_deadline()) is not None and deadline <= end:
            _, _, timer = heapq.heappop(self._timers)
            self._now = deadline
            if timer.callback is not None:
                timer.callback()
                called += 1
        self._now = end
        return called


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait until a clock has moved on.

    Args:
        clock: The clock.
        seconds: How far.
    """
    done = asyncio.Event()
    timer = clock.call_later(seconds, done.set)
    try:
        await done.wait()
    finally:
        timer.cancel()
