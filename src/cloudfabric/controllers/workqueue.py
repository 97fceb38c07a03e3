# SPDX-License-Identifier: Apache-2.0
"""The work queue between events and reconciles.

It holds keys, not events: however many events arrive for a key, it is worked on once, and afterwards once more if
something came in meanwhile. That is what makes a controller level-triggered.

* **Deduplication.** A key waits at most once. A key that is added while it is in flight waits for `done`, so one key is
  never worked on twice at a time.
* **Fairness.** Keys wait in one line per tenant and the lines take turns, so a tenant with ten thousand waiting keys
  delays another tenant's only key by one turn.
* **Backoff.** `add_failed` brings a key back after a delay that doubles with each failure in a row, until `forget`.
* **Delay.** `add_after` brings a key back later. `get` drops the key's delay: what was due later is being done now.

The queue is for one event loop and takes its time from the given clock.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cloudfabric.controllers.clock import Clock, SystemClock, Timer

__all__ = ["Backoff", "QueueClosed", "WorkQueue"]


class _HasTenant(Hashable, Protocol):
    @property
    def tenant(self) -> str: ...


K = TypeVar("K", bound=_HasTenant)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failing key waits: `base * 2**(failures - 1)`, never longer than `limit`.

    Args:
        base: Delay after the first failure, in seconds.
        limit: Longest delay, in seconds.
    """

    base: float = 0.005
    limit: float = 60.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row (at least 1)."""
        return float(min(self.limit, self.base * 2 ** min(failures - 1, 62)))


class QueueClosed(Exception):
    """The queue was closed: there is no more work to get."""


@dataclass(slots=True)
class _Delayed:
    due: float
    timer: Timer
    retry: bool


class WorkQueue(Generic[K]):
    """A deduplicating, rate-limited, per-tenant-fair queue of keys.

    Args:
        clock: Where delays are measured.
        backoff: Delays of keys that fail.
        on_idle: Called whenever the queue may have become idle.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._backoff = backoff or Backoff()
        self._on_idle = on_idle
        self._lines: OrderedDict[str, deque[K]] = OrderedDict()
        self._waiting: set[K] = set()
        self._in_flight: set[K] = set()
        self._again: set[K] = set()
        self._delayed: dict[K, _Delayed] = {}
        self._failures: dict[K, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait for a worker, without those in flight or delayed."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Keys that a worker has got and not yet done."""
        return len(self._in_flight)

    @property
    def delayed(self) -> int:
        """Keys that come back later."""
        return len(self._delayed)

    @property
    def idle(self) -> bool:
        """Nothing waits, nothing is in flight and no failed key is waiting for its next try."""
        return not self._waiting and not self._in_flight and not any(item.retry for item in self._delayed.values())

    def failures(self, key: K) -> int:
        """Failures of a key in a row."""
        return self._failures.get(key, 0)

    def failing(self) -> tuple[K, ...]:
        """Keys whose last attempt failed."""
        return tuple(self._failures)

    def add(self, key: K) -> None:
        """Have a key worked on soon; no effect when it waits already, or when the queue is closed."""
        if self._closed or key in self._waiting:
            return
        if key in self._in_flight:
            self._again.add(key)
            return
        self._waiting.add(key)
        line = self._lines.get(key.tenant)
        if line is None:
            line = self._lines[key.tenant] = deque()
        line.append(key)
        self._wake()

    def add_after(self, key: K, delay: float) -> None:
        """Have a key worked on later; the earlier of two delays counts.

        Args:
            key: The key.
            delay: Seconds from now; 0 or less means now.
        """
        self._schedule(key, delay, retry=False)

    def add_failed(self, key: K) -> float:
        """Count a failure of a key and have it worked on again after its backoff.

        Returns:
            The delay in seconds.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.delay(failures)
        self._schedule(key, delay, retry=True)
        return delay

    def forget(self, key: K) -> None:
        """End a key's row of failures: it succeeded, or is no longer wanted."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key, now in flight: the caller must call `done` with it.

        Raises:
            QueueClosed: The queue was closed.
        """
        while not self._closed and not self._waiting:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter in self._getters:
                    self._getters.remove(getter)
                if self._waiting:
                    self._wake()  # this getter's wake-up goes to another one
                raise
        if self._closed:
            raise QueueClosed
        tenant, line = next(iter(self._lines.items()))
        key = line.popleft()
        if line:
            self._lines.move_to_end(tenant)
        else:
            del self._lines[tenant]
        self._waiting.remove(key)
        self._in_flight.add(key)
        self._unschedule(key)
        return key

    def done(self, key: K) -> None:
        """A worker has finished with a key, whatever the outcome."""
        self._in_flight.remove(key)
        if key in self._again:
            self._again.remove(key)
            self.add(key)
        self._tell_idle()

    def close(self) -> None:
        """Hand out no more keys and drop those that wait; keys in flight may still be done."""
        self._closed = True
        for key in list(self._delayed):
            self._unschedule(key)
        self._lines.clear()
        self._waiting.clear()
        self._again.clear()
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
        self._tell_idle()

    def _schedule(self, key: K, delay: float, *, retry: bool) -> None:
        if self._closed:
            return
        due = self._clock.now() + delay
        already = self._delayed.get(key)
        if already is not None:
            retry = retry or already.retry
            if already.due <= due:
                already.retry = retry
                return
            already.timer.cancel()
        if delay <= 0:
            self._delayed.pop(key, None)
            self.add(key)
            return
        self._delayed[key] = _Delayed(due, self._clock.call_later(delay, lambda: self._due(key)), retry)

    def _unschedule(self, key: K) -> None:
        delayed = self._delayed.pop(key, None)
        if delayed is not None:
            delayed.timer.cancel()

    def _due(self, key: K) -> None:
        self._delayed.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _tell_idle(self) -> None:
        if self._on_idle is not None and self.idle:
            self._on_idle()
