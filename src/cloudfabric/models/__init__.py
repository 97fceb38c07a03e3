# SPDX-License-Identifier: Apache-2.0
"""Typed objects: what people write in manifests, what the store keeps, what controllers reconcile.

Each kind is a frozen, strict pydantic model with Kubernetes' shape (``apiVersion``, ``kind``, ``metadata``, ``spec``,
``status``), snake_case in Python and camelCase on the wire. `parse` and `load_manifest` turn plain data and YAML into
objects; `cloudfabric.models.validation` holds the rules between objects. This package does no I/O and imports no other
part of CloudFabric.
"""

from __future__ import annotations

from cloudfabric.models.errors import InvalidObject, Violation
from cloudfabric.models.fabric import Allocation, AllocationSpec, Tenant, TenantSpec, TenantStatus
from cloudfabric.models.manifest import load_manifest
from cloudfabric.models.metadata import (
    Condition,
    ConditionStatus,
    Model,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    Phase,
)
from cloudfabric.models.network import (
    VPC,
    Bouncer,
    BouncerSpec,
    BouncerStatus,
    Divider,
    DividerSpec,
    DividerStatus,
    Droplet,
    DropletSpec,
    DropletStatus,
    Endpoint,
    EndpointSpec,
    EndpointStatus,
    Subnet,
    SubnetSpec,
    SubnetStatus,
    VPCSpec,
    VPCStatus,
)
from cloudfabric.models.object import (
    Object,
    PhasedStatus,
    Scope,
    Spec,
    Status,
    class_of,
    class_of_plural,
    json_schema,
    register,
    registered,
)
from cloudfabric.models.parsing import parse, parse_as

__all__ = [
    "VPC",
    "Allocation",
    "AllocationSpec",
    "Bouncer",
    "BouncerSpec",
    "BouncerStatus",
    "Condition",
    "ConditionStatus",
    "Divider",
    "DividerSpec",
    "DividerStatus",
    "Droplet",
    "DropletSpec",
    "DropletStatus",
    "Endpoint",
    "EndpointSpec",
    "EndpointStatus",
    "InvalidObject",
    "Model",
    "Object",
    "ObjectMeta",
    "ObjectReference",
    "OwnerReference",
    "Phase",
    "PhasedStatus",
    "Scope",
    "Spec",
    "Status",
    "Subnet",
    "SubnetSpec",
    "SubnetStatus",
    "Tenant",
    "TenantSpec",
    "TenantStatus",
    "VPCSpec",
    "VPCStatus",
    "Violation",
    "class_of",
    "class_of_plural",
    "json_schema",
    "load_manifest",
    "parse",
    "parse_as",
    "register",
    "registered",
]
