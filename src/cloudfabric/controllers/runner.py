# SPDX-License-Identifier: Apache-2.0
"""Runs one controller: its queue, its workers, and what happens when a reconcile fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cloudfabric.controllers.clock import Clock
from cloudfabric.controllers.controller import Context, Controller, ControllerMetrics, Service
from cloudfabric.controllers.informer import Informer
from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.controllers.workqueue import Backoff, QueueClosed, WorkQueue
from cloudfabric.models import Object
from cloudfabric.store import Client, Conflict

__all__ = ["ControllerRunner"]

FIRST_PASS_ATTEMPTS = 5
"""A key that fails this often no longer holds up those who wait for the first pass."""

_log = logging.getLogger(__name__)


class ControllerRunner:
    """One controller at work.

    Args:
        controller: The controller.
        client: Given to it.
        clock: For delays and metrics.
        backoff: Of keys that fail.
        informers: Finds or makes the informer of a kind.
        add_service: Has a service run beside the controllers.
        on_idle: Called when the queue becomes idle.
    """

    def __init__(
        self,
        controller: Controller[Object],
        *,
        client: Client,
        clock: Clock,
        backoff: Backoff,
        informers: Callable[[type[Object]], Informer[Object]],
        add_service: Callable[[Service], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.controller = controller
        self.name = controller.name or type(controller).__name__
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock, backoff, on_idle)
        self.metrics = ControllerMetrics()
        self._clock = clock
        self._informer = informers(controller.kind)
        self._first_pass: set[ObjectKey] = set()
        controller.bind(Context(client, clock, informers, self.queue.add, add_service, on_idle))
        controller.setup(controller.context)
        self._informer.add_handler(self._own_event)

    @property
    def busy(self) -> str:
        """What is still to be done, for people; empty when idle."""
        queue = self.queue
        if queue.idle:
            return ""
        parts = [f"{len(queue)} waiting", f"{queue.in_flight} in flight"]
        parts.extend(f"{key} failing: {self.metrics.last_errors.get(key, '')}" for key in queue.failing())
        return f"{self.name}: {', '.join(parts)}"

    async def run(self, synced: Callable[[], Awaitable[None]]) -> None:
        """Reconcile until the queue is closed.

        Args:
            synced: Waits until the caches are filled; no reconcile sees an empty cache because it was too early.
        """
        await synced()
        self._first_pass = set(self._informer.keys())
        self._check_first_pass()
        async with asyncio.TaskGroup() as group:
            for number in range(self.controller.workers):
                group.create_task(self._work(), name=f"{self.name}-{number}")

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            try:
                # A cache from before the controller's own last write is not worth looking at; the event that ends
                # the wait puts the key into the queue again.
                if key not in self._informer.writes:
                    await self._reconcile(key)
            finally:
                self.queue.done(key)

    async def _reconcile(self, key: ObjectKey) -> None:
        started = self._clock.now()
        try:
            async with asyncio.timeout(self.controller.timeout):
                result = await self.controller.reconcile(key)
        except Conflict as error:
            self.metrics.conflicts += 1
            self._failed(key, error)
        except Exception as error:
            self.metrics.failures += 1
            _log.exception("%s: reconcile of %s failed", self.name, key)
            self._failed(key, error)
        else:
            self.queue.forget(key)
            self.metrics.last_errors.pop(key, None)
            self._passed(key)
            if result is not None and result.requeue_after is not None:
                self.queue.add_after(key, result.requeue_after)
        finally:
            self.metrics.reconciles += 1
            self.metrics.seconds += self._clock.now() - started

    def _failed(self, key: ObjectKey, error: Exception) -> None:
        self.metrics.last_errors[key] = f"{type(error).__name__}: {error}"
        self.queue.add_failed(key)
        if self.queue.failures(key) >= FIRST_PASS_ATTEMPTS:
            self._passed(key)

    def _passed(self, key: ObjectKey) -> None:
        if not self.controller.first_pass.is_set():
            self._first_pass.discard(key)
            self._check_first_pass()

    def _check_first_pass(self) -> None:
        if not self._first_pass:
            self.controller.first_pass.set()

    def _own_event(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        self.queue.add(ObjectKey.of(obj))
