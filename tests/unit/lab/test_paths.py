# SPDX-License-Identifier: Apache-2.0
"""Reading a path out of verdicts: every way in which roles can fall together on hosts."""

import pytest

from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.lab.paths import Hop, Path, changes, path_of

V = Verdict
S, T = "source", "target"
REPLY = {T: {V.SENT_DIRECT: 1}, S: {V.DELIVERED: 1}}


def met(**hosts: list[V]) -> dict[str, dict[V, int]]:
    """The verdicts of a request and of its direct reply."""
    found: dict[str, dict[V, int]] = {host: dict(counts) for host, counts in REPLY.items()}
    found[T][V.DELIVERED] = 1
    for host, verdicts in hosts.items():
        found.setdefault(host, {}).update(dict.fromkeys(verdicts, 1))
    return found


@pytest.mark.parametrize(
    ("verdicts", "hops"),
    [
        (met(source=[V.SENT_BOUNCER], b=[V.BOUNCER_TO_HOST]), ["bouncer b"]),
        (met(source=[V.SENT_BOUNCER]), ["bouncer target"]),
        (met(source=[V.BOUNCER_TO_HOST]), ["bouncer source"]),
        (
            met(source=[V.SENT_BOUNCER], a=[V.BOUNCER_TO_DIVIDER], d=[V.DIVIDER_TO_BOUNCER], b=[V.BOUNCER_TO_HOST]),
            ["bouncer a", "divider d", "bouncer b"],
        ),
        (
            met(source=[V.SENT_BOUNCER], a=[V.BOUNCER_TO_DIVIDER], d=[V.DIVIDER_TO_BOUNCER]),
            ["bouncer a", "divider d", "bouncer target"],
        ),
        (met(source=[V.SENT_BOUNCER], a=[V.BOUNCER_TO_DIVIDER]), ["bouncer a", "divider target"]),
        (
            met(source=[V.BOUNCER_TO_DIVIDER], d=[V.BOUNCER_TO_HOST]),
            ["bouncer source", "divider+bouncer d"],
        ),
        (
            met(source=[V.SENT_BOUNCER], a=[V.DIVIDER_TO_BOUNCER], b=[V.BOUNCER_TO_HOST]),
            ["bouncer+divider a", "bouncer b"],
        ),
    ],
)
def test_bounced(verdicts: dict[str, dict[V, int]], hops: list[str]) -> None:
    path = path_of(verdicts, S, T)

    assert list(map(str, path.hops)) == hops
    assert str(path) == " → ".join(hops)
    assert not path.direct
    assert not path.local


@pytest.mark.parametrize(
    ("verdicts", "path", "text"),
    [
        ({S: {V.SENT_DIRECT: 1, V.DELIVERED: 1}, T: {V.DELIVERED: 1, V.SENT_DIRECT: 1}}, Path(direct=True), "direct"),
        ({S: {V.SENT_LOCAL: 2}}, Path(local=True), "same host"),
        ({S: {}, T: {}}, Path(), "nothing was sent"),
        (
            {S: {V.SENT_BOUNCER: 1}, "b": {V.DROP_NO_DIVIDER: 1}},
            Path(dropped=(V.DROP_NO_DIVIDER,)),
            "dropped: the VPC has no divider",
        ),
    ],
)
def test_not_bounced(verdicts: dict[str, dict[V, int]], path: Path, text: str) -> None:
    assert path_of(verdicts, S, T) == path
    assert str(path) == text


def test_arp_and_learning_are_no_part_of_a_path() -> None:
    verdicts = met(source=[V.SENT_BOUNCER, V.ARP_REPLY, V.LEARNT], b=[V.BOUNCER_TO_HOST])

    assert path_of(verdicts, S, T).hops == (Hop("bouncer", "b"),)


def test_changes_are_what_was_counted_in_between() -> None:
    before = {"a": {V.SENT_LOCAL: 3, V.DELIVERED: 1}, "b": {V.SENT_LOCAL: 0}}
    after = {"a": {V.SENT_LOCAL: 5, V.DELIVERED: 1}, "b": {V.SENT_LOCAL: 0}}

    assert changes(before, after) == {"a": {V.SENT_LOCAL: 2}, "b": {}}
