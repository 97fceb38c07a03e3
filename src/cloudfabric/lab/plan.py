# SPDX-License-Identifier: Apache-2.0
"""What a lab is to build from a manifest: checked, complete, in the order in which it is to be made."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from cloudfabric.models import (
    VPC,
    Bouncer,
    Divider,
    Droplet,
    Endpoint,
    InvalidObject,
    Object,
    Subnet,
    Tenant,
)
from cloudfabric.models.validation import validate_manifest
from cloudfabric.networking.dataplane.protocol import HostFacts

__all__ = ["UNDERLAY", "host_facts", "in_order", "plan"]

UNDERLAY = IPv4Network("172.30.0.0/16")
"""Where hosts get their addresses unless their Droplet names one."""

_ORDER: tuple[type[Object], ...] = (Tenant, Droplet, VPC, Subnet, Bouncer, Divider, Endpoint)


def plan(objects: Iterable[Object]) -> tuple[Object, ...]:
    """Check a manifest as a whole and give every host an address on the underlay.

    Args:
        objects: of the manifest; it must be complete in itself.

    Returns:
        The objects, Droplets with addresses.

    Raises:
        InvalidObject: a rule is broken, or there is no Droplet to carry anything.
    """
    given = tuple(objects)
    validate_manifest(given)
    if not any(isinstance(obj, Droplet) for obj in given):
        raise InvalidObject(
            "", "", "", "", "", "", "describes no Droplet; add one for each host that the lab shall have"
        )
    taken = {obj.spec.address for obj in given if isinstance(obj, Droplet)}
    free = (address for address in UNDERLAY.hosts() if address not in taken)
    return tuple(_with_address(obj, free) for obj in given)


def host_facts(objects: Iterable[Object]) -> dict[str, HostFacts]:
    """Return the hosts of a plan by name."""
    droplets = [obj for obj in objects if isinstance(obj, Droplet)]
    return {
        droplet.metadata.name: HostFacts(
            droplet.metadata.name, _address(droplet), uplink=droplet.spec.interface, mtu=droplet.spec.mtu
        )
        for droplet in droplets
    }


def in_order(objects: Sequence[Object]) -> Iterator[list[Object]]:
    """Yield the objects in groups such that none refers to one of a later group; those of unknown kinds last."""
    for kind in _ORDER:
        yield [obj for obj in objects if type(obj) is kind]
    yield [obj for obj in objects if type(obj) not in _ORDER]


def _with_address(obj: Object, free: Iterator[IPv4Address]) -> Object:
    if isinstance(obj, Droplet) and obj.spec.address is None:
        return obj.with_spec(address=next(free))
    return obj


def _address(droplet: Droplet) -> IPv4Address:
    assert droplet.spec.address is not None  # `plan` gave it one
    return droplet.spec.address
