# SPDX-License-Identifier: Apache-2.0
"""Bouncers and dividers as roles of hosts: one mechanism for both.

A role belongs to a parent (a bouncer to a subnet, a divider to a VPC) and is held by one host. The host gets what the
role needs by subscribing to topics of the parent. The order of events is what keeps packets from being lost:

* a role is Provisioned only when its host holds everything, and the parent's group names Provisioned roles only;
* a role that moves is prepared on its new host first; its status names the new host when that is ready; the old host
  keeps everything until the parent's group no longer names it anywhere;
* a role that is deleted keeps everything until then, too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, TypeAlias, TypeVar

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import VPC, Bouncer, Divider, Droplet, InvalidObject, Phase, Subnet
from cloudfabric.networking.contributions import Contribution, Topic
from cloudfabric.networking.operators.droplet import address_of, is_usable
from cloudfabric.networking.operators.network import Network, Owner, owner_of
from cloudfabric.networking.operators.operator import Operator
from cloudfabric.networking.placement import Candidate, choose

__all__ = ["BY_DROPLET", "BY_PARENT", "Role", "RoleOperator"]

Role: TypeAlias = Bouncer | Divider
RoleT = TypeVar("RoleT", Bouncer, Divider)
ParentT = TypeVar("ParentT", Subnet, VPC)

BY_PARENT = "by-parent"
BY_DROPLET = "by-droplet"
_UNPLACED = ""


class RoleOperator(Operator[RoleT]):
    """Base of the operators of bouncers and dividers."""

    # One at a time: where a role goes depends on where the one before it went.
    workers: ClassVar[int] = 1
    parent_kind: ClassVar[type[Subnet] | type[VPC]]

    def __init__(self, network: Network) -> None:
        super().__init__(network)

    def setup(self, context: Context) -> None:
        """Hear of the parent, of its group, and of hosts that come and go."""
        super().setup(context)
        self._droplets = context.informer(Droplet)
        self._roles = (context.informer(Bouncer), context.informer(Divider))
        self.informer.index(BY_PARENT, lambda role: (self.parent_key(role),))
        self.informer.index(BY_DROPLET, lambda role: (role.status.droplet or _UNPLACED,))
        context.watch(Droplet, self._concerned_by_droplet)
        context.watch(self.parent_kind, lambda parent: self._of_parent(ObjectKey.of(parent)))
        self.network.listen((self.parent_kind.KIND,), self._group_settled)

    @abstractmethod
    def parent_key(self, role: RoleT) -> ObjectKey:
        """Key of the subnet or VPC that a role belongs to."""

    @abstractmethod
    def needs(self, role: RoleT) -> frozenset[Topic] | str:
        """The topics that a role's host must be subscribed to, or why they are not known yet."""

    @abstractmethod
    def accepts(self, droplet: Droplet) -> bool:
        """Whether placement may put this role on a host."""

    @abstractmethod
    def validate(self, role: RoleT, droplet: Droplet | None) -> None:
        """Check a role that names its host.

        Raises:
            InvalidObject: A rule is broken.
        """

    async def reconcile(self, key: ObjectKey) -> None:
        """Place a role and prepare its host, or release the host."""
        role = self.informer.get(key)
        if role is None:
            self._forget(self.owner(key))
            self.network.contributions.withdraw(self.owner(key))
        elif role.metadata.deletion_timestamp is not None:
            await self._release(role)
        else:
            await self._provide(role)

    async def _provide(self, role: RoleT) -> None:
        topics = self.needs(role)
        if isinstance(topics, str):
            await self.report(role, Phase.PENDING, f"{self.parent_kind.KIND}NotReady", topics)
            return
        role = await self.hold(role)
        owner = owner_of(role)
        try:
            droplet = self._place(role)
        except InvalidObject as error:
            await self.report(role, Phase.FAILED, f"Invalid{role.KIND}", str(error))
            return
        if droplet is None:
            self._forget(owner)
            self.contribute(role, Contribution(subscribe=dict.fromkeys(topics, self._leaving(role, None))))
            message = f"no Droplet takes {role.PLURAL}; add one, or allow {role.PLURAL} on one that is there"
            await self.report(role, Phase.PENDING, "NoDroplet", message, droplet=None, address=None)
            return
        address = address_of(droplet)
        assert address is not None
        target = int(address)
        if role.status.droplet != droplet.metadata.name:
            self.network.moving[owner] = droplet.metadata.name
        hosts = frozenset({target}) | self._leaving(role, target)
        pending = self.contribute(role, Contribution(subscribe=dict.fromkeys(topics, hosts)))

        status: dict[str, object] = {"droplet": droplet.metadata.name, "address": address}
        if target not in pending and droplet.status.phase is Phase.PROVISIONED:
            self._forget(owner)
            phase, reason, message = Phase.PROVISIONED, "Provisioned", f"held by {droplet.metadata.name} ({address})"
        elif role.status.phase is Phase.PROVISIONED:
            return  # it still serves from where it was, or did before a restart
        else:
            phase, reason = Phase.PENDING, "WaitingForHosts"
            message = f"waiting for {self.waiting_for({target})} to acknowledge"
        await self.report(role, phase, reason, message, conditions=self.noting_failures(role), **status)

    def _place(self, role: RoleT) -> Droplet | None:
        """The host of a role: the one asked for, the one it has, or the best one."""
        if role.spec.droplet is not None:
            named = self._droplets.get(ObjectKey("", "", role.spec.droplet))
            self.validate(role, named)
            return named if is_usable(named) else None
        for name in (self.network.moving.get(owner_of(role)), role.status.droplet):
            current = self._droplets.get(ObjectKey("", "", name)) if name else None
            if current is not None and is_usable(current):
                return current
        siblings = self.informer.by_index(BY_PARENT, self.parent_key(role))
        load = Counter(host for informer in self._roles for item in informer.objects() for host in self._hosts_of(item))
        chosen = choose(
            (
                Candidate(
                    droplet.metadata.name,
                    load[droplet.metadata.name],
                    not self._unreachable(droplet),
                )
                for droplet in self._droplets.objects()
                if is_usable(droplet) and self.accepts(droplet)
            ),
            [host for item in siblings if item.metadata.uid != role.metadata.uid for host in self._hosts_of(item)],
        )
        return None if chosen is None else self._droplets.get(ObjectKey("", "", chosen))

    def _leaving(self, role: RoleT, target: int | None) -> frozenset[int]:
        """Hosts that the role has left but that other hosts may still take for its holder."""
        owner = owner_of(role)
        subscribed = self.network.contributions.contribution(owner).subscribe.values()
        old = frozenset(host for hosts in subscribed for host in hosts) - {target}
        parent = Owner(self.parent_kind.KIND, self.parent_key(role))
        serving = self.network.serving.get(parent, {}).get(owner.key)
        return old if serving in old or self.network.contributions.pending(parent) else frozenset()

    async def _release(self, role: RoleT) -> None:
        owner = owner_of(role)
        parent = Owner(self.parent_kind.KIND, self.parent_key(role))
        contributions = self.network.contributions
        if owner.key in self.network.serving.get(parent, {}) or (
            contributions.pending(parent) and contributions.contribution(owner).subscribe
        ):
            message = f"waiting until no host sends to it as a {role.KIND.lower()} any more"
            await self.report(role, Phase.TERMINATING, "Leaving", message)
            return
        held_by = () if role.status.address is None else (int(role.status.address),)
        if pending := self.withdraw(role, held_by):
            message = f"waiting for {self.waiting_for(pending)} to acknowledge"
            await self.report(role, Phase.TERMINATING, "WaitingForHosts", message)
            return
        self._forget(owner)
        await self.let_go(role)

    def _forget(self, owner: Owner) -> None:
        self.network.moving.pop(owner, None)

    def _hosts_of(self, role: Role) -> set[str]:
        """Names of the hosts that a role is on or on its way to."""
        names = (role.status.droplet, self.network.moving.get(owner_of(role)))
        return {name for name in names if name}

    def _unreachable(self, droplet: Droplet) -> bool:
        address = address_of(droplet)
        return address is not None and bool(self.network.contributions.host(int(address)).unreachable)

    def _concerned_by_droplet(self, droplet: Droplet) -> Iterable[ObjectKey]:
        """Roles on a host, on their way to it, or without any."""
        name = droplet.metadata.name
        for host in (name, _UNPLACED):
            for role in self.informer.by_index(BY_DROPLET, host):
                yield ObjectKey.of(role)
        for owner, moving_to in self.network.moving.items():
            if moving_to == name and owner.kind == self.kind.KIND:
                yield owner.key

    def _of_parent(self, key: ObjectKey) -> Iterable[ObjectKey]:
        return (ObjectKey.of(role) for role in self.informer.by_index(BY_PARENT, key))

    def _group_settled(self, owner: Owner) -> None:
        for key in self._of_parent(owner.key):
            self.context.enqueue(key)
