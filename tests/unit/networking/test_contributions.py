# SPDX-License-Identifier: Apache-2.0
"""Contributions: who publishes what for whom, what it costs, and who waits for which host."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloudfabric.networking.contributions import Contribution, Contributions, Topic, host_topic
from cloudfabric.networking.goalstate import (
    Acknowledgement,
    Delta,
    Entry,
    Failure,
    GoalState,
    Group,
    KnownHost,
    Member,
    VersionMismatch,
)

MEMBERS: Topic = ("members", 7, 1)
OTHER: Topic = ("members", 7, 2)


@dataclass
class Fabric:
    """Contributions, and the states of the hosts that follow their deltas."""

    changes: list[str] = field(default_factory=list)
    work: list[int] = field(default_factory=list)
    states: dict[int, GoalState] = field(default_factory=dict)
    told: list[Delta] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contributions: Contributions[str] = Contributions(self.changes.append, self.work.append)

    def add(self, *hosts: int) -> None:
        for host in hosts:
            state = self.states.setdefault(host, GoalState())
            self.contributions.add_host(host, state.version)

    def deliver(self, host: int, *failures: Failure) -> Delta | None:
        delta = self.contributions.take(host)
        if delta is not None:
            self.told.append(delta)
            self.contributions.acknowledge(host, delta, self.answer(host, delta, failures))
        return delta

    def answer(self, host: int, delta: Delta, failures: tuple[Failure, ...] = ()) -> Acknowledgement:
        try:
            self.states[host].apply(delta, {failure.key for failure in failures})
        except VersionMismatch as mismatch:
            return Acknowledgement(host, mismatch.held)
        return Acknowledgement(host, delta.version, failures)

    def deliver_all(self) -> None:
        for host in self.states:
            while self.deliver(host) is not None:
                pass


@pytest.fixture
def fabric() -> Fabric:
    fabric = Fabric()
    fabric.add(1, 2, 3)
    fabric.deliver_all()
    fabric.told.clear()
    return fabric


def member(address: int, host: int = 1) -> Member:
    return Member(7, address, host)


def test_a_subscriber_gets_what_is_published(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),), host_topic(1): (KnownHost(9),)}))
    fabric.deliver_all()
    assert list(fabric.states[1]) == [KnownHost(9)]
    assert list(fabric.states[2]) == [member(10)]
    assert len(fabric.states[3]) == 0


def test_a_late_subscriber_gets_what_was_published_before(fabric: Fabric) -> None:
    fabric.contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10), member(11))}))
    fabric.contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    assert fabric.deliver(2) is not None
    assert list(fabric.states[2]) == [member(10), member(11)]


def test_one_endpoint_among_many_costs_one_entry_for_each_host_concerned(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2, 3})}))
    for number in range(1000):
        contributions.replace(f"endpoint-{number}", Contribution(publish={MEMBERS: (member(number),)}))
    fabric.deliver_all()
    fabric.told.clear()
    contributions.replace("new", Contribution(publish={MEMBERS: (member(5000),), host_topic(1): (KnownHost(9),)}))
    fabric.deliver_all()
    assert [len(delta) for delta in fabric.told] == [1, 1, 1]
    assert not any(delta.complete for delta in fabric.told)


def test_changes_before_a_delivery_are_one_delta(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    for number in range(50):
        contributions.replace(f"endpoint-{number}", Contribution(publish={MEMBERS: (member(number),)}))
    contributions.withdraw("endpoint-0")
    fabric.deliver_all()
    assert len(fabric.told) == 1
    assert len(fabric.states[2]) == 49


def test_a_reconcile_that_says_the_same_again_costs_nothing(fabric: Fabric) -> None:
    contribution = Contribution(publish={MEMBERS: (member(10),)}, subscribe={MEMBERS: frozenset({2})})
    fabric.contributions.replace("both", contribution)
    fabric.deliver_all()
    fabric.told.clear()
    fabric.contributions.replace("both", contribution)
    fabric.deliver_all()
    assert fabric.told == []
    assert fabric.contributions.contribution("both") == contribution


def test_what_is_no_longer_said_is_taken_back(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2}), OTHER: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10), member(11)), OTHER: (member(20),)}))
    fabric.deliver_all()
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(11, host=3),)}))
    fabric.deliver_all()
    assert list(fabric.states[2]) == [member(11, host=3)]


def test_an_entry_stays_until_the_last_subscription_that_brings_it(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),)}))
    contributions.replace("one", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("two", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.withdraw("one")
    fabric.deliver_all()
    assert len(fabric.states[2]) == 1
    contributions.withdraw("two")
    fabric.deliver_all()
    assert len(fabric.states[2]) == 0


def test_an_entry_stays_until_the_last_topic_that_brings_it(fabric: Fabric) -> None:
    contributions = fabric.contributions
    old, new = Group(7, 1, (1,)), Group(7, 1, (1, 2))
    contributions.replace("both", Contribution(subscribe={MEMBERS: frozenset({2}), OTHER: frozenset({2})}))
    contributions.replace("a", Contribution(publish={MEMBERS: (old,)}))
    contributions.replace("b", Contribution(publish={OTHER: (new,)}))
    fabric.deliver_all()
    assert list(fabric.states[2]) == [new]
    contributions.withdraw("b")
    fabric.deliver_all()
    assert list(fabric.states[2]) == [old], "what the other topic says counts again"
    contributions.replace("both", Contribution(subscribe={}))
    fabric.deliver_all()
    assert list(fabric.states[2]) == []


def test_the_latest_of_two_publishers_counts_until_it_withdraws(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("old", Contribution(publish={MEMBERS: (member(10, host=1),)}))
    contributions.replace("new", Contribution(publish={MEMBERS: (member(10, host=3),)}))
    fabric.deliver_all()
    assert list(fabric.states[2]) == [member(10, host=3)]
    contributions.withdraw("new")
    fabric.deliver_all()
    assert list(fabric.states[2]) == [member(10, host=1)]


def test_an_owner_waits_for_exactly_the_hosts_that_its_change_touches(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),), host_topic(1): (KnownHost(9),)}))
    assert contributions.pending("endpoint") == {1, 2}
    assert contributions.pending("bouncer") == frozenset(), "there was nothing to tell when it subscribed host 2"
    fabric.deliver(1)
    assert contributions.pending("endpoint") == {2}
    assert fabric.changes == ["endpoint"]
    fabric.deliver(2)
    assert contributions.pending("endpoint") == frozenset()
    assert fabric.changes == ["endpoint", "endpoint"]


def test_removal_is_waited_for_too(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),)}))
    fabric.deliver_all()
    contributions.withdraw("endpoint")
    assert contributions.pending("endpoint") == {2}
    fabric.deliver_all()
    assert contributions.pending("endpoint") == frozenset()


def test_a_change_during_a_delivery_is_not_covered_by_its_answer(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    delta = contributions.take(1)
    assert delta is not None
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(8),)}))
    contributions.acknowledge(1, delta, fabric.answer(1, delta))
    assert contributions.pending("a") == {1}
    fabric.deliver_all()
    assert list(fabric.states[1]) == [KnownHost(8)]
    assert contributions.pending("a") == frozenset()


def test_a_delta_that_did_not_arrive_is_sent_again_as_a_difference(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    assert contributions.take(1) is not None
    contributions.undelivered(1, "connection lost")
    fabric.add(1)
    delta = fabric.deliver(1)
    assert delta is not None
    assert not delta.complete
    assert contributions.pending("a") == frozenset()
    assert list(fabric.states[1]) == [KnownHost(9)]


def test_an_answer_that_got_lost_leads_to_a_complete_delta(fabric: Fabric) -> None:
    """The answer may have named entries that failed."""
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    delta = contributions.take(1)
    assert delta is not None
    fabric.answer(1, delta, (Failure(("host", 9), "full"),))
    contributions.undelivered(1, "connection lost")
    fabric.add(1)
    complete = fabric.deliver(1)
    assert complete is not None
    assert complete.complete
    assert list(fabric.states[1]) == [KnownHost(9)]


def test_connecting_again_to_a_host_that_has_everything_costs_nothing(fabric: Fabric) -> None:
    fabric.contributions.undelivered(1, "connection lost")
    fabric.add(1)
    assert fabric.contributions.take(1) is None
    assert fabric.contributions.host(1).unreachable == ""


def test_a_host_that_moved_on_without_our_knowing_gets_a_complete_delta(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    delta = contributions.take(1)
    assert delta is not None
    fabric.answer(1, delta)
    contributions.undelivered(1, "connection lost")
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(8),)}))
    assert fabric.deliver(1) is not None
    assert contributions.pending("a") == {1}, "the host did not take it"
    complete = fabric.deliver(1)
    assert complete is not None
    assert complete.complete
    assert contributions.pending("a") == frozenset()
    assert list(fabric.states[1]) == [KnownHost(8)]


def test_an_agent_that_lost_its_state_gets_all_of_it(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9), KnownHost(8))}))
    fabric.deliver_all()
    fabric.states[1] = GoalState()
    contributions.replace("b", Contribution(publish={host_topic(1): (KnownHost(7),)}))
    fabric.deliver_all()
    assert set(fabric.states[1]) == {KnownHost(7), KnownHost(8), KnownHost(9)}


def test_a_host_known_from_before_gets_a_complete_delta_under_a_later_version() -> None:
    fabric = Fabric(states={1: GoalState.of(57, [KnownHost(1), KnownHost(2)])})
    fabric.contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(2),)}))
    fabric.add(1)
    delta = fabric.deliver(1)
    assert delta is not None
    assert delta.complete
    assert delta.version > 57
    assert list(fabric.states[1]) == [KnownHost(2)]


def test_owners_are_told_once_that_their_host_cannot_be_reached(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    for _ in range(3):
        assert contributions.take(1) is not None
        contributions.undelivered(1, "no route to host")
    assert fabric.changes == ["a"]
    assert contributions.host(1).unreachable == "no route to host"
    fabric.deliver(1)
    assert contributions.host(1).unreachable == ""
    assert contributions.pending("a") == frozenset()


def test_those_who_still_wait_are_told_that_the_host_is_back(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    contributions.undelivered(1, "refused")
    delta = contributions.take(1)
    assert delta is not None
    contributions.replace("b", Contribution(publish={host_topic(1): (KnownHost(8),)}))
    fabric.changes.clear()
    contributions.acknowledge(1, delta, fabric.answer(1, delta))
    assert set(fabric.changes) == {"a", "b"}
    assert contributions.pending("b") == {1}


def test_a_failure_reaches_those_concerned_and_nobody_else(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("bystander", Contribution(publish={host_topic(2): (KnownHost(9),)}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),)}))
    fabric.deliver(2, Failure(("member", 7, 10), "map members is full"))
    assert [str(failure.reason) for failure in contributions.failures("endpoint")] == ["map members is full"]
    assert [failure.host for failure in contributions.failures("bouncer")] == [2]
    assert contributions.failures("bystander") == ()
    assert contributions.pending("endpoint") == frozenset(), "it was answered"

    fabric.changes.clear()
    contributions.retry_failed(2)
    fabric.deliver(2)
    assert contributions.failures("endpoint") == ()
    assert set(fabric.changes) == {"endpoint", "bouncer"}
    assert member(10) in list(fabric.states[2])


def test_a_failure_that_persists_is_not_news(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("endpoint", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    failure = Failure(("host", 9), "no")
    fabric.deliver(1, failure)
    fabric.changes.clear()
    contributions.retry_failed(1)
    fabric.deliver(1, failure)
    assert fabric.changes == []
    assert len(contributions.failures("endpoint")) == 1


def test_retrying_without_failures_is_no_work(fabric: Fabric) -> None:
    fabric.work.clear()
    fabric.contributions.retry_failed(1)
    assert fabric.work == []
    assert fabric.contributions.take(1) is None


def test_a_withdrawn_failure_is_forgotten(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("endpoint", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    fabric.deliver(1, Failure(("host", 9), "no"))
    contributions.withdraw("endpoint")
    fabric.deliver(1)
    assert contributions.host(1).failed == {}
    assert contributions.failures("endpoint") == ()


def test_a_complete_delta_forgets_old_failures(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("endpoint", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    fabric.deliver(1, Failure(("host", 9), "no"))
    fabric.states[1] = GoalState()
    fabric.add(1)
    fabric.deliver(1)
    assert contributions.failures("endpoint") == ()


def test_nobody_waits_for_a_host_that_has_left(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    contributions.remove_host(1)
    assert contributions.pending("a") == frozenset()
    assert fabric.changes == ["a"]
    contributions.withdraw("a", held_by=[1])
    assert contributions.pending("a") == frozenset()


def test_what_is_said_to_a_host_that_has_left_waits_for_its_return(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.remove_host(1)
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    assert contributions.pending("a") == {1}
    fabric.add(1)
    fabric.deliver_all()
    assert contributions.pending("a") == frozenset()
    assert list(fabric.states[1]) == [KnownHost(9)]


def test_removal_waits_for_hosts_that_may_hold_something_from_an_earlier_life() -> None:
    fabric = Fabric(states={1: GoalState.of(57, [KnownHost(9)])})
    contributions = fabric.contributions
    contributions.withdraw("a", held_by=[1])
    assert contributions.pending("a") == {1}, "host 1 was told about it by an earlier process"
    fabric.add(1)
    assert contributions.pending("a") == {1}
    fabric.deliver(1)
    assert contributions.pending("a") == frozenset()
    assert len(fabric.states[1]) == 0
    contributions.withdraw("a", held_by=[1])
    assert contributions.pending("a") == frozenset(), "now it is known to hold nothing"


def test_contributors_of_a_host_are_its_subscribers_and_who_publishes_for_it_alone(fabric: Fabric) -> None:
    contributions = fabric.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({1})}))
    contributions.replace("local", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    contributions.replace("member", Contribution(publish={MEMBERS: (member(10),)}))
    assert contributions.contributors(1) == {"bouncer", "local"}
    contributions.withdraw("local")
    contributions.withdraw("bouncer")
    assert contributions.contributors(1) == frozenset()


def test_work_is_announced_for_hosts_that_are_behind(fabric: Fabric) -> None:
    fabric.work.clear()
    fabric.contributions.replace("a", Contribution(publish={host_topic(3): (KnownHost(9),)}))
    assert fabric.work == [3]


# Any sequence of changes, deliveries, lost answers and failures ends in the right state.

OWNERS = ("a", "b", "c")
HOSTS = (1, 2)
TOPICS: tuple[Topic, ...] = (MEMBERS, OTHER, host_topic(1))
published = st.dictionaries(
    st.sampled_from(TOPICS),
    st.lists(
        st.builds(Member, st.just(7), st.integers(0, 2), st.integers(1, 3)), unique_by=lambda e: e.key, min_size=1
    ).map(tuple),
)
subscribed = st.dictionaries(st.sampled_from(TOPICS[:2]), st.frozensets(st.sampled_from(HOSTS), min_size=1))


class AnyHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.fabric = Fabric()
        self.fabric.add(*HOSTS)
        self.wanted: dict[str, Contribution] = {}

    @rule(owner=st.sampled_from(OWNERS), publish=published, subscribe=subscribed)
    def contribute(
        self, owner: str, publish: dict[Topic, tuple[Entry, ...]], subscribe: dict[Topic, frozenset[int]]
    ) -> None:
        self.wanted[owner] = Contribution(publish, subscribe)
        self.fabric.contributions.replace(owner, self.wanted[owner])

    @rule(owner=st.sampled_from(OWNERS))
    def withdraw(self, owner: str) -> None:
        self.wanted.pop(owner, None)
        self.fabric.contributions.withdraw(owner)

    @rule(host=st.sampled_from(HOSTS))
    def deliver(self, host: int) -> None:
        self.fabric.deliver(host)

    @rule(host=st.sampled_from(HOSTS), arrives=st.booleans())
    def lose_an_answer(self, host: int, arrives: bool) -> None:
        delta = self.fabric.contributions.take(host)
        if delta is not None and arrives:
            self.fabric.answer(host, delta)
        self.fabric.contributions.undelivered(host, "lost")

    @rule(host=st.sampled_from(HOSTS))
    def fail_an_entry(self, host: int) -> None:
        delta = self.fabric.contributions.take(host)
        if delta is not None:
            failures = tuple(Failure(entry.key, "full") for entry in delta.upserts[:1])
            self.fabric.contributions.acknowledge(host, delta, self.fabric.answer(host, delta, failures))

    @rule(host=st.sampled_from(HOSTS))
    def restart_the_agent(self, host: int) -> None:
        self.fabric.states[host] = GoalState()
        self.fabric.add(host)

    @invariant()
    def hosts_come_to_hold_what_is_wanted(self) -> None:
        fabric = self.fabric
        for host in HOSTS:
            ledger = fabric.contributions.host(host)
            topics = {topic for c in self.wanted.values() for topic, hosts in c.subscribe.items() if host in hosts}
            topics.add(host_topic(host))
            possible: dict[object, set[Entry]] = {}
            for contribution in self.wanted.values():
                for topic in topics & contribution.publish.keys():
                    for entry in contribution.publish[topic]:
                        possible.setdefault(entry.key, set()).add(entry)
            assert ledger.entries.keys() == possible.keys()
            assert all(entry in possible[key] for key, entry in ledger.entries.items())
            if not ledger.behind and not ledger.failed:
                assert fabric.states[host].entries == ledger.entries
                assert not any(host in fabric.contributions.pending(owner) for owner in OWNERS)

    def teardown(self) -> None:
        for host in HOSTS:
            self.fabric.contributions.retry_failed(host)
        self.fabric.deliver_all()
        for host in HOSTS:
            assert self.fabric.states[host].entries == self.fabric.contributions.host(host).entries
        for owner in OWNERS:
            self.fabric.contributions.withdraw(owner)
        self.fabric.deliver_all()
        assert all(len(state) == 0 for state in self.fabric.states.values())
        assert self.fabric.contributions._topics == {}, "nothing is left behind"


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
