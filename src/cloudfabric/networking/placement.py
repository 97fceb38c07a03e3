# SPDX-License-Identifier: Apache-2.0
"""Which host gets the next bouncer or divider; a pure function, so everybody who asks gets the same answer.

Hosts that do not hold the same role for the same subnet (or VPC) come first, so that losing one host costs one of N.
Among those, the host with the fewest roles; among equals, the first by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

__all__ = ["Candidate", "choose"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that may get a role.

    Args:
        name: Of its Droplet.
        roles: How many roles it holds already, of all subnets and VPCs.
        reachable: Whether its agent answers; a host that does not is taken only if there is no other.
    """

    name: str
    roles: int
    reachable: bool = True


def choose(candidates: Iterable[Candidate], siblings: Collection[str]) -> str | None:
    """The host for one more role.

    Args:
        candidates: Hosts that may be chosen.
        siblings: Names of the hosts of the roles that share its duty, one for each role.

    Returns:
        The name of the chosen host; None without candidates.
    """
    shared = list(siblings)
    best = min(
        candidates,
        key=lambda host: (not host.reachable, shared.count(host.name), host.roles, host.name),
        default=None,
    )
    return None if best is None else best.name
