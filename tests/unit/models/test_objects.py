# SPDX-License-Identifier: Apache-2.0
"""Objects: identity and scope, strictness, changed copies, the registry, the JSON schema."""

import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from typing import ClassVar, Literal

import pytest
from pydantic import ValidationError

from cloudfabric import models
from cloudfabric.models import (
    VPC,
    Allocation,
    Droplet,
    Endpoint,
    EndpointSpec,
    Object,
    ObjectMeta,
    Phase,
    Scope,
    Spec,
    Subnet,
    SubnetSpec,
    Tenant,
    VPCSpec,
    class_of,
    class_of_plural,
    json_schema,
    parse,
    register,
    registered,
)

KINDS = {
    "Tenant": ("fabric.cloudfabric.io", "tenants", Scope.CLUSTER),
    "Allocation": ("fabric.cloudfabric.io", "allocations", Scope.CLUSTER),
    "Droplet": ("network.cloudfabric.io", "droplets", Scope.CLUSTER),
    "VPC": ("network.cloudfabric.io", "vpcs", Scope.TENANT),
    "Subnet": ("network.cloudfabric.io", "subnets", Scope.TENANT),
    "Endpoint": ("network.cloudfabric.io", "endpoints", Scope.NAMESPACE),
    "Bouncer": ("network.cloudfabric.io", "bouncers", Scope.TENANT),
    "Divider": ("network.cloudfabric.io", "dividers", Scope.TENANT),
}


def vpc(**spec: object) -> VPC:
    return VPC(
        metadata=ObjectMeta(tenant="red", name="main"),
        spec=VPCSpec.model_validate({"cidrs": [IPv4Network("10.0.0.0/16")], **spec}),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_registered_with_group_plural_and_scope(kind: str) -> None:
    group, plural, scope = KINDS[kind]

    cls = class_of(f"{group}/v1", kind)

    assert cls is not None
    identity = (cls.GROUP, cls.VERSION, cls.KIND, cls.PLURAL, cls.SCOPE)
    assert identity == (group, "v1", kind, plural, scope)
    assert class_of_plural(plural) is cls
    assert cls.resource() == f"{plural}.{group}"
    assert cls in registered()


def test_wire_form_is_camel_case_plain_data_and_reads_back_equal() -> None:
    endpoint = Endpoint(
        metadata=ObjectMeta(tenant="red", namespace="default", name="a", finalizers=("example.org/x",)),
        spec=EndpointSpec(subnet="web", droplet="host-1", address=IPv4Address("10.0.1.5")),
    ).with_status(phase=Phase.FAILED, mac="02:00:00:00:00:01")

    wire = endpoint.to_wire()

    assert wire["apiVersion"] == "network.cloudfabric.io/v1"
    assert wire["spec"] == {"subnet": "web", "droplet": "host-1", "address": "10.0.1.5"}
    assert wire["status"] == {"phase": "Failed", "mac": "02:00:00:00:00:01", "conditions": []}
    assert parse(wire) == endpoint


@pytest.mark.parametrize(
    ("cls", "metadata", "rule"),
    [
        (Tenant, {"name": "red", "tenant": "red"}, "belongs to the cluster"),
        (Tenant, {"name": "red", "namespace": "x"}, "belongs to the cluster"),
        (VPC, {"name": "main"}, "has no metadata.tenant"),
        (VPC, {"name": "main", "tenant": "red", "namespace": "x"}, "belongs to the tenant as a whole"),
        (Endpoint, {"name": "a", "tenant": "red"}, "has no metadata.namespace"),
        (Tenant, {}, "has no metadata.name"),
    ],
)
def test_scope_decides_which_names_an_object_carries(cls: type[Object], metadata: dict[str, str], rule: str) -> None:
    spec = {"VPC": {"cidrs": ["10.0.0.0/16"]}, "Endpoint": {"subnet": "web", "droplet": "h"}}.get(cls.KIND, {})

    with pytest.raises(ValidationError, match=rule):
        cls.model_validate({"metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    "spec", [{"dividers": "1"}, {"dividers": True}, {"dividers": 0}, {"unknown": 1}, {"cidrs": []}]
)
def test_specs_are_strict(spec: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        vpc(**spec)


@pytest.mark.parametrize(
    ("gateway", "rule"),
    [
        ("10.0.2.1", r"is outside the subnet \(10.0.1.0/24\)"),
        ("10.0.1.0", "is the network or broadcast address"),
        ("10.0.1.255", "is the network or broadcast address"),
    ],
)
def test_a_gateway_is_a_host_address_of_its_subnet(gateway: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        SubnetSpec(vpc="main", cidr=IPv4Network("10.0.1.0/24"), gateway=IPv4Address(gateway))


def test_the_gateway_is_the_first_host_address_unless_another_is_asked_for() -> None:
    cidr = IPv4Network("10.0.1.0/24")

    assert SubnetSpec(vpc="main", cidr=cidr).gateway_address == IPv4Address("10.0.1.1")
    assert SubnetSpec(vpc="main", cidr=cidr, gateway=IPv4Address("10.0.1.9")).gateway_address == IPv4Address("10.0.1.9")


def test_a_subnet_has_room_for_an_endpoint() -> None:
    with pytest.raises(ValidationError, match="has no room for a gateway and an endpoint") as caught:
        SubnetSpec(vpc="main", cidr=IPv4Network("10.0.1.0/31"), gateway=IPv4Address("10.0.1.1"))

    assert caught.value.error_count() == 1  # nothing is said about a gateway of no network


def test_objects_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        vpc().spec.dividers = 2  # type: ignore[misc]


def test_changed_copies_leave_the_original_alone_and_are_checked() -> None:
    original = vpc()

    changed = original.with_spec(dividers=3).with_status(vni=7).with_metadata(labels={"app": "x"})

    assert (changed.spec.dividers, changed.status.vni, changed.metadata.labels) == (3, 7, {"app": "x"})
    assert original == vpc()
    with pytest.raises(ValidationError):
        original.with_spec(dividers=0)
    with pytest.raises(ValidationError):
        original.with_status(vnii=7)


def test_what_was_changed_behind_the_model_is_found_on_revalidation() -> None:
    broken = vpc().model_copy(update={"spec": VPCSpec.model_construct(cidrs="nonsense", dividers=1)})

    with pytest.raises(ValidationError):
        VPC.model_validate(broken)


def test_references_carry_identity() -> None:
    endpoint = Endpoint(
        metadata=ObjectMeta(tenant="red", namespace="default", name="a", uid="u-1"),
        spec=EndpointSpec(subnet="web", droplet="host-1"),
    )

    reference, owner = endpoint.reference(), endpoint.owner_reference(controller=False)

    assert (reference.kind, reference.tenant, reference.namespace, reference.name, reference.uid) == (
        "Endpoint",
        "red",
        "default",
        "a",
        "u-1",
    )
    assert (owner.api_version, owner.kind, owner.uid, owner.controller) == (
        "network.cloudfabric.io/v1",
        "Endpoint",
        "u-1",
        False,
    )
    assert endpoint.metadata.path == "red/default/a"


def test_an_allocation_is_named_for_its_value() -> None:
    holder = vpc().with_metadata(uid="u-1")

    allocation = Allocation.of("vni", 5, holder)

    assert allocation.metadata.name == "vni.5"
    assert allocation.spec.holder == holder.reference()
    with pytest.raises(ValidationError, match=r"must be named 'vni\.5'"):
        Allocation.model_validate({**allocation.to_wire(), "metadata": {"name": "vni.6"}})


def test_registering_needs_a_plural_and_scope() -> None:
    class Queue(Object):
        api_version: Literal["example.org/v1"] = "example.org/v1"
        kind: Literal["Queue"] = "Queue"

    with pytest.raises(TypeError, match="Queue has no PLURAL"):
        register(Queue)


def test_a_plural_is_given_once() -> None:
    class Pretender(Object):
        PLURAL: ClassVar[str] = "vpcs"
        SCOPE: ClassVar[Scope] = Scope.TENANT
        api_version: Literal["example.org/v1"] = "example.org/v1"
        kind: Literal["Pretender"] = "Pretender"

    with pytest.raises(TypeError, match="is taken by VPC"):
        register(Pretender)
    assert class_of("example.org/v1", "Pretender") is None
    assert class_of_plural("vpcs") is VPC
    assert register(VPC) is VPC


def test_a_kind_of_the_core_group_has_no_group_in_its_resource() -> None:
    class Pod(Object):
        PLURAL: ClassVar[str] = "pods"
        SCOPE: ClassVar[Scope] = Scope.NAMESPACE
        api_version: Literal["v1"] = "v1"
        kind: Literal["Pod"] = "Pod"
        spec: Spec = Spec()

    assert (Pod.GROUP, Pod.VERSION, Pod.resource()) == ("", "v1", "pods")


@pytest.mark.parametrize("cls", [*registered()], ids=lambda cls: cls.KIND)
def test_the_json_schema_describes_every_field(cls: type[Object]) -> None:
    schema = json_schema(cls)

    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    undescribed = [
        f"{name}.{field}"
        for name, definition in {**definitions, cls.KIND: schema}.items()
        for field, description in definition.get("properties", {}).items()
        if not description.get("description")
    ]
    assert undescribed == []
    assert set(schema["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}  # type: ignore[call-overload]


def test_numbers_with_units_name_them() -> None:
    assert "bytes" in str(Droplet.model_json_schema()["$defs"]["DropletSpec"]["properties"]["mtu"]["description"])


def test_importing_the_models_loads_no_other_part() -> None:
    program = (
        "import sys, cloudfabric.models;"
        "print([m for m in sys.modules if m.startswith('cloudfabric.') and not m.startswith('cloudfabric.models')"
        " or m in ('lmdb', 'msgpack', 'grpc', 'pyroute2')])"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert loaded.stdout.strip() == "[]"


def test_all_names_exist() -> None:
    assert all(hasattr(models, name) for name in models.__all__)
    assert Subnet.SCOPE is Scope.TENANT
