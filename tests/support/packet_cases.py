# SPDX-License-Identifier: Apache-2.0
"""What the data plane does to a packet, as a table: tables and frame in, action, frame and counters out.

The same cases run on the user-space data plane (tests/unit) and on the programs in the kernel (tests/dataplane).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from cloudfabric._fastpath.pipeline import Action, Program
from cloudfabric._fastpath.verdicts import Verdict
from tests.support.frames import (
    FIRST,
    GATEWAY_MAC,
    HOSTS,
    OTHER_VNI,
    SECOND,
    VNI,
    Tables,
    arp,
    inner,
    mac_of,
    tunnel,
)

Check = Callable[[Ether, Tables], None]
LOCAL, NEIGHBOUR, SAME_SUBNET, OTHER_SUBNET, NOWHERE = "10.0.1.2", "10.0.1.3", "10.0.1.77", "10.0.2.9", "192.0.2.1"


@dataclass(frozen=True)
class Case:
    name: str
    program: Program
    frame: Packet | bytes
    action: Action
    verdicts: tuple[Verdict, ...]
    prepare: Callable[[Tables], None] = lambda tables: None
    check: Check = lambda frame, tables: None
    ifindex: int = FIRST

    def __str__(self) -> str:
        return f"{self.program.name.lower()}: {self.name}"


def base_tables(tables: Tables) -> None:
    """Host 1 with its two endpoints; it is neither bouncer nor divider."""
    tables.configure()
    tables.known_hosts(1, 2, 3, 4)
    tables.endpoint(LOCAL, FIRST, slot=0)
    tables.endpoint(NEIGHBOUR, SECOND, slot=1)
    tables.group(1, host=2)


def _bouncer(tables: Tables) -> None:
    tables.member(SAME_SUBNET, 3)
    tables.group(0, host=4)


def _divider(tables: Tables) -> None:
    tables.route("10.0.1.0/24", 1)
    tables.route("10.0.2.0/24", 2)
    tables.group(2, host=3)


def _everything(tables: Tables) -> None:
    """Host 1 is bouncer of subnet 1 and 2, and divider."""
    tables.group(0, host=1)
    tables.route("10.0.2.0/24", 2)
    tables.group(1, host=1)
    tables.group(2, host=1)


def sent_to(host: int, *, stage: int = 0, source: str = LOCAL, ttl: int = 64) -> Check:
    """A well-formed tunnel packet of this VPC to a host, with or without the bounce option."""

    def check(frame: Ether, tables: Tables) -> None:
        outer, geneve = frame[IP], frame[GENEVE]
        assert (outer.src, outer.dst) == (HOSTS[1], HOSTS[host])
        assert outer.flags == "DF"
        assert outer.ttl == 64
        assert _checksum_ok(bytes(outer)[:20])
        assert outer.len == len(frame) - 14 == frame[UDP].len + 20
        assert frame[UDP].dport == 6081
        assert frame[UDP].sport >= 0xC000
        assert geneve.vni == VNI
        assert geneve.proto == 0x6558
        assert geneve.optionlen == (3 if stage else 0)
        if stage:
            assert geneve.options[0].data[4] == stage
        carried = frame[GENEVE].payload
        assert (carried[IP].src, carried[IP].ttl) == (source, ttl)
        assert _checksum_ok(bytes(carried[IP])[:20])

    return check


def forwarded_to(host: int, *, stage: int, sender: int = 2) -> Check:
    """A tunnel packet sent on: new outer addresses and stage; the sender's address in the option stays."""

    def check(frame: Ether, tables: Tables) -> None:
        assert (frame[IP].src, frame[IP].dst) == (HOSTS[1], HOSTS[host])
        assert _checksum_ok(bytes(frame[IP])[:20])
        data = frame[GENEVE].options[0].data
        assert data[4] == stage
        assert ".".join(map(str, data[:4])) == HOSTS[sender]
        assert frame[GENEVE].payload[IP].ttl == 64

    return check


def delivered(address: str, *, learnt: dict[str, int | None] | None = None, length: int | None = None) -> Check:
    def check(frame: Ether, tables: Tables) -> None:
        assert (frame.dst, frame.src, frame.type) == (mac_of(address), GATEWAY_MAC, 0x0800)
        assert frame[IP].dst == address
        if length is not None:
            assert len(frame) == length
        for source, host in (learnt or {}).items():
            assert tables.learnt_host(source) == (None if host is None else HOSTS[host])

    return check


def _checksum_ok(header: bytes) -> bool:
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


def _arp_reply(frame: Ether, tables: Tables) -> None:
    reply = frame[ARP]
    assert (reply.op, reply.hwsrc, reply.psrc, reply.hwdst) == (2, GATEWAY_MAC, NEIGHBOUR, mac_of(LOCAL))
    assert (frame.src, frame.dst) == (GATEWAY_MAC, mac_of(LOCAL))


def _forgets(tables: Tables) -> None:
    tables.learnt(OTHER_SUBNET, 2)


def _returned(frame: Ether, tables: Tables) -> None:
    assert (frame[IP].src, frame[IP].dst) == (HOSTS[1], HOSTS[2])
    assert frame[GENEVE].oam == 1
    assert frame[GENEVE].payload[IP].dst == SAME_SUBNET
    assert _checksum_ok(bytes(frame[IP])[:20])


def _resent(frame: Ether, tables: Tables) -> None:
    sent_to(2, stage=1)(frame, tables)
    assert frame[GENEVE].oam == 0
    assert tables.learnt_host(OTHER_SUBNET) is None


def _still_learnt(host: int) -> Check:
    def check(frame: Ether, tables: Tables) -> None:
        assert tables.learnt_host(OTHER_SUBNET) == HOSTS[host]

    return check


to_local = inner(source=OTHER_SUBNET, destination=LOCAL)


def _outer(frame: Packet, **ip: object) -> bytes:
    """A direct tunnel packet with other outer IPv4 fields."""
    packet = tunnel(frame)
    for name, value in ip.items():
        setattr(packet[IP], name, value)
    return bytes(packet)


def _readdressed(frame: Packet, **ether: str) -> Packet:
    """A frame with other MAC addresses."""
    for name, value in ether.items():
        setattr(frame, name, value)
    return frame


def _patched(offset: int, value: bytes) -> bytes:
    """A direct tunnel packet with bytes overwritten."""
    frame = bytearray(bytes(tunnel(to_local)))
    frame[offset : offset + len(value)] = value
    return bytes(frame)


def _bounced(destination: str, *, stage: int, source: str = SAME_SUBNET) -> Packet:
    return tunnel(inner(source=source, destination=destination), stage=stage)


E, U = Program.ENDPOINT, Program.UPLINK
DROP, PASS = Action.DROP, Action.PASS
V = Verdict
NOPS = [IPOption_NOP() for _ in range(8)]
options8 = bytes.fromhex("ffcf0501deadbeef")  # our class, an unknown type, one word

CASES = [
    # --- out of a workload
    Case(
        "same host: delivered without leaving it",
        E,
        inner(destination=NEIGHBOUR),
        Action.DELIVER,
        (V.SENT_LOCAL,),
        check=delivered(NEIGHBOUR),
    ),
    Case(
        "same host, IP options",
        E,
        inner(destination=NEIGHBOUR, options=NOPS),
        Action.DELIVER,
        (V.SENT_LOCAL,),
        check=delivered(NEIGHBOUR),
    ),
    Case(
        "unknown place: to a bouncer of its own subnet",
        E,
        inner(destination=OTHER_SUBNET),
        Action.TRANSMIT,
        (V.SENT_BOUNCER,),
        check=sent_to(2, stage=1, ttl=63),
    ),
    Case(
        "same subnet: the TTL stays",
        E,
        inner(destination=SAME_SUBNET),
        Action.TRANSMIT,
        (V.SENT_BOUNCER,),
        check=sent_to(2, stage=1, ttl=64),
    ),
    Case(
        "learnt: straight to the host, no option",
        E,
        inner(destination=OTHER_SUBNET),
        Action.TRANSMIT,
        (V.SENT_DIRECT,),
        lambda tables: tables.learnt(OTHER_SUBNET, 4),
        sent_to(4, ttl=63),
    ),
    Case(
        "learnt in another VPC does not count",
        E,
        inner(destination=OTHER_SUBNET),
        Action.TRANSMIT,
        (V.SENT_BOUNCER,),
        lambda tables: tables.learnt(OTHER_SUBNET, 4, vni=OTHER_VNI),
        sent_to(2, stage=1, ttl=63),
    ),
    Case(
        "an endpoint of another VPC is not local",
        E,
        inner(destination=SAME_SUBNET),
        Action.TRANSMIT,
        (V.SENT_BOUNCER,),
        lambda tables: tables.endpoint(SAME_SUBNET, SECOND, vni=OTHER_VNI),
        sent_to(2, stage=1),
    ),
    Case(
        "sender's host is the bouncer",
        E,
        inner(destination=SAME_SUBNET),
        Action.TRANSMIT,
        (V.BOUNCER_TO_HOST,),
        lambda tables: (_bouncer(tables), tables.group(1, host=1)),
        sent_to(3, stage=4),
    ),
    Case(
        "sender's host is the bouncer, the divider is elsewhere",
        E,
        inner(destination=OTHER_SUBNET),
        Action.TRANSMIT,
        (V.BOUNCER_TO_DIVIDER,),
        lambda tables: (_bouncer(tables), tables.group(1, host=1)),
        sent_to(4, stage=2, ttl=63),
    ),
    Case(
        "sender's host is bouncer and divider",
        E,
        inner(destination=OTHER_SUBNET),
        Action.TRANSMIT,
        (V.DIVIDER_TO_BOUNCER,),
        lambda tables: (_everything(tables), tables.group(2, host=3)),
        sent_to(3, stage=3, ttl=63),
    ),
    Case(
        "sender's host has every duty",
        E,
        inner(destination=OTHER_SUBNET),
        Action.TRANSMIT,
        (V.BOUNCER_TO_HOST,),
        lambda tables: (_everything(tables), tables.member(OTHER_SUBNET, 3)),
        sent_to(3, stage=4, ttl=63),
    ),
    Case(
        "every duty, unknown address", E, inner(destination=OTHER_SUBNET), DROP, (V.DROP_UNKNOWN_ADDRESS,), _everything
    ),
    Case("every duty, no subnet has it", E, inner(destination=NOWHERE), DROP, (V.DROP_NO_ROUTE,), _everything),
    Case(
        "ICMP is forwarded like all else",
        E,
        Ether(src=mac_of(LOCAL), dst=GATEWAY_MAC) / IP(src=LOCAL, dst=NEIGHBOUR) / ICMP(),
        Action.DELIVER,
        (V.SENT_LOCAL,),
        check=delivered(NEIGHBOUR),
    ),
    Case(
        "fragment without ports",
        E,
        inner(destination=NEIGHBOUR, frag=100),
        Action.DELIVER,
        (V.SENT_LOCAL,),
        check=delivered(NEIGHBOUR),
    ),
    Case("ARP is answered on the host", E, arp(NEIGHBOUR), Action.REPLY, (V.ARP_REPLY,), check=_arp_reply),
    Case("ARP probe for somebody else's address", E, arp(NEIGHBOUR, sender="0.0.0.0"), Action.REPLY, (V.ARP_REPLY,)),
    Case("gratuitous ARP", E, arp(LOCAL), DROP, (V.DROP_BAD_ARP,)),
    Case("unsolicited ARP reply", E, arp(NEIGHBOUR, op=2), DROP, (V.DROP_BAD_ARP,)),
    Case("ARP in a neighbour's name", E, arp(SAME_SUBNET, sender=NEIGHBOUR), DROP, (V.DROP_SPOOFED_IP,)),
    Case(
        "ARP with a neighbour's MAC", E, arp(SAME_SUBNET, source=NEIGHBOUR, sender=LOCAL), DROP, (V.DROP_SPOOFED_MAC,)
    ),
    Case("ARP cut short", E, bytes(arp(NEIGHBOUR))[:30], DROP, (V.DROP_TRUNCATED,)),
    Case(
        "spoofed source address",
        E,
        _readdressed(inner(source=NEIGHBOUR), src=mac_of(LOCAL)),
        DROP,
        (V.DROP_SPOOFED_IP,),
    ),
    Case("spoofed source MAC", E, _readdressed(inner(), src=mac_of(NEIGHBOUR)), DROP, (V.DROP_SPOOFED_MAC,)),
    Case("multicast", E, inner(destination="224.0.0.1"), DROP, (V.DROP_MULTICAST,)),
    Case("limited broadcast", E, inner(destination="255.255.255.255"), DROP, (V.DROP_MULTICAST,)),
    Case(
        "unicast address in a broadcast frame",
        E,
        _readdressed(inner(destination=NEIGHBOUR), dst="ff:ff:ff:ff:ff:ff"),
        DROP,
        (V.DROP_MULTICAST,),
    ),
    Case("TTL runs out at the subnet's router", E, inner(destination=OTHER_SUBNET, ttl=1), DROP, (V.DROP_TTL,)),
    Case("TTL 1 within the subnet", E, inner(destination=NEIGHBOUR, ttl=1), Action.DELIVER, (V.SENT_LOCAL,)),
    Case(
        "IPv6",
        E,
        Ether(src=mac_of(LOCAL), dst=GATEWAY_MAC) / IPv6(src="fe80::1", dst="fe80::2"),
        DROP,
        (V.DROP_NOT_IPV4,),
    ),
    Case(
        "VLAN tag",
        E,
        Ether(src=mac_of(LOCAL), dst=GATEWAY_MAC) / Dot1Q(vlan=5) / bytes(inner())[14:],
        DROP,
        (V.DROP_NOT_IPV4,),
    ),
    Case("IPv4 length beyond the frame", E, inner(destination=NEIGHBOUR, len=200), DROP, (V.DROP_TRUNCATED,)),
    Case("IPv4 length shorter than its header", E, inner(destination=NEIGHBOUR, len=19), DROP, (V.DROP_BAD_IPV4,)),
    Case("IPv4 header length 4", E, inner(destination=NEIGHBOUR, ihl=4), DROP, (V.DROP_BAD_IPV4,)),
    Case("IP version 5", E, inner(destination=NEIGHBOUR, version=5), DROP, (V.DROP_BAD_IPV4,)),
    Case("too big for the underlay", E, inner(destination=OTHER_SUBNET, payload=bytes(1450)), DROP, (V.DROP_TOO_BIG,)),
    Case(
        "subnet without bouncer",
        E,
        inner(destination=OTHER_SUBNET),
        DROP,
        (V.DROP_NO_BOUNCER,),
        lambda tables: tables.maps["groups"].delete(VNI.to_bytes(4, "little") + (1).to_bytes(4, "little")),
    ),
    Case(
        "learnt host has left the fabric",
        E,
        inner(destination=OTHER_SUBNET),
        DROP,
        (V.DROP_UNKNOWN_HOST,),
        lambda tables: (tables.learnt(OTHER_SUBNET, 4), tables.forget_host(4)),
    ),
    Case(
        "interface that no endpoint has",
        E,
        inner(),
        DROP,
        (V.DROP_NO_INTERFACE,),
        lambda tables: tables.maps["interfaces"].delete(FIRST.to_bytes(4, "little")),
    ),
    # --- into a workload
    Case(
        "direct packet: delivered and learnt",
        U,
        tunnel(to_local),
        Action.DELIVER,
        (V.LEARNT, V.DELIVERED),
        check=delivered(LOCAL, learnt={OTHER_SUBNET: 2}, length=len(to_local)),
    ),
    Case(
        "bounced packet: its sender is learnt, not the bouncer",
        U,
        tunnel(to_local, source=3, stage=4, sender=2),
        Action.DELIVER,
        (V.LEARNT, V.DELIVERED),
        check=delivered(LOCAL, learnt={OTHER_SUBNET: 2}, length=len(to_local)),
    ),
    Case(
        "learnt already: nothing is written",
        U,
        tunnel(to_local),
        Action.DELIVER,
        (V.DELIVERED,),
        lambda tables: tables.learnt(OTHER_SUBNET, 2),
        delivered(LOCAL),
    ),
    Case(
        "endpoint has moved: learnt anew",
        U,
        tunnel(to_local, source=3),
        Action.DELIVER,
        (V.LEARNT, V.DELIVERED),
        lambda tables: tables.learnt(OTHER_SUBNET, 2),
        delivered(LOCAL, learnt={OTHER_SUBNET: 3}),
    ),
    Case(
        "a sender that is no host of the fabric is not learnt",
        U,
        tunnel(to_local, source=3, stage=4, sender=4),
        Action.DELIVER,
        (V.DELIVERED,),
        lambda tables: tables.forget_host(4),
        delivered(LOCAL, learnt={OTHER_SUBNET: None}),
    ),
    Case(
        "foreign option that is not critical",
        U,
        tunnel(to_local, options=options8),
        Action.DELIVER,
        (V.LEARNT, V.DELIVERED),
        check=delivered(LOCAL, length=len(to_local)),
    ),
    Case(
        "VNI without that destination: back to the sender",
        U,
        tunnel(to_local, vni=OTHER_VNI),
        Action.TRANSMIT,
        (V.RETURNED,),
    ),
    Case(
        "destination has left: back to the sender",
        U,
        tunnel(inner(source=OTHER_SUBNET, destination=SAME_SUBNET)),
        Action.TRANSMIT,
        (V.RETURNED,),
        check=_returned,
    ),
    Case(
        "came back: forgotten and sent through a bouncer",
        U,
        tunnel(inner(destination=OTHER_SUBNET), control=True),
        Action.TRANSMIT,
        (V.FORGOTTEN, V.RESENT, V.SENT_BOUNCER),
        _forgets,
        _resent,
    ),
    Case(
        "came back late: a newer path is not forgotten",
        U,
        tunnel(inner(destination=OTHER_SUBNET), control=True),
        Action.TRANSMIT,
        (V.RESENT, V.SENT_BOUNCER),
        lambda tables: tables.learnt(OTHER_SUBNET, 3),
        _still_learnt(3),
    ),
    Case(
        "came back, but it is here now: delivered",
        U,
        tunnel(inner(destination=NEIGHBOUR), control=True),
        Action.DELIVER,
        (V.DELIVERED,),
        check=delivered(NEIGHBOUR),
    ),
    Case(
        "came back, but nobody here sent it",
        U,
        tunnel(inner(source=SAME_SUBNET, destination=OTHER_SUBNET), control=True),
        DROP,
        (V.DROP_NOT_HERE,),
    ),
    Case(
        "outer source unknown",
        U,
        tunnel(to_local),
        DROP,
        (V.DROP_UNKNOWN_HOST,),
        lambda tables: tables.forget_host(2),
    ),
    Case("not for this host", U, tunnel(to_local, destination=3), PASS, ()),
    Case(
        "another UDP port",
        U,
        Ether() / IP(src=HOSTS[2], dst=HOSTS[1]) / UDP(dport=53, sport=53) / Raw(bytes(60)),
        PASS,
        (),
    ),
    Case("not IP", U, Ether(type=0x88CC) / Raw(bytes(60)), PASS, ()),
    Case("short ARP", U, Ether() / ARP(), PASS, ()),
    Case(
        "Geneve header cut short",
        U,
        Ether() / IP(src=HOSTS[2], dst=HOSTS[1]) / UDP(dport=6081) / Raw(b"\0\0\x65\x58"),
        DROP,
        (V.DROP_TRUNCATED,),
    ),
    Case("first fragment of an outer packet", U, _outer(to_local, flags="MF"), DROP, (V.DROP_BAD_OUTER,)),
    Case("later fragment of an outer packet", U, _outer(to_local, frag=10), PASS, ()),
    Case("outer IP options are the host's business", U, _outer(to_local, options=NOPS[:4]), PASS, ()),
    Case("outer length beyond the frame", U, bytes(tunnel(to_local))[:-1], DROP, (V.DROP_TRUNCATED,)),
    Case("outer lengths disagree", U, _patched(38, b"\x00\x10"), DROP, (V.DROP_BAD_OUTER,)),
    Case("Geneve version 1", U, _patched(42, b"\x40"), DROP, (V.DROP_BAD_GENEVE,)),
    Case("Geneve without Ethernet inside", U, _patched(44, b"\x08\x00"), DROP, (V.DROP_BAD_GENEVE,)),
    Case("Geneve options longer than the packet", U, _patched(42, b"\x3f"), DROP, (V.DROP_BAD_GENEVE,)),
    Case("critical flag without an option", U, _patched(43, b"\x40"), DROP, (V.DROP_BAD_GENEVE,)),
    Case("unknown critical option", U, tunnel(to_local, options=b"\xff\xcf\x85\x00"), DROP, (V.DROP_CRITICAL_OPTION,)),
    Case(
        "option longer than all options", U, tunnel(to_local, options=b"\xff\xcf\x05\x04"), DROP, (V.DROP_BAD_GENEVE,)
    ),
    Case(
        "bounce option of the wrong length",
        U,
        tunnel(to_local, options=b"\xff\xcf\x01\x01\0\0\0\0"),
        DROP,
        (V.DROP_BAD_GENEVE,),
    ),
    Case(
        "bounce option without a stage",
        U,
        tunnel(to_local, options=b"\xff\xcf\x01\x02" + bytes(8)),
        DROP,
        (V.DROP_BAD_GENEVE,),
    ),
    Case("bounce option with a stage too many", U, tunnel(to_local, stage=5), DROP, (V.DROP_BAD_GENEVE,)),
    Case(
        "bounce option twice",
        U,
        tunnel(to_local, options=(b"\xff\xcf\x01\x02" + bytes(4) + b"\x01\0\0\0") * 2),
        DROP,
        (V.DROP_BAD_GENEVE,),
    ),
    Case(
        "eight options",
        U,
        tunnel(to_local, options=b"\xff\xcf\x05\x00" * 8),
        Action.DELIVER,
        (V.LEARNT, V.DELIVERED),
        check=delivered(LOCAL, length=len(to_local)),
    ),
    Case("nine options", U, tunnel(to_local, options=b"\xff\xcf\x05\x00" * 9), DROP, (V.DROP_BAD_GENEVE,)),
    Case("ARP inside", U, tunnel(arp(NEIGHBOUR)), DROP, (V.DROP_BAD_INNER,)),
    Case(
        "broken IPv4 inside", U, tunnel(inner(source=OTHER_SUBNET, destination=LOCAL, ihl=3)), DROP, (V.DROP_BAD_INNER,)
    ),
    Case(
        "inner length beyond the outer one",
        U,
        tunnel(inner(source=OTHER_SUBNET, destination=LOCAL, len=300)),
        DROP,
        (V.DROP_TRUNCATED,),
    ),
    Case("nothing inside", U, tunnel(b""), DROP, (V.DROP_BAD_GENEVE,)),
    # --- through a bouncer or divider
    Case(
        "bouncer knows the address",
        U,
        _bounced(SAME_SUBNET, stage=1),
        Action.TRANSMIT,
        (V.BOUNCER_TO_HOST,),
        _bouncer,
        forwarded_to(3, stage=4),
    ),
    Case(
        "bouncer asks a divider",
        U,
        _bounced(OTHER_SUBNET, stage=1),
        Action.TRANSMIT,
        (V.BOUNCER_TO_DIVIDER,),
        _bouncer,
        forwarded_to(4, stage=2),
    ),
    Case(
        "divider chooses a bouncer of the subnet",
        U,
        _bounced(OTHER_SUBNET, stage=2),
        Action.TRANSMIT,
        (V.DIVIDER_TO_BOUNCER,),
        _divider,
        forwarded_to(3, stage=3),
    ),
    Case(
        "the subnet's bouncer knows the address",
        U,
        _bounced(OTHER_SUBNET, stage=3),
        Action.TRANSMIT,
        (V.BOUNCER_TO_HOST,),
        lambda tables: tables.member(OTHER_SUBNET, 4),
        forwarded_to(4, stage=4),
    ),
    Case(
        "divider that is the bouncer too",
        U,
        _bounced(OTHER_SUBNET, stage=2),
        Action.TRANSMIT,
        (V.BOUNCER_TO_HOST,),
        lambda tables: (_everything(tables), tables.member(OTHER_SUBNET, 4)),
        forwarded_to(4, stage=4),
    ),
    Case(
        "divider: the longest prefix wins",
        U,
        _bounced(OTHER_SUBNET, stage=2),
        Action.TRANSMIT,
        (V.DIVIDER_TO_BOUNCER,),
        lambda tables: (_divider(tables), tables.route("10.0.2.8/29", 3), tables.group(3, host=4)),
        forwarded_to(4, stage=3),
    ),
    Case(
        "divider: a route of another VPC does not count",
        U,
        _bounced(OTHER_SUBNET, stage=2),
        DROP,
        (V.DROP_NO_ROUTE,),
        lambda tables: tables.route("10.0.2.0/24", 2, vni=OTHER_VNI),
    ),
    Case("divider: no subnet has it", U, _bounced(NOWHERE, stage=2), DROP, (V.DROP_NO_ROUTE,), _divider),
    Case(
        "divider: subnet without bouncer",
        U,
        _bounced(OTHER_SUBNET, stage=2),
        DROP,
        (V.DROP_NO_BOUNCER,),
        lambda tables: tables.route("10.0.2.0/24", 9),
    ),
    Case("bouncer: no divider", U, _bounced(OTHER_SUBNET, stage=1), DROP, (V.DROP_NO_DIVIDER,)),
    Case(
        "the subnet's bouncer does not know it: never back to a divider",
        U,
        _bounced(OTHER_SUBNET, stage=3),
        DROP,
        (V.DROP_UNKNOWN_ADDRESS,),
        _bouncer,
    ),
    Case(
        "a bouncer's table is behind: the endpoint has left this host",
        U,
        _bounced(OTHER_SUBNET, stage=4),
        DROP,
        (V.DROP_NOT_HERE,),
        _bouncer,
    ),
    Case(
        "a bouncer's table says here, but it is not",
        U,
        _bounced(OTHER_SUBNET, stage=3),
        DROP,
        (V.DROP_NOT_HERE,),
        lambda tables: tables.member(OTHER_SUBNET, 1),
    ),
    Case(
        "member of another VPC does not count",
        U,
        _bounced(SAME_SUBNET, stage=3),
        DROP,
        (V.DROP_UNKNOWN_ADDRESS,),
        lambda tables: tables.member(SAME_SUBNET, 3, vni=OTHER_VNI),
    ),
    Case(
        "bounced by a stranger",
        U,
        _bounced(SAME_SUBNET, stage=1),
        DROP,
        (V.DROP_UNKNOWN_HOST,),
        lambda tables: tables.forget_host(2),
    ),
    Case(
        "bounced on to a host that has left",
        U,
        _bounced(SAME_SUBNET, stage=1),
        DROP,
        (V.DROP_UNKNOWN_HOST,),
        lambda tables: (_bouncer(tables), tables.forget_host(3)),
    ),
]

# What depends on this host's tables of addresses: XDP leaves it to the uplink program, which also knows the endpoints.
_LEFT = {V.DROP_NO_ROUTE, V.DROP_NO_BOUNCER, V.DROP_NO_DIVIDER, V.DROP_UNKNOWN_ADDRESS, V.DROP_NOT_HERE}
_TRANSIT = {V.BOUNCER_TO_HOST, V.BOUNCER_TO_DIVIDER, V.DIVIDER_TO_BOUNCER}


def _in_front(case: Case) -> Case:
    """The same packet at the XDP program in front of the uplink program."""
    sent_on = _TRANSIT & set(case.verdicts)
    refused = case.action is DROP and not _LEFT & set(case.verdicts)
    if sent_on or refused:
        return replace(case, program=Program.TRANSIT)
    return replace(case, program=Program.TRANSIT, action=PASS, verdicts=(), check=lambda frame, tables: None)


CASES += [_in_front(case) for case in CASES if case.program is U]
