# SPDX-License-Identifier: Apache-2.0
"""All operators of the network, wired together."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from cloudfabric.controllers import Controller, Manager
from cloudfabric.models import Allocation, Object
from cloudfabric.networking.allocation import Allocator
from cloudfabric.networking.contributions import Contributions
from cloudfabric.networking.delivery import Delivery, DeliveryMetrics, HostRegistry
from cloudfabric.networking.operators.allocation import AllocationOperator
from cloudfabric.networking.operators.bouncer import BouncerOperator
from cloudfabric.networking.operators.divider import DividerOperator
from cloudfabric.networking.operators.droplet import DropletOperator
from cloudfabric.networking.operators.endpoint import EndpointOperator
from cloudfabric.networking.operators.network import Network, Owner
from cloudfabric.networking.operators.subnet import SubnetOperator
from cloudfabric.networking.operators.vpc import VPCOperator

__all__ = ["NetworkControllers"]

T = TypeVar("T", bound=Object)


class NetworkControllers:
    """The network's control side, to be added to a `Manager` or a `Fabric`.

    Args:
        hosts: Finds the channel to a host's agent by the name of its Droplet.
        timeout: How long a host may take to answer, in seconds.
    """

    def __init__(self, hosts: HostRegistry, *, timeout: float = 30.0) -> None:
        self._hosts = hosts
        self._timeout = timeout
        self._delivery: Delivery[Owner] | None = None
        self._network: Network | None = None

    @property
    def metrics(self) -> DeliveryMetrics:
        """Counters of what was sent to hosts."""
        return self._delivery.metrics if self._delivery is not None else DeliveryMetrics()

    @property
    def network(self) -> Network:
        """What the operators share, for tests and for looking into it.

        Raises:
            RuntimeError: The controllers were not added to a manager yet.
        """
        if self._network is None:
            raise RuntimeError("these controllers were not added to a manager yet; call add_to(manager) first")
        return self._network

    def add_to(self, manager: Manager) -> None:
        """Run the operators in a manager.

        Args:
            manager: The manager; to be called once.

        Raises:
            RuntimeError: They were added to a manager already.
        """
        if self._network is not None:
            raise RuntimeError("these controllers were added to a manager already; make others for another manager")
        contributions: Contributions[Owner] = Contributions()
        network = self._network = Network(contributions)
        operators: list[Controller[Object]] = []

        async def opened() -> None:
            await asyncio.gather(*(operator.first_pass.wait() for operator in operators))

        def reach_changed(name: str) -> None:
            droplets.reach_changed(name)

        delivery = self._delivery = Delivery(
            contributions,
            self._hosts,
            clock=manager.clock,
            opened=opened,
            on_reach=reach_changed,
            became_idle=manager.became_idle,
            timeout=self._timeout,
        )
        allocator = Allocator(manager.client, manager.informer(Allocation))
        droplets = DropletOperator(network, delivery)

        def run(operator: Controller[T]) -> None:
            manager.add(operator)
            operators.append(operator)  # type: ignore[arg-type]  # only waited for

        run(AllocationOperator(allocator))
        run(droplets)
        run(VPCOperator(network, allocator))
        run(SubnetOperator(network, allocator))
        run(DividerOperator(network))
        run(BouncerOperator(network))
        run(EndpointOperator(network, allocator))
        manager.add_service(delivery)
