# SPDX-License-Identifier: Apache-2.0
"""Reading link events of rtnetlink; messages are built here as the kernel lays them out."""

import errno
import struct

import pytest

from cloudfabric.networking.dataplane.linkwatch import LinkEvent, LinkWatch, parse

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


class FailingSocket:
    """A netlink socket whose reads fail."""

    def __init__(self, number: int) -> None:
        self._number = number

    def recv(self, size: int) -> bytes:
        raise OSError(self._number, "")


@pytest.mark.parametrize(("number", "told"), [(errno.ENOBUFS, [None]), (errno.EAGAIN, [])])
def test_lost_events_are_told(monkeypatch: pytest.MonkeyPatch, number: int, told: list[LinkEvent | None]) -> None:
    events: list[LinkEvent | None] = []
    watch = LinkWatch(events.append)
    with monkeypatch.context() as patched:
        patched.setattr(watch, "_socket", FailingSocket(number))
        watch._read()
    watch.close()

    assert events == told


def test_a_read_that_fails_otherwise_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = LinkWatch(lambda event: None)
    with monkeypatch.context() as patched:
        patched.setattr(watch, "_socket", FailingSocket(errno.EIO))
        with pytest.raises(OSError, match="Errno 5"):
            watch._read()
    watch.close()
