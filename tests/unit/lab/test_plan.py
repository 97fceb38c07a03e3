# SPDX-License-Identifier: Apache-2.0
"""From a manifest to what a lab builds."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from cloudfabric.lab.demo import demo_manifest
from cloudfabric.lab.plan import host_facts, in_order, plan
from cloudfabric.models import Droplet, DropletSpec, Endpoint, InvalidObject, Object, ObjectMeta, Tenant, load_manifest
from cloudfabric.networking.dataplane.protocol import HostFacts

EXAMPLE = Path(__file__).parents[3] / "examples" / "two-tenants.yaml"


def droplet(name: str, **spec: object) -> Droplet:
    return Droplet(metadata=ObjectMeta(name=name), spec=DropletSpec.model_validate(spec))


def test_the_demo_is_the_example() -> None:
    example = load_manifest(EXAMPLE.read_text(encoding="utf-8"))

    assert [obj.to_wire() for obj in demo_manifest()] == [obj.to_wire() for obj in example]


def test_hosts_without_an_address_get_free_ones() -> None:
    planned = plan([droplet("a"), droplet("b", address="172.30.0.1", mtu=9000), droplet("c", interface="eth1")])

    assert host_facts(planned) == {
        "a": HostFacts("a", IPv4Address("172.30.0.2")),
        "b": HostFacts("b", IPv4Address("172.30.0.1"), mtu=9000),
        "c": HostFacts("c", IPv4Address("172.30.0.3"), uplink="eth1"),
    }


def test_a_manifest_without_hosts_carries_nothing() -> None:
    with pytest.raises(InvalidObject, match="describes no Droplet"):
        plan([Tenant(metadata=ObjectMeta(name="red"))])


def test_the_manifest_is_checked_as_a_whole() -> None:
    objects = demo_manifest()
    without_subnets = [obj for obj in objects if obj.kind != "Subnet"]

    with pytest.raises(InvalidObject, match=r"Endpoint red/default/web-1: spec.subnet: web"):
        plan(without_subnets)


def test_objects_come_after_what_they_refer_to() -> None:
    groups = list(in_order(list(reversed(demo_manifest()))))

    kinds = [group[0].kind for group in groups if group]
    assert kinds == ["Tenant", "Droplet", "VPC", "Subnet", "Endpoint"]
    assert sum(len(group) for group in groups) == len(demo_manifest())


def test_objects_of_other_kinds_come_last() -> None:
    class Other(Endpoint):
        """A kind that the lab does not know."""

    endpoint = next(obj for obj in demo_manifest() if isinstance(obj, Endpoint))
    other: Object = Other.model_validate(endpoint.to_wire())

    assert list(in_order([other, endpoint]))[-2:] == [[endpoint], [other]]
