# SPDX-License-Identifier: Apache-2.0
"""The simulated workload's ARP, ICMP and TCP, frame by frame; scapy reads what it sends."""

from ipaddress import IPv4Address, IPv4Interface

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP, Ether

from cloudfabric.lab import packets
from cloudfabric.lab.icmp import checksum
from cloudfabric.lab.packets import ACK, FIN, PSH, SYN, Arp, Echo, Tcp
from cloudfabric.lab.substrate import IDENTITY_PORT, Workload
from cloudfabric.lab.workload_stack import WorkloadStack

OWN, PEER, FAR, GATEWAY = (int(IPv4Address(f"10.0.{last}")) for last in ("1.10", "1.11", "2.10", "1.1"))
OWN_MAC, ROUTER_MAC = bytes.fromhex("02cf0a00010a"), bytes.fromhex("02cf00000001")


@pytest.fixture
def stack() -> WorkloadStack:
    address = IPv4Interface("10.0.1.10/24")
    return WorkloadStack(
        Workload("red", "default", "web", 5, "host-1", "cf0", address, IPv4Address(GATEWAY), OWN_MAC, 1430)
    )


def arp_reply(address: int) -> bytes:
    frame = Ether(dst=OWN_MAC.hex(":"), src=ROUTER_MAC.hex(":")) / ARP(
        op=2, hwsrc=ROUTER_MAC.hex(":"), psrc=str(IPv4Address(address)), hwdst=OWN_MAC.hex(":"), pdst="10.0.1.10"
    )
    return bytes(frame)


def resolved(stack: WorkloadStack, *addresses: int) -> None:
    for address in addresses:
        stack.receive(arp_reply(address))


def to_stack(packet: Echo | Tcp) -> bytes:
    return (packets.echo if isinstance(packet, Echo) else packets.tcp)(packet, ROUTER_MAC, OWN_MAC)  # type: ignore[arg-type]


@pytest.mark.parametrize(("target", "next_hop"), [(PEER, PEER), (FAR, GATEWAY)])
def test_it_asks_for_the_next_hop_first(stack: WorkloadStack, target: int, next_hop: int) -> None:
    _, [asking] = stack.ping(target)
    frame = Ether(asking)
    assert (frame.dst, frame[ARP].op, frame[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", 1, "10.0.1.10")
    assert frame[ARP].pdst == str(IPv4Address(next_hop))

    [sent] = stack.receive(arp_reply(next_hop))

    frame = Ether(sent)
    assert (frame.dst, frame[IP].dst, frame[ICMP].type) == (ROUTER_MAC.hex(":"), str(IPv4Address(target)), 8)


def test_frames_are_well_formed(stack: WorkloadStack) -> None:
    resolved(stack, PEER)
    _, [echo] = stack.ping(PEER)
    _, [syn] = stack.connect(PEER)

    for frame, layer in ((echo, ICMP), (syn, TCP)):
        read = Ether(frame)
        for part, field in ((IP, "chksum"), (layer, "chksum")):
            claimed = getattr(read[part], field)
            delattr(read[part], field)
            assert Ether(bytes(read))[part].chksum == claimed


def test_an_echo_is_answered_once_it_came_back(stack: WorkloadStack) -> None:
    resolved(stack, PEER)
    number, [sent] = stack.ping(PEER)
    assert number not in stack.replies
    request = packets.parse(sent)
    assert isinstance(request, Echo)

    answer = Echo(PEER, OWN, False, request.identifier, request.sequence, request.payload)
    assert stack.receive(to_stack(answer)) == []

    assert number in stack.replies


def test_it_answers_an_echo_request(stack: WorkloadStack) -> None:
    resolved(stack, PEER)

    [sent] = stack.receive(to_stack(Echo(PEER, OWN, True, 9, 4, b"payload")))

    assert packets.parse(sent) == Echo(OWN, PEER, False, 9, 4, b"payload")


def test_it_serves_its_identity(stack: WorkloadStack) -> None:
    resolved(stack, PEER)
    segment = Tcp(PEER, OWN, 5000, IDENTITY_PORT, 100, 0, SYN)

    [accepted] = stack.receive(to_stack(segment))
    answer = packets.parse(accepted)
    assert isinstance(answer, Tcp)
    assert (answer.flags, answer.acknowledgement) == (SYN | ACK, 101)
    [told] = stack.receive(to_stack(Tcp(PEER, OWN, 5000, IDENTITY_PORT, 101, answer.sequence + 1, ACK)))

    said = packets.parse(told)
    assert isinstance(said, Tcp)
    assert (said.payload, said.flags, said.sequence) == (b"red/web\n", PSH | ACK | FIN, answer.sequence + 1)
    assert stack.receive(to_stack(Tcp(PEER, OWN, 5000, IDENTITY_PORT, 101, 9, ACK))) == []
    assert stack.receive(to_stack(Tcp(PEER, OWN, 5000, IDENTITY_PORT, 101, 9, ACK | FIN))) == []
    assert stack.receive(to_stack(Tcp(PEER, OWN, 5000, IDENTITY_PORT, 102, 9, ACK))) == []


def test_it_asks_for_an_identity(stack: WorkloadStack) -> None:
    resolved(stack, PEER)
    port, [syn] = stack.connect(PEER)
    opened = packets.parse(syn)
    assert isinstance(opened, Tcp)

    [acknowledged] = stack.receive(to_stack(Tcp(PEER, OWN, IDENTITY_PORT, port, 7, opened.sequence + 1, SYN | ACK)))
    read = packets.parse(acknowledged)
    assert isinstance(read, Tcp)
    assert (read.flags, read.sequence, read.acknowledgement) == (ACK, opened.sequence + 1, 8)
    assert stack.receive(to_stack(Tcp(PEER, OWN, IDENTITY_PORT, port, 99, 0, ACK, b"out of place"))) == []
    assert stack.receive(to_stack(Tcp(PEER, OWN, IDENTITY_PORT, port, 8, 0, ACK, b"red/"))) == []
    [closed] = stack.receive(to_stack(Tcp(PEER, OWN, IDENTITY_PORT, port, 12, 0, ACK | FIN, b"api\n")))

    last = packets.parse(closed)
    assert isinstance(last, Tcp)
    assert (last.flags, last.acknowledgement) == (ACK | FIN, 17)
    assert stack.answer(port) == "red/api"


def test_a_connection_without_an_end_has_no_answer(stack: WorkloadStack) -> None:
    port, _ = stack.connect(PEER)

    assert stack.answer(port) is None
    assert stack.receive(to_stack(Tcp(PEER, OWN, IDENTITY_PORT, port, 7, 0, SYN | ACK))) == []


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(20),
        to_stack(Echo(PEER, FAR, True, 1, 1, b"")),
        to_stack(Echo(PEER, OWN, True, 1, 1, b""))[:36],
        bytes(Ether(dst=OWN_MAC.hex(":")) / IP(src="10.0.1.11", dst="10.0.1.10") / ICMP(type=3)),
        bytes(Ether(dst=OWN_MAC.hex(":")) / IP(src="10.0.1.11", dst="10.0.1.10", proto=17)),
        packets.arp(Arp(1, ROUTER_MAC, PEER, OWN), ROUTER_MAC),
    ],
    ids=["empty", "zeros", "not-for-us", "short", "other-icmp", "udp", "arp-request"],
)
def test_what_it_does_not_speak_is_ignored(stack: WorkloadStack, frame: bytes) -> None:
    assert stack.receive(frame) == []


@pytest.mark.parametrize(
    ("data", "total"), [(b"", 0xFFFF), (b"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 0x220D), (b"\x01", 0xFEFF)]
)
def test_the_internet_checksum(data: bytes, total: int) -> None:
    assert checksum(data) == total  # the second is the example of RFC 1071, section 3
