# SPDX-License-Identifier: Apache-2.0
"""Loading BPF objects and attaching programs: whole or not at all, replaced under traffic, nothing left behind."""

import errno
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from cloudfabric._fastpath.bpf import Hook, Link, Object, Program, ProgramType, XdpMode, attached, tcx_supported
from cloudfabric._fastpath.errors import AttachError, HandleError, LoadError, PinMismatch, ProgramError
from cloudfabric._fastpath.maps import Map

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("no_leaked_descriptors")]

LOOPBACK = 1
FRAME = bytes(64)
NEXT = -1  # TCX_NEXT

Compiler = Callable[[str], Path]


@pytest.fixture
def probe(compile_bpf: Compiler) -> Path:
    return compile_bpf("probe")


def program_ids(hook: Hook, ifindex: int = LOOPBACK) -> list[int]:
    return [entry.program_id for entry in attached(ifindex) if entry.hook is hook]


def hits(loaded: Object) -> list[int]:
    keys, _ = loaded.maps["hits"].lookup_batch()
    assert keys == struct.pack("=II", 0, 1)
    return [struct.unpack("=Q", value)[0] for _, value in loaded.maps["hits"].items()]


def send(packets: int) -> None:
    """Send datagrams to the loopback address; each passes the interface's ingress once before this returns."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        for _ in range(packets):
            sender.sendto(b"x", receiver.getsockname())
            receiver.recv(1)


# Loading


@pytest.mark.parametrize(
    ("file", "program", "kind"),
    [
        ("endpoint.bpf.o", "cf_endpoint", ProgramType.SCHED_CLS),
        ("uplink.bpf.o", "cf_uplink", ProgramType.SCHED_CLS),
        ("transit.bpf.o", "cf_transit_xdp", ProgramType.XDP),
    ],
)
def test_the_data_plane_loads(file: str, program: str, kind: ProgramType) -> None:
    image = (resources.files("cloudfabric._bpf") / file).read_bytes()

    with Object(image, name=file) as loaded:
        info = loaded.programs[program].info()

        assert (list(loaded.programs), info.type, info.name) == ([program], kind, program[:15])
        assert (info.xlated_len > 0, info.jited_len > 0, info.verified_insns > 0) == (True, True, True)
        assert set(info.map_ids) <= {table.id for table in loaded.maps.values()}
        assert len(bytes.fromhex(info.tag)) == 8


def test_maps_take_the_size_asked_for(probe: Path) -> None:
    with Object(probe, max_entries={"sized": 1000}) as loaded:
        assert {name: table.max_entries for name, table in loaded.maps.items()} == {"hits": 2, "sized": 1000}
        assert loaded.name == "probe.bpf.o"


def test_only_the_programs_asked_for_are_loaded(probe: Path) -> None:
    with Object(probe, programs=["grow", "pass"]) as loaded:
        assert set(loaded.programs) == {"grow", "pass"}


def test_objects_share_pinned_maps(probe: Path, bpffs: Path) -> None:
    root = bpffs / "host" / "maps"
    with Object(probe, pin_root=root) as first, Object(probe, pin_root=root) as second:
        first.programs["count_first"].test_run(FRAME, repeat=3)
        second.programs["count_second"].test_run(FRAME, repeat=5)

        assert sorted(os.listdir(root)) == ["hits", "sized"]
        assert hits(first) == hits(second) == [3, 5]
        assert first.maps["hits"].id == second.maps["hits"].id
    with Object(probe, pin_root=root) as third:
        assert hits(third) == [3, 5]


def test_a_pin_of_another_shape_is_named_and_left_alone(probe: Path, bpffs: Path) -> None:
    with Object(probe, pin_root=bpffs, max_entries={"sized": 7}) as first:
        first.maps["sized"].update(bytes(4), bytes(4))

    with pytest.raises(PinMismatch) as caught:
        Object(probe, pin_root=bpffs)

    assert (caught.value.name, caught.value.path) == ("sized", str(bpffs / "sized"))
    assert caught.value.differences == {"max_entries": (7, 16)}
    assert "max_entries is 7, wanted 16" in str(caught.value)
    with Map.open_pinned(bpffs / "sized") as pinned:
        assert pinned.lookup(bytes(4)) == bytes(4)


def test_a_refused_program_leaves_nothing_behind(compile_bpf: Compiler, probe: Path, bpffs: Path) -> None:
    """The pin that was there before stays, the one that the failed load would have made does not."""
    root = bpffs / "maps"
    with Object(probe, pin_root=root):
        pass
    os.unlink(root / "sized")

    with pytest.raises(LoadError) as caught:
        Object(compile_bpf("rejected"), pin_root=root)

    assert (caught.value.operation, caught.value.errno) == ("loading", errno.EACCES)
    assert "invalid access to packet" in caught.value.log  # the verifier's words
    assert "invalid access to packet" in str(caught.value)
    assert os.listdir(root) == ["hits"]


def test_what_libbpf_says_does_not_reach_stderr(compile_bpf: Compiler, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LoadError):
        Object(compile_bpf("rejected"))

    assert capfd.readouterr().err == ""


def test_threads_do_not_mix_their_logs(compile_bpf: Compiler) -> None:
    path = compile_bpf("rejected")
    logs: list[str] = []

    def load(name: str) -> None:
        with pytest.raises(LoadError) as caught:
            Object(path, name=name)
        logs.append(caught.value.log)

    threads = [threading.Thread(target=load, args=(f"object{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [log.count("BEGIN PROG LOAD LOG") for log in logs] == [1] * 4


def test_what_cannot_be_loaded_says_why(probe: Path, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="reading the ELF file failed") as caught:
        Object(b"not an object", name="junk")
    assert caught.value.source == "junk"
    with pytest.raises(KeyError, match="no map 'nothing'; it has hits, sized"):
        Object(probe, max_entries={"nothing": 1})
    with pytest.raises(KeyError, match="no program 'nothing'; it has count_first"):
        Object(probe, programs=["nothing"])
    with pytest.raises(FileNotFoundError):
        Object(tmp_path / "none.bpf.o")
    with pytest.raises(LoadError):
        Object(probe, pin_root=tmp_path)  # not on a BPF file system
    assert os.listdir(tmp_path) == []


# Programs


def test_a_test_run_returns_the_packet_and_the_time(probe: Path) -> None:
    with Object(probe) as loaded:
        counted = loaded.programs["count_first"].test_run(bytes(range(64)), repeat=1000)
        grown = loaded.programs["grow"].test_run(memoryview(FRAME))

        assert (counted.retval, counted.data) == (NEXT, bytes(range(64)))
        assert 0 < counted.duration_ns < 10_000
        assert hits(loaded) == [1000, 0]
        assert (grown.retval, grown.data) == (0, bytes(264))


def test_a_test_run_sees_the_interface_it_is_told(probe: Path, network_namespace: None) -> None:
    subprocess.run(["ip", "link", "add", "one", "index", "77", "type", "veth", "peer", "name", "two"], check=True)
    with Object(probe) as loaded:
        assert loaded.programs["tell_ifindex"].test_run(FRAME, ifindex=77).retval == 77
        assert loaded.programs["tell_ingress"].test_run(FRAME, ifindex=LOOPBACK).retval == LOOPBACK
        assert loaded.programs["tell_mark"].test_run(FRAME, mark=0xCF).retval == 0xCF
        with pytest.raises(ProgramError, match="tell_ifindex: test run on 64 bytes failed: No such device") as caught:
            loaded.programs["tell_ifindex"].test_run(FRAME, ifindex=78)
        assert caught.value.errno == errno.ENODEV
        with pytest.raises(ProgramError):
            loaded.programs["tell_ifindex"].test_run(b"short")


def test_a_program_is_found_again_by_pin_number_and_descriptor(probe: Path, bpffs: Path) -> None:
    with Object(probe) as loaded:
        program = loaded.programs["count_first"]
        program.pin(bpffs / "program")

        with (
            Program.open_pinned(bpffs / "program") as pinned,
            Program.from_id(program.id) as numbered,
            Program.from_fd(program.fileno()) as copied,
        ):
            assert {pinned.id, numbered.id, copied.id} == {program.id}
            assert (pinned.name, numbered.name, copied.name) == ("program", "count_first", "count_first")
            pinned.test_run(FRAME)
        assert hits(loaded) == [1, 0]
        with pytest.raises(HandleError, match="is not a BPF prog but anon_inode:bpf-map"):
            Program.from_fd(loaded.maps["hits"].fileno())
        with pytest.raises(HandleError, match="program is not a BPF map but anon_inode:bpf-prog"):
            Map.open_pinned(bpffs / "program")
        with pytest.raises(HandleError, match="program is not a BPF link but"):
            Link.open_pinned(bpffs / "program")
        with pytest.raises(HandleError):
            Program.open_pinned(bpffs / "none")
        with pytest.raises(ProgramError):
            Program.from_id(0xFFFFFF)
    assert program.closed
    with pytest.raises(HandleError, match="count_first: test_run after close"):
        program.test_run(FRAME)
    for kind in (Program, Link):
        with pytest.raises(TypeError):
            kind()


# tcx


def test_a_link_attaches_as_long_as_it_is_open(probe: Path, network_namespace: None) -> None:
    with Object(probe) as loaded:
        program = loaded.programs["count_first"]
        with program.attach_tcx(LOOPBACK) as link:
            send(10)
            assert hits(loaded) == [10, 0]
            assert (link.hook, link.ifindex, link.program_id) == (Hook.TCX_INGRESS, LOOPBACK, program.id)
            assert [(entry.program_name, entry.link_id) for entry in attached(LOOPBACK)] == [("count_first", link.id)]
        assert attached(LOOPBACK) == []
        with program.attach_tcx(LOOPBACK, ingress=False) as link:
            assert (link.hook, program_ids(Hook.TCX_EGRESS)) == (Hook.TCX_EGRESS, [program.id])


def test_programs_stand_in_the_order_asked_for(probe: Path, network_namespace: None) -> None:
    with Object(probe) as loaded:
        first, second, third, fourth = (
            loaded.programs[name] for name in ("count_first", "count_second", "tell_mark", "tell_ifindex")
        )
        with (
            second.attach_tcx(LOOPBACK) as link,
            first.attach_tcx(LOOPBACK, before=link),
            third.attach_tcx(LOOPBACK, after=second),
            fourth.attach_tcx(LOOPBACK, after=link),
        ):
            assert program_ids(Hook.TCX_INGRESS) == [first.id, second.id, fourth.id, third.id]
            with pytest.raises(ValueError, match="not both"):
                loaded.programs["grow"].attach_tcx(LOOPBACK, before=link, after=second)


def test_a_pinned_link_outlives_its_handle_and_takes_another_program(
    probe: Path, bpffs: Path, network_namespace: None
) -> None:
    with Object(probe) as loaded:
        first, second = loaded.programs["count_first"], loaded.programs["count_second"]
        first.attach_tcx(LOOPBACK, pin_path=bpffs / "link").close()
        send(3)

        with Link.open_pinned(bpffs / "link") as link, Link.from_id(link.id) as same:
            link.update_program(second, old=first)
            assert (same.program_id, link.ifindex) == (second.id, LOOPBACK)
            with pytest.raises(ProgramError) as caught:
                link.update_program(first, old=first)
            assert caught.value.errno == errno.EPERM
        send(4)
        assert hits(loaded) == [3, 4]

        with Link.open_pinned(bpffs / "link") as link:
            link.detach()
            assert (link.ifindex, attached(LOOPBACK)) == (0, [])


def test_replacing_a_program_under_traffic_loses_no_packet(probe: Path, network_namespace: None) -> None:
    with Object(probe) as loaded:
        first, second = loaded.programs["count_first"], loaded.programs["count_second"]
        with first.attach_tcx(LOOPBACK) as link:
            namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            done = threading.Event()

            def replace() -> None:
                while not done.is_set():
                    link.update_program(second)
                    link.update_program(first)

            thread = threading.Thread(target=replace)
            thread.start()
            try:
                send(2000)
            finally:
                done.set()
                thread.join()
                os.close(namespace)

            assert sum(hits(loaded)) == 2000
            assert min(hits(loaded)) > 0


def test_what_cannot_be_attached_says_where(probe: Path, bpffs: Path, network_namespace: None) -> None:
    with Object(probe) as loaded:
        program = loaded.programs["count_first"]
        with pytest.raises(AttachError) as caught:
            program.attach_tcx(9999)
        assert (caught.value.hook, caught.value.ifindex, caught.value.errno) == ("tcx/ingress", 9999, errno.ENODEV)
        assert "count_first: attach to tcx/ingress of interface 9999 failed: No such device" in str(caught.value)
        with pytest.raises(AttachError) as caught:
            loaded.programs["pass"].attach_tcx(LOOPBACK)  # an XDP program
        assert caught.value.errno == errno.EINVAL

        (bpffs / "taken").mkdir()
        for hook, attach in ((Hook.TCX_INGRESS, program.attach_tcx), (Hook.XDP, generic(loaded.programs["pass"]))):
            with pytest.raises(HandleError, match=r"pin at .*/taken failed: File exists"):
                attach(LOOPBACK, pin_path=bpffs / "taken")
            assert program_ids(hook) == []
        with pytest.raises(AttachError):
            attached(9999)


def generic(program: Program) -> Callable[..., Link]:
    return lambda ifindex, **options: program.attach_xdp(ifindex, mode=XdpMode.GENERIC, **options)


def test_a_link_notices_that_its_interface_is_gone(probe: Path, network_namespace: None) -> None:
    subprocess.run(["ip", "link", "add", "one", "index", "77", "type", "veth", "peer", "name", "two"], check=True)
    with Object(probe) as loaded, loaded.programs["count_first"].attach_tcx(77) as link:
        subprocess.run(["ip", "link", "delete", "one"], check=True)

        assert link.ifindex == 0
        with pytest.raises(ProgramError) as caught:
            link.update_program(loaded.programs["count_second"])
        assert caught.value.errno == errno.ENOLINK


def test_a_link_that_is_gone_is_not_found() -> None:
    with pytest.raises(ProgramError, match="link 16777215: opening by id failed"):
        Link.from_id(0xFFFFFF)
    assert tcx_supported()


# XDP and clsact


def test_xdp_runs_in_the_driver_or_behind_it(probe: Path, network_namespace: None) -> None:
    subprocess.run(["ip", "link", "add", "one", "index", "77", "type", "veth", "peer", "name", "two"], check=True)
    with Object(probe) as loaded:
        program, other = loaded.programs["pass"], loaded.programs["tell_ingress"]
        for mode in XdpMode:
            with program.attach_xdp(77, mode=mode) as link:
                assert (link.hook, link.ifindex, program_ids(Hook.XDP, 77)) == (Hook.XDP, 77, [program.id])
                with pytest.raises(AttachError) as caught:
                    other.attach_xdp(77, mode=mode)
                assert caught.value.errno == errno.EBUSY
                link.update_program(other)
                assert program_ids(Hook.XDP, 77) == [other.id]
            assert attached(77) == []
        with pytest.raises(AttachError) as caught:
            program.attach_xdp(LOOPBACK)  # no driver behind it
        assert caught.value.errno == errno.EOPNOTSUPP


def test_clsact_takes_the_place_of_tcx_on_older_kernels(probe: Path, network_namespace: None) -> None:
    with Object(probe) as loaded:
        first, second = loaded.programs["count_first"], loaded.programs["count_second"]
        place = first.attach_clsact(LOOPBACK)
        assert [(entry.hook, entry.program_id) for entry in attached(LOOPBACK)] == [(Hook.CLSACT_INGRESS, first.id)]
        with second.attach_clsact(LOOPBACK, priority=2) as behind:
            send(5)
            assert hits(loaded) == [5, 5]
            assert behind.program_id() == second.id
        with pytest.raises(AttachError) as caught:
            second.attach_clsact(LOOPBACK)
        assert (caught.value.errno, caught.value.hook) == (errno.EEXIST, "clsact/ingress")

        second.attach_clsact(LOOPBACK, replace=True)
        send(2)

        assert hits(loaded) == [5, 7]
        assert (place.detach(), place.detach(), attached(LOOPBACK)) == (True, False, [])
        with second.attach_clsact(LOOPBACK, ingress=False):
            assert program_ids(Hook.CLSACT_EGRESS) == [second.id]
        with pytest.raises(AttachError):
            first.attach_clsact(9999)
