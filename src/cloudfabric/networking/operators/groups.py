# SPDX-License-Identifier: Apache-2.0
"""VPCs and subnets as holders of a number and of a group of roles: one mechanism for both.

A holder claims its number (VNI or segment), keeps as many roles (dividers or bouncers) as its spec asks for by making
and deleting Divider or Bouncer objects, and publishes the group of those that are Provisioned. When it is deleted,
whatever depends on it goes first, then its roles, then its entries, then its number is free.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import ClassVar, Final, TypeVar

from cloudfabric.controllers import Context, ObjectKey
from cloudfabric.models import VPC, Bouncer, Divider, Object, ObjectMeta, Phase, Subnet
from cloudfabric.networking.allocation import Allocator, PoolExhausted, ValueRange
from cloudfabric.networking.contributions import Contribution
from cloudfabric.networking.operators.network import Network, Owner, owner_of
from cloudfabric.networking.operators.operator import Operator
from cloudfabric.networking.operators.roles import BY_PARENT, Role
from cloudfabric.store import AlreadyExists, Conflict, NotFound

__all__ = ["GroupOperator"]

HolderT = TypeVar("HolderT", VPC, Subnet)

NAME_LENGTH: Final = 40
"""Of the holder's name, how much is in the names of its roles; names that become equal by that get other numbers."""


class GroupOperator(Operator[HolderT]):
    """Base of the operators of VPCs and subnets.

    Args:
        network: What the operators share.
        allocator: Takes and gives back numbers.
    """

    values: ClassVar[ValueRange]
    role_kind: ClassVar[type[Bouncer] | type[Divider]]

    def __init__(self, network: Network, allocator: Allocator) -> None:
        super().__init__(network)
        self._allocator = allocator

    def setup(self, context: Context) -> None:
        """Hear of the roles."""
        super().setup(context)
        self._roles = context.informer(self.role_kind)
        context.watch(self.role_kind, self._of_role)

    @abstractmethod
    def parent_key(self, role: Role) -> ObjectKey:
        """Key of the holder that a role belongs to."""

    @abstractmethod
    def wanted(self, holder: HolderT) -> int:
        """How many roles the holder asks for."""

    @abstractmethod
    def make_role(self, holder: HolderT, meta: ObjectMeta) -> Role:
        """A role of the holder, to be created."""

    @abstractmethod
    def contribution(self, holder: HolderT, hosts: tuple[int, ...]) -> Contribution:
        """What the holder contributes, its group being these hosts."""

    @abstractmethod
    def dependants(self, holder: HolderT) -> tuple[Object, ...]:
        """Objects that must go before the holder may."""

    @abstractmethod
    def held_by(self, holder: HolderT) -> Iterable[int]:
        """Hosts that may hold something of the holder from before a restart."""

    # --- life --------------------------------------------------------------------------------------------------------

    async def claim_number(self, holder: HolderT) -> int | str:
        """The holder's number, or why there is none."""
        try:
            return await self._allocator.claim(self.values, holder)
        except PoolExhausted as error:
            return str(error)

    async def keep(self, holder: HolderT, ready_above: bool, waiting: str, **status: object) -> None:
        """Keep the roles and the group of a holder that has its number, and report on it.

        Args:
            holder: The holder.
            ready_above: Whether what it depends on is ready.
            waiting: What to report if that is not so.
            status: Further fields of its status.
        """
        roles = await self._scale(holder)
        pending = self.publish(holder)
        ready = self._serving_roles(holder)
        wanted = self.wanted(holder)
        was_ready = holder.status.phase is Phase.PROVISIONED
        kind = self.role_kind.KIND.lower()
        if not ready:
            phase, reason = Phase.PENDING, f"No{self.role_kind.KIND}"
            message = f"none of {len(roles)} {kind}s is ready"
        elif was_ready or (len(ready) >= wanted and not pending and ready_above):
            phase, reason, message = Phase.PROVISIONED, "Provisioned", f"{len(ready)} of {wanted} {kind}s are ready"
        elif len(ready) < wanted:
            phase, reason = Phase.PENDING, f"WaitingFor{self.role_kind.KIND}s"
            message = f"{len(ready)} of {wanted} {kind}s are ready"
        elif pending:
            phase, reason = Phase.PENDING, "WaitingForHosts"
            message = f"waiting for {self.waiting_for(pending)} to acknowledge"
        else:
            phase, reason, message = Phase.PENDING, "WaitingForVPC", waiting
        await self.report(holder, phase, reason, message, conditions=self.noting_failures(holder), **status)

    def publish(self, holder: HolderT) -> frozenset[int]:
        """Contribute the holder's entries with the group of the roles that serve.

        Returns:
            The hosts that have not acknowledged it yet.
        """
        serving = self._serving_roles(holder)
        self.network.serving[owner_of(holder)] = serving
        return self.contribute(holder, self.contribution(holder, tuple(sorted(set(serving.values())))))

    async def see_off(self, holder: HolderT) -> None:
        """Take a deleted holder apart, one step at a time."""
        dependants = self.dependants(holder)
        if dependants:
            first = min(obj.metadata.path for obj in dependants)
            message = f"is in use by {dependants[0].KIND} {first}" + (
                f" and {len(dependants) - 1} more" if len(dependants) > 1 else ""
            )
            self.publish(holder)
            await self.report(holder, Phase.TERMINATING, "InUse", f"{message}; delete those first")
            return
        roles = self._roles.by_index(BY_PARENT, ObjectKey.of(holder))
        for role in roles:
            if role.metadata.deletion_timestamp is None:
                await self._delete(role)
        if roles:
            self.publish(holder)
            await self.report(
                holder, Phase.TERMINATING, "Leaving", f"waiting for {len(roles)} {self.role_kind.PLURAL} to go"
            )
            return
        if pending := self.withdraw(holder, self.held_by(holder)):
            message = f"waiting for {self.waiting_for(pending)} to acknowledge"
            await self.report(holder, Phase.TERMINATING, "WaitingForHosts", message)
            return
        self.network.serving.pop(owner_of(holder), None)
        await self._allocator.release(holder)
        await self.let_go(holder)

    def forget(self, key: ObjectKey) -> None:
        """The holder is gone without having been seen off."""
        owner = Owner(self.kind.KIND, key)
        self.network.serving.pop(owner, None)
        self.network.contributions.withdraw(owner)

    # --- roles -------------------------------------------------------------------------------------------------------

    def _serving_roles(self, holder: HolderT) -> Mapping[ObjectKey, int]:
        """The roles of the group, with the addresses of their hosts."""
        return {
            ObjectKey.of(role): int(role.status.address)
            for role in self._roles.by_index(BY_PARENT, ObjectKey.of(holder))
            if role.metadata.deletion_timestamp is None
            and role.status.phase is Phase.PROVISIONED
            and role.status.address is not None
        }

    async def _scale(self, holder: HolderT) -> list[Role]:
        """Make or delete roles until there are as many as wanted.

        Returns:
            Those that are there to stay, as far as the cache knows them.
        """
        known = self._roles.by_index(BY_PARENT, ObjectKey.of(holder))
        staying = [role for role in known if role.metadata.deletion_timestamp is None]
        missing = self.wanted(holder) - len(staying)
        if missing > 0:
            await self._add(holder, {role.metadata.name for role in known}, missing)
        for role in self._superfluous(holder, staying)[: max(0, -missing)]:
            await self._delete(role)
            staying.remove(role)
        return staying

    async def _add(self, holder: HolderT, taken: set[str], missing: int) -> None:
        owner, number = holder.owner_reference(), 0
        prefix = f"{holder.metadata.name[:NAME_LENGTH].rstrip('-.')}-{self.role_kind.KIND.lower()}"
        while missing:
            name = f"{prefix}-{number}"
            number += 1
            if name in taken:
                continue
            meta = ObjectMeta(tenant=holder.metadata.tenant, name=name, owner_references=(owner,))
            try:
                await self.client.create(self.make_role(holder, meta))
            except AlreadyExists:
                # Made by an earlier reconcile whose event is still on its way, or somebody else's.
                missing -= await self._is_ours(holder, name)
            else:
                missing -= 1

    async def _is_ours(self, holder: HolderT, name: str) -> bool:
        """Whether a role that the cache does not know is one of the holder's."""
        try:
            role = await self.client.get(self.role_kind, name, tenant=holder.metadata.tenant)
        except NotFound:  # it is being made, or has gone: look again soon
            kind = self.role_kind.KIND
            raise Conflict(kind, holder.metadata.tenant, "", name, "name", "free", "in transition") from None
        return self.parent_key(role) == ObjectKey.of(holder)

    def _superfluous(self, holder: HolderT, staying: list[Role]) -> list[Role]:
        """The roles that this operator made, those first that will be missed least."""
        hosts = Counter(role.status.droplet for role in staying)
        uid = holder.metadata.uid
        owned = [role for role in staying if any(owner.uid == uid for owner in role.metadata.owner_references)]
        owned.sort(key=lambda role: (len(role.metadata.name), role.metadata.name), reverse=True)
        return sorted(owned, key=lambda role: (role.status.phase is Phase.PROVISIONED, hosts[role.status.droplet] == 1))

    async def _delete(self, role: Role) -> None:
        meta = role.metadata
        with suppress(NotFound, Conflict):  # gone already, perhaps with a successor
            await self.client.delete(type(role), meta.name, tenant=meta.tenant, uid=meta.uid)

    def _of_role(self, role: Role) -> Iterable[ObjectKey]:
        return (self.parent_key(role),)
