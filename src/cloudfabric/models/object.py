# SPDX-License-Identifier: Apache-2.0
"""The base of all objects, and the registry that finds a class from ``apiVersion`` and ``kind``.

A kind is one subclass of `Object`: it fixes ``api_version`` and ``kind`` as literals, its plural and its scope, and
types ``spec`` and ``status``. GROUP, VERSION and KIND are read off those literals, so nothing is said twice. Objects
are frozen; `with_metadata`, `with_spec` and `with_status` give a changed copy, checked like a new one.

    @register
    class Queue(Object):
        PLURAL: ClassVar[str] = "queues"
        SCOPE: ClassVar[Scope] = Scope.TENANT
        api_version: Literal["example.org/v1"] = "example.org/v1"
        kind: Literal["Queue"] = "Queue"
        spec: QueueSpec
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import Field, model_validator

from cloudfabric.models.fields import broken_rule
from cloudfabric.models.metadata import Condition, Model, ObjectMeta, ObjectReference, OwnerReference, Phase

__all__ = [
    "Object",
    "PhasedStatus",
    "Scope",
    "Spec",
    "Status",
    "class_of",
    "class_of_plural",
    "json_schema",
    "register",
    "registered",
]


class Scope(Enum):
    """What an object's name is unique within, and so which of tenant and namespace it carries."""

    CLUSTER = "Cluster"
    TENANT = "Tenant"
    NAMESPACE = "Namespace"


class Spec(Model):
    """What somebody wants; written by people and by controllers of other kinds."""


class Status(Model):
    """What is observed; written by the controller of the kind only."""


class PhasedStatus(Status):
    """A status with a phase and conditions."""

    phase: Annotated[Phase, Field(strict=False)] = Field(
        default=Phase.PENDING, description="Where the object is in its life."
    )
    conditions: Annotated[tuple[Condition, ...], Field(strict=False)] = Field(
        default=(), description="Observations, one for each type."
    )


class Object(Model):
    """Base of every kind: apiVersion, kind, metadata, spec and status."""

    GROUP: ClassVar[str]
    VERSION: ClassVar[str]
    KIND: ClassVar[str]
    PLURAL: ClassVar[str]
    SCOPE: ClassVar[Scope]

    api_version: str = Field(description="Group and version of the kind, for example network.cloudfabric.io/v1.")
    kind: str = Field(description="What the object is, for example VPC.")
    metadata: ObjectMeta = Field(description="Identity, version and bookkeeping.")
    spec: Spec = Field(default_factory=Spec, description="What is wanted.")
    status: Status = Field(default_factory=Status, description="What is observed; written by its controller.")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        api_version, kind = cls.model_fields["api_version"].default, cls.model_fields["kind"].default
        if isinstance(api_version, str) and isinstance(kind, str):
            group, _, version = api_version.rpartition("/")
            cls.GROUP, cls.VERSION, cls.KIND = group, version, kind

    @model_validator(mode="after")
    def _check_identity(self) -> Self:
        meta = self.metadata
        if not meta.name and not meta.generate_name:
            raise broken_rule("has no metadata.name; set it, or set metadata.generateName to have one made")
        if self.SCOPE is Scope.CLUSTER:
            if meta.tenant or meta.namespace:
                raise broken_rule(f"has a tenant or namespace, but a {self.KIND} belongs to the cluster; remove them")
        elif not meta.tenant:
            raise broken_rule(f"has no metadata.tenant; a {self.KIND} belongs to a tenant, name it")
        elif self.SCOPE is Scope.TENANT and meta.namespace:
            raise broken_rule(f"has a namespace, but a {self.KIND} belongs to the tenant as a whole; remove it")
        elif self.SCOPE is Scope.NAMESPACE and not meta.namespace:
            raise broken_rule(f"has no metadata.namespace; a {self.KIND} lives in one, for example 'default'")
        return self

    @classmethod
    def resource(cls) -> str:
        """The name of the kind's collection, ``plural.group``: what stores and paths are keyed by."""
        return f"{cls.PLURAL}.{cls.GROUP}" if cls.GROUP else cls.PLURAL

    def with_metadata(self, **changes: object) -> Self:
        """A copy with changed metadata.

        Args:
            changes: new values by their Python names.

        Raises:
            pydantic.ValidationError: a value breaks a rule.
        """
        return self._with("metadata", self.metadata, changes)

    def with_spec(self, **changes: object) -> Self:
        """A copy with a changed spec.

        Args:
            changes: new values by their Python names.

        Raises:
            pydantic.ValidationError: a value breaks a rule.
        """
        return self._with("spec", self.spec, changes)

    def with_status(self, **changes: object) -> Self:
        """A copy with a changed status.

        Args:
            changes: new values by their Python names.

        Raises:
            pydantic.ValidationError: a value breaks a rule.
        """
        return self._with("status", self.status, changes)

    def _with(self, part: str, model: Model, changes: dict[str, object]) -> Self:
        # The changed part is validated by itself; the rest already is, and the store checks the whole on writing.
        return self.model_copy(update={part: type(model).model_validate({**dict(model), **changes})})

    def to_wire(self) -> dict[str, object]:
        """The object as plain data with wire names, ready for JSON, YAML or msgpack; absent values are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def reference(self) -> ObjectReference:
        """A reference to this object, including its uid."""
        meta = self.metadata
        return ObjectReference(
            kind=self.KIND, tenant=meta.tenant, namespace=meta.namespace, name=meta.name, uid=meta.uid
        )

    def owner_reference(self, *, controller: bool = True) -> OwnerReference:
        """A reference for the metadata of an object that belongs to this one.

        Args:
            controller: whether this object manages the other.
        """
        meta = self.metadata
        return OwnerReference(
            api_version=self.api_version, kind=self.KIND, name=meta.name, uid=meta.uid, controller=controller
        )


_by_kind: dict[tuple[str, str], type[Object]] = {}
_by_plural: dict[str, type[Object]] = {}

_T = TypeVar("_T", bound=Object)


def register(cls: type[_T]) -> type[_T]:
    """Make a kind known to `parse` and manifests; use it as a decorator.

    Args:
        cls: the class of the kind.

    Raises:
        TypeError: the class lacks plural, scope or literals, or another class holds the same kind or plural.
    """
    for attribute in ("GROUP", "VERSION", "KIND", "PLURAL", "SCOPE"):
        if not hasattr(cls, attribute):
            raise TypeError(
                f"{cls.__name__} has no {attribute}; give it PLURAL, SCOPE, and literals with defaults for "
                "api_version and kind"
            )
    key = (f"{cls.GROUP}/{cls.VERSION}" if cls.GROUP else cls.VERSION, cls.KIND)
    for holder in (_by_kind.get(key), _by_plural.get(cls.PLURAL)):
        if holder is not None and holder is not cls:
            raise TypeError(f"{cls.__name__}: kind {key} or plural {cls.PLURAL!r} is taken by {holder.__qualname__}")
    _by_kind[key] = cls
    _by_plural[cls.PLURAL] = cls
    return cls


def registered() -> tuple[type[Object], ...]:
    """Every known kind, in the order of registration."""
    return tuple(_by_kind.values())


def class_of(api_version: str, kind: str) -> type[Object] | None:
    """The class of a kind, or None if it is not known.

    Args:
        api_version: group and version, for example ``network.cloudfabric.io/v1``.
        kind: for example ``VPC``.
    """
    return _by_kind.get((api_version, kind))


def class_of_plural(plural: str) -> type[Object] | None:
    """The class with a plural name, or None if it is not known.

    Args:
        plural: for example ``vpcs``.
    """
    return _by_plural.get(plural)


def json_schema(cls: type[Object]) -> dict[str, object]:
    """The JSON schema (draft 2020-12) of a kind as on the wire, with the description of every field.

    Args:
        cls: the class of the kind.
    """
    return cls.model_json_schema(by_alias=True, mode="validation")
