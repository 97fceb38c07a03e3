# SPDX-License-Identifier: Apache-2.0
"""The goal state: keys, differences, and the protocol of deltas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudfabric.networking.goalstate import (
    DIVIDERS,
    Acknowledgement,
    Delta,
    Entry,
    GoalState,
    Group,
    HostChannel,
    Key,
    KnownHost,
    LocalEndpoint,
    Member,
    Route,
    VersionMismatch,
    diff,
    interface_name,
)

ENDPOINT = LocalEndpoint(7, 0x0A000105, 24, 3, bytes.fromhex("02cf0a000105"), "cf0123456789a", "uid")


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (ENDPOINT, ("endpoint", 7, 0x0A000105)),
        (Member(7, 0x0A000105, 0xAC100001), ("member", 7, 0x0A000105)),
        (Route(7, 0x0A000100, 24, 3), ("route", 7, 0x0A000100, 24)),
        (Group(7, 3, (1, 2)), ("group", 7, 3)),
        (Group(7, DIVIDERS, (1,)), ("group", 7, 0)),
        (KnownHost(0xAC100001), ("host", 0xAC100001)),
    ],
)
def test_an_entry_has_a_key(entry: Entry, key: Key) -> None:
    assert entry.key == key


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("01234567-89ab-cdef-0123-456789abcdef", "cf0123456789a"),
        ("ABCDEF0123456789", "cfabcdef01234"),
    ],
)
def test_the_interface_is_named_after_the_uid(uid: str, name: str) -> None:
    assert interface_name(uid) == name
    assert len(name) <= 15


def test_the_difference_holds_only_what_differs() -> None:
    old = GoalState.of(4, [KnownHost(1), Member(7, 10, 1), Member(7, 11, 1)])
    new = GoalState.of(9, [KnownHost(1), Member(7, 10, 2), Member(7, 12, 1)])
    delta = diff(old, new)
    assert delta == Delta(4, 9, (Member(7, 10, 2), Member(7, 12, 1)), (("member", 7, 11),))
    assert len(delta) == 3
    assert not delta.complete


def test_a_delta_that_starts_elsewhere_changes_nothing() -> None:
    state = GoalState.of(4, [KnownHost(1)])
    with pytest.raises(VersionMismatch) as caught:
        state.apply(Delta(3, 5, (KnownHost(2),)))
    assert (caught.value.held, caught.value.base_version) == (4, 3)
    assert state == GoalState.of(4, [KnownHost(1)])


def test_a_complete_delta_removes_what_it_does_not_name() -> None:
    state = GoalState.of(17, [KnownHost(1), KnownHost(2)])
    changes = state.apply(Delta(0, 3, (KnownHost(2), KnownHost(3))))
    assert changes == Delta(17, 3, (KnownHost(3),), (("host", 1),)), "what is held already is not written again"
    assert state == GoalState.of(3, [KnownHost(2), KnownHost(3)])


def test_what_is_held_already_is_not_written_again() -> None:
    state = GoalState.of(1, [KnownHost(1)])
    assert state.changes(Delta(1, 2, (KnownHost(1),), (("host", 9),))) == Delta(1, 2)
    assert Delta(1, 2), "a delta without entries still moves the version"


def test_what_failed_is_not_recorded_so_that_it_can_be_tried_again() -> None:
    state = GoalState.of(1, [Member(7, 10, 1), Member(7, 11, 1)])
    failed = {("member", 7, 10), ("member", 7, 11), ("member", 7, 12)}
    state.apply(Delta(1, 2, (Member(7, 10, 2), Member(7, 12, 1)), (("member", 7, 11),)), failed)
    assert state == GoalState.of(2, [Member(7, 10, 1), Member(7, 11, 1)])
    assert len(state.changes(Delta(2, 3, (Member(7, 10, 2), Member(7, 12, 1)), (("member", 7, 11),)))) == 3


def test_a_state_is_a_collection_of_entries() -> None:
    state = GoalState.of(1, [KnownHost(1), KnownHost(2)])
    assert len(state) == 2
    assert ("host", 1) in state
    assert ("host", 3) not in state
    assert state["host", 1] == KnownHost(1)
    assert list(state) == [KnownHost(1), KnownHost(2)]


def test_a_channel_is_anything_with_its_two_methods() -> None:
    class Channel:
        async def apply(self, delta: Delta) -> Acknowledgement:
            return Acknowledgement(1, delta.version)

        async def resync(self) -> int:
            return 0

    assert isinstance(Channel(), HostChannel)


entries = st.lists(
    st.one_of(
        st.builds(Member, st.integers(1, 3), st.integers(0, 4), st.integers(1, 3)),
        st.builds(KnownHost, st.integers(0, 4)),
        st.builds(Group, st.integers(1, 2), st.integers(0, 2), st.tuples(st.integers(1, 3))),
    )
)


@given(entries, entries)
def test_applying_the_difference_gives_the_new_state(before: list[Entry], after: list[Entry]) -> None:
    old, new = GoalState.of(1, before), GoalState.of(2, after)
    delta = diff(old, new)
    assert old.apply(delta) == delta
    assert old == new
