# SPDX-License-Identifier: Apache-2.0
"""Runs controllers: one informer per kind, one queue per controller, one task group for all of it.

    async with Manager(client) as manager:
        manager.add(Greeter())
        await manager.client.create(Tenant(...))
        await manager.idle()

What a reconcile raises is logged and retried. What the framework itself raises (the store was closed, a handler or a
mapper is wrong) ends the manager: the body of the `async with` is cancelled and the error is raised from it, so that
nothing goes on half alive. On the way out queues are closed, reconciles in flight get `grace` seconds to end, then
everything is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self, TypeAlias, TypeVar, cast

from cloudfabric.controllers.clock import Clock, SystemClock
from cloudfabric.controllers.controller import Controller, ControllerMetrics, Service
from cloudfabric.controllers.informer import Informer
from cloudfabric.controllers.observed_client import ObservedClient
from cloudfabric.controllers.runner import ControllerRunner
from cloudfabric.controllers.workqueue import Backoff
from cloudfabric.models import Object
from cloudfabric.store import Client

__all__ = ["Manager", "NotIdle"]

T = TypeVar("T", bound=Object)
_Start: TypeAlias = Callable[[], Coroutine[None, None, None]]


class NotIdle(TimeoutError):
    """The manager did not become idle in time.

    Args:
        timeout: How long was waited, in seconds.
        busy: What was still to be done.
    """

    def __init__(self, timeout: float, busy: tuple[str, ...]) -> None:
        self.timeout = timeout
        self.busy = busy
        super().__init__(f"not idle after {timeout:g} s; still to be done: {'; '.join(busy)}")


class Manager:
    """Runs controllers over one client.

    Args:
        client: Access to the store.
        clock: Time for delays; the event loop's by default.
        backoff: Of keys whose reconcile fails.
        grace: How long reconciles in flight may take to end on shutdown, in seconds.
    """

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
        grace: float = 10.0,
    ) -> None:
        self._source = client
        self.clock: Clock = clock or SystemClock()
        self._backoff = backoff or Backoff()
        self._grace = grace
        self._informers: dict[type[Object], Informer[Object]] = {}
        self._runners: list[ControllerRunner] = []
        self._services: list[Service] = []
        self._unstarted: list[tuple[str, _Start]] = []
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._main: asyncio.Task[None] | None = None
        self._body: asyncio.Task[object] | None = None
        self._body_cancelled = False
        self.client: Client = ObservedClient(client, MappingProxyType(self._informers), self._changed.set)

    # --- composition -------------------------------------------------------------------------------------------------

    def add(self, *controllers: Controller[T]) -> None:
        """Run controllers, from now on or from when the manager is started.

        Args:
            controllers: Each may be added once, to one manager.
        """
        for controller in controllers:
            runner = ControllerRunner(
                controller,  # type: ignore[arg-type]  # a runner hands out keys only, never objects
                client=self.client,
                clock=self.clock,
                backoff=self._backoff,
                informers=self.informer,
                add_service=self.add_service,
                on_idle=self._changed.set,
            )
            self._runners.append(runner)
            self._start(runner.name, partial(runner.run, self._synced))

    def informer(self, kind: type[T]) -> Informer[T]:
        """The informer of a kind; it is made, and run, when it is first asked for."""
        informer = self._informers.get(kind)
        if informer is None:
            made = Informer(self._source, kind, clock=self.clock, on_quiet=self._changed.set)
            informer = self._informers[kind] = cast("Informer[Object]", made)
            self._start(f"informer-{kind.KIND}", informer.run)
        return cast("Informer[T]", informer)

    def add_service(self, service: Service) -> None:
        """Run a service beside the controllers."""
        self._services.append(service)
        self._start(type(service).__name__, service.run)

    def became_idle(self) -> None:
        """To be called by a service that ceases to be busy, so that `idle` looks again."""
        self._changed.set()

    def metrics(self) -> Mapping[str, ControllerMetrics]:
        """Counters, by the name of the controller."""
        return {runner.name: runner.metrics for runner in self._runners}

    # --- life --------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        started = asyncio.Event()
        self._body = asyncio.current_task()
        self._main = asyncio.create_task(self._supervise(started), name="manager")
        self._main.add_done_callback(self._main_done)
        await started.wait()
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._main is not None
        assert self._body is not None
        self._stop.set()
        main, self._main = self._main, None
        try:
            await asyncio.wait([main])
        except asyncio.CancelledError:
            main.cancel()
            await asyncio.wait([main])
            raise
        if self._body_cancelled:
            self._body.uncancel()
        failure = main.exception() if not main.cancelled() else None
        if failure is not None and (exception is None or self._body_cancelled):
            raise failure

    async def run(self) -> None:
        """Run until cancelled, or until the framework itself fails."""
        async with self:
            await asyncio.Event().wait()

    async def idle(self, timeout: float | None = 60.0) -> None:
        """Wait until nothing is left to be done.

        That is: caches are filled and have seen all writes made through this manager's client, queues are empty,
        nothing is in flight, no failed key waits for its next try, and no service is busy. A reconcile that asked to
        be called again later does not count.

        Args:
            timeout: Longest wait in seconds; None for no limit.

        Raises:
            NotIdle: It took longer; the text says what is still to be done.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._until_idle()
        except TimeoutError:
            raise NotIdle(timeout or 0.0, self._busy()) from None

    async def _until_idle(self) -> None:
        while True:
            self._changed.clear()
            # Events on their way to an informer of this process need a turn or two of the loop.
            for _ in range(3):
                await asyncio.sleep(0)
            if not self._busy() and not self._changed.is_set():
                return
            await self._changed.wait()

    def _busy(self) -> tuple[str, ...]:
        return (
            *(f"informer of {kind.KIND}: not synced" for kind, i in self._informers.items() if not i.synced.is_set()),
            *(f"informer of {kind.KIND}: behind" for kind, i in self._informers.items() if i.writes),
            *filter(None, (runner.busy for runner in self._runners)),
            *filter(None, (service.busy for service in self._services)),
        )

    async def _synced(self) -> None:
        for informer in tuple(self._informers.values()):
            await informer.synced.wait()

    def _start(self, name: str, start: _Start) -> None:
        if self._group is None:
            self._unstarted.append((name, start))
            return
        task = self._group.create_task(start(), name=name)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _supervise(self, started: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for name, start in self._unstarted:
                    self._start(name, start)
                self._unstarted.clear()
                started.set()
                await self._stop.wait()
                await self._drain()
                for task in tuple(self._working):
                    task.cancel()
        finally:
            self._group = None
            started.set()

    async def _drain(self) -> None:
        """Let reconciles in flight end, but not for longer than the grace period."""
        for runner in self._runners:
            runner.queue.close()
        names = {runner.name for runner in self._runners if runner.queue.in_flight}
        workers = [task for task in self._working if task.get_name() in names]
        if workers:
            await asyncio.wait(workers, timeout=self._grace)

    def _main_done(self, main: asyncio.Task[None]) -> None:
        """If the framework failed while the body is still running, the body is cancelled, as a task group would."""
        if self._main is main and self._body is not None and not self._stop.is_set():
            self._body_cancelled = True
            self._body.cancel()
