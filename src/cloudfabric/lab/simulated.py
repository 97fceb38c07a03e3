# SPDX-License-Identifier: Apache-2.0
"""The substrate without a kernel: user-space data planes that hand frames to one another.

The underlay is a queue: a frame for a host is taken through that host's programs, and what they decide puts further
frames into the queue. A question (`ping`, `identify`) puts in the frames of a workload and runs until the queue is
empty; whatever has not answered by then never will, so nothing waits. Round-trip times are those of this process.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import IPv4Address

from cloudfabric._fastpath.pipeline import Action, Outcome
from cloudfabric.lab.substrate import Workload
from cloudfabric.lab.workload_stack import WorkloadStack
from cloudfabric.networking.dataplane.protocol import HostFacts
from cloudfabric.networking.dataplane.userspace import UserSpaceDataplane

__all__ = ["SimulatedSubstrate"]


class SimulatedSubstrate:
    """Hosts and workloads inside this process; implements `substrate.Substrate`."""

    kind = "user space"

    def __init__(self) -> None:
        self._hosts: dict[str, UserSpaceDataplane] = {}
        self._by_address: dict[int, UserSpaceDataplane] = {}
        self._stacks: dict[str, tuple[WorkloadStack, int]] = {}  # by identity
        self._behind: dict[tuple[int, int], WorkloadStack] = {}  # by the host's address and the interface's index
        self._queue: deque[Callable[[], None]] = deque()

    async def add_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Make hosts, each reachable from every other."""
        for facts in hosts:
            dataplane = UserSpaceDataplane(facts)
            self._hosts[facts.name] = self._by_address[int(facts.address)] = dataplane

    def dataplane(self, host: str) -> UserSpaceDataplane:
        """Return the data plane of a host that was added."""
        return self._hosts[host]

    async def add_workload(self, workload: Workload) -> None:
        """Make a workload and its interface."""
        host = self._hosts[workload.host]
        stack, index = WorkloadStack(workload), host.add_interface(workload.interface)
        self._stacks[workload.identity] = stack, index
        self._behind[int(host.facts.address), index] = stack

    async def remove_workload(self, workload: Workload) -> None:
        """Remove a workload and its interface."""
        host = self._hosts[workload.host]
        _, index = self._stacks.pop(workload.identity)
        del self._behind[int(host.facts.address), index]
        host.remove_interface(workload.interface)

    async def ping(self, source: Workload, address: IPv4Address, wait: float) -> float | None:
        """Send one ICMP echo request from a workload; see `Substrate`."""
        stack, index = self._stacks[source.identity]
        begun = time.perf_counter()
        number, frames = stack.ping(int(address))
        self._carry(self._hosts[source.host], index, frames)
        return time.perf_counter() - begun if number in stack.replies else None

    async def identify(self, source: Workload, address: IPv4Address, wait: float) -> str | None:
        """Ask over TCP who has an address; see `Substrate`."""
        stack, index = self._stacks[source.identity]
        number, frames = stack.connect(int(address))
        self._carry(self._hosts[source.host], index, frames)
        return stack.answer(number)

    async def close(self) -> None:
        """Do nothing: there is nothing outside this object."""

    def _carry(self, host: UserSpaceDataplane, index: int, frames: Iterable[bytes]) -> None:
        """Take frames of a workload, and all that follow from them, to where they go."""
        self._send(host, index, frames)
        while self._queue:
            self._queue.popleft()()

    def _send(self, host: UserSpaceDataplane, index: int, frames: Iterable[bytes]) -> None:
        for frame in frames:
            self._queue.append(partial(self._leave, host, index, frame))

    def _leave(self, host: UserSpaceDataplane, index: int, frame: bytes) -> None:
        self._carry_out(host, host.from_workload(index, frame))

    def _arrive(self, host: UserSpaceDataplane, frame: bytes) -> None:
        self._carry_out(host, host.from_underlay(frame))

    def _carry_out(self, host: UserSpaceDataplane, outcome: Outcome) -> None:
        if outcome.action is Action.TRANSMIT:
            target = self._by_address.get(outcome.host)
            if target is not None:
                self._queue.append(partial(self._arrive, target, outcome.frame))
        elif outcome.action in (Action.DELIVER, Action.REPLY):
            stack = self._behind.get((int(host.facts.address), outcome.ifindex))
            if stack is not None:
                self._send(host, outcome.ifindex, stack.receive(outcome.frame))
