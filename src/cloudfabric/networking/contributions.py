# SPDX-License-Identifier: Apache-2.0
"""What every host must hold, as the sum of what each object contributes; pure state, no I/O.

An owner (a VPC, Subnet, Endpoint ... by its reference) contributes in two ways:

* it **publishes** entries under a topic: a host's own topic, or a shared one such as "the members of subnet 17";
* it **subscribes** hosts to topics: a host holds every entry of every topic that it is subscribed to.

So an Endpoint publishes its interface under its host's topic and its member entry under its subnet's topic, and the
subnet's bouncers, which subscribed once, receive exactly that one entry. Nobody ever recomputes a host or a subnet:
the cost of a change is the number of (entry, subscriber) pairs that it touches, however many endpoints exist.

Everything is reference counted: a host leaves a topic with its last subscription, an entry leaves a host with the last
topic that gives it, and when two owners publish the same key under a topic, the latest one counts until it withdraws.
`replace` states all that an owner contributes, so a reconcile says what it wants and need not know what it said before.

An owner **waits** for every host that its last changes touched, until the host has acknowledged them. `on_change` is
called with an owner when it stops waiting and when the reasons why it waits or fails have changed; `on_work` is called
with a host that there is something to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from cloudfabric.networking.goalstate import Acknowledgement, Delta, Entry, Key
from cloudfabric.networking.ledger import HostLedger

__all__ = ["Contribution", "Contributions", "HostFailure", "Topic", "host_topic"]

OwnerT = TypeVar("OwnerT", bound=Hashable)

Topic: TypeAlias = tuple[str, *tuple[int, ...]]
"""Name of a set of entries for all hosts that are subscribed to it, e.g. ("members", vni, segment)."""

_HOST = "host"


def host_topic(host: int) -> Topic:
    """The topic of the entries that are for one host alone; the host is always subscribed to it."""
    return (_HOST, host)


@dataclass(frozen=True, slots=True)
class Contribution:
    """All that one owner contributes.

    Args:
        publish: Entries by topic.
        subscribe: Hosts (underlay addresses) by topic.
    """

    publish: Mapping[Topic, tuple[Entry, ...]] = field(default_factory=dict)
    subscribe: Mapping[Topic, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostFailure:
    """An entry that a host could not apply.

    Args:
        host: Underlay address.
        key: Of the entry.
        reason: The host's words.
    """

    host: int
    key: Key
    reason: str


@dataclass(slots=True)
class _TopicState(Generic[OwnerT]):
    entries: dict[Key, dict[OwnerT, Entry]] = field(default_factory=dict)
    subscribers: dict[int, set[OwnerT]] = field(default_factory=dict)

    def value(self, key: Key) -> Entry | None:
        """What the topic says about a key: the word of the owner that spoke last."""
        owners = self.entries.get(key)
        return owners[next(reversed(owners))] if owners else None


_NOTHING = Contribution()


class Contributions(Generic[OwnerT]):
    """The contributions of all owners, and the ledger of every host.

    Args:
        on_change: Called with an owner whose `pending` or `failures` have changed; must not call back.
        on_work: Called with the address of a host whose ledger has fallen behind; must not call back.
        on_leave: Called with the address of a host to which an owner has ceased to contribute; must not call back.
    """

    def __init__(
        self,
        on_change: Callable[[OwnerT], None] = lambda owner: None,
        on_work: Callable[[int], None] = lambda host: None,
        on_leave: Callable[[int], None] = lambda host: None,
    ) -> None:
        self.on_change = on_change
        self.on_work = on_work
        self.on_leave = on_leave
        self._owned: dict[OwnerT, Contribution] = {}
        self._topics: dict[Topic, _TopicState[OwnerT]] = {}
        self._hosts: dict[int, HostLedger[OwnerT]] = {}
        self._subscriptions: dict[int, set[Topic]] = {}
        self._waiting_for: dict[OwnerT, set[int]] = {}
        self._failing: set[int] = set()

    # --- what owners say ---------------------------------------------------------------------------------------------

    def replace(self, owner: OwnerT, contribution: Contribution) -> None:
        """Replace all that an owner contributes; the difference reaches the hosts concerned.

        What is new is added before what is old is removed, and both are in the same delta of a host.
        """
        old = self._owned.get(owner, _NOTHING)
        touched: set[int] = set()
        for topic, hosts in contribution.subscribe.items():
            for host in hosts - old.subscribe.get(topic, frozenset()):
                self._subscribe(owner, host, topic)
                touched.add(host)
        for topic, entries in contribution.publish.items():
            if entries != old.publish.get(topic):
                touched |= self._publish(owner, topic, entries)
        for topic, entries in old.publish.items():
            kept = {entry.key for entry in contribution.publish.get(topic, ())}
            touched |= self._withdraw(owner, topic, (entry.key for entry in entries if entry.key not in kept))
        for topic, hosts in old.subscribe.items():
            for host in hosts - contribution.subscribe.get(topic, frozenset()):
                self._unsubscribe(owner, host, topic)
                touched.add(host)
        if contribution.publish or contribution.subscribe:
            self._owned[owner] = contribution
        else:
            self._owned.pop(owner, None)
        for host in touched:
            self._wait(owner, host)
            if not self._contributes(owner, host):
                self.on_leave(host)

    def withdraw(self, owner: OwnerT, held_by: Iterable[int] = ()) -> None:
        """Take back all that an owner contributes.

        Args:
            owner: The owner.
            held_by: Hosts that may hold something of it since before this process started; the owner waits for them
                too, unless this process has synchronised them already.
        """
        self.replace(owner, _NOTHING)
        for host in held_by:
            ledger = self._ledger(host)
            if not ledger.synchronised:
                self._wait(owner, host)

    def contribution(self, owner: OwnerT) -> Contribution:
        """All that an owner contributes at present."""
        return self._owned.get(owner, _NOTHING)

    def pending(self, owner: OwnerT) -> frozenset[int]:
        """Hosts that have not yet acknowledged the owner's last changes."""
        return frozenset(self._waiting_for.get(owner, ()))

    def failures(self, owner: OwnerT) -> tuple[HostFailure, ...]:
        """Entries that the owner publishes, or subscribes a host to, and that the host could not apply."""
        return tuple(
            HostFailure(address, key, reason)
            for address in sorted(self._failing)
            for key, reason in self._hosts[address].failed.items()
            if owner in self._concerned(address, key)
        )

    # --- what hosts say ----------------------------------------------------------------------------------------------

    def host(self, address: int) -> HostLedger[OwnerT]:
        """The ledger of a host; to be read only."""
        return self._ledger(address)

    def contributors(self, address: int) -> frozenset[OwnerT]:
        """Owners that subscribe a host to something or publish something for it alone."""
        owners: set[OwnerT] = set()
        for topic in self._subscriptions.get(address, ()):
            state = self._topics[topic]
            owners |= state.subscribers[address]
            if topic == host_topic(address):
                owners.update(owner for published in state.entries.values() for owner in published)
        return frozenset(owners)

    def add_host(self, address: int, held: int) -> None:
        """A host's agent was found.

        Args:
            address: The host's underlay address.
            held: The version that the agent holds.
        """
        ledger = self._ledger(address)
        ledger.removed = False
        ledger.connected(held)
        self.on_work(address)

    def remove_host(self, address: int) -> None:
        """A host has left the fabric: nobody waits for it any more."""
        ledger = self._ledger(address)
        ledger.removed = True
        ledger.synchronised = False
        ledger.failed.clear()
        self._failing.discard(address)
        self._release(address, tuple(ledger.waiting))

    def take(self, address: int) -> Delta | None:
        """The delta that a host needs next, to be followed by `acknowledge` if it answers; None if it has it all."""
        return self._ledger(address).take()

    def acknowledge(self, address: int, delta: Delta, answer: Acknowledgement) -> bool:
        """A host has answered to a delta.

        Returns:
            False if the host holds another version than the delta started from, so that a complete one must follow.
        """
        ledger = self._ledger(address)
        was_unreachable = bool(ledger.unreachable)
        accepted, released, changed = ledger.acknowledge(delta, answer)
        if ledger.failed:
            self._failing.add(address)
        else:
            self._failing.discard(address)
        concerned = {owner for key in changed for owner in self._concerned(address, key)}
        if was_unreachable:
            concerned.update(ledger.waiting)
        self._release(address, released)
        for owner in concerned.difference(released):
            self.on_change(owner)
        return accepted

    def undelivered(self, address: int, reason: str) -> None:
        """A host did not answer, or there was no way to ask it; the owners that wait for it are told once.

        Args:
            address: The host's underlay address.
            reason: For people.
        """
        ledger = self._ledger(address)
        if ledger.undelivered(reason):
            for owner in ledger.waiting:
                self.on_change(owner)

    def retry_failed(self, address: int) -> None:
        """Put what a host could not apply into its next delta."""
        ledger = self._ledger(address)
        if ledger.failed:
            ledger.retry(tuple(ledger.failed))
            self.on_work(address)

    # --- topics ------------------------------------------------------------------------------------------------------

    def _publish(self, owner: OwnerT, topic: Topic, entries: Iterable[Entry]) -> set[int]:
        state = self._topic(topic)
        touched: set[int] = set()
        for entry in entries:
            key = entry.key
            before = state.value(key)
            owners = state.entries.setdefault(key, {})
            if owners.get(owner) == entry:
                continue
            owners.pop(owner, None)
            owners[owner] = entry
            for host in state.subscribers:
                ledger = self._ledger(host)
                if before is None:
                    ledger.hold(key, entry)
                else:
                    ledger.replace(key, entry)
                touched.add(host)
        return touched

    def _withdraw(self, owner: OwnerT, topic: Topic, keys: Iterable[Key]) -> set[int]:
        state = self._topic(topic)
        touched: set[int] = set()
        for key in keys:
            del state.entries[key][owner]
            value = state.value(key)
            if value is None:
                del state.entries[key]
            for host in state.subscribers:
                ledger = self._ledger(host)
                if value is None:
                    ledger.drop(key, lambda host=host, key=key: self._value(host, key))  # type: ignore[misc]
                else:
                    ledger.replace(key, value)
                touched.add(host)
        self._tidy(topic)
        return touched

    def _subscribe(self, owner: OwnerT, host: int, topic: Topic) -> None:
        state = self._topic(topic)
        owners = state.subscribers.setdefault(host, set())
        if not owners:
            self._subscriptions.setdefault(host, set()).add(topic)
            ledger = self._ledger(host)
            for key in state.entries:
                ledger.hold(key, self._known(state.value(key)))
        owners.add(owner)

    def _unsubscribe(self, owner: OwnerT, host: int, topic: Topic) -> None:
        state = self._topic(topic)
        owners = state.subscribers[host]
        owners.remove(owner)
        if owners:
            return
        del state.subscribers[host]
        self._subscriptions[host].remove(topic)
        ledger = self._ledger(host)
        for key in state.entries:
            ledger.drop(key, lambda key=key: self._value(host, key))  # type: ignore[misc]
        self._tidy(topic)

    def _topic(self, topic: Topic) -> _TopicState[OwnerT]:
        state = self._topics.get(topic)
        if state is None:
            state = self._topics[topic] = _TopicState()
            sort, *numbers = topic
            if sort == _HOST:
                state.subscribers[numbers[0]] = set()
                self._subscriptions.setdefault(numbers[0], set()).add(topic)
        return state

    def _tidy(self, topic: Topic) -> None:
        state = self._topics[topic]
        if state.entries or any(state.subscribers.values()):
            return
        for host in state.subscribers:
            self._subscriptions[host].remove(topic)
        del self._topics[topic]

    def _value(self, host: int, key: Key) -> Entry:
        """What any topic of a host says about a key; asked only when two topics give it the same key."""
        topics = (self._topics[topic] for topic in self._subscriptions[host])
        return self._known(next(value for state in topics if (value := state.value(key)) is not None))

    @staticmethod
    def _known(value: Entry | None) -> Entry:
        assert value is not None
        return value

    def _concerned(self, host: int, key: Key) -> set[OwnerT]:
        """Owners that publish a key for a host or subscribe the host to it."""
        owners: set[OwnerT] = set()
        for topic in self._subscriptions.get(host, ()):
            state = self._topics[topic]
            if key in state.entries:
                owners |= state.entries[key].keys() | state.subscribers[host]
        return owners

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _wait(self, owner: OwnerT, host: int) -> None:
        ledger = self._ledger(host)
        if not ledger.behind or (ledger.removed and not self._contributes(owner, host)):
            return
        ledger.waiting[owner] = ledger.version
        self._waiting_for.setdefault(owner, set()).add(host)
        if not ledger.removed:
            self.on_work(host)

    def _contributes(self, owner: OwnerT, host: int) -> bool:
        contribution = self._owned.get(owner, _NOTHING)
        topics = self._subscriptions.get(host, set())
        return any(host in hosts for hosts in contribution.subscribe.values()) or not topics.isdisjoint(
            contribution.publish
        )

    def _release(self, host: int, owners: Iterable[OwnerT]) -> None:
        """The owners need not wait for a host any more."""
        ledger = self._ledger(host)
        for owner in owners:
            ledger.waiting.pop(owner, None)
            hosts = self._waiting_for.get(owner, set())
            hosts.discard(host)
            if not hosts:
                self._waiting_for.pop(owner, None)
            self.on_change(owner)

    def _ledger(self, address: int) -> HostLedger[OwnerT]:
        ledger = self._hosts.get(address)
        if ledger is None:
            ledger = self._hosts[address] = HostLedger(address)
        return ledger
