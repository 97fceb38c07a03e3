# SPDX-License-Identifier: Apache-2.0
"""What every object carries besides its spec and status: identity, version, ownership, conditions.

The fields and their meaning are Kubernetes', plus ``tenant``. A person sets the name, labels, annotations, owners and
finalizers; the store sets uid, resourceVersion, generation and the timestamps and ignores what a writer put there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cloudfabric.models.fields import (
    Annotations,
    Labels,
    NamePrefix,
    OptionalName,
    OptionalSubdomain,
    QualifiedName,
    Subdomain,
    Timestamp,
)

__all__ = [
    "Condition",
    "ConditionStatus",
    "Model",
    "ObjectMeta",
    "ObjectReference",
    "OwnerReference",
    "Phase",
]


class Model(BaseModel):
    """Base of everything in an object: strict, frozen, snake_case in Python and camelCase on the wire.

    Frozen, because one decoded object is shared by every watcher and cache of a process.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        strict=True,
        frozen=True,
        # An instance changed behind the model's back (model_copy, model_construct) is checked when it is written.
        revalidate_instances="always",
        use_attribute_docstrings=False,
    )


class Phase(StrEnum):
    """Where an object is in its life."""

    PENDING = "Pending"
    PROVISIONED = "Provisioned"
    FAILED = "Failed"
    TERMINATING = "Terminating"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One observation about an object, as in Kubernetes: its type says what, its status whether it holds."""

    type: str = Field(description="What is observed, for example Ready.", min_length=1, max_length=316)
    status: Annotated[ConditionStatus, Field(strict=False)] = Field(description="Whether it holds.")
    reason: str = Field(default="", description="One word in CamelCase for programs.", max_length=1024)
    message: str = Field(default="", description="One sentence for people.", max_length=32768)
    observed_generation: int = Field(default=0, ge=0, description="The metadata.generation that was looked at.")
    last_transition_time: Timestamp | None = Field(default=None, description="When the status last changed (UTC).")


class ObjectReference(Model):
    """A pointer to one object, with its uid so that a successor of the same name is not mistaken for it."""

    kind: str = Field(description="Kind of the object.", min_length=1)
    tenant: OptionalName = Field(default="", description="Tenant of the object; empty for cluster scope.")
    namespace: OptionalName = Field(default="", description="Namespace of the object; empty where it has none.")
    name: Subdomain = Field(description="Name of the object.")
    uid: str = Field(default="", description="Uid of the object; empty when any object of the name is meant.")


class OwnerReference(Model):
    """The object (of the same tenant and namespace, or of a wider scope) that this one belongs to."""

    api_version: str = Field(description="apiVersion of the owner.", min_length=1)
    kind: str = Field(description="Kind of the owner.", min_length=1)
    name: Subdomain = Field(description="Name of the owner.")
    uid: str = Field(description="Uid of the owner.")
    controller: bool = Field(default=False, description="Whether the owner manages this object.")
    block_owner_deletion: bool = Field(
        default=False, description="Whether the owner stays until this object is gone (foreground deletion)."
    )


class ObjectMeta(Model):
    """Identity, version and bookkeeping of an object."""

    tenant: OptionalName = Field(default="", description="Tenant the object belongs to; empty for cluster scope.")
    namespace: OptionalName = Field(default="", description="Namespace in the tenant; empty where the kind has none.")
    name: OptionalSubdomain = Field(default="", description="Unique within kind, tenant and namespace.")
    generate_name: NamePrefix = Field(
        default="", description="If name is empty: the store appends five random characters to this."
    )
    uid: str = Field(default="", description="Unique in space and time; set by the store.")
    resource_version: str = Field(default="", description="Opaque version of the stored object; set by the store.")
    generation: int = Field(default=0, ge=0, description="Counts the changes of spec, from 1; set by the store.")
    labels: Labels = Field(default_factory=dict, description="Keys and values to select objects by.")
    annotations: Annotations = Field(default_factory=dict, description="Keys and values for tools, not selectable.")
    owner_references: Annotated[tuple[OwnerReference, ...], Field(strict=False)] = Field(
        default=(), description="Objects this one belongs to; it is of no use once they are gone."
    )
    finalizers: Annotated[tuple[QualifiedName, ...], Field(strict=False)] = Field(
        default=(), description="What must still happen before a deleted object goes; each actor removes its own."
    )
    creation_timestamp: Timestamp | None = Field(default=None, description="When it was made (UTC); set by the store.")
    deletion_timestamp: Timestamp | None = Field(
        default=None, description="When its deletion was asked for (UTC); set by the store."
    )

    @property
    def path(self) -> str:
        """Tenant, namespace and name joined by '/', those that are empty left out."""
        return "/".join(part for part in (self.tenant, self.namespace, self.name or self.generate_name) if part)
