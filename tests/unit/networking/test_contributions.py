# SPDX-License-Identifier: Apache-2.0
"""Contributions: who publishes what for whom, what it costs, and who waits for which host."""

from __future__ import annotations

import pytest

from cloudfabric.networking.contributions import Contribution, Topic, host_topic
from cloudfabric.networking.goalstate import (
    Failure,
    GoalState,
    Group,
    KnownHost,
    Member,
)
from tests.support.told_hosts import ToldHosts

MEMBERS: Topic = ("members", 7, 1)
OTHER: Topic = ("members", 7, 2)


@pytest.fixture
def told() -> ToldHosts:
    told = ToldHosts()
    told.add(1, 2, 3)
    told.deliver_all()
    told.deltas.clear()
    return told


def member(address: int, host: int = 1) -> Member:
    return Member(7, address, host)


def test_a_subscriber_gets_what_is_published(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),), host_topic(1): (KnownHost(9),)}))
    told.deliver_all()
    assert list(told.states[1]) == [KnownHost(9)]
    assert list(told.states[2]) == [member(10)]
    assert len(told.states[3]) == 0


def test_a_late_subscriber_gets_what_was_published_before(told: ToldHosts) -> None:
    told.contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10), member(11))}))
    told.contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    assert told.deliver(2) is not None
    assert list(told.states[2]) == [member(10), member(11)]


def test_one_endpoint_among_many_costs_one_entry_for_each_host_concerned(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2, 3})}))
    for number in range(1000):
        contributions.replace(f"endpoint-{number}", Contribution(publish={MEMBERS: (member(number),)}))
    told.deliver_all()
    told.deltas.clear()
    contributions.replace("new", Contribution(publish={MEMBERS: (member(5000),), host_topic(1): (KnownHost(9),)}))
    told.deliver_all()
    assert [len(delta) for delta in told.deltas] == [1, 1, 1]
    assert not any(delta.complete for delta in told.deltas)


def test_changes_before_a_delivery_are_one_delta(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    for number in range(50):
        contributions.replace(f"endpoint-{number}", Contribution(publish={MEMBERS: (member(number),)}))
    contributions.withdraw("endpoint-0")
    told.deliver_all()
    assert len(told.deltas) == 1
    assert len(told.states[2]) == 49


def test_a_reconcile_that_says_the_same_again_costs_nothing(told: ToldHosts) -> None:
    contribution = Contribution(publish={MEMBERS: (member(10),)}, subscribe={MEMBERS: frozenset({2})})
    told.contributions.replace("both", contribution)
    told.deliver_all()
    told.deltas.clear()
    told.contributions.replace("both", contribution)
    told.deliver_all()
    assert told.deltas == []
    assert told.contributions.contribution("both") == contribution


def test_what_is_no_longer_said_is_taken_back(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2}), OTHER: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10), member(11)), OTHER: (member(20),)}))
    told.deliver_all()
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(11, host=3),)}))
    told.deliver_all()
    assert list(told.states[2]) == [member(11, host=3)]


def test_an_entry_stays_until_the_last_subscription_that_brings_it(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),)}))
    contributions.replace("one", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("two", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.withdraw("one")
    told.deliver_all()
    assert len(told.states[2]) == 1
    contributions.withdraw("two")
    told.deliver_all()
    assert len(told.states[2]) == 0


def test_an_entry_stays_until_the_last_topic_that_brings_it(told: ToldHosts) -> None:
    contributions = told.contributions
    old, new = Group(7, 1, (1,)), Group(7, 1, (1, 2))
    contributions.replace("both", Contribution(subscribe={MEMBERS: frozenset({2}), OTHER: frozenset({2})}))
    contributions.replace("a", Contribution(publish={MEMBERS: (old,)}))
    contributions.replace("b", Contribution(publish={OTHER: (new,)}))
    told.deliver_all()
    assert list(told.states[2]) == [new]
    contributions.withdraw("b")
    told.deliver_all()
    assert list(told.states[2]) == [old], "what the other topic says counts again"
    contributions.replace("both", Contribution(subscribe={}))
    told.deliver_all()
    assert list(told.states[2]) == []


def test_the_latest_of_two_publishers_counts_until_it_withdraws(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("old", Contribution(publish={MEMBERS: (member(10, host=1),)}))
    contributions.replace("new", Contribution(publish={MEMBERS: (member(10, host=3),)}))
    told.deliver_all()
    assert list(told.states[2]) == [member(10, host=3)]
    contributions.withdraw("new")
    told.deliver_all()
    assert list(told.states[2]) == [member(10, host=1)]


def test_an_owner_waits_for_exactly_the_hosts_that_its_change_touches(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),), host_topic(1): (KnownHost(9),)}))
    assert contributions.pending("endpoint") == {1, 2}
    assert contributions.pending("bouncer") == frozenset(), "there was nothing to tell when it subscribed host 2"
    told.deliver(1)
    assert contributions.pending("endpoint") == {2}
    assert told.changes == ["endpoint"]
    told.deliver(2)
    assert contributions.pending("endpoint") == frozenset()
    assert told.changes == ["endpoint", "endpoint"]


def test_removal_is_waited_for_too(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),)}))
    told.deliver_all()
    contributions.withdraw("endpoint")
    assert contributions.pending("endpoint") == {2}
    told.deliver_all()
    assert contributions.pending("endpoint") == frozenset()


def test_a_change_during_a_delivery_is_not_covered_by_its_answer(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    delta = contributions.take(1)
    assert delta is not None
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(8),)}))
    contributions.acknowledge(1, delta, told.answer(1, delta))
    assert contributions.pending("a") == {1}
    told.deliver_all()
    assert list(told.states[1]) == [KnownHost(8)]
    assert contributions.pending("a") == frozenset()


def test_a_delta_that_did_not_arrive_is_sent_again_as_a_difference(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    assert contributions.take(1) is not None
    contributions.undelivered(1, "connection lost")
    told.add(1)
    delta = told.deliver(1)
    assert delta is not None
    assert not delta.complete
    assert contributions.pending("a") == frozenset()
    assert list(told.states[1]) == [KnownHost(9)]


def test_an_answer_that_got_lost_leads_to_a_complete_delta(told: ToldHosts) -> None:
    """The answer may have named entries that failed."""
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    delta = contributions.take(1)
    assert delta is not None
    told.answer(1, delta, (Failure(("host", 9), "full"),))
    contributions.undelivered(1, "connection lost")
    told.add(1)
    complete = told.deliver(1)
    assert complete is not None
    assert complete.complete
    assert list(told.states[1]) == [KnownHost(9)]


def test_connecting_again_to_a_host_that_has_everything_costs_nothing(told: ToldHosts) -> None:
    told.contributions.undelivered(1, "connection lost")
    told.add(1)
    assert told.contributions.take(1) is None
    assert told.contributions.host(1).unreachable == ""


def test_a_host_that_moved_on_without_our_knowing_gets_a_complete_delta(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    delta = contributions.take(1)
    assert delta is not None
    told.answer(1, delta)
    contributions.undelivered(1, "connection lost")
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(8),)}))
    assert told.deliver(1) is not None
    assert contributions.pending("a") == {1}, "the host did not take it"
    complete = told.deliver(1)
    assert complete is not None
    assert complete.complete
    assert contributions.pending("a") == frozenset()
    assert list(told.states[1]) == [KnownHost(8)]


def test_an_agent_that_lost_its_state_gets_all_of_it(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9), KnownHost(8))}))
    told.deliver_all()
    told.states[1] = GoalState()
    contributions.replace("b", Contribution(publish={host_topic(1): (KnownHost(7),)}))
    told.deliver_all()
    assert set(told.states[1]) == {KnownHost(7), KnownHost(8), KnownHost(9)}


def test_a_host_known_from_before_gets_a_complete_delta_under_a_later_version() -> None:
    told = ToldHosts(states={1: GoalState.of(57, [KnownHost(1), KnownHost(2)])})
    told.contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(2),)}))
    told.add(1)
    delta = told.deliver(1)
    assert delta is not None
    assert delta.complete
    assert delta.version > 57
    assert list(told.states[1]) == [KnownHost(2)]


def test_owners_are_told_once_that_their_host_cannot_be_reached(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    for _ in range(3):
        assert contributions.take(1) is not None
        contributions.undelivered(1, "no route to host")
    assert told.changes == ["a"]
    assert contributions.host(1).unreachable == "no route to host"
    told.deliver(1)
    assert contributions.host(1).unreachable == ""
    assert contributions.pending("a") == frozenset()


def test_those_who_still_wait_are_told_that_the_host_is_back(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    contributions.undelivered(1, "refused")
    delta = contributions.take(1)
    assert delta is not None
    contributions.replace("b", Contribution(publish={host_topic(1): (KnownHost(8),)}))
    told.changes.clear()
    contributions.acknowledge(1, delta, told.answer(1, delta))
    assert set(told.changes) == {"a", "b"}
    assert contributions.pending("b") == {1}


def test_a_failure_reaches_those_concerned_and_nobody_else(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({2})}))
    contributions.replace("bystander", Contribution(publish={host_topic(2): (KnownHost(9),)}))
    contributions.replace("endpoint", Contribution(publish={MEMBERS: (member(10),)}))
    told.deliver(2, Failure(("member", 7, 10), "map members is full"))
    assert [str(failure.reason) for failure in contributions.failures("endpoint")] == ["map members is full"]
    assert [failure.host for failure in contributions.failures("bouncer")] == [2]
    assert contributions.failures("bystander") == ()
    assert contributions.pending("endpoint") == frozenset(), "it was answered"

    told.changes.clear()
    contributions.retry_failed(2)
    told.deliver(2)
    assert contributions.failures("endpoint") == ()
    assert set(told.changes) == {"endpoint", "bouncer"}
    assert member(10) in list(told.states[2])


def test_a_failure_that_persists_is_not_news(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("endpoint", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    failure = Failure(("host", 9), "no")
    told.deliver(1, failure)
    told.changes.clear()
    contributions.retry_failed(1)
    told.deliver(1, failure)
    assert told.changes == []
    assert len(contributions.failures("endpoint")) == 1


def test_retrying_without_failures_is_no_work(told: ToldHosts) -> None:
    told.work.clear()
    told.contributions.retry_failed(1)
    assert told.work == []
    assert told.contributions.take(1) is None


def test_a_withdrawn_failure_is_forgotten(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("endpoint", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    told.deliver(1, Failure(("host", 9), "no"))
    contributions.withdraw("endpoint")
    told.deliver(1)
    assert contributions.host(1).failed == {}
    assert contributions.failures("endpoint") == ()


def test_a_complete_delta_forgets_old_failures(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("endpoint", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    told.deliver(1, Failure(("host", 9), "no"))
    told.states[1] = GoalState()
    told.add(1)
    told.deliver(1)
    assert contributions.failures("endpoint") == ()


def test_nobody_waits_for_a_host_that_has_left(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    contributions.remove_host(1)
    assert contributions.pending("a") == frozenset()
    assert told.changes == ["a"]
    contributions.withdraw("a", held_by=[1])
    assert contributions.pending("a") == frozenset()


def test_what_is_said_to_a_host_that_has_left_waits_for_its_return(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.remove_host(1)
    contributions.replace("a", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    assert contributions.pending("a") == {1}
    told.add(1)
    told.deliver_all()
    assert contributions.pending("a") == frozenset()
    assert list(told.states[1]) == [KnownHost(9)]


def test_removal_waits_for_hosts_that_may_hold_something_from_an_earlier_life() -> None:
    told = ToldHosts(states={1: GoalState.of(57, [KnownHost(9)])})
    contributions = told.contributions
    contributions.withdraw("a", held_by=[1])
    assert contributions.pending("a") == {1}, "host 1 was told about it by an earlier process"
    told.add(1)
    assert contributions.pending("a") == {1}
    told.deliver(1)
    assert contributions.pending("a") == frozenset()
    assert len(told.states[1]) == 0
    contributions.withdraw("a", held_by=[1])
    assert contributions.pending("a") == frozenset(), "now it is known to hold nothing"


def test_contributors_of_a_host_are_its_subscribers_and_who_publishes_for_it_alone(told: ToldHosts) -> None:
    contributions = told.contributions
    contributions.replace("bouncer", Contribution(subscribe={MEMBERS: frozenset({1})}))
    contributions.replace("local", Contribution(publish={host_topic(1): (KnownHost(9),)}))
    contributions.replace("member", Contribution(publish={MEMBERS: (member(10),)}))
    assert contributions.contributors(1) == {"bouncer", "local"}
    contributions.withdraw("local")
    contributions.withdraw("bouncer")
    assert contributions.contributors(1) == frozenset()


def test_work_is_announced_for_hosts_that_are_behind(told: ToldHosts) -> None:
    told.work.clear()
    told.contributions.replace("a", Contribution(publish={host_topic(3): (KnownHost(9),)}))
    assert told.work == [3]
