# SPDX-License-Identifier: Apache-2.0
"""Building and parsing Geneve packets, compared with scapy and with each other."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from cloudfabric._fastpath.encap import (
    OVERHEAD_BOUNCED,
    OVERHEAD_DIRECT,
    MalformedPacket,
    Stage,
    decapsulate,
    decapsulate_batch,
    encapsulate,
    encapsulate_batch,
)
from cloudfabric._fastpath.verdicts import Verdict
from tests.support.frames import HOSTS, inner, packed, tunnel

FIRST_HOST, SECOND_HOST, THIRD_HOST = (int.from_bytes(packed(HOSTS[number]), "big") for number in (1, 2, 3))
FRAME = bytes(inner())


def lengths(*values: int) -> array:
    return array("I", values)


def test_direct_packet_is_what_scapy_would_build() -> None:
    packet = encapsulate(FRAME, vni=7, source=FIRST_HOST, destination=SECOND_HOST)

    expected = tunnel(FRAME, source=1, destination=2)
    expected[UDP].sport = Ether(packet)[UDP].sport
    assert packet[14:] == bytes(expected)[14:]
    assert len(packet) == len(FRAME) + OVERHEAD_DIRECT


def test_bounced_packet_names_its_sender_and_stage() -> None:
    packet = encapsulate(
        FRAME, vni=7, source=FIRST_HOST, destination=SECOND_HOST, sender=THIRD_HOST, stage=Stage.DIVIDER
    )

    expected = tunnel(FRAME, source=1, destination=2, stage=2, sender=3)
    expected[UDP].sport = Ether(packet)[UDP].sport
    assert packet[14:] == bytes(expected)[14:]
    assert len(packet) == len(FRAME) + OVERHEAD_BOUNCED


def test_source_port_follows_the_whole_flow() -> None:
    ports = {
        Ether(encapsulate(bytes(inner(sport=sport)), vni=7, source=1, destination=2))[UDP].sport
        for sport in range(1024, 1124)
    }
    assert len(ports) > 90
    assert min(ports) >= 49152


def test_frames_that_are_not_ip_travel_too() -> None:
    frame = bytes(Ether() / ARP())
    assert decapsulate(encapsulate(frame, vni=7, source=1, destination=2)).frame == frame


@given(
    payloads=st.lists(st.binary(max_size=80), max_size=6),
    vni=st.integers(0, (1 << 24) - 1),
    stage=st.sampled_from(Stage),
    sender=st.integers(0, (1 << 32) - 1),
)
def test_batches_come_back_as_they_went(payloads: list[bytes], vni: int, stage: Stage, sender: int) -> None:
    frames = [bytes(inner(payload=payload)) for payload in payloads]

    packets, sizes = encapsulate_batch(
        b"".join(frames), lengths(*map(len, frames)), vni=vni, source=1, destination=2, sender=sender, stage=stage
    )
    back, back_sizes, vnis = decapsulate_batch(packets, sizes)

    assert back == b"".join(frames)
    assert list(back_sizes) == [len(frame) for frame in frames]
    assert list(vnis) == [vni] * len(frames)
    first = decapsulate(packets[: sizes[0]]) if frames else None
    if first is not None:
        assert (first.vni, first.stage, first.source) == (vni, stage, 1)
        assert first.sender == (sender if stage else 1)


def test_batch_equals_one_by_one() -> None:
    frames = [bytes(inner(sport=sport, payload=bytes(sport % 50))) for sport in range(1024, 1074)]
    packets, _ = encapsulate_batch(b"".join(frames), lengths(*map(len, frames)), vni=9, source=1, destination=2)
    assert packets == b"".join(encapsulate(frame, vni=9, source=1, destination=2) for frame in frames)


def test_control_bit_is_reported() -> None:
    assert decapsulate(bytes(tunnel(FRAME, control=True))).control is True
    assert decapsulate(bytes(tunnel(FRAME))).control is False


def test_overlay_decodes_without_a_malformed_field() -> None:
    packet = Ether(encapsulate(FRAME, vni=0xABCDEF, source=FIRST_HOST, destination=SECOND_HOST, stage=1))
    assert packet[GENEVE].vni == 0xABCDEF
    computed = packet.copy()
    del computed[IP].chksum
    assert Ether(bytes(computed))[IP].chksum == packet[IP].chksum
    assert bytes(packet[GENEVE].payload) == FRAME


@pytest.mark.parametrize(
    ("packet", "verdict"),
    [
        (b"", Verdict.DROP_BAD_OUTER),
        (bytes(13), Verdict.DROP_BAD_OUTER),
        (FRAME, Verdict.DROP_BAD_OUTER),
        (bytes(tunnel(FRAME))[:-1], Verdict.DROP_TRUNCATED),
        (bytes(tunnel(FRAME, stage=5)), Verdict.DROP_BAD_GENEVE),
        (bytes(tunnel(FRAME, options=b"\xff\xcf\x85\x00")), Verdict.DROP_CRITICAL_OPTION),
    ],
)
def test_malformed_packets_say_why(packet: bytes, verdict: Verdict) -> None:
    with pytest.raises(MalformedPacket) as raised:
        decapsulate(packet)
    assert raised.value.verdict is verdict
    assert verdict.name in str(raised.value)


def test_the_broken_one_of_a_batch_is_named() -> None:
    good = bytes(tunnel(FRAME))
    with pytest.raises(MalformedPacket, match=r"packet 1: .*DROP_TRUNCATED") as raised:
        decapsulate_batch(good + good[:-1], lengths(len(good), len(good) - 1))
    assert raised.value.index == 1
    with pytest.raises(MalformedPacket, match="packet 1") as raised:
        encapsulate_batch(FRAME + FRAME[:10], lengths(len(FRAME), 10), vni=1, source=1, destination=2)
    assert raised.value.index == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vni": 1 << 24}, "VNI 16777216 does not fit 24 bits"),
        ({"stage": 5}, "no stage 5"),
        ({"ttl": 0}, "TTL 0"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encapsulate(FRAME, **({"vni": 1, "source": 1, "destination": 2} | changes))


def test_lengths_must_match_the_buffer() -> None:
    with pytest.raises(ValueError, match="but their lengths add up to 3"):
        encapsulate_batch(FRAME, lengths(3), vni=1, source=1, destination=2)
    with pytest.raises(ValueError, match="but their lengths add up to 3"):
        decapsulate_batch(FRAME, lengths(3))
    with pytest.raises(ValueError, match="do not fit an IPv4 packet"):
        encapsulate(bytes(65535), vni=1, source=1, destination=2)
