# SPDX-License-Identifier: Apache-2.0
"""Any sequence of changes, deliveries, lost answers, failures and restarts ends in the right state."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloudfabric.networking.contributions import Contribution, Topic, host_topic
from cloudfabric.networking.goalstate import Entry, Failure, GoalState, Member
from tests.support.told_hosts import ToldHosts

MEMBERS: Topic = ("members", 7, 1)
OTHER: Topic = ("members", 7, 2)
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
        self.told = ToldHosts()
        self.told.add(*HOSTS)
        self.wanted: dict[str, Contribution] = {}

    @rule(owner=st.sampled_from(OWNERS), publish=published, subscribe=subscribed)
    def contribute(
        self, owner: str, publish: dict[Topic, tuple[Entry, ...]], subscribe: dict[Topic, frozenset[int]]
    ) -> None:
        self.wanted[owner] = Contribution(publish, subscribe)
        self.told.contributions.replace(owner, self.wanted[owner])

    @rule(owner=st.sampled_from(OWNERS))
    def withdraw(self, owner: str) -> None:
        self.wanted.pop(owner, None)
        self.told.contributions.withdraw(owner)

    @rule(host=st.sampled_from(HOSTS))
    def deliver(self, host: int) -> None:
        self.told.deliver(host)

    @rule(host=st.sampled_from(HOSTS), arrives=st.booleans())
    def lose_an_answer(self, host: int, arrives: bool) -> None:
        delta = self.told.contributions.take(host)
        if delta is not None and arrives:
            self.told.answer(host, delta)
        self.told.contributions.undelivered(host, "lost")

    @rule(host=st.sampled_from(HOSTS))
    def fail_an_entry(self, host: int) -> None:
        delta = self.told.contributions.take(host)
        if delta is not None:
            failures = tuple(Failure(entry.key, "full") for entry in delta.upserts[:1])
            self.told.contributions.acknowledge(host, delta, self.told.answer(host, delta, failures))

    @rule(host=st.sampled_from(HOSTS))
    def restart_the_agent(self, host: int) -> None:
        self.told.states[host] = GoalState()
        self.told.add(host)

    @invariant()
    def hosts_come_to_hold_what_is_wanted(self) -> None:
        told = self.told
        for host in HOSTS:
            ledger = told.contributions.host(host)
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
                assert told.states[host].entries == ledger.entries
                assert not any(host in told.contributions.pending(owner) for owner in OWNERS)

    def teardown(self) -> None:
        for host in HOSTS:
            self.told.contributions.retry_failed(host)
        self.told.deliver_all()
        for host in HOSTS:
            assert self.told.states[host].entries == self.told.contributions.host(host).entries
        for owner in OWNERS:
            self.told.contributions.withdraw(owner)
        self.told.deliver_all()
        assert all(len(state) == 0 for state in self.told.states.values())
        assert self.told.contributions._topics == {}, "nothing is left behind"


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
