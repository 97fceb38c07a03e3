# SPDX-License-Identifier: Apache-2.0
"""Placement: apart from its siblings, then the least loaded, then by name."""

from __future__ import annotations

import pytest

from cloudfabric.networking.placement import Candidate, choose


@pytest.mark.parametrize(
    ("candidates", "siblings", "chosen"),
    [
        ([], [], None),
        ([Candidate("b", 0), Candidate("a", 0)], [], "a"),
        ([Candidate("a", 2), Candidate("b", 1)], [], "b"),
        ([Candidate("a", 0), Candidate("b", 9)], ["a"], "b"),
        ([Candidate("a", 3), Candidate("b", 2)], ["a", "b"], "b"),
        ([Candidate("a", 3), Candidate("b", 2)], ["b", "b", "a"], "a"),
        ([Candidate("a", 0, reachable=False), Candidate("b", 9)], ["b"], "b"),
        ([Candidate("a", 0, reachable=False)], [], "a"),
    ],
    ids=[
        "nobody",
        "first by name",
        "least loaded",
        "apart from the sibling",
        "all have one: least loaded",
        "fewest siblings",
        "reachable first",
        "better than nobody",
    ],
)
def test_choice(candidates: list[Candidate], siblings: list[str], chosen: str | None) -> None:
    assert choose(candidates, siblings) == chosen
    assert choose(reversed(candidates), siblings) == chosen, "whatever the order"
