# SPDX-License-Identifier: Apache-2.0
"""Rules between objects, as pure functions: the object in question and those it stands beside go in, an error comes
out.

Nothing is fetched here. An operator passes what its informers hold (the VPC that a subnet names, the subnets that share
it); `validate_manifest` does the same for a whole set of objects with indexes of its own. The others may include an
older version of the object itself (same tenant, namespace and name), which is left out of comparisons. A reference that
names nothing is passed as None and is an error: on admission an object comes after what it refers to; an operator that
wants to wait for a late one does not call the rule yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Network
from itertools import pairwise
from typing import TypeVar

from cloudfabric.models.errors import InvalidObject
from cloudfabric.models.fabric import Tenant
from cloudfabric.models.network import VPC, Bouncer, Divider, Droplet, Endpoint, Subnet
from cloudfabric.models.object import Object

__all__ = [
    "find_invalid",
    "validate_bouncer",
    "validate_divider",
    "validate_droplet",
    "validate_endpoint",
    "validate_manifest",
    "validate_subnet",
    "validate_vpc",
]

_T = TypeVar("_T", bound=Object)


def validate_vpc(vpc: VPC, subnets: Iterable[Subnet] = ()) -> None:
    """Check a VPC: its networks do not overlap, and still hold its subnets.

    Args:
        vpc: the VPC.
        subnets: subnets that may belong to it; those of other VPCs are passed over.

    Raises:
        InvalidObject: a rule is broken.
    """
    networks = sorted(vpc.spec.cidrs)
    for first, second in pairwise(networks):
        # Networks nest or are apart, so in sorted order each overlap shows between neighbours.
        if first.overlaps(second):
            index = vpc.spec.cidrs.index(second)
            if first == second:
                index = len(vpc.spec.cidrs) - 1 - vpc.spec.cidrs[::-1].index(second)
            raise _broken(vpc, f"spec.cidrs[{index}]", second, f"overlaps {first} of the same VPC; remove one")
    for subnet in subnets:
        if _belongs(subnet, vpc) and not _holds(vpc, subnet.spec.cidr):
            raise _broken(
                vpc,
                "spec.cidrs",
                _join(vpc.spec.cidrs),
                f"leaves out subnet {subnet.metadata.name} ({subnet.spec.cidr}); delete it first or keep its network",
            )


def validate_subnet(subnet: Subnet, vpc: VPC | None, siblings: Iterable[Subnet] = ()) -> None:
    """Check a subnet: inside its VPC, and apart from the other subnets there.

    Args:
        subnet: the subnet.
        vpc: the VPC that it names, or None if there is none.
        siblings: subnets that may overlap; those of other VPCs are passed over.

    Raises:
        InvalidObject: a rule is broken.
    """
    cidr = subnet.spec.cidr
    if vpc is None:
        raise _unknown(subnet, "spec.vpc", subnet.spec.vpc, "VPC")
    if not _holds(vpc, cidr):
        raise _broken(
            subnet,
            "spec.cidr",
            cidr,
            f"is outside VPC {vpc.metadata.name} ({_join(vpc.spec.cidrs)}); choose a network inside it",
        )
    for other in siblings:
        if _belongs(other, vpc) and not _same(other, subnet) and cidr.overlaps(other.spec.cidr):
            raise _broken(
                subnet,
                "spec.cidr",
                cidr,
                f"overlaps subnet {other.metadata.name} ({other.spec.cidr}); choose a network that no subnet uses",
            )


def validate_endpoint(
    endpoint: Endpoint, subnet: Subnet | None, droplet: Droplet | None, siblings: Iterable[Endpoint] = ()
) -> None:
    """Check an endpoint: an address of its subnet that is free to use, a MAC and a host that exist once.

    Args:
        endpoint: the endpoint.
        subnet: the subnet that it names, or None if there is none.
        droplet: the Droplet that it names, or None if there is none.
        siblings: endpoints that may hold the same address or MAC, for example by an index of the subnet or of the
            address; those of other subnets are passed over.

    Raises:
        InvalidObject: a rule is broken.
    """
    if subnet is None:
        raise _unknown(endpoint, "spec.subnet", endpoint.spec.subnet, "Subnet")
    if droplet is None:
        raise _unknown(endpoint, "spec.droplet", endpoint.spec.droplet, "Droplet")
    address, mac = endpoint.spec.address, endpoint.spec.mac
    if address is not None:
        _check_address(endpoint, subnet)
    if address is None and mac is None:
        return
    for other in siblings:
        if _same(other, endpoint) or not _shares_subnet(other, endpoint):
            continue
        holder = other.metadata.path
        if address is not None and address in (other.spec.address, other.status.address):
            raise _broken(endpoint, "spec.address", address, f"is the address of endpoint {holder}; choose another")
        if mac is not None and mac in (other.spec.mac, other.status.mac):
            raise _broken(endpoint, "spec.mac", mac, f"is the MAC address of endpoint {holder}; choose another")


def validate_droplet(droplet: Droplet, others: Iterable[Droplet] = ()) -> None:
    """Check a Droplet: no other host has its address on the underlay.

    Args:
        droplet: the Droplet.
        others: Droplets that may hold the same address.

    Raises:
        InvalidObject: a rule is broken.
    """
    address = droplet.spec.address
    if address is None:
        return
    for other in others:
        if not _same(other, droplet) and address in (other.spec.address, other.status.address):
            raise _broken(
                droplet, "spec.address", address, f"is the address of Droplet {other.metadata.name}; choose another"
            )


def validate_bouncer(bouncer: Bouncer, subnet: Subnet | None, droplet: Droplet | None) -> None:
    """Check a bouncer: its subnet exists, and its host, if it names one, may hold the role.

    Args:
        bouncer: the bouncer.
        subnet: the subnet that it names, or None if there is none.
        droplet: the Droplet that it names, or None if there is none or none is named.

    Raises:
        InvalidObject: a rule is broken.
    """
    if subnet is None:
        raise _unknown(bouncer, "spec.subnet", bouncer.spec.subnet, "Subnet")
    if bouncer.spec.droplet is None:
        return
    if droplet is None:
        raise _unknown(bouncer, "spec.droplet", bouncer.spec.droplet, "Droplet")
    if not droplet.spec.bouncer:
        raise _broken(
            bouncer,
            "spec.droplet",
            bouncer.spec.droplet,
            "takes no bouncers (spec.bouncer of the Droplet is false); name another, or leave it to placement",
        )


def validate_divider(divider: Divider, vpc: VPC | None, droplet: Droplet | None) -> None:
    """Check a divider: its VPC exists, and its host, if it names one, may hold the role.

    Args:
        divider: the divider.
        vpc: the VPC that it names, or None if there is none.
        droplet: the Droplet that it names, or None if there is none or none is named.

    Raises:
        InvalidObject: a rule is broken.
    """
    if vpc is None:
        raise _unknown(divider, "spec.vpc", divider.spec.vpc, "VPC")
    if divider.spec.droplet is None:
        return
    if droplet is None:
        raise _unknown(divider, "spec.droplet", divider.spec.droplet, "Droplet")
    if not droplet.spec.divider:
        raise _broken(
            divider,
            "spec.droplet",
            divider.spec.droplet,
            "takes no dividers (spec.divider of the Droplet is false); name another, or leave it to placement",
        )


def find_invalid(objects: Iterable[Object]) -> tuple[InvalidObject, ...]:
    """What is wrong between the objects of a set that shall be complete in itself, one error at most for each object.

    Args:
        objects: the objects; kinds without rules between objects are passed over.
    """
    return tuple(_Manifest(tuple(objects)).errors())


def validate_manifest(objects: Iterable[Object]) -> None:
    """Check all rules between the objects of a set that shall be complete in itself.

    Args:
        objects: the objects.

    Raises:
        InvalidObject: the first rule that is broken, in the order of the objects; `find_invalid` gives all.
    """
    for error in _Manifest(tuple(objects)).errors():
        raise error


class _Manifest:
    """A set of objects with the indexes that make each check cheap."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self._objects = objects
        self._tenants = {o.metadata.name for o in objects if isinstance(o, Tenant)}
        self._vpcs = {(o.metadata.tenant, o.metadata.name): o for o in objects if isinstance(o, VPC)}
        self._subnets = {(o.metadata.tenant, o.metadata.name): o for o in objects if isinstance(o, Subnet)}
        self._droplets = {o.metadata.name: o for o in objects if isinstance(o, Droplet)}
        self._droplets_by_address = _group(objects, Droplet, lambda o: (o.spec.address,))
        self._endpoints = _group(
            objects,
            Endpoint,
            lambda o: (
                (o.metadata.tenant, o.spec.subnet, o.spec.address),
                (o.metadata.tenant, o.spec.subnet, o.spec.mac),
            ),
        )
        self._overlapping = dict(self._find_overlaps())

    def errors(self) -> Iterator[InvalidObject]:
        for obj in self._objects:
            try:
                self._check(obj)
            except InvalidObject as error:
                yield error

    def _check(self, obj: Object) -> None:
        tenant = obj.metadata.tenant
        if tenant and tenant not in self._tenants:
            raise _broken(obj, "metadata.tenant", tenant, "names no Tenant; create it first, or correct the name")
        match obj:
            case VPC():
                validate_vpc(obj)
            case Subnet():
                overlapping = self._overlapping.get(id(obj))
                validate_subnet(obj, self._vpcs.get((tenant, obj.spec.vpc)), [overlapping] if overlapping else [])
            case Endpoint():
                by_address = self._endpoints[tenant, obj.spec.subnet, obj.spec.address] if obj.spec.address else []
                by_mac = self._endpoints[tenant, obj.spec.subnet, obj.spec.mac] if obj.spec.mac else []
                subnet = self._subnets.get((tenant, obj.spec.subnet))
                validate_endpoint(obj, subnet, self._droplets.get(obj.spec.droplet), [*by_address, *by_mac])
            case Droplet():
                validate_droplet(obj, self._droplets_by_address[obj.spec.address])
            case Bouncer():
                subnet = self._subnets.get((tenant, obj.spec.subnet))
                validate_bouncer(obj, subnet, self._droplets.get(obj.spec.droplet or ""))
            case Divider():
                vpc = self._vpcs.get((tenant, obj.spec.vpc))
                validate_divider(obj, vpc, self._droplets.get(obj.spec.droplet or ""))

    def _find_overlaps(self) -> Iterator[tuple[int, Subnet]]:
        """Each subnet that overlaps another of its VPC, with that other, in one pass over the sorted networks."""
        by_vpc = _group(self._objects, Subnet, lambda o: ((o.metadata.tenant, o.spec.vpc),))
        for subnets in by_vpc.values():
            widest: Subnet | None = None
            for subnet in sorted(subnets, key=lambda s: s.spec.cidr):
                # Sorted by address, then by prefix length: what overlaps a network lies inside it and follows it.
                if widest is not None and widest.spec.cidr.overlaps(subnet.spec.cidr):
                    yield id(subnet), widest
                else:
                    widest = subnet


def _group(
    objects: Iterable[Object], cls: type[_T], keys: Callable[[_T], tuple[object, ...]]
) -> defaultdict[object, list[_T]]:
    index: defaultdict[object, list[_T]] = defaultdict(list)
    for obj in objects:
        if isinstance(obj, cls):
            for key in keys(obj):
                index[key].append(obj)
    return index


def _check_address(endpoint: Endpoint, subnet: Subnet) -> None:
    address, cidr = endpoint.spec.address, subnet.spec.cidr
    name = subnet.metadata.name
    reserved = {
        cidr.network_address: "network",
        cidr.broadcast_address: "broadcast",
        subnet.spec.gateway_address: "gateway",
    }
    if address not in cidr:
        rule = f"is outside subnet {name} ({cidr}); choose an address inside it"
    elif address in reserved:
        rule = f"is the {reserved[address]} address of subnet {name} ({cidr}); choose another inside it"
    else:
        return
    raise _broken(endpoint, "spec.address", address, rule)


def _holds(vpc: VPC, cidr: IPv4Network) -> bool:
    return any(cidr.subnet_of(network) for network in vpc.spec.cidrs)


def _belongs(subnet: Subnet, vpc: VPC) -> bool:
    return subnet.metadata.tenant == vpc.metadata.tenant and subnet.spec.vpc == vpc.metadata.name


def _shares_subnet(first: Endpoint, second: Endpoint) -> bool:
    return first.metadata.tenant == second.metadata.tenant and first.spec.subnet == second.spec.subnet


def _same(first: Object, second: Object) -> bool:
    """Whether both are (versions of) one object."""
    a, b = first.metadata, second.metadata
    if not a.name and not b.name:
        return first is second  # their names are still to be generated
    return (a.tenant, a.namespace, a.name) == (b.tenant, b.namespace, b.name)


def _join(networks: Iterable[IPv4Network]) -> str:
    return ", ".join(str(network) for network in networks)


def _unknown(obj: Object, field: str, name: str, kind: str) -> InvalidObject:
    owner = f" of tenant {obj.metadata.tenant}" if kind != "Droplet" else ""
    return _broken(obj, field, name, f"names no {kind}{owner}; create it first, or correct the name")


def _broken(obj: Object, field: str, value: object, rule: str) -> InvalidObject:
    meta = obj.metadata
    return InvalidObject(obj.KIND, meta.tenant, meta.namespace, meta.name or meta.generate_name, field, value, rule)
