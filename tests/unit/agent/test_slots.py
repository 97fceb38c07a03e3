# SPDX-License-Identifier: Apache-2.0
"""Slots of the counter array: stable while held, lowest first, restored after a restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudfabric.networking.dataplane.slots import NoFreeSlot, SlotAllocator


def test_a_holder_keeps_its_slot() -> None:
    slots: SlotAllocator[str] = SlotAllocator(4)

    assert [slots.take("a"), slots.take("b"), slots.take("a")] == [0, 1, 0]


def test_the_lowest_free_slot_is_given_out() -> None:
    slots: SlotAllocator[str] = SlotAllocator(4)
    for holder in "abc":
        slots.take(holder)

    assert slots.release("b") == 1
    assert slots.release("a") == 0
    assert slots.take("d") == 0
    assert slots.take("e") == 1
    assert slots.take("f") == 3


def test_releasing_what_is_not_held_does_nothing() -> None:
    assert SlotAllocator[str](1).release("a") is None


def test_running_out_names_the_capacity() -> None:
    slots: SlotAllocator[str] = SlotAllocator(1)
    slots.take("a")

    with pytest.raises(NoFreeSlot, match="all 1 endpoint slots") as caught:
        slots.take("b")

    assert caught.value.capacity == 1
    assert slots.get("b") is None


def test_restored_slots_leave_the_gaps_free() -> None:
    slots: SlotAllocator[str] = SlotAllocator(8)
    slots.restore("a", 2)
    slots.restore("b", 0)

    assert slots.holders() == {"a": 2, "b": 0}
    assert [slots.take(holder) for holder in "cde"] == [1, 3, 4]


@pytest.mark.parametrize(("holder", "slot"), [("b", 1), ("a", 2), ("c", 9), ("c", -1)])
def test_a_slot_is_not_restored_twice_or_out_of_range(holder: str, slot: int) -> None:
    slots: SlotAllocator[str] = SlotAllocator(9)
    slots.restore("a", 1)

    with pytest.raises(ValueError, match=f"slot {slot} of 9"):
        slots.restore(holder, slot)


@given(st.lists(st.tuples(st.sampled_from(["take", "release"]), st.integers(0, 9)), max_size=60))
def test_no_slot_has_two_holders(steps: list[tuple[str, int]]) -> None:
    slots: SlotAllocator[int] = SlotAllocator(10)
    for operation, holder in steps:
        getattr(slots, operation)(holder)
        held = slots.holders()
        assert len(set(held.values())) == len(held) == len(slots)
        assert all(0 <= slot < 10 for slot in held.values())
