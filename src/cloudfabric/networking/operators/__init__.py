# SPDX-License-Identifier: Apache-2.0
"""The operators: controllers that turn network objects into goal states of hosts.

    VPC      -> VNI, Divider objects, the group of dividers for the VPC's bouncers
    Subnet   -> segment, gateway, Bouncer objects, route and group for dividers, group for hosts with endpoints
    Endpoint -> address, MAC, the interface on its host, the member entry on the subnet's bouncers
    Bouncer  -> a host that holds the subnet's members and the VPC's dividers
    Divider  -> a host that holds the VPC's routes and all its subnets' bouncers
    Droplet  -> a host that is connected and known to all others

They share one `Network` and never call one another: what one has done, the others see in the objects.
"""

from __future__ import annotations

from cloudfabric.networking.operators.bundle import NetworkControllers
from cloudfabric.networking.operators.operator import FINALIZER

__all__ = ["FINALIZER", "NetworkControllers"]
