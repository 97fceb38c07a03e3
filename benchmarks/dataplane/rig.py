# SPDX-License-Identifier: Apache-2.0
"""Times single BPF programs, the shipped objects themselves, in nanoseconds per packet.

The kernel's BPF_PROG_TEST_RUN repeats a program on one packet and never resets it: a second run would encapsulate an
encapsulated packet, forward a forwarded one, or drop what the first rewrote. So each run gets a fresh packet:

tc    A small program (`rig_send_copy`) is what BPF_PROG_TEST_RUN repeats. It sends a copy of the packet to an
      interface, where `rig_unshare` gives the copy memory of its own and then the programs under test run: attached by
      tcx as they always are, but at egress, the hook that is reached without a queue in between. What they send on is
      dropped at once: the next hop in the table `next_hops` is an interface that does not exist, and delivery to a
      workload (`bpf_redirect_peer`) is refused at egress.
XDP   `rig_restore` writes the original headers back and tail-calls the program under test.

The same rig with a null program (one that only drops) in their place is timed in turn, round by round. Of the minimum
of each:

    ns per packet = rig with the programs - rig with the null program + null program alone

so that the figure contains, like that of a plain BPF_PROG_TEST_RUN, the cost of running any program at all. It is
rather too high than too low: executing the verdict is in it, and XDP reads right behind the stores of `rig_restore`.
The verdict counters tell at the end whether every packet went the way that was meant.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.dataplane import compiled
from benchmarks.dataplane.workspace import bpf_file_system, network_namespaces
from cloudfabric._fastpath.bpf import Object, Program, ProgramInfo
from cloudfabric._fastpath.layout import ADDRESS, INDEX, AddressKey, Host, NextHop
from cloudfabric._fastpath.maps import Map
from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.dataplane import records
from cloudfabric.networking.dataplane.links import Links, require_index
from cloudfabric.networking.dataplane.namespaces import NamespaceExecutor
from cloudfabric.networking.dataplane.protocol import HostFacts
from cloudfabric.networking.goalstate import Group, KnownHost, LocalEndpoint, Member, Route

__all__ = ["UPLINK", "Case", "Rig", "SharedEntry", "Timer", "open_rig"]

UPLINK = "uplink"
"""The interface to the underlay; those of workloads are named in their `LocalEndpoint`."""

_NAMESPACE = "cft-bench-rig"
_IDLE = "idle"  # the interface with the null program
_OBJECTS = ("endpoint.bpf.o", "uplink.bpf.o", "transit.bpf.o")
_LOOPBACK = 1  # where BPF_PROG_TEST_RUN has XDP packets arrive: sending back there is XDP_TX, as on a real uplink
_NOWHERE = 0x7FFFFFFF  # an interface index that nothing has
_FOREVER = 0x30000000  # jiffies: a month at least
_RESTORED = 78  # bytes that rig_restore writes
_GENERATION = 1
_MAC = bytes.fromhex("020000000001")

SharedEntry = Member | Route | Group | KnownHost


@dataclass(frozen=True, slots=True)
class Case:
    """A packet and the way that it must take.

    Args:
        programs: which run, in order; one XDP program or any number of tc programs.
        interface: where the packet arrives, or the workload's that sends it.
        packet: the whole frame.
        verdict: what the programs must count for it, and nothing else.
    """

    programs: tuple[str, ...]
    interface: str
    packet: bytes
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Timer:
    """Runs one case `repeat` times at each call and returns the mean in ns; each call enters the host's thread."""

    _executor: NamespaceExecutor
    _packet: bytes
    _repeat: int
    _tested: tuple[Program, int]  # with the index of the interface that it runs for
    _idle: tuple[Program, int]
    _null: tuple[Program, int]

    def with_programs(self) -> int:
        """The rig with the programs under test."""
        return self._run(*self._tested)

    def with_null(self) -> int:
        """The rig with the null program."""
        return self._run(*self._idle)

    def null_alone(self) -> int:
        """The null program without the rig."""
        return self._run(*self._null)

    def _run(self, program: Program, ifindex: int) -> int:
        run = self._executor.submit(program.test_run, self._packet, repeat=self._repeat, ifindex=ifindex)
        return run.result().duration_ns


class Rig:
    """One host's tables and programs, and the means to time them; made by `open_rig`."""

    def __init__(
        self,
        executor: NamespaceExecutor,
        indexes: Mapping[str, int],
        shipped: Sequence[Object],
        tools: tuple[Object, Object],
    ) -> None:
        self._executor = executor
        self._indexes = indexes
        self._maps: dict[str, Map] = {name: table for loaded in shipped for name, table in loaded.maps.items()}
        self._programs = {name: program for loaded in shipped for name, program in loaded.programs.items()}
        self._tools, self._idle_tools = tools

    def info(self, program: str) -> ProgramInfo:
        """Return what the kernel tells of a shipped program."""
        return self._programs[program].info()

    def configure(
        self,
        address: IPv4Address,
        entries: Sequence[SharedEntry],
        endpoints: Sequence[LocalEndpoint],
        learnt: Mapping[AddressKey, IPv4Address],
    ) -> None:
        """Fill the tables as the host's agent and its programs would."""
        facts = HostFacts("rig", address, UPLINK)
        self._maps["config"].update(records.CONFIG_KEY, records.config(facts, self._indexes[UPLINK], _GENERATION))
        for entry in entries:
            table, key, value = records.row(entry)
            self._maps[table].update(key, value)
        for slot, endpoint in enumerate(endpoints):
            index = self._indexes[endpoint.interface]
            self._maps["interfaces"].update(*records.interface(endpoint, index, slot))
            self._maps["endpoints"].update(*records.endpoint(endpoint, index, slot))
        for inner, host in learnt.items():
            self._maps["learnt"].update(inner.pack(), Host(int(host)).pack())

    @contextmanager
    def timed(self, case: Case, *, repeat: int) -> Iterator[Timer]:
        """Put the programs of a case in place, and return what times them.

        Args:
            case: the packet and its way.
            repeat: how many packets one call of the timer takes.

        Raises:
            AssertionError: at the end, if any packet met another verdict.
        """
        before = self._verdicts()
        xdp = case.programs[0].endswith("_xdp")
        self._resolve_hosts(_LOOPBACK if xdp else _NOWHERE)
        with ExitStack() as stack:
            yield self._xdp_timer(case, repeat) if xdp else self._tc_timer(case, repeat, stack)
        counted = {verdict for verdict, count in self._verdicts().items() if count != before[verdict]}
        assert counted == {case.verdict}, f"packets met {counted}, not only {case.verdict!r}"

    def _tc_timer(self, case: Case, repeat: int, stack: ExitStack) -> Timer:
        tested, idle = self._indexes[case.interface], self._indexes[_IDLE]
        unshare, null = self._tools.programs["rig_unshare"], self._tools.programs["rig_null_tc"]

        def attach() -> None:
            for program in (unshare, *(self._programs[name] for name in case.programs)):
                stack.enter_context(program.attach_tcx(tested, ingress=False))
            for program in (unshare, null):
                stack.enter_context(program.attach_tcx(idle, ingress=False))

        self._executor.submit(attach).result()
        send = self._tools.programs["rig_send_copy"]
        return Timer(self._executor, case.packet, repeat, (send, tested), (send, idle), (null, idle))

    def _xdp_timer(self, case: Case, repeat: int) -> Timer:
        null = self._tools.programs["rig_null_xdp"]
        [tested] = case.programs
        for tools, program in ((self._tools, self._programs[tested]), (self._idle_tools, null)):
            header = case.packet[:2] + bytes(2) + case.packet[2:_RESTORED]
            tools.maps["original"].update(INDEX.pack(0), header)
            tools.maps["target"].update(INDEX.pack(0), INDEX.pack(program.fileno()))
        restore, restore_idle = (tools.programs["rig_restore"] for tools in (self._tools, self._idle_tools))
        return Timer(self._executor, case.packet, repeat, (restore, 0), (restore_idle, 0), (null, 0))

    def _resolve_hosts(self, interface: int) -> None:
        """Put a next hop for every host into `next_hops`, as programs do once a second, to last for the whole run."""
        run = self._tools.programs["rig_jiffies"].test_run(bytes(64))
        expires = (run.retval + _FOREVER) & 0xFFFFFFFF
        table = self._maps["next_hops"]
        for [address] in ADDRESS.iter_unpack(self._maps["hosts"].lookup_batch()[0]):
            way = NextHop(address, _GENERATION, expires, interface, _MAC, _MAC).pack()
            table.update(INDEX.pack(address % table.max_entries), way * table.cpus)

    def _verdicts(self) -> dict[Verdict, int]:
        _, sums = self._maps["verdicts"].sum_u64()
        rows: list[list[int]] = sums.tolist()  # type: ignore[assignment]  # two dimensions, which typeshed does not know
        return dict(zip(Verdict, (row[0] for row in rows), strict=True))


@contextmanager
def open_rig(workloads: Sequence[str], directory: Path) -> Iterator[Rig]:
    """Make a host in a namespace of its own, with the shipped programs loaded, and take all of it away again.

    Args:
        workloads: names of the workloads' interfaces.
        directory: for compiled programs.
    """
    tools = compiled.bpf_object(Path(__file__).with_name("rig.bpf.c"), directory)
    with network_namespaces(_NAMESPACE), bpf_file_system("rig") as pins, ExitStack() as stack:
        executor = NamespaceExecutor(_NAMESPACE)
        stack.callback(executor.close)
        indexes = executor.submit(_make_interfaces, [UPLINK, _IDLE, *workloads]).result()
        shipped = [stack.enter_context(_load(name, pins)) for name in _OBJECTS]
        pair = stack.enter_context(Object(tools)), stack.enter_context(Object(tools))
        yield Rig(executor, indexes, shipped, pair)


def _load(name: str, pins: Path) -> Object:
    image = resources.files("cloudfabric._bpf").joinpath(name).read_bytes()
    return Object(image, name=name, pin_root=pins)


def _make_interfaces(names: Sequence[str]) -> dict[str, int]:
    """Create veth pairs with both ends here, and return the indexes of those with the given names."""
    with Links() as links:
        for name in names:
            links.add_veth(name, f"{name}-far", _NAMESPACE, mtu=1500)
    return {name: require_index(name) for name in names}
