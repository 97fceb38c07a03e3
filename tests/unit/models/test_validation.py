# SPDX-License-Identifier: Apache-2.0
"""Rules between objects, by single objects with what they stand beside, and over whole sets."""

import random
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from cloudfabric.models import (
    VPC,
    Bouncer,
    BouncerSpec,
    Divider,
    DividerSpec,
    Droplet,
    DropletSpec,
    Endpoint,
    EndpointSpec,
    InvalidObject,
    Object,
    ObjectMeta,
    Subnet,
    SubnetSpec,
    Tenant,
    VPCSpec,
)
from cloudfabric.models.validation import (
    find_invalid,
    validate_bouncer,
    validate_divider,
    validate_droplet,
    validate_endpoint,
    validate_manifest,
    validate_subnet,
    validate_vpc,
)


def vpc(*cidrs: str, name: str = "main", tenant: str = "red") -> VPC:
    networks = tuple(IPv4Network(cidr) for cidr in cidrs or ("10.0.0.0/16",))
    return VPC(metadata=ObjectMeta(tenant=tenant, name=name), spec=VPCSpec(cidrs=networks))


def subnet(name: str, cidr: str, *, vpc: str = "main", tenant: str = "red", gateway: str | None = None) -> Subnet:
    spec = SubnetSpec(vpc=vpc, cidr=IPv4Network(cidr), gateway=IPv4Address(gateway) if gateway else None)
    return Subnet(metadata=ObjectMeta(tenant=tenant, name=name), spec=spec)


def endpoint(name: str, address: str | None = None, mac: str | None = None, *, subnet: str = "web") -> Endpoint:
    spec = EndpointSpec(subnet=subnet, droplet="host-1", address=IPv4Address(address) if address else None, mac=mac)
    return Endpoint(metadata=ObjectMeta(tenant="red", namespace="default", name=name), spec=spec)


def droplet(name: str, address: str | None = None, **roles: bool) -> Droplet:
    spec = DropletSpec(address=IPv4Address(address) if address else None, **roles)
    return Droplet(metadata=ObjectMeta(name=name), spec=spec)


def bouncer(droplet: str | None = None) -> Bouncer:
    return Bouncer(metadata=ObjectMeta(tenant="red", name="b"), spec=BouncerSpec(subnet="web", droplet=droplet))


def divider(droplet: str | None = None) -> Divider:
    return Divider(metadata=ObjectMeta(tenant="red", name="d"), spec=DividerSpec(vpc="main", droplet=droplet))


WEB = subnet("web", "10.0.1.0/24", gateway="10.0.1.9")
HOST = droplet("host-1", "172.16.0.1")

BROKEN: list[tuple[Callable[[], None], str]] = [
    (
        lambda: validate_vpc(vpc("10.1.0.0/16", "10.0.0.0/8")),
        "VPC red/main: spec.cidrs[0]: 10.1.0.0/16 overlaps 10.0.0.0/8 of the same VPC; remove one",
    ),
    (
        lambda: validate_vpc(vpc("10.1.0.0/16", "10.1.0.0/16")),
        "VPC red/main: spec.cidrs[1]: 10.1.0.0/16 overlaps 10.1.0.0/16 of the same VPC; remove one",
    ),
    (
        lambda: validate_vpc(vpc("10.1.0.0/16", "10.2.0.0/16"), [WEB]),
        "VPC red/main: spec.cidrs: 10.1.0.0/16, 10.2.0.0/16 leaves out subnet web (10.0.1.0/24); "
        "delete it first or keep its network",
    ),
    (
        lambda: validate_subnet(subnet("web", "10.1.0.0/24"), vpc()),
        "Subnet red/web: spec.cidr: 10.1.0.0/24 is outside VPC main (10.0.0.0/16); choose a network inside it",
    ),
    (
        lambda: validate_subnet(subnet("web", "10.0.0.0/8"), vpc()),
        "Subnet red/web: spec.cidr: 10.0.0.0/8 is outside VPC main (10.0.0.0/16); choose a network inside it",
    ),
    (
        lambda: validate_subnet(WEB, None),
        "Subnet red/web: spec.vpc: main names no VPC of tenant red; create it first, or correct the name",
    ),
    (
        lambda: validate_subnet(subnet("data", "10.0.1.128/25"), vpc(), [WEB]),
        "Subnet red/data: spec.cidr: 10.0.1.128/25 overlaps subnet web (10.0.1.0/24); "
        "choose a network that no subnet uses",
    ),
    (
        lambda: validate_endpoint(endpoint("a", "10.0.2.5"), WEB, HOST),
        "Endpoint red/default/a: spec.address: 10.0.2.5 is outside subnet web (10.0.1.0/24); "
        "choose an address inside it",
    ),
    (
        lambda: validate_endpoint(endpoint("a", "10.0.1.0"), WEB, HOST),
        "Endpoint red/default/a: spec.address: 10.0.1.0 is the network address of subnet web (10.0.1.0/24); "
        "choose another inside it",
    ),
    (lambda: validate_endpoint(endpoint("a", "10.0.1.255"), WEB, HOST), "is the broadcast address of subnet web"),
    (lambda: validate_endpoint(endpoint("a", "10.0.1.9"), WEB, HOST), "is the gateway address of subnet web"),
    (
        lambda: validate_endpoint(endpoint("a", "10.0.1.5"), WEB, HOST, [endpoint("b", "10.0.1.5")]),
        "Endpoint red/default/a: spec.address: 10.0.1.5 is the address of endpoint red/default/b; choose another",
    ),
    (
        lambda: validate_endpoint(
            endpoint("a", "10.0.1.5"), WEB, HOST, [endpoint("b").with_status(address=IPv4Address("10.0.1.5"))]
        ),
        "is the address of endpoint red/default/b",
    ),
    (
        lambda: validate_endpoint(
            endpoint("a", mac="02:00:00:00:00:01"), WEB, HOST, [endpoint("b", mac="02:00:00:00:00:01")]
        ),
        "spec.mac: 02:00:00:00:00:01 is the MAC address of endpoint red/default/b",
    ),
    (lambda: validate_endpoint(endpoint("a"), None, HOST), "spec.subnet: web names no Subnet of tenant red"),
    (lambda: validate_endpoint(endpoint("a"), WEB, None), "spec.droplet: host-1 names no Droplet; create it first"),
    (
        lambda: validate_droplet(droplet("host-2", "172.16.0.1"), [HOST]),
        "Droplet host-2: spec.address: 172.16.0.1 is the address of Droplet host-1; choose another",
    ),
    (lambda: validate_bouncer(bouncer(), None, None), "spec.subnet: web names no Subnet of tenant red"),
    (lambda: validate_bouncer(bouncer("host-1"), WEB, None), "spec.droplet: host-1 names no Droplet"),
    (lambda: validate_bouncer(bouncer("h"), WEB, droplet("h", bouncer=False)), "spec.droplet: h takes no bouncers"),
    (lambda: validate_divider(divider(), None, None), "spec.vpc: main names no VPC of tenant red"),
    (lambda: validate_divider(divider("host-1"), vpc(), None), "spec.droplet: host-1 names no Droplet"),
    (lambda: validate_divider(divider("h"), vpc(), droplet("h", divider=False)), "spec.droplet: h takes no dividers"),
]


@pytest.mark.parametrize(("check", "text"), BROKEN, ids=[text for _, text in BROKEN])
def test_a_broken_rule_is_named(check: Callable[[], None], text: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        check()

    assert text in str(caught.value)


def test_what_keeps_the_rules_passes() -> None:
    validate_vpc(vpc("10.0.0.0/16", "10.1.0.0/16"), [WEB, subnet("x", "192.168.0.0/24", vpc="other")])
    validate_subnet(subnet("data", "10.1.2.0/24"), vpc("10.0.0.0/16", "10.1.0.0/16"), [WEB])
    validate_endpoint(endpoint("a", "10.0.1.1", "02:00:00:00:00:01"), WEB, HOST, [endpoint("b", "10.0.1.2")])
    validate_endpoint(endpoint("a"), WEB, HOST, [endpoint("b")])
    validate_droplet(droplet("host-2"), [HOST])
    validate_droplet(droplet("host-2", "172.16.0.2"), [HOST])
    validate_bouncer(bouncer(), WEB, None)
    validate_bouncer(bouncer("host-1"), WEB, HOST)
    validate_divider(divider(), vpc(), None)
    validate_divider(divider("host-1"), vpc(), HOST)


def test_an_object_does_not_collide_with_itself_or_with_other_scopes() -> None:
    validate_subnet(
        WEB, vpc(), [WEB, subnet("web", "10.0.1.0/24", tenant="blue"), subnet("x", "10.0.1.0/24", vpc="other")]
    )
    a = endpoint("a", "10.0.1.5")
    validate_endpoint(a, WEB, HOST, [a, endpoint("b", "10.0.1.5", subnet="data")])
    validate_droplet(HOST, [HOST])


def test_generated_names_are_different_objects() -> None:
    spec = EndpointSpec(subnet="web", droplet="host-1", address=IPv4Address("10.0.1.5"))
    meta = ObjectMeta(tenant="red", namespace="default", generate_name="a-")
    first, second = Endpoint(metadata=meta, spec=spec), Endpoint(metadata=meta, spec=spec)

    with pytest.raises(InvalidObject, match=r"Endpoint red/default/a-: spec\.address: 10\.0\.1\.5 is the address of"):
        validate_endpoint(first, WEB, HOST, [first, second])


def test_a_whole_set_is_checked_and_every_fault_found() -> None:
    good: list[Object] = [
        Tenant(metadata=ObjectMeta(name="red")),
        HOST,
        vpc(),
        WEB,
        endpoint("a", "10.0.1.5", "02:00:00:00:00:01"),
        endpoint("e"),
        bouncer("host-1"),
        divider("host-1"),
    ]
    bad: list[Object] = [
        droplet("host-2", "172.16.0.1"),
        vpc(tenant="blue"),
        vpc("10.0.0.0/8", "10.0.0.0/9", name="twice"),
        subnet("inner", "10.0.1.64/26"),
        endpoint("b", "10.0.1.5"),
        endpoint("c", mac="02:00:00:00:00:01"),
        endpoint("d", subnet="nowhere"),
        divider("nowhere"),
    ]

    validate_manifest(good)
    found = {(error.kind, error.name, error.field) for error in find_invalid([*good, *bad])}

    assert found == {
        ("Droplet", "host-1", "spec.address"),
        ("Droplet", "host-2", "spec.address"),
        ("VPC", "main", "metadata.tenant"),
        ("VPC", "twice", "spec.cidrs[1]"),
        ("Subnet", "inner", "spec.cidr"),
        ("Endpoint", "a", "spec.address"),
        ("Endpoint", "b", "spec.address"),
        ("Endpoint", "c", "spec.mac"),
        ("Endpoint", "d", "spec.subnet"),
        ("Divider", "d", "spec.droplet"),
    }
    with pytest.raises(InvalidObject, match="Droplet host-1"):
        validate_manifest([*good, *bad])


@pytest.mark.parametrize("seed", range(20))
def test_the_sorted_pass_finds_an_overlap_exactly_when_some_pair_overlaps(seed: int) -> None:
    rng = random.Random(seed)
    networks = [
        IPv4Network(((10 << 24) | (rng.getrandbits(16) >> (32 - length) << (32 - length)), length))
        for length in (rng.randint(20, 30) for _ in range(rng.randint(2, 12)))
    ]
    subnets = [subnet(f"s{number}", str(network)) for number, network in enumerate(networks)]

    found = find_invalid([Tenant(metadata=ObjectMeta(name="red")), vpc("10.0.0.0/8"), *subnets])

    by_name = {s.metadata.name: s.spec.cidr for s in subnets}
    overlaps = any(a.overlaps(b) for i, a in enumerate(networks) for b in networks[i + 1 :])
    assert bool(found) == overlaps
    for error in found:
        assert any(by_name[error.name].overlaps(cidr) for name, cidr in by_name.items() if name != error.name)
