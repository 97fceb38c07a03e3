# SPDX-License-Identifier: Apache-2.0
"""The goal state of a host: the one contract between the control side and the host side of the network.

A host's goal state is a set of small typed entries, each found by its key, together with a version that grows whenever
the set changes. The control side computes it, sends the difference between two versions as a `Delta` over a
`HostChannel`, and the host's agent answers with an `Acknowledgement`. Nothing in here does I/O or reads a clock.

Protocol, in full:

* A delta with `base_version` b and `version` v turns the state of version b into that of version v.
* `base_version` 0 means "from nothing": the upserts are the *complete* state, and what the agent holds beyond them must
  go. An agent compares and writes only the differences, so a complete delta never interrupts traffic.
* An agent that does not hold `base_version` applies nothing and acknowledges the version that it does hold. The sender
  sees the mismatch and sends a complete delta.
* An agent acknowledges `version` once every entry is in the kernel or listed in `failures`. A failed entry is not
  retried by the agent: the sender puts it in a later delta.

Addresses and networks are integers in host byte order (`int(ipaddress.IPv4Address(...))`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

__all__ = [
    "DIVIDERS",
    "Acknowledgement",
    "Delta",
    "Entry",
    "Failure",
    "GoalState",
    "Group",
    "HostChannel",
    "Key",
    "KnownHost",
    "LocalEndpoint",
    "Member",
    "Route",
    "VersionMismatch",
    "diff",
    "interface_name",
]

DIVIDERS = 0
"""The segment number under which a VPC's dividers are a `Group`; subnets count from 1."""

Key: TypeAlias = tuple[str, *tuple[int, ...]]
"""Identity of an entry on its host: the entry's sort, then the numbers that tell it from others of that sort."""


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """A workload's interface on this host.

    Args:
        vni: The VPC's number, 1 to 2**24 - 1.
        address: The workload's IPv4 address.
        prefix_length: Of the subnet, in bits.
        segment: The subnet's number; names its bouncers' group.
        mac: The workload's MAC address, 6 bytes.
        interface: Name of the host side of its veth pair (see `interface_name`).
        uid: Of the Endpoint object.
    """

    vni: int
    address: int
    prefix_length: int
    segment: int
    mac: bytes
    interface: str
    uid: str

    @property
    def key(self) -> Key:
        """Identity on the host: ("endpoint", vni, address)."""
        return ("endpoint", self.vni, self.address)


@dataclass(frozen=True, slots=True)
class Member:
    """Where an address of a subnet is; held by the subnet's bouncers.

    Args:
        vni: The VPC's number.
        address: The endpoint's IPv4 address.
        host: Underlay address of the host that carries it.
    """

    vni: int
    address: int
    host: int

    @property
    def key(self) -> Key:
        """Identity on the host: ("member", vni, address)."""
        return ("member", self.vni, self.address)


@dataclass(frozen=True, slots=True)
class Route:
    """Which subnet a destination is in; held by the VPC's dividers, matched by longest prefix.

    Args:
        vni: The VPC's number.
        network: The subnet's network address.
        prefix_length: In bits, without those of the VNI.
        segment: The subnet's number.
    """

    vni: int
    network: int
    prefix_length: int
    segment: int

    @property
    def key(self) -> Key:
        """Identity on the host: ("route", vni, network, prefix_length)."""
        return ("route", self.vni, self.network, self.prefix_length)


@dataclass(frozen=True, slots=True)
class Group:
    """The hosts that share a duty: a subnet's bouncers, or a VPC's dividers (segment `DIVIDERS`).

    Args:
        vni: The VPC's number.
        segment: The subnet's number, or `DIVIDERS`.
        hosts: Underlay addresses, ascending and distinct, so that every host fills the same Maglev table; never empty.
    """

    vni: int
    segment: int
    hosts: tuple[int, ...]

    @property
    def key(self) -> Key:
        """Identity on the host: ("group", vni, segment)."""
        return ("group", self.vni, self.segment)


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A host of this fabric; tunnel packets from any other source are dropped.

    Args:
        address: Underlay address.
    """

    address: int

    @property
    def key(self) -> Key:
        """Identity on the host: ("host", address)."""
        return ("host", self.address)


Entry: TypeAlias = LocalEndpoint | Member | Route | Group | KnownHost


@dataclass(frozen=True, slots=True)
class Delta:
    """What turns one version of a host's goal state into another; see the module's text for the protocol.

    Args:
        base_version: The version that it starts from; 0 makes it complete.
        version: The version that it leads to, at least 1.
        upserts: Entries to add, or to put in place of those with the same key.
        deletes: Keys of the entries to remove; always empty in a complete delta.
    """

    base_version: int
    version: int
    upserts: tuple[Entry, ...] = ()
    deletes: tuple[Key, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the upserts are the whole state, so that everything else must go."""
        return self.base_version == 0

    def __len__(self) -> int:
        return len(self.upserts) + len(self.deletes)

    def __bool__(self) -> bool:
        return True  # a delta without entries still moves the version


@dataclass(frozen=True, slots=True)
class Failure:
    """An entry that an agent could not apply.

    Args:
        key: The entry's key.
        reason: For people: what was wrong, e.g. "map members is full (65536 entries)".
    """

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An agent's answer to a delta.

    Args:
        host: Underlay address of the answering host.
        version: The version that it holds now; not the delta's version if the delta did not fit (nothing was applied).
        failures: Entries of the delta that are not in effect although the version was taken.
    """

    host: int
    version: int
    failures: tuple[Failure, ...] = ()


class VersionMismatch(Exception):
    """A delta does not start from the version that is held.

    Args:
        held: The version held.
        base_version: The version that the delta starts from.
    """

    def __init__(self, held: int, base_version: int) -> None:
        self.held = held
        self.base_version = base_version
        super().__init__(
            f"delta starts from version {base_version} but version {held} is held; "
            "acknowledge the held version so that a complete delta is sent"
        )


@dataclass(slots=True)
class GoalState:
    """The entries that one host must hold, by key, and their version.

    An agent keeps one and calls `apply` with each delta; a test compares two with `==`.

    Args:
        version: 0 for the empty state of a host that was told nothing yet.
        entries: By key.
    """

    version: int = 0
    entries: dict[Key, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, version: int, entries: Iterable[Entry]) -> GoalState:
        """A state that holds the given entries."""
        return cls(version, {entry.key: entry for entry in entries})

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __getitem__(self, key: Key) -> Entry:
        return self.entries[key]

    def changes(self, delta: Delta) -> Delta:
        """What must be written to follow `delta`: without entries that are held already or keys that are not held.

        For a complete delta this adds the deletion of everything that the delta does not name.

        Raises:
            VersionMismatch: The delta is not complete and starts from another version.
        """
        if delta.complete:
            return diff(self, GoalState.of(delta.version, delta.upserts))
        if delta.base_version != self.version:
            raise VersionMismatch(self.version, delta.base_version)
        return Delta(
            self.version,
            delta.version,
            tuple(entry for entry in delta.upserts if self.entries.get(entry.key) != entry),
            tuple(key for key in delta.deletes if key in self.entries),
        )

    def apply(self, delta: Delta, failed: Collection[Key] = ()) -> Delta:
        """Move to the delta's version in place.

        An agent first writes the `changes` to the kernel, then calls this with the keys that it could not write. What
        is recorded for those stays as it was, so that the sender's next attempt is not taken for no change.

        Args:
            delta: What to follow.
            failed: Keys that are not in effect.

        Returns:
            The changes that were recorded.

        Raises:
            VersionMismatch: The delta is not complete and starts from another version; nothing changed.
        """
        changes = self.changes(delta)
        if failed:
            upserts = tuple(entry for entry in changes.upserts if entry.key not in failed)
            deletes = tuple(key for key in changes.deletes if key not in failed)
            changes = Delta(changes.base_version, changes.version, upserts, deletes)
        for key in changes.deletes:
            del self.entries[key]
        for entry in changes.upserts:
            self.entries[entry.key] = entry
        self.version = delta.version
        return changes


def diff(old: GoalState, new: GoalState) -> Delta:
    """The delta that leads from one state to another.

    Args:
        old: The state that the host holds.
        new: The state that it must hold.

    Returns:
        A delta with only the entries that differ, upserts and deletes in a deterministic order.
    """
    before: Mapping[Key, Entry] = old.entries
    return Delta(
        old.version,
        new.version,
        tuple(entry for key, entry in new.entries.items() if before.get(key) != entry),
        tuple(key for key in before if key not in new.entries),
    )


@runtime_checkable
class HostChannel(Protocol):
    """The way to one host's agent. The in-process agent is one; a gRPC stream will be another.

    A method that cannot reach the agent raises (`OSError`, `TimeoutError`); the sender retries with backoff. Calls for
    one host never overlap.
    """

    async def apply(self, delta: Delta) -> Acknowledgement:
        """Follow a delta and answer once it is in effect."""
        ...

    async def resync(self) -> int:
        """The version that the agent holds, 0 for none (after its first start, or if it lost its state)."""
        ...


def interface_name(uid: str) -> str:
    """Name of the host side of an endpoint's veth pair: "cf" and the first 11 hexadecimal digits of its uid.

    Args:
        uid: The Endpoint object's uid; hyphens do not count.

    Returns:
        13 characters, within Linux's limit of 15.
    """
    return "cf" + uid.replace("-", "").lower()[:11]
