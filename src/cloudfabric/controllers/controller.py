# SPDX-License-Identifier: Apache-2.0
"""What a user writes: a controller says which kind it reconciles, what else it watches, and how it reconciles.

    class Greeter(Controller[Tenant]):
        kind = Tenant

        async def reconcile(self, key: ObjectKey) -> None:
            tenant = self.informer.get(key)
            print(f"{key} is", "gone" if tenant is None else "there")

`reconcile` gets a key and looks at how things are: it must not depend on what happened before, may be called at any
time and any number of times, and makes the next step towards what is wanted. If it raises, it is called again after a
backoff.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar, cast

from cloudfabric.controllers.clock import Clock
from cloudfabric.controllers.informer import Informer
from cloudfabric.controllers.keys import ObjectKey
from cloudfabric.models import Object, Scope
from cloudfabric.store import Client

__all__ = ["Context", "Controller", "ControllerMetrics", "Mapper", "Result", "Service"]

T = TypeVar("T", bound=Object)
S = TypeVar("S", bound=Object)

Mapper: TypeAlias = Callable[[S], Iterable[ObjectKey]]
"""Which keys of a controller's own kind an object of another kind concerns."""


@dataclass(frozen=True, slots=True)
class Result:
    """What `reconcile` may return.

    Args:
        requeue_after: Seconds after which to reconcile the key again without any event; None for not.
    """

    requeue_after: float | None = None


@dataclass(slots=True)
class ControllerMetrics:
    """Counters of one controller.

    Args:
        reconciles: Calls of `reconcile` that returned or raised.
        failures: Those that raised anything but `Conflict`.
        conflicts: Those that raised `Conflict`.
        seconds: Time spent in them.
        last_errors: Texts of the last failures, by key; gone with the next success.
    """

    reconciles: int = 0
    failures: int = 0
    conflicts: int = 0
    seconds: float = 0.0
    last_errors: dict[ObjectKey, str] = field(default_factory=dict)


class Service(Protocol):
    """Something that runs beside the controllers for as long as the manager does."""

    @property
    def busy(self) -> str:
        """What it is doing, for people; empty when it has nothing to do."""
        ...

    async def run(self) -> None:
        """Work until cancelled."""
        ...


class Context:
    """What a manager gives to a controller.

    Args:
        client: For reads and writes.
        clock: Time.
        informers: Finds or makes the informer of a kind.
        enqueue: Puts a key into the controller's queue.
        add_service: Has a service run beside the controllers.
        became_idle: To be called by a service that ceases to be busy.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        informers: Callable[[type[Object]], Informer[Object]],
        enqueue: Callable[[ObjectKey], None],
        add_service: Callable[[Service], None],
        became_idle: Callable[[], None],
    ) -> None:
        self.client = client
        self.clock = clock
        self.enqueue = enqueue
        self.add_service = add_service
        self.became_idle = became_idle
        self._informers = informers

    def informer(self, kind: type[S]) -> Informer[S]:
        """The informer of a kind, shared by all controllers of the manager."""
        return cast("Informer[S]", self._informers(kind))

    def watch(self, kind: type[S], mapper: Mapper[S]) -> None:
        """Reconcile the keys that objects of another kind concern, whenever one of those changes.

        Args:
            kind: The other kind.
            mapper: Called with the object before and after the change, so that both sides of a moved reference hear.
        """

        def handle(old: S | None, new: S | None) -> None:
            for obj in (old, new):
                if obj is not None:
                    for key in mapper(obj):
                        self.enqueue(key)

        self.informer(kind).add_handler(handle)


class Controller(Generic[T]):
    """Base of every controller.

    Class attributes to set: `kind`, and where the default does not do, `name` (of the class), `workers` (keys that are
    reconciled at a time) and `timeout` (seconds after which a reconcile is abandoned and counts as failed).
    """

    kind: ClassVar[type[Object]]
    name: ClassVar[str] = ""
    workers: ClassVar[int] = 4
    timeout: ClassVar[float] = 60.0

    context: Context
    client: Client
    informer: Informer[T]
    first_pass: asyncio.Event
    """Set when every object that was there at the start has been reconciled once, or has failed often enough."""

    def bind(self, context: Context) -> None:
        """Called by the manager, once, before `setup`."""
        self.first_pass = asyncio.Event()
        self.context = context
        self.client = context.client
        self.informer = cast("Informer[T]", context.informer(self.kind))  # kind is the class of T

    def setup(self, context: Context) -> None:
        """Define indexes and further watches; called once before the first reconcile, from the event loop."""

    def owns(self, kind: type[Object]) -> None:
        """Reconcile an object whenever something changes that names it as its controller in the owner references."""
        self.context.watch(kind, self._owner_keys)

    async def reconcile(self, key: ObjectKey) -> Result | None:
        """Make the next step for one object, or clean up after it if it is gone.

        Args:
            key: The object's key; look it up in `informer`.

        Returns:
            When to come back without an event, if at all.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no reconcile(key)")

    def _owner_keys(self, obj: Object) -> Iterable[ObjectKey]:
        meta, scope = obj.metadata, self.kind.SCOPE
        tenant = "" if scope is Scope.CLUSTER else meta.tenant
        namespace = meta.namespace if scope is Scope.NAMESPACE else ""
        for owner in meta.owner_references:
            if owner.controller and owner.kind == self.kind.KIND:
                yield ObjectKey(tenant, namespace, owner.name)
