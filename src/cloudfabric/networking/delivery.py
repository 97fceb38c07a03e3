# SPDX-License-Identifier: Apache-2.0
"""Brings goal states to hosts: one task per host, which sends what the host's ledger says is missing.

While a delta is under way further changes add up, so a busy host gets few large deltas and a quiet one gets its change
at once. A host that cannot be reached is tried again with backoff; when it answers again its version tells whether it
needs a difference or everything. Entries that a host could not apply are sent again, with backoff too.

Nothing is sent before `opened`: after a restart the goal states are only complete once every object has been looked at,
and a delta made before would take away what is merely not known yet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, Generic, Protocol, TypeVar

from cloudfabric.controllers import Backoff, Clock
from cloudfabric.controllers.clock import Timer, sleep
from cloudfabric.networking.contributions import Contributions
from cloudfabric.networking.goalstate import Acknowledgement, Delta, HostChannel

__all__ = ["Delivery", "DeliveryMetrics", "HostRegistry"]

OwnerT = TypeVar("OwnerT", bound=Hashable)

GRACE: Final = 2.0
"""How long a host may take to end what it is doing when it is no longer waited for, in seconds."""

_log = logging.getLogger(__name__)


class HostRegistry(Protocol):
    """Finds the way to a host's agent."""

    async def connect(self, droplet: str) -> HostChannel:
        """The channel to a host's agent; may wait for the agent to appear.

        Args:
            droplet: Name of the host's Droplet.

        Raises:
            OSError: The agent cannot be reached; it is tried again later.
        """
        ...


@dataclass(slots=True)
class DeliveryMetrics:
    """Counters of all deliveries.

    Args:
        deltas: Deltas that were acknowledged.
        entries: Upserts and deletes in them.
        complete: Those of them that were complete.
        errors: Deliveries that got no answer.
    """

    deltas: int = 0
    entries: int = 0
    complete: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Host:
    name: str
    address: int
    work: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    failures: int = 0  # deliveries in a row
    rejections: int = 0  # answers in a row with failed entries
    retry: Timer | None = None


class Delivery(Generic[OwnerT]):
    """Sends deltas to hosts and notes their answers; a service of the manager.

    A delta whose answer did not come is not repeated: on connecting again the agent says which version it holds, and
    unless that is the last one acknowledged, everything is sent.

    Args:
        contributions: What the hosts must hold; its `on_work` is taken over.
        hosts: Finds the channels.
        clock: For backoff.
        opened: Waits until goal states may be sent.
        on_reach: Called with the name of a Droplet whose host has become reachable or unreachable.
        became_idle: Called when a host has everything.
        backoff: Of hosts that cannot be reached, and of entries that failed.
        timeout: How long a host may take to answer, in seconds.
    """

    def __init__(
        self,
        contributions: Contributions[OwnerT],
        hosts: HostRegistry,
        *,
        clock: Clock,
        opened: Callable[[], Awaitable[None]],
        on_reach: Callable[[str], None],
        became_idle: Callable[[], None],
        backoff: Backoff | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.metrics = DeliveryMetrics()
        self._contributions = contributions
        self._registry = hosts
        self._clock = clock
        self._opened = opened
        self._on_reach = on_reach
        self._became_idle = became_idle
        self._backoff = backoff or Backoff(base=0.05, limit=10.0)
        self._timeout = timeout
        self._hosts: dict[int, _Host] = {}
        self._group: asyncio.TaskGroup | None = None
        contributions.on_work = self._wake

    @property
    def busy(self) -> str:
        """Hosts that do not have everything yet."""
        behind = (
            f"host {host.name} ({IPv4Address(host.address)}) is behind"
            + (f": {ledger.unreachable}" if ledger.unreachable else "")
            for host in self._hosts.values()
            if (ledger := self._contributions.host(host.address)).behind
        )
        return "; ".join(behind)

    def attach(self, name: str, address: int) -> None:
        """Keep a host up to date from now on; no effect if that is so already.

        Args:
            name: Of its Droplet.
            address: Its underlay address.
        """
        if address not in self._hosts:
            host = self._hosts[address] = _Host(name, address)
            self._start(host)

    def detach(self, address: int) -> None:
        """Do nothing more for a host; nobody waits for it any more."""
        host = self._hosts.pop(address, None)
        if host is not None:
            if host.task is not None:
                host.task.cancel()
            if host.retry is not None:
                host.retry.cancel()
        self._contributions.remove_host(address)
        self._became_idle()

    async def run(self) -> None:
        """Serve hosts until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for host in self._hosts.values():
                    self._start(host)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def _start(self, host: _Host) -> None:
        if self._group is not None:
            host.task = self._group.create_task(self._serve(host), name=f"host-{host.name}")

    def _wake(self, address: int) -> None:
        host = self._hosts.get(address)
        if host is not None:
            host.work.set()

    async def _serve(self, host: _Host) -> None:
        await self._opened()
        while True:
            try:
                await self._keep_up(host)
            except Exception as error:
                reason = str(error) or type(error).__name__
                host.failures += 1
                delay = self._backoff.delay(host.failures)
                expected = isinstance(error, OSError | TimeoutError)
                _log.warning(
                    "host %s did not answer, trying again in %.2f s: %s",
                    host.name,
                    delay,
                    reason,
                    exc_info=None if expected else error,
                )
                self.metrics.errors += 1
                self._contributions.undelivered(host.address, reason)
                self._on_reach(host.name)
                await sleep(self._clock, delay)

    async def _keep_up(self, host: _Host) -> None:
        """Connect, and send deltas until something fails."""
        async with asyncio.timeout(self._timeout):
            channel = await self._registry.connect(host.name)
            held = await channel.resync()
        self._contributions.add_host(host.address, held)
        ledger = self._contributions.host(host.address)
        while True:
            host.work.clear()
            delta = self._contributions.take(host.address)
            if delta is None:
                self._reached(host)
                self._became_idle()
                await host.work.wait()
                continue
            answer = await self._answer(channel, delta)
            if not self._contributions.acknowledge(host.address, delta, answer):
                if delta.complete:
                    raise ConnectionError(f"its agent answers to a complete delta with version {answer.version}")
                continue
            self.metrics.deltas += 1
            self.metrics.entries += len(delta)
            self.metrics.complete += delta.complete
            self._reached(host)
            self._note_rejections(host, bool(ledger.failed))

    def _reached(self, host: _Host) -> None:
        if host.failures:
            host.failures = 0
            self._on_reach(host.name)

    def _note_rejections(self, host: _Host, rejected: bool) -> None:
        """Have entries that the host could not apply sent again, later each time."""
        if not rejected:
            host.rejections = 0
        elif host.retry is None:
            host.rejections += 1
            host.retry = self._clock.call_later(self._backoff.delay(host.rejections), lambda: self._retry(host))

    def _retry(self, host: _Host) -> None:
        host.retry = None
        self._contributions.retry_failed(host.address)

    async def _answer(self, channel: HostChannel, delta: Delta) -> Acknowledgement:
        """Apply a delta; when this is cancelled, the agent may still end what it has begun."""
        task = asyncio.ensure_future(channel.apply(delta))
        try:
            await asyncio.wait([task], timeout=self._timeout)
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=min(self._timeout, GRACE))
            task.cancel()
            raise
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=GRACE)  # calls for one host never overlap
            raise TimeoutError(f"no answer within {self._timeout:g} s")
        return task.result()
