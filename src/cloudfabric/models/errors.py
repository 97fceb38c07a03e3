# SPDX-License-Identifier: Apache-2.0
"""The one error of the models: an object that breaks a rule.

Whatever found the fault (pydantic on parsing, a rule over several objects, the store on writing), the person who wrote
the object reads one sentence of one shape: which object, which field, which value, which rule, and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["InvalidObject", "Violation"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of one field.

    Args:
        field: path of the field as on the wire, for example ``spec.cidrs[1]``; empty for the object as a whole.
        value: the offending value as text; empty when the field is absent.
        rule: what is wrong with the value and what to do, readable after it ("is outside VPC main (10.0.0.0/16)").
    """

    field: str
    value: str
    rule: str

    def __str__(self) -> str:
        value = self.value if len(self.value) <= 120 else self.value[:117] + "..."
        sentence = f"{value} {self.rule}" if value else self.rule
        return f"{self.field}: {sentence}" if self.field else sentence


class InvalidObject(ValueError):
    """An object breaks a rule of its model, or a rule between it and other objects.

    Args:
        kind: kind of the object; empty when it could not be read.
        tenant: tenant of the object; empty for objects of the cluster.
        namespace: namespace of the object; empty where the kind has none.
        name: name of the object; empty when it has none yet.
        field: path of the field, for example ``spec.cidr``.
        value: the offending value.
        rule: the rule that it breaks and what to do.
        source: where the object was read, for example ``fabric.yaml#3``; empty when it was built in a program.
        also: further violations of the same object.
    """

    def __init__(
        self,
        kind: str,
        tenant: str,
        namespace: str,
        name: str,
        field: str,
        value: object,
        rule: str,
        *,
        source: str = "",
        also: tuple[Violation, ...] = (),
    ) -> None:
        self.kind = kind
        self.tenant = tenant
        self.namespace = namespace
        self.name = name
        self.field = field
        self.value = value
        self.rule = rule
        self.source = source
        self.also = also
        super().__init__(self._text())

    def __reduce__(self) -> tuple[object, ...]:
        # An exception with keyword-only arguments does not survive pickling (process pools, test workers) by itself.
        arguments = (self.kind, self.tenant, self.namespace, self.name, self.field, self.value, self.rule)
        return (_rebuild, (arguments, self.source, self.also))

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Every broken rule that was found, the first one included."""
        return (Violation(self.field, "" if self.value is None else str(self.value), self.rule), *self.also)

    def _text(self) -> str:
        path = "/".join(part for part in (self.tenant, self.namespace, self.name) if part)
        subject = " ".join(part for part in (self.kind or "object", path) if part)
        prefix = f"{self.source}: " if self.source else ""
        return f"{prefix}{subject}: " + "; also ".join(str(violation) for violation in self.violations)


def _rebuild(
    arguments: tuple[str, str, str, str, str, object, str], source: str, also: tuple[Violation, ...]
) -> InvalidObject:
    return InvalidObject(*arguments, source=source, also=also)
