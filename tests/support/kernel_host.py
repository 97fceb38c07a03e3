# SPDX-License-Identifier: Apache-2.0
"""The programs in the kernel, run on single frames, with real routes and neighbours behind them."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cloudfabric._fastpath.bpf import Object
from cloudfabric._fastpath.maps import Map
from cloudfabric._fastpath.pipeline import Action, Program
from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.dataplane.namespaces import NamespaceExecutor, create, delete
from tests.support.frames import FIRST, HOSTS, SECOND, UPLINK

NAMESPACE = "cft-programs"
NEXT_HOP_MAC = "02:00:00:00:0a:{:02x}"
OWN_MAC = "02:00:00:00:0b:01"

_TC_ACTIONS = {2: Action.DROP, -1: Action.PASS}
_XDP_ACTIONS = {1: Action.DROP, 2: Action.PASS, 3: Action.TRANSMIT, 4: Action.TRANSMIT}
_REDIRECT = 7  # TC_ACT_REDIRECT

# Which of the verdicts that forward says how: the program's return value does not.
_REDIRECTED = {
    Verdict.SENT_LOCAL: Action.DELIVER,
    Verdict.DELIVERED: Action.DELIVER,
    Verdict.ARP_REPLY: Action.REPLY,
}


@dataclass(frozen=True)
class KernelOutcome:
    action: Action
    verdicts: tuple[Verdict, ...]  # in numerical order
    frame: bytes


class KernelHost:
    """The two tc programs and the XDP one over one set of maps, in a namespace with an uplink and two interfaces."""

    def __init__(self, thread: NamespaceExecutor, objects: Mapping[str, Object]) -> None:
        self._thread = thread
        self._programs = {
            Program.ENDPOINT: objects["endpoint"].programs["cf_endpoint"],
            Program.UPLINK: objects["uplink"].programs["cf_uplink"],
        }
        self._xdp = objects["transit"].programs["cf_transit_xdp"]
        self.maps: dict[str, Map] = {}
        for loaded in objects.values():
            self.maps.update(loaded.maps)

    def clear(self) -> None:
        """Empty all tables, so that the next test finds nothing of this one."""
        for name, table in self.maps.items():
            if name not in ("config", "endpoint_counters", "next_hops", "verdicts"):
                table.delete_batch(table.lookup_batch()[0])

    def process(self, program: Program, frame: bytes, ifindex: int) -> KernelOutcome:
        """Run a program on one frame."""
        if program is Program.TRANSIT:
            return self._process_xdp(frame)
        index = ifindex if program is Program.ENDPOINT else UPLINK
        before = self._counts()
        run = self._thread.submit(self._programs[program].test_run, frame, ifindex=index).result()
        verdicts = self._counted_since(before)
        if run.retval != _REDIRECT:
            return KernelOutcome(_TC_ACTIONS[run.retval], verdicts, run.data)
        action = next((_REDIRECTED[one] for one in verdicts if one in _REDIRECTED), Action.TRANSMIT)
        return KernelOutcome(action, verdicts, run.data)

    def _process_xdp(self, frame: bytes) -> KernelOutcome:
        before = self._counts()
        run = self._thread.submit(self._xdp.test_run, frame, ingress_ifindex=UPLINK).result()
        return KernelOutcome(_XDP_ACTIONS[run.retval], self._counted_since(before), run.data)

    def _counts(self) -> list[int]:
        return [row[0] for row in self.maps["verdicts"].sum_u64()[1].tolist()]

    def _counted_since(self, before: list[int]) -> tuple[Verdict, ...]:
        return tuple(
            Verdict(number)
            for number, (old, new) in enumerate(zip(before, self._counts(), strict=True))
            for _ in range(new - old)
        )


@contextmanager
def kernel_host(pins: Path) -> Iterator[KernelHost]:
    """Load the programs with their maps pinned below `pins`, which is made a BPF file system for the time."""
    with ExitStack() as stack:
        subprocess.run(["mount", "-t", "bpf", "bpf", str(pins)], check=True)
        stack.callback(subprocess.run, ["umount", str(pins)], check=True)
        create([NAMESPACE])
        stack.callback(delete, NAMESPACE)
        for arguments in (
            f"link add uplink index {UPLINK} address {OWN_MAC} type veth peer name uplink-peer index 102",
            f"link add first index {FIRST} type veth peer name first-peer index 103",
            f"link add second index {SECOND} type veth peer name second-peer index 104",
            "link set uplink up",
            "link set uplink-peer up",
            f"addr add {HOSTS[1]}/24 dev uplink",
            *(
                f"neigh add {address} lladdr {NEXT_HOP_MAC.format(number)} dev uplink nud permanent"
                for number, address in HOSTS.items()
                if number != 1
            ),
        ):
            subprocess.run(["ip", "-n", NAMESPACE, *arguments.split()], check=True)
        thread = NamespaceExecutor(NAMESPACE)
        stack.callback(thread.close)
        thread.submit(Path("/proc/sys/net/ipv4/conf/uplink/forwarding").write_text, "1").result()
        objects = {
            name: stack.enter_context(
                Object(
                    (files("cloudfabric._bpf") / f"{name}.bpf.o").read_bytes(),
                    name=name,
                    pin_root=pins,
                    max_entries={"members": 4096, "learnt": 1024, "hosts": 1024},
                )
            )
            for name in ("endpoint", "uplink", "transit")
        }
        yield KernelHost(thread, objects)
