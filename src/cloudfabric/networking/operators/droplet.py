# SPDX-License-Identifier: Apache-2.0
"""The Droplet operator: hosts join the fabric and leave it.

A host joins when its agent is connected and every other host that can be reached knows its address, because tunnel
packets from an unknown host are dropped. It leaves in this order: roles move to other hosts and endpoints withdraw
(their operators see the deletion), then the others forget its address, then its agent is let go. A host that cannot be
reached is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import ClassVar

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import Droplet, InvalidObject, Phase
from cloudfabric.models.validation import validate_droplet
from cloudfabric.networking.contributions import Contribution
from cloudfabric.networking.delivery import Delivery
from cloudfabric.networking.goalstate import KnownHost
from cloudfabric.networking.operators.network import HOSTS, Network, Owner, owner_of
from cloudfabric.networking.operators.operator import Operator, conditions_with

__all__ = ["DropletOperator", "address_of", "is_usable"]

REACHABLE = "Reachable"
BY_ADDRESS = "by-address"


def address_of(droplet: Droplet) -> IPv4Address | None:
    """A host's underlay address as far as it is known."""
    return droplet.spec.address or droplet.status.address


def is_usable(droplet: Droplet | None) -> bool:
    """Whether something may be put on a host: it is there to stay, and its address is known."""
    return (
        droplet is not None
        and droplet.metadata.deletion_timestamp is None
        and droplet.status.phase is not Phase.FAILED
        and address_of(droplet) is not None
    )


class DropletOperator(Operator[Droplet]):
    """Reconciles Droplets.

    Args:
        network: What the operators share.
        delivery: Keeps hosts up to date.
    """

    kind = Droplet
    workers: ClassVar[int] = 4

    def __init__(self, network: Network, delivery: Delivery[Owner]) -> None:
        super().__init__(network)
        self._delivery = delivery
        self._attached: dict[ObjectKey, int] = {}
        self._draining: set[ObjectKey] = set()

    def setup(self, context: Context) -> None:
        """Hear of what leaves a host that is being deleted."""
        super().setup(context)
        self.informer.index(BY_ADDRESS, lambda droplet: (address_of(droplet),))
        self.network.contributions.on_leave = self._left

    def reach_changed(self, name: str) -> None:
        """A host has become reachable or unreachable.

        Args:
            name: Of its Droplet.
        """
        self.context.enqueue(ObjectKey("", "", name))

    async def reconcile(self, key: ObjectKey) -> None:
        """Connect a host and make it known, or see it off."""
        droplet = self.informer.get(key)
        if droplet is None:
            self.network.contributions.withdraw(self.owner(key))
            self._detach(key)
        elif droplet.metadata.deletion_timestamp is not None:
            await self._see_off(droplet)
        else:
            await self._join(droplet)

    async def _join(self, droplet: Droplet) -> None:
        key = ObjectKey.of(droplet)
        address = address_of(droplet)
        if address is None:
            message = "has no address on the underlay yet; set spec.address"
            await self.report(droplet, Phase.PENDING, "NoAddress", message)
            return
        try:
            validate_droplet(droplet, self._others_with(address, droplet))
        except InvalidObject as error:
            await self.report(droplet, Phase.FAILED, "InvalidDroplet", str(error))
            return
        droplet = await self.hold(droplet)
        number = int(address)
        if self._attached.get(key, number) != number:
            self._detach(key)
        self._attached[key] = number
        self._delivery.attach(key.name, number)
        known = Contribution(publish={HOSTS: (KnownHost(number),)}, subscribe={HOSTS: frozenset({number})})
        pending = self._reachable(self.contribute(droplet, known), number)

        trouble = self.network.contributions.host(number).unreachable
        reachable = conditions_with(
            droplet.status.conditions,
            REACHABLE,
            not trouble,
            "NoAnswer" if trouble else "Answers",
            trouble or "the host's agent answers",
            generation=droplet.metadata.generation,
            now=self.network.now(),
        )
        if droplet.status.phase is Phase.PROVISIONED and droplet.status.address == address:
            phase, reason, message = Phase.PROVISIONED, "Provisioned", "the host is part of the fabric"
        elif pending:
            phase, reason = Phase.PENDING, "WaitingForHosts"
            message = f"waiting for {self.waiting_for(pending)} to acknowledge"
        else:
            phase, reason, message = Phase.PROVISIONED, "Provisioned", "the host is part of the fabric"
        await self.report(droplet, phase, reason, message, conditions=reachable, address=address)

    async def _see_off(self, droplet: Droplet) -> None:
        key, owner = ObjectKey.of(droplet), owner_of(droplet)
        contributions = self.network.contributions
        known = address_of(droplet)
        if known is not None and key not in self._attached and not self._others_with(known, droplet):
            self._attached[key] = int(known)
        address = self._attached.get(key)
        if address is not None:
            self._draining.add(key)
            self._delivery.attach(key.name, address)
            if contributions.host(address).unreachable:
                contributions.remove_host(address)
            others = contributions.contributors(address) - {owner}
            if others:
                message = f"waiting for {len(others)} objects to leave the host"
                await self.report(droplet, Phase.TERMINATING, "Draining", message)
                return
            pending = self._reachable(self.withdraw(droplet, self._all_hosts()), None)
            if pending:
                message = f"waiting for {self.waiting_for(pending)} to acknowledge"
                await self.report(droplet, Phase.TERMINATING, "WaitingForHosts", message)
                return
        self._detach(key)
        await self.let_go(droplet)

    def _detach(self, key: ObjectKey) -> None:
        self._draining.discard(key)
        address = self._attached.pop(key, None)
        if address is not None:
            self._delivery.detach(address)

    def _others_with(self, address: IPv4Address, droplet: Droplet) -> tuple[Droplet, ...]:
        """Other Droplets that hold an address, because they were first."""
        return tuple(
            other
            for other in self.informer.by_index(BY_ADDRESS, address)
            if other.metadata.uid != droplet.metadata.uid
            and (other.status.phase is Phase.PROVISIONED or ObjectKey.of(other) in self._attached)
        )

    def _all_hosts(self) -> tuple[int, ...]:
        droplets = (droplet for droplet in self.informer.objects() if droplet.status.phase is not Phase.FAILED)
        return tuple(int(address) for droplet in droplets if (address := address_of(droplet)) is not None)

    def _reachable(self, hosts: Iterable[int], own: int | None) -> frozenset[int]:
        """Of some hosts, the one in question and those that answer; the others are told when they are back."""
        contributions = self.network.contributions
        return frozenset(host for host in hosts if host == own or not contributions.host(host).unreachable)

    def _left(self, address: int) -> None:
        """Something has left a host."""
        for key in self._draining:
            if self._attached.get(key) == address:
                self.context.enqueue(key)
