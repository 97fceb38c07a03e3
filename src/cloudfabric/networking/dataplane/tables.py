# SPDX-License-Identifier: Apache-2.0
"""Fills the tables of one host from goal-state entries; the same for the kernel's maps and for the user-space twin's.

Entries of one table are written in one batch. A table that is full costs the entries that do not fit, each of which is
reported, and no other. `replace` reads the tables and writes only what differs, so that an agent that comes back after
a restart does not disturb a packet.

A local endpoint takes two rows, `interfaces` (what the workload may send) and `endpoints` (where to deliver), and a
program at its interface; together they are its wiring. The interface may appear before the entry or after it and may
vanish at any time: an endpoint without its interface is *pending*, which is no failure. Delivery is switched on last
and off first.

Nothing here waits, and nothing is safe for two threads at once: a host's calls come from its one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from typing_extensions import Buffer

from cloudfabric._fastpath.errors import FastpathError, MapError
from cloudfabric.networking.dataplane import records
from cloudfabric.networking.dataplane.protocol import EndpointCounters, HostFacts
from cloudfabric.networking.dataplane.slots import NoFreeSlot, SlotAllocator
from cloudfabric.networking.goalstate import Entry, Failure, Key, LocalEndpoint

__all__ = ["HostTables", "Interfaces", "Table"]

Row = tuple[Key, bytes, bytes]
"""Which entry a row is for, its key and its value."""


_LAST_GENERATION = 0xFFFFFFFF
_WIRING = ("interfaces", "endpoints")


class Table(Protocol):
    """One table of a host: `_fastpath.maps.Map` or `_fastpath.encap.UserMap`."""

    @property
    def max_entries(self) -> int:
        """How many rows it takes."""
        ...

    @property
    def key_size(self) -> int:
        """Bytes of a key."""
        ...

    @property
    def stride(self) -> int:
        """Bytes of a value in a buffer."""
        ...

    def update(self, key: Buffer, value: Buffer) -> None:
        """Write one row."""
        ...

    def update_batch(self, keys: Buffer, values: Buffer) -> int:
        """Write rows; raises MapError with the index of one that is refused."""
        ...

    def delete_batch(self, keys: Buffer) -> int:
        """Remove rows, if they are there."""
        ...

    def lookup_batch(self) -> tuple[bytes, bytes]:
        """Return all keys and all values."""
        ...

    def sum_u64(self) -> tuple[bytes, memoryview[int]]:
        """Return all keys, and the values' counters added up over CPUs, in rows."""
        ...


class Interfaces(Protocol):
    """The host's interfaces to its workloads, and the endpoint program at each."""

    def index(self, name: str) -> int | None:
        """Return an interface's index, None if it does not exist now."""
        ...

    def attach(self, name: str, index: int) -> None:
        """Have what the workload sends go through the endpoint program; harmless if it does."""
        ...

    def detach(self, name: str, index: int) -> None:
        """Undo `attach`; harmless if the interface is gone."""
        ...

    def attached(self) -> tuple[str, ...]:
        """Return the names of those that were attached, perhaps by an earlier process."""
        ...


class HostTables:
    """The tables of one host and the wiring of its endpoints.

    Args:
        tables: by name.
        interfaces: of the host.
        wait_for_programs: returns when every program run that began before has ended; see `grace`.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        interfaces: Interfaces,
        wait_for_programs: Callable[[], None] = lambda: None,
    ) -> None:
        self._tables = tables
        self._interfaces = interfaces
        self._wait_for_programs = wait_for_programs
        self._freed = False  # rows of endpoints or interfaces, since programs were last waited for
        self._wanted: dict[Key, LocalEndpoint] = {}
        self._by_interface: dict[str, Key] = {}
        self._wired: dict[Key, int] = {}  # index of the interface
        self._slots: SlotAllocator[Key] = SlotAllocator(tables["endpoint_counters"].max_entries)
        self._facts: tuple[HostFacts, int] | None = None

    @property
    def pending(self) -> tuple[Key, ...]:
        """Local endpoints whose interface does not exist yet."""
        return tuple(key for key in self._wanted if key not in self._wired)

    def open(self, facts: HostFacts, uplink: int) -> None:
        """Write the host's own facts, and take over the counter slots of endpoints that are wired already.

        Args:
            facts: about the host.
            uplink: index of the interface to the underlay.
        """
        self._facts = facts, uplink
        self._begin_generation()
        for value in _rows(self._tables["interfaces"]).values():
            key, slot = records.holder(value)
            try:
                self._slots.restore(key, slot)
            except ValueError:  # two rows for one endpoint, of which one is stale: `replace` settles it
                continue

    def apply(self, upserts: Sequence[Entry], deletes: Sequence[Key]) -> tuple[Failure, ...]:
        """Write entries, then remove keys; return what could not be written.

        Local endpoints are removed first: an endpoint whose address changed comes as a new entry with the interface of
        the old one, and must not lose its wiring to the old one's removal.
        """
        failures: list[Failure] = []
        for key in deletes:
            if key[0] == "endpoint":
                self._forget(key)
        for table, rows in _by_table(upserts).items():
            failures += self._write(table, rows)
        failures += self._want([entry for entry in upserts if isinstance(entry, LocalEndpoint)])
        stale: dict[str, list[bytes]] = {}
        for key in deletes:
            if key[0] != "endpoint":
                table, row = records.place(key)
                stale.setdefault(table, []).append(row)
        for table, keys in stale.items():
            self._remove(table, keys)
        return tuple(failures)

    def replace(self, entries: Sequence[Entry]) -> tuple[Failure, ...]:
        """Make `entries` all there is, writing only what differs; return what could not be written."""
        failures: list[Failure] = []
        wanted = _by_table(entries)
        for table in records.SHARED_TABLES:
            rows, present = wanted.get(table, []), _rows(self._tables[table])
            failures += self._write(table, rows, present)
            self._remove(table, list(present.keys() - {key for _, key, _ in rows}))
        endpoints = [entry for entry in entries if isinstance(entry, LocalEndpoint)]
        self._drop_all_but(endpoints)
        return (*failures, *self._want(endpoints, present=True))

    def link_appeared(self, name: str, index: int) -> tuple[Failure, ...]:
        """An interface exists: wire the endpoint that waits for it, if there is one."""
        key = self._by_interface.get(name)
        if key is None or self._wired.get(key) == index:
            return ()
        return self._wire([self._wanted[key]])

    def link_vanished(self, name: str, index: int) -> None:
        """An interface is gone: its endpoint is pending again."""
        key = self._by_interface.get(name)
        if key is not None and self._wired.get(key) == index:
            self._unwire(key)

    def look_again(self) -> tuple[Failure, ...]:
        """Compare all local endpoints with the interfaces that exist: after changes may have been missed."""
        for key, index in tuple(self._wired.items()):
            if self._interfaces.index(self._wanted[key].interface) != index:
                self._unwire(key)
        return self._wire([self._wanted[key] for key in self.pending])

    def endpoint_counters(self) -> dict[tuple[int, int], EndpointCounters]:
        """Return the counters of each endpoint that has a slot, by (VNI, address)."""
        _, sums = self._tables["endpoint_counters"].sum_u64()
        rows: list[list[int]] = sums.tolist()  # type: ignore[assignment]  # two-dimensional, which typeshed does not know
        return {records.address_of(key): EndpointCounters(*rows[slot]) for key, slot in self._slots.holders().items()}

    def verdicts(self) -> list[int]:
        """Return how many packets met each verdict, by the verdict's number."""
        _, sums = self._tables["verdicts"].sum_u64()
        rows: list[list[int]] = sums.tolist()  # type: ignore[assignment]
        return [row[0] for row in rows]

    def forget_learnt(self, host: int | None = None) -> None:
        """Forget the direct paths to one host, or all of them."""
        table = self._tables["learnt"]
        found = _rows(table)
        if host is not None:
            address = records.host(host)
            found = {key: value for key, value in found.items() if value == address}
        if found:
            table.delete_batch(b"".join(found))

    def _write(self, table: str, rows: Sequence[Row], present: Mapping[bytes, bytes] | None = None) -> list[Failure]:
        """Write rows that differ from what is present; a row that is refused does not stop those behind it."""
        if present:
            rows = [row for row in rows if present.get(row[1]) != row[2]]
        failures: list[Failure] = []
        start = 0
        while start < len(rows):
            rest = rows[start:]
            try:
                self._tables[table].update_batch(b"".join(row[1] for row in rest), b"".join(row[2] for row in rest))
                break
            except MapError as error:
                if error.index is None:
                    raise
                failures.append(Failure(rest[error.index][0], str(error)))
                start += error.index + 1
        return failures

    def _remove(self, table: str, keys: Sequence[bytes]) -> None:
        if not keys:
            return
        self._tables[table].delete_batch(b"".join(keys))
        self._freed = self._freed or table in _WIRING
        if table == "hosts":  # nothing may be sent to a host that is no longer part of the fabric, or taken from it
            self._begin_generation()
            for key in keys:
                self.forget_learnt(records.host_of(key))

    def _begin_generation(self) -> None:
        """Write `config` anew, so that the programs ask again which hosts they know."""
        if self._facts is None:
            raise RuntimeError("these tables were not opened; call open() first")
        [value] = _rows(self._tables["config"]).values()
        generation = records.generation_of(value) % _LAST_GENERATION + 1
        self._tables["config"].update(records.CONFIG_KEY, records.config(*self._facts, generation))

    def _want(self, endpoints: Sequence[LocalEndpoint], present: bool = False) -> list[Failure]:
        changed: list[LocalEndpoint] = []
        for endpoint in endpoints:
            old = self._wanted.get(endpoint.key)
            if old is not None and old.interface != endpoint.interface:
                self._forget(endpoint.key)
            if present or old != endpoint or endpoint.key not in self._wired:
                changed.append(endpoint)
            self._wanted[endpoint.key] = endpoint
            self._by_interface[endpoint.interface] = endpoint.key
        return list(self._wire(changed, present))

    def _wire(self, endpoints: Iterable[LocalEndpoint], present: bool = False) -> tuple[Failure, ...]:
        """Write the rows of endpoints whose interface exists, and attach the program."""
        failures: list[Failure] = []
        rows: dict[str, list[Row]] = {table: [] for table in _WIRING}
        indexes: dict[Key, int] = {}
        for endpoint in endpoints:
            index = self._interfaces.index(endpoint.interface)
            if index is None:
                continue
            try:
                slot = self._slot(endpoint.key)
                self._interfaces.attach(endpoint.interface, index)
            except (NoFreeSlot, FastpathError) as error:
                failures.append(Failure(endpoint.key, str(error)))
                continue
            indexes[endpoint.key] = index
            rows["interfaces"].append((endpoint.key, *records.interface(endpoint, index, slot)))
            rows["endpoints"].append((endpoint.key, *records.endpoint(endpoint, index, slot)))
        for table in _WIRING:
            failures += self._write_wiring(table, rows[table], _rows(self._tables[table]) if present else None)
        failed = {failure.key for failure in failures}
        for key, index in indexes.items():
            self._wired[key] = index
            if key in failed:
                self._unwire(key)
        return tuple(failures)

    def _write_wiring(self, table: str, rows: Sequence[Row], present: Mapping[bytes, bytes] | None) -> list[Failure]:
        """Write rows that decide which tenant a packet belongs to.

        Replacing a row frees the memory of the old one, as removing does. No row is written into memory that was freed
        while a program may still read the old row there, so rows that replace others go one by one.
        """
        if present is None:
            replaced = {self._wiring_key(table, key) for key, _, _ in rows if key in self._wired}
        else:
            rows = [row for row in rows if present.get(row[1]) != row[2]]
            replaced = set(present)
        failures: list[Failure] = []
        fresh = [row for row in rows if row[1] not in replaced]
        for together in (fresh, *([row] for row in rows if row[1] in replaced)):
            if together and self._freed:
                self._wait_for_programs()
                self._freed = False
            failures += self._write(table, together)
            self._freed = self._freed or together is not fresh
        return failures

    def _wiring_key(self, table: str, key: Key) -> bytes:
        """Row key of an endpoint that is wired."""
        return records.address_key(key) if table == "endpoints" else records.interface_key(self._wired[key])

    def _slot(self, key: Key) -> int:
        held = self._slots.get(key)
        if held is not None:
            return held
        slot = self._slots.take(key)
        counters = self._tables["endpoint_counters"]
        counters.update(records.slot_key(slot), bytes(counters.stride))  # an earlier holder's counts are not this one's
        return slot

    def _unwire(self, key: Key) -> None:
        index = self._wired.pop(key, None)
        if index is not None:
            self._remove("endpoints", [records.address_key(key)])
            self._remove("interfaces", [records.interface_key(index)])
            self._interfaces.detach(self._wanted[key].interface, index)

    def _forget(self, key: Key) -> None:
        """Take a local endpoint's wiring and slot away."""
        self._unwire(key)
        endpoint = self._wanted.pop(key, None)
        if endpoint is not None and self._by_interface.get(endpoint.interface) == key:
            del self._by_interface[endpoint.interface]
        self._slots.release(key)

    def _drop_all_but(self, endpoints: Sequence[LocalEndpoint]) -> None:
        """Remove the wiring of all other endpoints, also of those that an earlier process wired."""
        keep = {endpoint.key for endpoint in endpoints}
        for key in self._wanted.keys() - keep:
            self._forget(key)
        for key in self._slots.holders().keys() - keep:
            self._slots.release(key)
        there = {endpoint.key: self._interfaces.index(endpoint.interface) for endpoint in endpoints}
        for key, index in tuple(self._wired.items()):
            if there[key] != index:
                self._unwire(key)
        delivering = {records.address_key(key) for key, index in there.items() if index is not None}
        sending = {records.interface_key(index) for index in there.values() if index is not None}
        self._remove("endpoints", list(_rows(self._tables["endpoints"]).keys() - delivering))
        self._remove("interfaces", list(_rows(self._tables["interfaces"]).keys() - sending))
        names = {endpoint.interface for endpoint in endpoints}
        for name in self._interfaces.attached():
            if name not in names:
                self._interfaces.detach(name, self._interfaces.index(name) or 0)


def _by_table(entries: Iterable[Entry]) -> dict[str, list[Row]]:
    """Sort entries into rows of the tables that they go to; local endpoints have rows only once they are wired."""
    found: dict[str, list[Row]] = {}
    for entry in entries:
        if not isinstance(entry, LocalEndpoint):
            table, key, value = records.row(entry)
            found.setdefault(table, []).append((entry.key, key, value))
    return found


def _rows(table: Table) -> dict[bytes, bytes]:
    keys, values = table.lookup_batch()
    size, stride = table.key_size, table.stride
    return {
        keys[number * size : (number + 1) * size]: values[number * stride : (number + 1) * stride]
        for number in range(len(keys) // size)
    }
