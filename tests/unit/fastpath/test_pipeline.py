# SPDX-License-Identifier: Apache-2.0
"""The data plane in user space: every case of the packet table, and what only user space has."""

import struct

import pytest
from scapy.layers.l2 import Ether

from cloudfabric._fastpath.errors import MapError, MapFull
from cloudfabric._fastpath.pipeline import Action, Host, Program
from cloudfabric._fastpath.verdicts import Verdict
from tests.support.frames import FIRST, HOSTS, SECOND, VNI, Tables, inner, key, packed, tunnel
from tests.support.packet_cases import CASES, LOCAL, NEIGHBOUR, OTHER_SUBNET, SAME_SUBNET, Case, base_tables


@pytest.fixture
def host() -> Host:
    return Host({"learnt": 16, "members": 64})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_packet(case: Case, host: Host) -> None:
    tables = Tables(host.maps)
    base_tables(tables)
    case.prepare(tables)

    outcome = host.process(case.program, bytes(case.frame), case.ifindex)

    assert (outcome.action, outcome.verdicts) == (case.action, case.verdicts)
    if outcome.action in (Action.DROP, Action.PASS):
        assert len(outcome.frame) == len(bytes(case.frame))
    else:
        case.check(Ether(outcome.frame), tables)


def test_counters_count_what_was_sent_delivered_and_refused(host: Host) -> None:
    base_tables(Tables(host.maps))
    frame = bytes(inner(destination=NEIGHBOUR))

    host.process_batch(Program.ENDPOINT, [frame, frame, bytes(inner(ttl=1))], FIRST)

    sent, received = list(host.maps["endpoint_counters"].sum_u64()[1].tolist())[:2]
    assert sent == [2, 2 * len(frame), 0, 0, 1]
    assert received == [0, 0, 2, 2 * len(frame), 0]
    assert host.maps["verdicts"].sum_u64()[1].tolist()[Verdict.SENT_LOCAL] == [2]


def test_two_hosts_learn_the_direct_path() -> None:
    """First packet through the bouncer, the answer and all later ones direct."""
    first, second = Host(), Host()
    for number, host, address in ((1, first, LOCAL), (2, second, SAME_SUBNET)):
        tables = Tables(host.maps)
        tables.configure(host=number)
        tables.known_hosts(1, 2)
        tables.endpoint(address, FIRST)
        tables.group(1, host=2)
    request, reply = bytes(inner(destination=SAME_SUBNET)), bytes(inner(source=SAME_SUBNET, destination=LOCAL))

    there = second.process(Program.UPLINK, first.process(Program.ENDPOINT, request, FIRST).frame)
    back = second.process(Program.ENDPOINT, reply, FIRST)
    arrived = first.process(Program.UPLINK, back.frame)
    again = first.process(Program.ENDPOINT, request, FIRST)

    assert there.verdicts == (Verdict.LEARNT, Verdict.DELIVERED)
    assert back.verdicts == (Verdict.SENT_DIRECT,)
    assert arrived.verdicts == (Verdict.LEARNT, Verdict.DELIVERED)
    assert again.verdicts == (Verdict.SENT_DIRECT,)


def test_a_packet_meets_a_bounded_number_of_hosts() -> None:
    """Hosts that point at one another, none of which has the destination: the packet still ends (Mizar W4)."""
    hosts = {number: Host() for number in HOSTS}
    for number, host in hosts.items():
        tables = Tables(host.maps)
        tables.configure(host=number)
        tables.known_hosts(*HOSTS)
        tables.group(0, host=number % 4 + 1)
        tables.group(1, host=number % 4 + 1)
        tables.route("0.0.0.0/0", 1)
    frame = bytes(tunnel(inner(source=SAME_SUBNET, destination=OTHER_SUBNET), stage=1))

    at, hops = 1, 0
    outcome = hosts[at].process(Program.UPLINK, frame)
    while outcome.action is Action.TRANSMIT:
        hops += 1
        at = next(number for number, address in HOSTS.items() if packed(address) == outcome.host.to_bytes(4, "big"))
        outcome = hosts[at].process(Program.UPLINK, outcome.frame)

    assert (outcome.action, outcome.verdicts) == (Action.DROP, (Verdict.DROP_UNKNOWN_ADDRESS,))
    assert hops == 2


def test_batch_takes_one_interface_for_each_frame(host: Host) -> None:
    base_tables(Tables(host.maps))
    frames = [bytes(inner(destination=NEIGHBOUR)), bytes(inner(source=NEIGHBOUR, destination=LOCAL))]

    outcomes = host.process_batch(Program.ENDPOINT, frames, [FIRST, SECOND])

    assert [(outcome.action, outcome.ifindex) for outcome in outcomes] == [
        (Action.DELIVER, SECOND),
        (Action.DELIVER, FIRST),
    ]


@pytest.mark.parametrize("length", [0, 65550])
def test_frames_of_impossible_length_are_refused(host: Host, length: int) -> None:
    with pytest.raises(ValueError, match=f"a frame of {length} bytes"):
        host.process(Program.UPLINK, bytes(length))


def test_unknown_program_is_refused(host: Host) -> None:
    with pytest.raises(ValueError, match="no program 7"):
        host.process(7, bytes(60))


@pytest.mark.parametrize(("sizes", "message"), [({"nothing": 1}, "no map 'nothing'"), ({"learnt": 0}, "map learnt: 0")])
def test_sizes_are_checked(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Host(sizes)


class TestUserMap:
    def test_hash_map_is_full_at_its_size(self) -> None:
        members = Host({"members": 4}).maps["members"]
        keys = b"".join(key(VNI, f"10.0.0.{number}") for number in range(6))

        with pytest.raises(MapFull) as raised:
            members.update_batch(keys, bytes(4 * 6))

        assert (raised.value.index, raised.value.max_entries, len(members)) == (4, 4, 4)

    def test_lru_map_gives_up_what_was_used_longest_ago(self) -> None:
        learnt = Host({"learnt": 3}).maps["learnt"]
        keys = [key(VNI, f"10.0.0.{number}") for number in range(4)]
        for one in keys[:3]:
            learnt.update(one, bytes(4))
        learnt.lookup(keys[0])

        learnt.update(keys[3], bytes(4))

        assert [learnt.lookup(one) is not None for one in keys] == [True, False, True, True]

    def test_longest_prefix_wins_and_deleting_it_uncovers_the_next(self) -> None:
        host = Host()
        tables = Tables(host.maps)
        for network, segment in (("10.0.0.0/8", 1), ("10.0.2.0/24", 2), ("10.0.2.9/32", 3)):
            tables.route(network, segment)
        routes = host.maps["routes"]
        wanted = struct.pack("=I", 64) + struct.pack(">I", VNI) + packed("10.0.2.9")

        found = []
        for prefix in (64, 56, 40):
            found.append(int.from_bytes(routes.lookup(wanted) or b"", "little"))
            routes.delete(struct.pack("=I", prefix) + wanted[4:])

        assert found == [3, 2, 1]
        assert routes.lookup(wanted) is None

    def test_grows_and_reads_back_everything(self) -> None:
        members = Host().maps["members"]
        count = 5000
        keys = b"".join(struct.pack("=II", VNI, number) for number in range(count))
        values = b"".join(struct.pack("=I", number * 3) for number in range(count))

        assert members.update_batch(keys, values) == count

        expected = {keys[at * 8 : at * 8 + 8]: values[at * 4 : at * 4 + 4] for at in range(count)}
        assert dict(members.items()) == expected
        assert members.delete_batch(keys, count - 1) == count - 1
        assert [one for one, _ in members.items()] == [keys[-8:]]

    def test_bad_buffers_are_refused(self) -> None:
        members = Host().maps["members"]
        with pytest.raises(ValueError, match="keys: 7 bytes is not a multiple of 8"):
            members.update(bytes(7), bytes(4))
        with pytest.raises(ValueError, match="2 keys, but 1 values"):
            members.update_batch(bytes(16), bytes(4))
        with pytest.raises(ValueError, match="key: 9 bytes"):
            members.lookup(bytes(9))
        with pytest.raises(ValueError, match="count 3"):
            members.delete_batch(bytes(16), 3)

    def test_missing_keys_and_array_bounds_are_errors_when_asked(self) -> None:
        maps = Host().maps
        assert maps["members"].delete(bytes(8)) is False
        with pytest.raises(MapError):
            maps["members"].delete_batch(bytes(8), missing_ok=False)
        with pytest.raises(MapError):
            maps["config"].update(struct.pack("=I", 1), bytes(24))
        with pytest.raises(TypeError, match="4 bytes is not made of 64-bit counters"):
            maps["hosts"].sum_u64()
