# SPDX-License-Identifier: Apache-2.0
"""What the operators share: contributions, values, and who must be told when a host has answered.

The operators are ordinary controllers and coordinate through the objects. What cannot be read off objects is here and
is rebuilt by the first pass after a restart: the contributions, which group each role stands in at present, and where a
role is about to move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cloudfabric.controllers import ObjectKey
from cloudfabric.models import Object
from cloudfabric.networking.contributions import Contributions, Topic

__all__ = [
    "HOSTS",
    "Network",
    "Owner",
    "bouncers_topic",
    "dividers_topic",
    "members_topic",
    "owner_of",
    "routing_topic",
]

HOSTS: Topic = ("hosts",)
"""The hosts of the fabric, for every host."""


def members_topic(vni: int, segment: int) -> Topic:
    """Where each address of a subnet is, for the subnet's bouncers."""
    return ("members", vni, segment)


def bouncers_topic(vni: int, segment: int) -> Topic:
    """The group of a subnet's bouncers, for the hosts with an endpoint in the subnet."""
    return ("bouncers", vni, segment)


def dividers_topic(vni: int) -> Topic:
    """The group of a VPC's dividers, for the VPC's bouncers."""
    return ("dividers", vni)


def routing_topic(vni: int) -> Topic:
    """The routes to a VPC's subnets and the groups of their bouncers, for the VPC's dividers."""
    return ("routing", vni)


@dataclass(frozen=True, slots=True)
class Owner:
    """An object as the owner of contributions.

    Args:
        kind: Its kind.
        key: Its key.
    """

    kind: str
    key: ObjectKey


def owner_of(obj: Object) -> Owner:
    """An object as the owner of its contributions."""
    return Owner(obj.KIND, ObjectKey.of(obj))


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Network:
    """State shared by the operators of one fabric.

    Args:
        contributions: What every host must hold.
        now: Wall-clock time, for conditions.
        serving: For each VPC and subnet, the underlay addresses of the roles that its published group holds.
        moving: Roles that are being prepared on a Droplet which their status does not name yet.
    """

    contributions: Contributions[Owner]
    now: Callable[[], datetime] = _utc_now
    serving: dict[Owner, Mapping[ObjectKey, int]] = field(default_factory=dict)
    moving: dict[Owner, str] = field(default_factory=dict)
    _listeners: dict[str, list[Callable[[Owner], None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.contributions.on_change = self._changed

    def listen(self, kinds: Iterable[str], listener: Callable[[Owner], None]) -> None:
        """Have a function called with every owner of some kinds for which a host has answered or ceased to answer.

        Args:
            kinds: Kinds of the owners.
            listener: Called with the owner.
        """
        for kind in kinds:
            self._listeners.setdefault(kind, []).append(listener)

    def _changed(self, owner: Owner) -> None:
        for listener in self._listeners.get(owner.kind, ()):
            listener(owner)
