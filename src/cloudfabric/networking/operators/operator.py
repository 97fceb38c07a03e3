# SPDX-License-Identifier: Apache-2.0
"""Base of the operators: finalizer, status, and waiting for hosts.

Every object that contributes to hosts carries the finalizer `FINALIZER` from before its first contribution until every
host has acknowledged that the last one is gone. So an object never goes while a host still acts on it, and whatever it
held (a VNI, an address) is free for others only then.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Address
from typing import ClassVar, Final, TypeVar

from cloudfabric.controllers import Context, Controller, ObjectKey
from cloudfabric.models import Condition, ConditionStatus, Object, Phase, PhasedStatus
from cloudfabric.networking.contributions import Contribution
from cloudfabric.networking.operators.network import Network, Owner, owner_of

__all__ = ["APPLIED", "FINALIZER", "READY", "Operator", "conditions_with"]

FINALIZER: Final = "network.cloudfabric.io/hosts"
READY: Final = "Ready"
APPLIED: Final = "Applied"

T = TypeVar("T", bound=Object)


def conditions_with(
    conditions: Iterable[Condition],
    type: str,
    holds: bool,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Conditions with one of them set; its transition time changes only with its status.

    Args:
        conditions: Those that an object has.
        type: Of the condition to set.
        holds: Whether it holds.
        reason: One word in CamelCase.
        message: One sentence.
        generation: Of the object that was looked at.
        now: The time.
    """
    status = ConditionStatus.TRUE if holds else ConditionStatus.FALSE
    old = next((condition for condition in conditions if condition.type == type), None)
    since = old.last_transition_time if old is not None and old.status is status else now
    new = Condition(
        type=type,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=since,
    )
    return (*(condition for condition in conditions if condition.type != type), new)


class Operator(Controller[T]):
    """Base of the operators.

    Args:
        network: What the operators share.
    """

    workers: ClassVar[int] = 4

    def __init__(self, network: Network) -> None:
        self.network = network

    def setup(self, context: Context) -> None:
        """Hear of the hosts' answers to what objects of this kind contribute."""
        self.network.listen((self.kind.KIND,), lambda owner: context.enqueue(owner.key))

    def owner(self, key: ObjectKey) -> Owner:
        """The owner of an object's contributions."""
        return Owner(self.kind.KIND, key)

    # --- finalizer ---------------------------------------------------------------------------------------------------

    async def hold(self, obj: T) -> T:
        """The object with the finalizer, which it has or gets."""
        finalizers = obj.metadata.finalizers
        if FINALIZER in finalizers:
            return obj
        return await self.client.update(obj.with_metadata(finalizers=(*finalizers, FINALIZER)))

    async def let_go(self, obj: T) -> None:
        """Take the finalizer off, so that a deleted object may go."""
        left = tuple(name for name in obj.metadata.finalizers if name != FINALIZER)
        if left != obj.metadata.finalizers:
            await self.client.update(obj.with_metadata(finalizers=left))

    # --- contributions -----------------------------------------------------------------------------------------------

    def contribute(self, obj: T, contribution: Contribution) -> frozenset[int]:
        """State all that an object contributes.

        Returns:
            The hosts that have not acknowledged it yet.
        """
        owner = owner_of(obj)
        self.network.contributions.replace(owner, contribution)
        return self.network.contributions.pending(owner)

    def withdraw(self, obj: T, held_by: Iterable[int]) -> frozenset[int]:
        """Take back all that an object contributes.

        Args:
            obj: The object.
            held_by: Hosts that may hold something of it from before a restart.

        Returns:
            The hosts that have not acknowledged it yet.
        """
        owner = owner_of(obj)
        self.network.contributions.withdraw(owner, held_by)
        return self.network.contributions.pending(owner)

    def waiting_for(self, hosts: Iterable[int]) -> str:
        """The hosts that are waited for, in words, with what is known to be wrong with them."""
        described = []
        for address in sorted(hosts):
            trouble = self.network.contributions.host(address).unreachable
            described.append(f"{IPv4Address(address)}" + (f" ({trouble})" if trouble else ""))
        return ", ".join(described)

    def failure_of(self, obj: T) -> str:
        """What hosts could not apply of an object's contributions, in words; empty if nothing."""
        failures = self.network.contributions.failures(owner_of(obj))
        if not failures:
            return ""
        first = failures[0]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        sort = first.key[0]
        return f"host {IPv4Address(first.host)} could not apply a {sort} entry: {first.reason}{more}"

    def noting_failures(self, obj: T) -> tuple[Condition, ...]:
        """An object's conditions, with one that says whether hosts could apply what it contributes.

        The condition is there from the first failure on.
        """
        assert isinstance(obj.status, PhasedStatus)
        conditions, failure = obj.status.conditions, self.failure_of(obj)
        if not failure and all(condition.type != APPLIED for condition in conditions):
            return conditions
        return conditions_with(
            conditions,
            APPLIED,
            not failure,
            "NotApplied" if failure else "Applied",
            failure or "every host holds all of it",
            generation=obj.metadata.generation,
            now=self.network.now(),
        )

    # --- status ------------------------------------------------------------------------------------------------------

    async def report(
        self,
        obj: T,
        phase: Phase,
        reason: str,
        message: str,
        *,
        conditions: Iterable[Condition] | None = None,
        **status: object,
    ) -> T:
        """Write an object's status, if anything in it changes.

        Args:
            obj: The object.
            phase: Its phase; the condition Ready holds if this is Provisioned.
            reason: Of the condition, one word in CamelCase.
            message: Of the condition, one sentence.
            conditions: The other conditions; by default those that it has.
            status: Further fields of the status by their Python names.

        Returns:
            The object with the status.
        """
        assert isinstance(obj.status, PhasedStatus)
        all_conditions = conditions_with(
            obj.status.conditions if conditions is None else conditions,
            READY,
            phase is Phase.PROVISIONED,
            reason,
            message,
            generation=obj.metadata.generation,
            now=self.network.now(),
        )
        changed = obj.with_status(phase=phase, conditions=all_conditions, **status)
        if changed.status == obj.status:
            return obj
        return await self.client.update_status(changed)
