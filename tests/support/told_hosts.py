# SPDX-License-Identifier: Apache-2.0
"""Contributions, and hosts that follow their deltas."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudfabric.networking.contributions import Contributions
from cloudfabric.networking.goalstate import Acknowledgement, Delta, Failure, GoalState, VersionMismatch


@dataclass
class ToldHosts:
    """Contributions, and the states of the hosts that follow their deltas."""

    changes: list[str] = field(default_factory=list)
    work: list[int] = field(default_factory=list)
    states: dict[int, GoalState] = field(default_factory=dict)
    deltas: list[Delta] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contributions: Contributions[str] = Contributions(self.changes.append, self.work.append)

    def add(self, *hosts: int) -> None:
        for host in hosts:
            state = self.states.setdefault(host, GoalState())
            self.contributions.add_host(host, state.version)

    def deliver(self, host: int, *failures: Failure) -> Delta | None:
        delta = self.contributions.take(host)
        if delta is not None:
            self.deltas.append(delta)
            self.contributions.acknowledge(host, delta, self.answer(host, delta, failures))
        return delta

    def answer(self, host: int, delta: Delta, failures: tuple[Failure, ...] = ()) -> Acknowledgement:
        try:
            self.states[host].apply(delta, {failure.key for failure in failures})
        except VersionMismatch as mismatch:
            return Acknowledgement(host, mismatch.held)
        return Acknowledgement(host, delta.version, failures)

    def deliver_all(self) -> None:
        for host in self.states:
            while self.deliver(host) is not None:
                pass
