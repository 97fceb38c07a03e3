# SPDX-License-Identifier: Apache-2.0
"""The whole in one object: a store, its client, and controllers that run over it in this process.

    async with Fabric.open("lmdb:///var/lib/cloudfabric") as fabric:
        fabric.add(NetworkControllers(hosts), MyController())
        await fabric.client.create(tenant)
        await fabric.idle()

Everything that is opened is closed in reverse order when the block is left: reconciles in flight end, then the
controllers, then the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar, runtime_checkable

from cloudfabric.controllers import Clock, Controller, ControllerMetrics, Manager
from cloudfabric.models import Object
from cloudfabric.store import Client, open_store

__all__ = ["ControllerBundle", "Fabric"]

T = TypeVar("T", bound=Object)


@runtime_checkable
class ControllerBundle(Protocol):
    """Several controllers that belong together, such as `NetworkControllers`."""

    def add_to(self, manager: Manager) -> None:
        """Add them to a manager."""
        ...


class Fabric:
    """A store and the controllers that run over it.

    Args:
        manager: Runs the controllers.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, clock: Clock | None = None, grace: float = 10.0) -> AsyncIterator[Fabric]:
        """Open a store and a manager over it, for the time of an `async with` block.

        Args:
            url: Of the store: ``memory://`` or ``lmdb:///absolute/directory``.
            clock: Time for the controllers' delays; the event loop's by default.
            grace: How long reconciles in flight may take to end on leaving, in seconds.

        Raises:
            InvalidStoreURL: The URL names no store.
            StoreLocked: Another process has the store open.
        """
        async with open_store(url) as store, Manager(store.client(), clock=clock, grace=grace) as manager:
            yield cls(manager)

    @property
    def client(self) -> Client:
        """Access to the objects; what is written through it is known to `idle`."""
        return self._manager.client

    @property
    def manager(self) -> Manager:
        """What runs the controllers."""
        return self._manager

    def add(self, *controllers: Controller[T] | ControllerBundle) -> None:
        """Run controllers from now on.

        Args:
            controllers: Controllers, or bundles of them.
        """
        for controller in controllers:
            if isinstance(controller, Controller):
                self._manager.add(controller)
            else:
                controller.add_to(self._manager)

    async def idle(self, timeout: float | None = 60.0) -> None:
        """Wait until the controllers have nothing left to do, see `Manager.idle`.

        Args:
            timeout: Longest wait in seconds; None for no limit.

        Raises:
            NotIdle: It took longer.
        """
        await self._manager.idle(timeout)

    def metrics(self) -> Mapping[str, ControllerMetrics]:
        """Counters of the controllers, by name."""
        return self._manager.metrics()
