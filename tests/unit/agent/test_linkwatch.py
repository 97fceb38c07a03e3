# SPDX-License-Identifier: Apache-2.0
"""Reading link events of rtnetlink; messages are built here as the kernel lays them out."""

import struct

import pytest

from cloudfabric.networking.dataplane.linkwatch import LinkEvent, parse

NEWLINK, DELLINK, NEWADDR = 16, 17, 20
IFNAME, MTU = 3, 4


def attribute(kind: int, value: bytes) -> bytes:
    body = struct.pack("=HH", 4 + len(value), kind) + value
    return body + bytes(-len(body) % 4)


def message(kind: int, index: int, *attributes: bytes, family: int = 0) -> bytes:
    body = struct.pack("=BxHiII", family, 1, index, 0, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def named(name: str) -> bytes:
    return attribute(IFNAME, name.encode() + b"\0")


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (message(NEWLINK, 7, named("cf0")), [LinkEvent("cf0", 7, True)]),
        (message(DELLINK, 7, named("cf0")), [LinkEvent("cf0", 7, False)]),
        (message(NEWLINK, 7, attribute(MTU, struct.pack("=I", 1500)), named("cf0")), [LinkEvent("cf0", 7, True)]),
        (
            message(NEWLINK, 1, named("a")) + message(DELLINK, 2, named("bcd")),
            [LinkEvent("a", 1, True), LinkEvent("bcd", 2, False)],
        ),
        (message(NEWADDR, 7, named("cf0")), []),
        (message(DELLINK, 7, named("cf0"), family=7), []),
        (message(NEWLINK, 7), []),
        (message(NEWLINK, 7, struct.pack("=HH", 0, IFNAME)), []),
        (b"", []),
        (struct.pack("=IHHII", 3, NEWLINK, 0, 0, 0), []),
    ],
    ids=[
        "new",
        "gone",
        "other-first",
        "two",
        "address",
        "left-bridge",
        "no-name",
        "broken",
        "empty",
        "short",
    ],
)
def test_events_of_a_datagram(data: bytes, events: list[LinkEvent]) -> None:
    assert list(parse(data)) == events
