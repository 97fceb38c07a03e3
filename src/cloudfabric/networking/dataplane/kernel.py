# SPDX-License-Identifier: Apache-2.0
"""The data plane of one host in its kernel: programs at its interfaces, goal state in their maps.

Every call into the kernel is made by the host's own thread, which lives in its network namespace and does one thing
after the other; the event loop only waits for it. Interfaces come and go outside of anybody's control, so the data
plane listens to the kernel's link events and wires endpoints as their interfaces appear.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.dataplane.grace import GracePeriod
from cloudfabric.networking.dataplane.links import index_of, require_index
from cloudfabric.networking.dataplane.linkwatch import LinkEvent, LinkWatch
from cloudfabric.networking.dataplane.namespaces import NamespaceExecutor
from cloudfabric.networking.dataplane.programs import HostPrograms
from cloudfabric.networking.dataplane.protocol import EndpointCounters, HostFacts, NotWired
from cloudfabric.networking.dataplane.tables import HostTables
from cloudfabric.networking.goalstate import Entry, Failure, Key

__all__ = ["KernelDataplane"]


class KernelDataplane:
    """A host's data plane in its kernel; implements `protocol.Dataplane`.

    Args:
        facts: about the host.
        executor: the thread in the host's network namespace; stays the caller's to close.
        pins: the host's directory in a BPF file system.
        max_entries: sizes of maps by name, where they differ from the defaults.
        xdp: whether bouncer and divider run as native XDP at the uplink too (for real network cards).
    """

    def __init__(
        self,
        facts: HostFacts,
        executor: NamespaceExecutor,
        pins: Path,
        *,
        max_entries: Mapping[str, int] | None = None,
        xdp: bool = False,
    ) -> None:
        self._facts = facts
        self._executor = executor
        self._pins = pins
        self._max_entries = dict(max_entries or {})
        self._xdp = xdp
        self._programs: HostPrograms | None = None
        self._tables: HostTables | None = None
        self._watch: LinkWatch | None = None
        self._grace: GracePeriod | None = None
        self._settled = asyncio.Event()
        self._failures: dict[Key, Failure] = {}

    @property
    def facts(self) -> HostFacts:
        """The host that it works for."""
        return self._facts

    async def open(self) -> None:
        """Load and attach the programs, over the maps of an earlier process if there are any.

        Raises:
            LinkError: there is no uplink.
            FastpathError: the kernel refused a program, a map or a pin.
        """
        watch = await self._executor.run(self._open)
        watch.start()

    async def close(self) -> None:
        """Give up all handles; programs and maps that are pinned stay and carry packets."""
        if self._watch is not None:
            self._watch.stop()
        await self._executor.run(self._close)  # behind an `open` that was cancelled and is still under way

    async def apply(self, upserts: Sequence[Entry], deletes: Sequence[Key]) -> tuple[Failure, ...]:
        """Write entries and remove keys; see `protocol.Dataplane`."""
        failures = await self._executor.run(lambda: self._opened.apply(upserts, deletes))
        self._note_pending()
        return failures

    async def replace(self, entries: Sequence[Entry]) -> tuple[Failure, ...]:
        """Make `entries` the whole state; see `protocol.Dataplane`."""
        failures = await self._executor.run(lambda: self._opened.replace(entries))
        self._note_pending()
        return failures

    async def settled(self) -> None:
        """Wait until every local endpoint is wired; see `protocol.Dataplane`. It looks itself, ahead of link events."""
        await self._executor.run(self._follow_link, None)
        self._note_pending()
        await self._settled.wait()
        if self._failures:
            raise NotWired(self._facts.name, tuple(self._failures.values()))

    async def verdicts(self) -> Mapping[Verdict, int]:
        """Return how many packets met each verdict so far."""
        return dict(zip(Verdict, await self._executor.run(lambda: self._opened.verdicts()), strict=True))

    async def endpoint_counters(self) -> Mapping[tuple[int, int], EndpointCounters]:
        """Return the counters of each endpoint of this host, by (VNI, address)."""
        return await self._executor.run(lambda: self._opened.endpoint_counters())

    async def forget_learnt(self) -> None:
        """Forget all direct paths."""
        await self._executor.run(lambda: self._opened.forget_learnt())

    @property
    def _opened(self) -> HostTables:
        if self._tables is None:
            raise RuntimeError(f"data plane of {self._facts.name} is not open; await open() first")
        return self._tables

    def _open(self) -> LinkWatch:
        uplink = require_index(self._facts.uplink)
        _allow_forwarding(self._facts.uplink)
        for directory in (self._pins, self._pins / "maps"):
            directory.mkdir(mode=0o700, exist_ok=True)
        programs = HostPrograms(self._pins, self._max_entries, self._xdp)
        watch: LinkWatch | None = None
        grace: GracePeriod | None = None
        try:
            grace = GracePeriod()
            tables = HostTables(programs.maps, _KernelInterfaces(programs), grace.wait)
            tables.open(self._facts, uplink)
            watch = LinkWatch(self._link_changed)  # before anybody asks which interfaces exist, so that none is missed
            programs.attach_uplink(uplink)
        except BaseException:
            for handle in (programs, watch, grace):
                if handle is not None:
                    handle.close()
            raise
        self._programs, self._tables, self._watch, self._grace = programs, tables, watch, grace
        return watch

    def _close(self) -> None:
        for handle in (self._programs, self._watch, self._grace):
            if handle is not None:
                handle.close()
        self._programs = self._tables = self._watch = self._grace = None

    def _link_changed(self, event: LinkEvent | None) -> None:
        """Have the host's thread look at an event; called by the event loop."""
        future = asyncio.wrap_future(self._executor.submit(self._follow_link, event))
        future.add_done_callback(lambda _: self._note_pending())

    def _follow_link(self, event: LinkEvent | None) -> None:
        if self._tables is None:  # closed meanwhile
            return
        if event is None:
            failures = self._tables.look_again()
        elif event.present:
            failures = self._tables.link_appeared(event.name, event.index)
        else:
            self._tables.link_vanished(event.name, event.index)
            failures = ()
        for failure in failures:
            self._failures[failure.key] = failure

    def _note_pending(self) -> None:
        pending = self._tables.pending if self._tables is not None else ()
        self._failures = {key: failure for key, failure in self._failures.items() if key in pending}
        if pending and not self._failures:
            self._settled.clear()
        else:
            self._settled.set()


def _allow_forwarding(interface: str) -> None:
    """Let programs look up next hops: the kernel answers bpf_fib_lookup only for an interface that forwards.

    Where this is not allowed, packets take the slower way through the kernel's own routing (bpf_redirect_neigh).
    """
    with suppress(PermissionError, FileNotFoundError):
        Path(f"/proc/sys/net/ipv4/conf/{interface}/forwarding").write_text("1", encoding="ascii")


class _KernelInterfaces:
    """The interfaces of the namespace that the calling thread is in."""

    def __init__(self, programs: HostPrograms) -> None:
        self._programs = programs

    def index(self, name: str) -> int | None:
        return index_of(name)

    def attach(self, name: str, index: int) -> None:
        self._programs.attach_endpoint(name, index)

    def detach(self, name: str, index: int) -> None:
        self._programs.detach_endpoint(name, index)

    def attached(self) -> tuple[str, ...]:
        return self._programs.attached_endpoints()
