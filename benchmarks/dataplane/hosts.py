# SPDX-License-Identifier: Apache-2.0
"""Two hosts, one link between them, and two ways across it: CloudFabric and the kernel's own VXLAN + bridge.

    host 1  [ uplink ]------ veth ------[ uplink ]  host 2
      |  \\                                  |  \\
      |   cf<uid> -- workload 10.0.0.1      |   cf<uid> -- workload 10.0.0.2        the fabric: agent, BPF
      bridge -- vxlan, workload 10.9.0.1    bridge -- vxlan, workload 10.9.0.2      the peer

The fabric's side is the product's: a `KernelDataplane` and a `HostAgent` per host follow a goal state. Host 2 is the
bouncer of the one subnet. Each workload is a network namespace with an MTU that leaves room for its tunnel.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.dataplane.workspace import bpf_file_system, network_namespaces
from cloudfabric._fastpath.verdicts import Verdict
from cloudfabric.networking.agent import HostAgent
from cloudfabric.networking.dataplane import namespaces
from cloudfabric.networking.dataplane.kernel import KernelDataplane
from cloudfabric.networking.dataplane.links import Links
from cloudfabric.networking.dataplane.namespaces import NamespaceExecutor
from cloudfabric.networking.dataplane.protocol import HostFacts
from cloudfabric.networking.goalstate import Delta, Entry, Group, KnownHost, LocalEndpoint, Member, interface_name

__all__ = ["TwoHosts", "Way", "two_hosts"]

_NUMBERS = (1, 2)
_VNI, _SEGMENT = 7, 1
_PREFIX_LENGTH = 24
_MTU = 1500
_FABRIC_OVERHEAD, _VXLAN_OVERHEAD = 70, 50  # the first leaves room for options (OVERHEAD_RESERVED)


@dataclass(frozen=True, slots=True)
class Way:
    """How to get from one workload to the other.

    Args:
        client: namespace of the workload on host 1.
        server: namespace of the workload on host 2.
        address: of the server.
    """

    client: str
    server: str
    address: IPv4Address


class TwoHosts:
    """Both ways across one link; made by `two_hosts`."""

    def __init__(self, runner: asyncio.Runner, agents: tuple[HostAgent, ...]) -> None:
        self.fabric = Way(_space("fabric", 1), _space("fabric", 2), _inner(2))
        self.vxlan = Way(_space("vxlan", 1), _space("vxlan", 2), _vxlan_inner(2))
        self._runner = runner
        self._agents = agents

    def verdicts(self, host: int) -> dict[Verdict, int]:
        """Return how many packets met each verdict on host 1 or 2, without those that none met."""
        counts = self._runner.run(self._agents[host - 1].dataplane.verdicts())
        return {verdict: count for verdict, count in counts.items() if count}


@contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Make the hosts and both ways across, and take all of it away again."""
    spaces = [_space(kind, number) for kind in ("host", "fabric", "vxlan") for number in _NUMBERS]
    with network_namespaces(*spaces), bpf_file_system("hosts") as pins, ExitStack() as stack:
        executors = [NamespaceExecutor(_space("host", number)) for number in _NUMBERS]
        for executor in executors:
            stack.callback(executor.close)
        executors[0].submit(_join_hosts).result()
        for number, executor in zip(_NUMBERS, executors, strict=True):
            executor.submit(_configure_host, number).result()
            _configure_workload(_space("fabric", number), _inner(number))
            _configure_workload(_space("vxlan", number), _vxlan_inner(number))
        runner = stack.enter_context(asyncio.Runner())
        agents = tuple(_agent(number, executor, pins) for number, executor in zip(_NUMBERS, executors, strict=True))
        for number, agent in zip(_NUMBERS, agents, strict=True):
            runner.run(agent.start())
            stack.callback(_stop, runner, agent)
            answer = runner.run(agent.apply(Delta(0, 1, _goal_state(number))))
            if answer.failures:
                raise RuntimeError(f"host {number} did not follow its goal state: {answer.failures}")
        yield TwoHosts(runner, agents)


def _stop(runner: asyncio.Runner, agent: HostAgent) -> None:
    runner.run(agent.stop())


def _agent(number: int, executor: NamespaceExecutor, pins: Path) -> HostAgent:
    facts = HostFacts(f"host-{number}", _outer(number), mtu=_MTU)
    return HostAgent(KernelDataplane(facts, executor, pins / facts.name))


def _goal_state(number: int) -> tuple[Entry, ...]:
    """What the control side would tell a host: its endpoint, the bouncers, and on host 2 the bouncer's table."""
    local = LocalEndpoint(
        _VNI, int(_inner(number)), _PREFIX_LENGTH, _SEGMENT, _mac(number), _interface(number), _uid(number)
    )
    hosts = [KnownHost(int(_outer(other))) for other in _NUMBERS]
    members = [Member(_VNI, int(_inner(other)), int(_outer(other))) for other in _NUMBERS if number == 2]
    return (local, Group(_VNI, _SEGMENT, (int(_outer(2)),)), *hosts, *members)


def _join_hosts() -> None:
    with Links() as links:
        links.add_veth("uplink", "uplink", _space("host", 2), mtu=_MTU)


def _configure_host(number: int) -> None:
    """Address the uplink, plug the fabric's workload in, and build the peer: VXLAN, bridge and its workload."""
    other = 3 - number
    with Links() as links:
        links.set_up("lo")
        links.set_up("uplink")
        links.add_address("uplink", _outer(number), _PREFIX_LENGTH)
        links.add_veth(
            _interface(number), "eth0", _space("fabric", number), mtu=_MTU - _FABRIC_OVERHEAD, peer_mac=_mac(number)
        )
        mtu = _MTU - _VXLAN_OVERHEAD
        links.add_vxlan("vxlan", vni=_VNI, local=_outer(number), remote=_outer(other), device="uplink", mtu=mtu)
        links.add_bridge("bridge", mtu=mtu)
        links.add_veth("port", "eth0", _space("vxlan", number), mtu=mtu)
        links.set_master("vxlan", "bridge")
        links.set_master("port", "bridge")


def _configure_workload(space: str, address: IPv4Address) -> None:
    with namespaces.entered(space), Links() as links:
        links.set_up("lo")
        links.add_address("eth0", address, _PREFIX_LENGTH)
        links.set_up("eth0")


def _space(kind: str, number: int) -> str:
    return f"cft-bench-{kind}-{number}"


def _uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def _interface(number: int) -> str:
    return interface_name(_uid(number))


def _mac(number: int) -> bytes:
    return bytes.fromhex("02cf0a0000") + bytes([number])


def _outer(number: int) -> IPv4Address:
    return IPv4Address("172.30.0.0") + number


def _inner(number: int) -> IPv4Address:
    return IPv4Address("10.0.0.0") + number


def _vxlan_inner(number: int) -> IPv4Address:
    return IPv4Address("10.9.0.0") + number
