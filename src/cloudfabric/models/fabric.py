# SPDX-License-Identifier: Apache-2.0
"""Kinds of the fabric itself (``fabric.cloudfabric.io/v1``): tenants, and the values taken from pools.

An `Allocation` holds one value of one pool. Its name is made of both, so the store's create, which refuses a second
object of the same name, is what makes a VNI or an address unique: no lock and no scan.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cloudfabric.models.fields import Subdomain, broken_rule
from cloudfabric.models.metadata import ObjectMeta, ObjectReference, Phase
from cloudfabric.models.object import Object, PhasedStatus, Scope, Spec, register

__all__ = ["Allocation", "AllocationSpec", "Tenant", "TenantSpec", "TenantStatus"]


class TenantSpec(Spec):
    """What a tenant is."""

    description: str = Field(default="", description="Who or what the tenant is, for people.", max_length=4096)


class TenantStatus(PhasedStatus):
    """What is observed of a tenant. It begins as Provisioned: nothing has to be made for it yet."""

    phase: Annotated[Phase, Field(strict=False)] = Field(
        default=Phase.PROVISIONED, description="Where the object is in its life."
    )


@register
class Tenant(Object):
    """One customer of the cloud: the identity that reaches from the credential to the packet."""

    PLURAL: ClassVar[str] = "tenants"
    SCOPE: ClassVar[Scope] = Scope.CLUSTER

    api_version: Literal["fabric.cloudfabric.io/v1"] = Field(
        default="fabric.cloudfabric.io/v1", description="Group and version."
    )
    kind: Literal["Tenant"] = Field(default="Tenant", description="The kind.")
    spec: TenantSpec = Field(default_factory=TenantSpec, description="What is wanted.")
    status: TenantStatus = Field(default_factory=TenantStatus, description="What is observed.")


class AllocationSpec(Spec):
    """One taken value of one pool."""

    pool: Subdomain = Field(description="The pool, for example vni, or address.<uid of the subnet>.")
    value: int = Field(ge=0, lt=1 << 64, description="The taken value (an address as its number).")
    holder: ObjectReference = Field(description="The object that holds the value.")


@register
class Allocation(Object):
    """A value of a pool that is taken; its name is ``<pool>.<value>``."""

    PLURAL: ClassVar[str] = "allocations"
    SCOPE: ClassVar[Scope] = Scope.CLUSTER

    api_version: Literal["fabric.cloudfabric.io/v1"] = Field(
        default="fabric.cloudfabric.io/v1", description="Group and version."
    )
    kind: Literal["Allocation"] = Field(default="Allocation", description="The kind.")
    spec: AllocationSpec = Field(description="What is taken, and by whom.")

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        expected = self.name_of(self.spec.pool, self.spec.value)
        if self.metadata.name != expected:
            raise broken_rule(f"must be named {expected!r}, for its name is what makes the value unique")
        return self

    @staticmethod
    def name_of(pool: str, value: int) -> str:
        """The name of the allocation of a value.

        Args:
            pool: the pool.
            value: the value.
        """
        return f"{pool}.{value}"

    @classmethod
    def of(cls, pool: str, value: int, holder: Object) -> Allocation:
        """The allocation of a value by an object, ready to be created.

        Args:
            pool: the pool.
            value: the value to take.
            holder: the object that shall hold it; it must have its uid.
        """
        return cls(
            metadata=ObjectMeta(name=cls.name_of(pool, value)),
            spec=AllocationSpec(pool=pool, value=value, holder=holder.reference()),
        )
