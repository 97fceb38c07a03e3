# SPDX-License-Identifier: Apache-2.0
"""The data plane of one host without a kernel: the BPF programs' own headers, compiled for user space.

The tables are filled by the code that fills the kernel's (`tables`), and frames meet the same decisions. What is left
to the caller is what a kernel would do around the programs: hand in the frames of each interface, and carry out what
was decided (`Outcome`). It lives as long as its process.
"""

from collections.abc import Mapping, Sequence
from itertools import count

from cloudfabric._fastpath.pipeline import Host, Outcome, Program
from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.dataplane.protocol import EndpointCounters, HostFacts
from cloudfabric.networking.dataplane.tables import HostTables
from cloudfabric.networking.goalstate import Entry, Failure, Key

__all__ = ["UserSpaceDataplane"]

_UPLINK = 1


class UserSpaceDataplane:
    """A host's data plane in this process; implements `protocol.Dataplane`.

    Args:
        facts: about the host.
        max_entries: sizes of tables by name, where they differ from the defaults.
    """

    def __init__(self, facts: HostFacts, max_entries: Mapping[str, int] | None = None) -> None:
        self._facts = facts
        self._host = Host(max_entries)
        self._interfaces = _VirtualInterfaces()
        self._tables = HostTables(self._host.maps, self._interfaces)

    @property
    def facts(self) -> HostFacts:
        """The host that it works for."""
        return self._facts

    @property
    def pending(self) -> tuple[Key, ...]:
        """Local endpoints whose interface does not exist yet."""
        return self._tables.pending

    def add_interface(self, name: str) -> int:
        """Make an interface to a workload and return its index."""
        index = self._interfaces.add(name)
        self._tables.link_appeared(name, index)
        return index

    def remove_interface(self, name: str) -> None:
        """Remove an interface to a workload; harmless if there is none."""
        index = self._interfaces.remove(name)
        if index is not None:
            self._tables.link_vanished(name, index)

    def from_workload(self, index: int, frame: bytes) -> Outcome:
        """Take a frame that a workload sent by an interface."""
        return self._host.process(Program.ENDPOINT, frame, index)

    def from_underlay(self, frame: bytes) -> Outcome:
        """Take a frame that came in from the underlay."""
        return self._host.process(Program.UPLINK, frame)

    async def open(self) -> None:
        """Begin: the host's facts are in the tables."""
        self._tables.open(self._facts, _UPLINK)

    async def close(self) -> None:
        """Do nothing: there is nothing outside this object."""

    async def apply(self, upserts: Sequence[Entry], deletes: Sequence[Key]) -> tuple[Failure, ...]:
        """Write entries and remove keys; see `protocol.Dataplane`."""
        return self._tables.apply(upserts, deletes)

    async def replace(self, entries: Sequence[Entry]) -> tuple[Failure, ...]:
        """Make `entries` the whole state; see `protocol.Dataplane`."""
        return self._tables.replace(entries)

    async def settled(self) -> None:
        """Return at once: interfaces appear within a call of `add_interface`, never by themselves."""

    async def verdicts(self) -> Mapping[Verdict, int]:
        """Return how many packets met each verdict so far."""
        return dict(zip(Verdict, self._tables.verdicts(), strict=True))

    async def endpoint_counters(self) -> Mapping[tuple[int, int], EndpointCounters]:
        """Return the counters of each endpoint of this host, by (VNI, address)."""
        return self._tables.endpoint_counters()

    async def forget_learnt(self) -> None:
        """Forget all direct paths."""
        self._tables.forget_learnt()


class _VirtualInterfaces:
    """Names and numbers of interfaces that exist in this process only."""

    def __init__(self) -> None:
        self._indexes: dict[str, int] = {}
        self._attached: set[str] = set()
        self._numbers = count(_UPLINK + 1)

    def add(self, name: str) -> int:
        return self._indexes.setdefault(name, next(self._numbers))

    def remove(self, name: str) -> int | None:
        return self._indexes.pop(name, None)

    def index(self, name: str) -> int | None:
        return self._indexes.get(name)

    def attach(self, name: str, index: int) -> None:
        self._attached.add(name)

    def detach(self, name: str, index: int) -> None:
        self._attached.discard(name)

    def attached(self) -> tuple[str, ...]:
        return tuple(self._attached)
