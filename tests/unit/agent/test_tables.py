# SPDX-License-Identifier: Apache-2.0
"""Filling a host's tables, on those of the user-space twin: what is written, when, and what refusals leave."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from cloudfabric._fastpath import layout
from cloudfabric._fastpath.errors import AttachError, MapError
from cloudfabric._fastpath.hashing import maglev_table
from cloudfabric._fastpath.pipeline import Host, UserMap
from cloudfabric.networking.dataplane import records
from cloudfabric.networking.dataplane.protocol import GATEWAY_MAC, HostFacts
from cloudfabric.networking.dataplane.tables import HostTables
from cloudfabric.networking.goalstate import Entry, Group, KnownHost, LocalEndpoint, Member, Route

VNI = 5
FACTS = HostFacts("host-1", IPv4Address("172.30.0.1"), mtu=1400)
WEB = LocalEndpoint(VNI, 0x0A000102, 24, 3, bytes.fromhex("02cf0a000102"), "cf-web", "uid-web")
DB = LocalEndpoint(VNI, 0x0A000103, 24, 3, bytes.fromhex("02cf0a000103"), "cf-db", "uid-db")
SHARED: tuple[Entry, ...] = (
    KnownHost(0xAC1E0001),
    KnownHost(0xAC1E0002),
    Member(VNI, 0x0A000109, 0xAC1E0002),
    Route(VNI, 0x0A000100, 24, 3),
    Group(VNI, 3, (0xAC1E0001, 0xAC1E0002)),
    Group(VNI, 0, (0xAC1E0002,)),
)


class FakeInterfaces:
    """Interfaces that the test brings and takes; notes where the program is attached."""

    def __init__(self) -> None:
        self.present: dict[str, int] = {}
        self.programs: dict[str, int] = {}
        self.refused: set[str] = set()

    def index(self, name: str) -> int | None:
        return self.present.get(name)

    def attach(self, name: str, index: int) -> None:
        if name in self.refused:
            raise AttachError("cf_endpoint", "tcx/ingress", index, 19)
        self.programs[name] = index

    def detach(self, name: str, index: int) -> None:
        self.programs.pop(name, None)

    def attached(self) -> tuple[str, ...]:
        return tuple(self.programs)


class CountingTable:
    """A table that counts what is written to it and removed from it."""

    def __init__(self, table: UserMap) -> None:
        self._table = table
        self.written = 0
        self.removed = 0

    max_entries = property(lambda self: self._table.max_entries)
    key_size = property(lambda self: self._table.key_size)
    stride = property(lambda self: self._table.stride)

    def update(self, key: bytes, value: bytes) -> None:
        self.written += 1
        self._table.update(key, value)

    def update_batch(self, keys: bytes, values: bytes) -> int:
        self.written += len(keys) // self.key_size
        return self._table.update_batch(keys, values)

    def delete_batch(self, keys: bytes) -> int:
        self.removed += len(keys) // self.key_size
        return self._table.delete_batch(keys)

    def lookup_batch(self) -> tuple[bytes, bytes]:
        return self._table.lookup_batch()

    def sum_u64(self) -> tuple[bytes, "memoryview[int]"]:
        return self._table.sum_u64()


class Bench:
    """A host's tables under test, and ways to look into them."""

    def __init__(self, sizes: Mapping[str, int] | None = None) -> None:
        self.host = Host(sizes)
        self.counting = {name: CountingTable(table) for name, table in self.host.maps.items()}
        self.interfaces = FakeInterfaces()
        self.waited_with: list[set[str]] = []  # addresses that were wired whenever programs were waited for
        self.tables = self.opened()

    def opened(self) -> HostTables:
        """A new reader and writer of the same tables, as after a restart of the agent."""
        tables = HostTables(self.counting, self.interfaces, lambda: self.waited_with.append(self.wired()))
        tables.open(FACTS, uplink=2)
        return tables

    def rows(self, table: str) -> dict[bytes, bytes]:
        return dict(self.host.maps[table].items())

    def endpoint(self, entry: LocalEndpoint) -> layout.Endpoint | None:
        value = self.host.maps["endpoints"].lookup(records.address_key(entry.key))
        return None if value is None else layout.Endpoint.unpack(value)

    def wired(self) -> set[str]:
        return {str(IPv4Address(layout.AddressKey.unpack(key).address)) for key in self.rows("endpoints")}

    def forget_writes(self) -> None:
        for table in self.counting.values():
            table.written = table.removed = 0

    @property
    def writes(self) -> dict[str, tuple[int, int]]:
        """Rows written and removed since `forget_writes`, where there were any; counter slots do not count."""
        touched = {name: (table.written, table.removed) for name, table in self.counting.items()}
        return {name: counts for name, counts in touched.items() if any(counts) and name != "endpoint_counters"}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_host_s_own_facts_are_written(bench: Bench) -> None:
    [value] = bench.rows("config").values()

    assert layout.Config.unpack(value) == layout.Config(0xAC1E0001, 2, 1400, 1, GATEWAY_MAC, 64)


def test_each_sort_of_entry_has_its_row(bench: Bench) -> None:
    assert bench.tables.apply(SHARED, ()) == ()

    assert bench.rows("hosts").keys() == {bytes([172, 30, 0, 1]), bytes([172, 30, 0, 2])}
    [(member, place)] = bench.rows("members").items()
    assert layout.AddressKey.unpack(member) == layout.AddressKey(VNI, 0x0A000109)
    assert layout.Host.unpack(place) == layout.Host(0xAC1E0002)
    [(route, segment)] = bench.rows("routes").items()
    assert layout.RouteKey.unpack(route) == layout.RouteKey(32 + 24, VNI, 0x0A000100)
    assert layout.Route.unpack(segment) == layout.Route(3)
    groups = {layout.GroupKey.unpack(key): value for key, value in bench.rows("groups").items()}
    assert groups[layout.GroupKey(VNI, 3)] == maglev_table([0xAC1E0001, 0xAC1E0002])
    assert groups[layout.GroupKey(VNI, 0)] == maglev_table([0xAC1E0002])


def test_deletes_undo_upserts(bench: Bench) -> None:
    bench.interfaces.present["cf-web"] = 7
    bench.tables.apply((*SHARED, WEB), ())

    bench.tables.apply((), [entry.key for entry in (*SHARED, WEB)])

    assert not any(bench.rows(table) for table in ("hosts", "members", "routes", "groups", "endpoints", "interfaces"))
    assert bench.interfaces.programs == {}
    assert bench.tables.endpoint_counters() == {}


def test_an_unknown_sort_of_key_is_an_error(bench: Bench) -> None:
    with pytest.raises(ValueError, match="has no table"):
        bench.tables.apply((), [("policy", 1)])
    with pytest.raises(ValueError, match="not that of a local endpoint"):
        records.address_of(("member", 1, 2))


# --- local endpoints -------------------------------------------------------------------------------------------------


def test_an_endpoint_is_wired_when_its_interface_exists(bench: Bench) -> None:
    bench.interfaces.present["cf-web"] = 7

    assert bench.tables.apply([WEB], ()) == ()

    assert bench.endpoint(WEB) == layout.Endpoint(7, 0, WEB.mac)
    [(index, value)] = bench.rows("interfaces").items()
    assert layout.INDEX.unpack(index) == (7,)
    assert layout.Interface.unpack(value) == layout.Interface(VNI, WEB.address, 0xFFFFFF00, 3, 0, WEB.mac)
    assert bench.interfaces.programs == {"cf-web": 7}
    assert bench.tables.pending == ()


def test_an_endpoint_waits_for_its_interface(bench: Bench) -> None:
    assert bench.tables.apply([WEB], ()) == ()
    assert bench.tables.pending == (WEB.key,)
    assert bench.endpoint(WEB) is None

    bench.interfaces.present["cf-web"] = 7
    assert bench.tables.link_appeared("cf-web", 7) == ()

    assert bench.tables.pending == ()
    assert bench.endpoint(WEB) == layout.Endpoint(7, 0, WEB.mac)


def test_an_interface_of_nobody_is_left_alone(bench: Bench) -> None:
    assert bench.tables.link_appeared("eth9", 9) == ()
    bench.tables.link_vanished("eth9", 9)

    assert bench.interfaces.programs == {}


def test_an_endpoint_loses_its_interface_and_gets_another(bench: Bench) -> None:
    bench.interfaces.present["cf-web"] = 7
    bench.tables.apply([WEB], ())

    del bench.interfaces.present["cf-web"]
    bench.tables.link_vanished("cf-web", 7)
    assert (bench.tables.pending, bench.endpoint(WEB), bench.rows("interfaces")) == ((WEB.key,), None, {})

    bench.interfaces.present["cf-web"] = 11
    bench.tables.link_appeared("cf-web", 11)
    assert bench.endpoint(WEB) == layout.Endpoint(11, 0, WEB.mac)


def test_a_late_report_about_an_earlier_interface_changes_nothing(bench: Bench) -> None:
    bench.interfaces.present["cf-web"] = 11
    bench.tables.apply([WEB], ())
    bench.forget_writes()

    bench.tables.link_vanished("cf-web", 7)
    bench.tables.link_appeared("cf-web", 11)

    assert bench.writes == {}
    assert bench.endpoint(WEB) is not None


def test_looking_again_finds_what_was_missed(bench: Bench) -> None:
    bench.interfaces.present["cf-web"] = 7
    bench.tables.apply([WEB, DB], ())

    bench.interfaces.present = {"cf-db": 8}
    assert bench.tables.look_again() == ()

    assert bench.tables.pending == (WEB.key,)
    assert (bench.endpoint(WEB), bench.endpoint(DB)) == (None, layout.Endpoint(8, 1, DB.mac))


def test_an_endpoint_that_changes_its_interface_is_wired_anew(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-new": 8}
    bench.tables.apply([WEB], ())

    bench.tables.apply([replace(WEB, interface="cf-new")], ())

    assert bench.endpoint(WEB) == layout.Endpoint(8, 0, WEB.mac)
    assert bench.interfaces.programs == {"cf-new": 8}
    assert len(bench.rows("interfaces")) == 1


def test_an_endpoint_that_changes_its_address_keeps_its_interface(bench: Bench) -> None:
    bench.interfaces.present["cf-web"] = 7
    bench.tables.apply([WEB], ())
    moved = replace(WEB, address=0x0A000177)

    bench.tables.apply([moved], [WEB.key])

    assert (bench.endpoint(WEB), bench.endpoint(moved)) == (None, layout.Endpoint(7, 0, WEB.mac))
    [value] = bench.rows("interfaces").values()
    assert layout.Interface.unpack(value).address == moved.address
    assert bench.interfaces.programs == {"cf-web": 7}


def test_an_endpoint_whose_program_is_refused_is_reported_and_not_delivered_to(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.interfaces.refused = {"cf-web"}

    [failure] = bench.tables.apply([WEB, DB], ())

    assert failure.key == WEB.key
    assert "tcx/ingress of interface 7" in failure.reason
    assert bench.endpoint(WEB) is None
    assert bench.endpoint(DB) is not None


def test_a_host_without_free_slots_reports_the_endpoint() -> None:
    bench = Bench({"endpoint_counters": 1})
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}

    [failure] = bench.tables.apply([WEB, DB], ())

    assert failure.key == DB.key
    assert "all 1 endpoint slots" in failure.reason


def test_a_full_table_of_endpoints_leaves_no_half_wired_one() -> None:
    bench = Bench({"endpoints": 1})
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}

    [failure] = bench.tables.apply([WEB, DB], ())

    assert failure.key == DB.key
    assert "endpoints is full (1 entries)" in failure.reason
    assert len(bench.rows("interfaces")) == 1
    assert bench.interfaces.programs == {"cf-web": 7}
    assert bench.tables.pending == (DB.key,)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_entries_that_do_not_fit_are_reported_one_by_one() -> None:
    bench = Bench({"members": 2})
    members = [Member(VNI, address, 1) for address in (10, 11, 12, 13)]
    bench.tables.apply(members[:2], ())

    failures = bench.tables.apply([members[2], replace(members[0], host=9), members[3]], ())

    assert [failure.key for failure in failures] == [members[2].key, members[3].key]
    assert all("members is full (2 entries)" in failure.reason for failure in failures)
    assert layout.Host(9).pack() in bench.rows("members").values()


def test_an_error_that_is_about_no_row_is_not_swallowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(keys: bytes, values: bytes) -> int:
        raise MapError("members", "update", 9)

    monkeypatch.setattr(bench.counting["members"], "update_batch", refuse)

    with pytest.raises(MapError, match="members: update failed"):
        bench.tables.apply(SHARED, ())


# --- complete state --------------------------------------------------------------------------------------------------


def test_replacing_a_state_with_itself_writes_nothing(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply((*SHARED, WEB, DB), ())
    bench.forget_writes()

    assert bench.tables.replace((*SHARED, WEB, DB)) == ()

    assert bench.writes == {}


def test_a_new_agent_takes_over_without_writing(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply((*SHARED, DB, WEB), ())
    before = bench.rows("interfaces")
    again = bench.opened()
    bench.forget_writes()

    assert again.replace((*SHARED, WEB, DB)) == ()

    assert bench.writes == {}
    assert bench.rows("interfaces") == before
    assert again.pending == ()


def test_only_differences_are_written_and_the_rest_goes(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply((*SHARED, WEB, DB), ())
    again = bench.opened()
    bench.forget_writes()

    again.replace((*SHARED[:2], replace(SHARED[2], host=1), *SHARED[4:], replace(WEB, mac=bytes(5) + b"\2")))

    assert bench.writes == {"members": (1, 0), "routes": (0, 1), "endpoints": (1, 1), "interfaces": (1, 1)}
    assert bench.interfaces.programs == {"cf-web": 7}
    assert again.endpoint_counters().keys() == {(VNI, WEB.address)}


def test_wiring_of_interfaces_that_went_meanwhile_is_removed(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply((WEB, DB), ())
    again = bench.opened()

    bench.interfaces.present = {"cf-web": 9}
    again.replace((WEB, DB))

    assert bench.endpoint(WEB) == layout.Endpoint(9, 0, WEB.mac)
    assert bench.endpoint(DB) is None
    assert {layout.INDEX.unpack(key) for key in bench.rows("interfaces")} == {(9,)}
    assert again.pending == (DB.key,)


def test_a_replaced_state_notices_interfaces_that_moved(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7}
    bench.tables.apply((WEB, DB), ())

    bench.interfaces.present = {"cf-db": 7}
    bench.tables.replace((WEB, DB))

    assert bench.tables.pending == (WEB.key,)
    assert bench.endpoint(DB) == layout.Endpoint(7, 1, DB.mac)


def generation(bench: Bench) -> int:
    [value] = bench.rows("config").values()
    return layout.Config.unpack(value).generation


def test_programs_are_told_when_a_host_leaves(bench: Bench) -> None:
    """They keep the hosts that they know; a new generation makes them ask again."""
    bench.tables.apply(SHARED, ())
    before = generation(bench)

    bench.tables.apply(SHARED, ())
    bench.tables.replace(SHARED)
    unchanged = generation(bench)
    bench.tables.apply((), [KnownHost(0xAC1E0002).key])

    assert (unchanged, generation(bench)) == (before, before + 1)


def test_a_restarted_agent_begins_a_new_generation(bench: Bench) -> None:
    before = generation(bench)

    bench.opened()

    assert generation(bench) == before + 1


def test_generations_begin_again_at_one(bench: Bench) -> None:
    last = layout.Config(0xAC1E0001, 2, 1400, 0xFFFFFFFF, GATEWAY_MAC, 64)
    bench.host.maps["config"].update(layout.INDEX.pack(0), last.pack())

    bench.opened()

    assert generation(bench) == 1


# --- memory that programs may still read ------------------------------------------------------------------------------


def test_new_endpoints_need_no_waiting(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply((WEB,), ())
    bench.tables.apply((DB,), ())
    assert bench.waited_with == []


def test_no_endpoint_takes_the_memory_of_one_that_a_program_still_reads(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply((WEB,), ())

    bench.tables.apply((), (WEB.key,))
    assert bench.waited_with == []  # nothing takes the memory yet
    bench.tables.apply((DB,), ())
    bench.tables.apply((WEB,), ())

    assert bench.waited_with == [set()]  # once, after the removal and before the next row


def test_an_endpoint_that_changes_is_waited_for_before_the_next_row(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply((WEB, DB), ())
    changed = [replace(entry, mac=bytes.fromhex("02cf0a00aaaa")) for entry in (WEB, DB)]

    bench.tables.apply(changed, ())

    # Two tables with two rows each, all of which replace another: programs are waited for between any two of them.
    assert bench.waited_with == [{"10.0.1.2", "10.0.1.3"}] * 3
    assert [bench.endpoint(entry) for entry in changed] == [
        layout.Endpoint(7, 0, changed[0].mac),
        layout.Endpoint(8, 1, changed[1].mac),
    ]


def test_an_endpoint_that_comes_again_unchanged_is_not_written(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7}
    bench.tables.apply((WEB,), ())
    bench.forget_writes()

    bench.tables.apply((WEB,), ())
    bench.tables.replace((WEB,))

    assert bench.writes == {}
    assert bench.waited_with == []


# --- learnt paths ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("complete", [False, True])
def test_paths_to_a_host_that_left_are_forgotten(bench: Bench, complete: bool) -> None:
    bench.tables.apply(SHARED, ())
    for address, host in ((1, 0xAC1E0002), (2, 0xAC1E0001)):
        bench.host.maps["learnt"].update(layout.AddressKey(VNI, address).pack(), layout.Host(host).pack())

    if complete:
        bench.tables.replace(SHARED[:1])
    else:
        bench.tables.apply((), [KnownHost(0xAC1E0002).key])

    assert list(bench.rows("learnt").values()) == [layout.Host(0xAC1E0001).pack()]


def test_all_paths_are_forgotten_on_request(bench: Bench) -> None:
    bench.host.maps["learnt"].update(layout.AddressKey(VNI, 1).pack(), layout.Host(2).pack())

    bench.tables.forget_learnt()
    bench.tables.forget_learnt()

    assert bench.rows("learnt") == {}


# --- counters --------------------------------------------------------------------------------------------------------


def test_a_slot_that_is_used_again_counts_from_zero(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply([WEB], ())
    bench.host.maps["endpoint_counters"].update(layout.INDEX.pack(0), layout.Counter(1, 2, 3, 4, 5).pack())
    [counters] = bench.tables.endpoint_counters().values()
    assert (counters.tx_packets, counters.rx_bytes, counters.dropped) == (1, 4, 5)

    bench.tables.apply([], [WEB.key])
    bench.tables.apply([DB], ())

    [counters] = bench.tables.endpoint_counters().values()
    assert counters.tx_packets == counters.dropped == 0


def test_counters_go_on_after_a_restart(bench: Bench) -> None:
    bench.interfaces.present = {"cf-web": 7, "cf-db": 8}
    bench.tables.apply([WEB, DB], ())
    bench.host.maps["endpoint_counters"].update(layout.INDEX.pack(1), layout.Counter(9, 0, 0, 0, 0).pack())

    again = bench.opened()

    assert again.endpoint_counters()[VNI, DB.address].tx_packets == 9


def test_a_stale_row_does_not_stop_a_restart(bench: Bench) -> None:
    for index in (7, 8):
        key, value = records.interface(WEB, index, 0)
        bench.host.maps["interfaces"].update(key, value)
    bench.interfaces.present = {"cf-web": 8}

    again = bench.opened()
    again.replace([WEB])

    assert {layout.INDEX.unpack(key) for key in bench.rows("interfaces")} == {(8,)}
    assert bench.endpoint(WEB) == layout.Endpoint(8, 0, WEB.mac)
