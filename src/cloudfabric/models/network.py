# SPDX-License-Identifier: Apache-2.0
"""Kinds of the overlay network (``network.cloudfabric.io/v1``).

A VPC is one address space of one tenant; its subnets are parts of it; an endpoint is one workload's interface in a
subnet, on one host. A Droplet is a host's uplink to the underlay. Bouncers know where the members of a subnet are,
dividers know which subnets a VPC has; both are roles that placement gives to Droplets.

Rules inside one object are here; rules between objects are in `cloudfabric.models.validation`.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from cloudfabric.models.fields import Address, InterfaceName, MacAddress, Network, Subdomain, broken_rule
from cloudfabric.models.object import Object, PhasedStatus, Scope, Spec, register

__all__ = [
    "VPC",
    "Bouncer",
    "BouncerSpec",
    "BouncerStatus",
    "Divider",
    "DividerSpec",
    "DividerStatus",
    "Droplet",
    "DropletSpec",
    "DropletStatus",
    "Endpoint",
    "EndpointSpec",
    "EndpointStatus",
    "Subnet",
    "SubnetSpec",
    "SubnetStatus",
    "VPCSpec",
    "VPCStatus",
]

MAXIMUM_ROLES: Final = 64  # hosts in one group of the data plane
MAXIMUM_VNI: Final = (1 << 24) - 1  # RFC 8926 section 3.4: the VNI has 24 bits
LONGEST_SUBNET_PREFIX: Final = 30  # network, gateway, one endpoint, broadcast

_API_VERSION_DESCRIPTION = "Group and version."


class DropletSpec(Spec):
    """A host's uplink, and what placement may use the host for."""

    address: Address | None = Field(
        default=None, description="IPv4 address of the uplink on the underlay; where left out, the lab assigns one."
    )
    interface: InterfaceName = Field(default="uplink", description="Name of the uplink interface on the host.")
    mtu: int = Field(default=1500, ge=576, le=65535, description="MTU of the underlay at this uplink, in bytes.")
    bouncer: bool = Field(default=True, description="Whether bouncers may be placed on this host.")
    divider: bool = Field(default=True, description="Whether dividers may be placed on this host.")


class DropletStatus(PhasedStatus):
    """What is observed of a host's uplink."""

    address: Address | None = Field(default=None, description="IPv4 address that the uplink has on the underlay.")


@register
class Droplet(Object):
    """A host of the fabric, seen as its uplink to the underlay."""

    PLURAL: ClassVar[str] = "droplets"
    SCOPE: ClassVar[Scope] = Scope.CLUSTER

    api_version: Literal["network.cloudfabric.io/v1"] = Field(
        default="network.cloudfabric.io/v1", description=_API_VERSION_DESCRIPTION
    )
    kind: Literal["Droplet"] = Field(default="Droplet", description="The kind.")
    spec: DropletSpec = Field(default_factory=DropletSpec, description="What is wanted.")
    status: DropletStatus = Field(default_factory=DropletStatus, description="What is observed.")


class VPCSpec(Spec):
    """An address space."""

    cidrs: Annotated[tuple[Network, ...], Field(strict=False)] = Field(
        min_length=1, description="IPv4 networks of the VPC; they must not overlap one another."
    )
    dividers: int = Field(default=1, ge=1, le=MAXIMUM_ROLES, description="How many hosts shall be dividers of the VPC.")


class VPCStatus(PhasedStatus):
    """What is observed of a VPC."""

    vni: int | None = Field(
        default=None, ge=1, le=MAXIMUM_VNI, description="Virtual network identifier on the wire (24 bits)."
    )


@register
class VPC(Object):
    """A virtual private cloud: one address space of one tenant, isolated from all others."""

    PLURAL: ClassVar[str] = "vpcs"
    SCOPE: ClassVar[Scope] = Scope.TENANT

    api_version: Literal["network.cloudfabric.io/v1"] = Field(
        default="network.cloudfabric.io/v1", description=_API_VERSION_DESCRIPTION
    )
    kind: Literal["VPC"] = Field(default="VPC", description="The kind.")
    spec: VPCSpec = Field(description="What is wanted.")
    status: VPCStatus = Field(default_factory=VPCStatus, description="What is observed.")


class SubnetSpec(Spec):
    """A part of a VPC's address space."""

    vpc: Subdomain = Field(description="Name of the VPC, of the same tenant.")
    cidr: Network = Field(description="IPv4 network of the subnet, inside one of the VPC's.")
    bouncers: int = Field(default=1, ge=1, le=MAXIMUM_ROLES, description="How many hosts shall be its bouncers.")
    gateway: Address | None = Field(
        default=None, description="IPv4 address of the gateway; where it is left out, the first host address."
    )

    @field_validator("cidr")
    @classmethod
    def _check_size(cls, cidr: Network) -> Network:
        if cidr.prefixlen > LONGEST_SUBNET_PREFIX:
            raise broken_rule(
                f"has no room for a gateway and an endpoint; the prefix length is at most {LONGEST_SUBNET_PREFIX}"
            )
        return cidr

    @field_validator("gateway")
    @classmethod
    def _check_gateway(cls, gateway: Address | None, info: ValidationInfo) -> Address | None:
        cidr = info.data.get("cidr")  # absent when the network itself was refused
        if gateway is None or cidr is None:
            return gateway
        if gateway not in cidr:
            raise broken_rule(f"is outside the subnet ({cidr}); choose an address inside it")
        if gateway in (cidr.network_address, cidr.broadcast_address):
            raise broken_rule(f"is the network or broadcast address of {cidr}; choose another address inside it")
        return gateway

    @property
    def gateway_address(self) -> IPv4Address:
        """The gateway: the one asked for, else the first host address."""
        return self.gateway if self.gateway is not None else self.cidr.network_address + 1


class SubnetStatus(PhasedStatus):
    """What is observed of a subnet."""

    segment: int | None = Field(
        default=None, ge=1, lt=1 << 32, description="Number of the subnet within its VPC, in the data plane's keys."
    )
    gateway: Address | None = Field(default=None, description="IPv4 address of the gateway.")


@register
class Subnet(Object):
    """A part of a VPC's address space, in which endpoints have their addresses."""

    PLURAL: ClassVar[str] = "subnets"
    SCOPE: ClassVar[Scope] = Scope.TENANT

    api_version: Literal["network.cloudfabric.io/v1"] = Field(
        default="network.cloudfabric.io/v1", description=_API_VERSION_DESCRIPTION
    )
    kind: Literal["Subnet"] = Field(default="Subnet", description="The kind.")
    spec: SubnetSpec = Field(description="What is wanted.")
    status: SubnetStatus = Field(default_factory=SubnetStatus, description="What is observed.")


class EndpointSpec(Spec):
    """A workload's interface."""

    subnet: Subdomain = Field(description="Name of the subnet, of the same tenant.")
    droplet: Subdomain = Field(description="Name of the Droplet whose host the workload runs on.")
    address: Address | None = Field(default=None, description="IPv4 address; where it is left out, one is allocated.")
    mac: MacAddress | None = Field(default=None, description="MAC address; where it is left out, one is derived.")


class EndpointStatus(PhasedStatus):
    """What is observed of an endpoint."""

    address: Address | None = Field(default=None, description="IPv4 address that the endpoint has.")
    mac: MacAddress | None = Field(default=None, description="MAC address that the endpoint has.")
    vpc: Subdomain | None = Field(default=None, description="Name of the VPC that the subnet belongs to.")
    vni: int | None = Field(
        default=None, ge=1, le=MAXIMUM_VNI, description="Virtual network identifier of the VPC (24 bits)."
    )
    interface: InterfaceName | None = Field(default=None, description="Name of the interface on the host's side.")


@register
class Endpoint(Object):
    """One interface of one workload: an address in a subnet, on a host."""

    PLURAL: ClassVar[str] = "endpoints"
    SCOPE: ClassVar[Scope] = Scope.NAMESPACE

    api_version: Literal["network.cloudfabric.io/v1"] = Field(
        default="network.cloudfabric.io/v1", description=_API_VERSION_DESCRIPTION
    )
    kind: Literal["Endpoint"] = Field(default="Endpoint", description="The kind.")
    spec: EndpointSpec = Field(description="What is wanted.")
    status: EndpointStatus = Field(default_factory=EndpointStatus, description="What is observed.")


class BouncerSpec(Spec):
    """The role of knowing where the members of a subnet are."""

    subnet: Subdomain = Field(description="Name of the subnet, of the same tenant.")
    droplet: Subdomain | None = Field(
        default=None, description="Name of the Droplet that shall hold the role; where left out, placement chooses."
    )


class BouncerStatus(PhasedStatus):
    """What is observed of a bouncer."""

    droplet: Subdomain | None = Field(default=None, description="Name of the Droplet that holds the role.")
    address: Address | None = Field(default=None, description="IPv4 address of that Droplet on the underlay.")


@register
class Bouncer(Object):
    """A host's role for one subnet: it knows on which host each member of the subnet is."""

    PLURAL: ClassVar[str] = "bouncers"
    SCOPE: ClassVar[Scope] = Scope.TENANT

    api_version: Literal["network.cloudfabric.io/v1"] = Field(
        default="network.cloudfabric.io/v1", description=_API_VERSION_DESCRIPTION
    )
    kind: Literal["Bouncer"] = Field(default="Bouncer", description="The kind.")
    spec: BouncerSpec = Field(description="What is wanted.")
    status: BouncerStatus = Field(default_factory=BouncerStatus, description="What is observed.")


class DividerSpec(Spec):
    """The role of knowing which subnets a VPC has."""

    vpc: Subdomain = Field(description="Name of the VPC, of the same tenant.")
    droplet: Subdomain | None = Field(
        default=None, description="Name of the Droplet that shall hold the role; where left out, placement chooses."
    )


class DividerStatus(PhasedStatus):
    """What is observed of a divider."""

    droplet: Subdomain | None = Field(default=None, description="Name of the Droplet that holds the role.")
    address: Address | None = Field(default=None, description="IPv4 address of that Droplet on the underlay.")


@register
class Divider(Object):
    """A host's role for one VPC: it knows the VPC's subnets and their bouncers."""

    PLURAL: ClassVar[str] = "dividers"
    SCOPE: ClassVar[Scope] = Scope.TENANT

    api_version: Literal["network.cloudfabric.io/v1"] = Field(
        default="network.cloudfabric.io/v1", description=_API_VERSION_DESCRIPTION
    )
    kind: Literal["Divider"] = Field(default="Divider", description="The kind.")
    spec: DividerSpec = Field(description="What is wanted.")
    status: DividerStatus = Field(default_factory=DividerStatus, description="What is observed.")
