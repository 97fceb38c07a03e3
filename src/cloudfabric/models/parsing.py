# SPDX-License-Identifier: Apache-2.0
"""From plain data to typed objects, with errors that name object, field, value and rule.

pydantic finds the faults; here its report becomes one `InvalidObject` that lists them in the field names of the wire
(``spec.cidrs[1]``), so that a person who wrote YAML reads about their YAML and not about Python types.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cloudfabric.models.errors import InvalidObject, Violation
from cloudfabric.models.object import Object, class_of, registered

__all__ = ["invalid_object", "parse", "parse_as"]

_T = TypeVar("_T", bound=Object)

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2

# pydantic's wording speaks of "input" and Python types; these are the same rules in the words of the reader.
_RULES = {
    "missing": "is required; add it",
    "extra_forbidden": "is not a field of this object; correct its name or remove it",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "has too few items; at least {min_length} needed",
    "enum": "must be one of {expected}",
    "literal_error": "must be {expected}",
}


def parse(data: Mapping[str, object], source: str = "") -> Object:
    """The typed object that plain data describes.

    Args:
        data: the object as read from JSON, YAML or msgpack, with wire names.
        source: where it was read, for example ``fabric.yaml#3``; errors begin with it.

    Raises:
        InvalidObject: the kind is unknown, or a field breaks a rule.
    """
    if not isinstance(data, Mapping):
        raise InvalidObject("", "", "", "", "", type(data).__name__, "is not a mapping of fields", source=source)
    api_version, kind = data.get("apiVersion"), data.get("kind")
    kind_name, tenant, namespace, name = _identity(data)
    for field, value in (("apiVersion", api_version), ("kind", kind)):
        if not isinstance(value, str) or not value:
            shown = "" if value is None else _shown(value)
            raise InvalidObject(
                kind_name, tenant, namespace, name, field, shown, "is required and must be text", source=source
            )
    cls = class_of(str(api_version), str(kind))
    if cls is None:
        known = ", ".join(sorted({f"{c.KIND} ({c.model_fields['api_version'].default})" for c in registered()}))
        raise InvalidObject(
            kind_name,
            tenant,
            namespace,
            name,
            "kind",
            f"{kind} of {api_version}",
            f"is not a known kind; known are {known}",
            source=source,
        )
    return parse_as(cls, data, source)


def parse_as(cls: type[_T], data: Mapping[str, object], source: str = "") -> _T:
    """The object of one kind that plain data describes.

    Args:
        cls: the class of the kind.
        data: the object with wire names.
        source: where it was read; errors begin with it.

    Raises:
        InvalidObject: a field breaks a rule.
    """
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        raise invalid_object(error, cls, data, source) from None


def invalid_object(
    error: ValidationError, cls: type[Object], data: Mapping[str, object], source: str = ""
) -> InvalidObject:
    """pydantic's report as the error of the models.

    Args:
        error: the report.
        cls: the class that was to be made.
        data: what it was to be made from, with wire names; names the object in the text.
        source: where it was read; the text begins with it.
    """
    _, tenant, namespace, name = _identity(data)
    violations = [_violation(details) for details in error.errors(include_url=False)]
    # A list with a bad item is also reported as too short, the bad item not counted: that second report misleads.
    fields = [violation.field for violation in violations]
    first, *rest = (
        violation for violation in violations if not any(field.startswith(f"{violation.field}[") for field in fields)
    )
    return InvalidObject(
        cls.KIND, tenant, namespace, name, first.field, first.value, first.rule, source=source, also=tuple(rest)
    )


def _identity(data: Mapping[str, object]) -> tuple[str, str, str, str]:
    """Kind, tenant, namespace and name as far as faulty data tells them."""
    metadata = data.get("metadata")
    meta = metadata if isinstance(metadata, Mapping) else {}
    return (
        _text(data.get("kind")),
        _text(meta.get("tenant")),
        _text(meta.get("namespace")),
        _text(meta.get("name")) or _text(meta.get("generateName")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _shown(value: object) -> str:
    # Not str() for containers: with YAML's aliases a short text can describe one with 10^9 items.
    return str(value) if isinstance(value, str | int | float | bool) else _SHORT.repr(value)


def _violation(details: ErrorDetails) -> Violation:
    field = ""
    for part in details["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else part
    template = _RULES.get(details["type"])
    rule = template.format_map(details.get("ctx", {})) if template is not None else details["msg"]
    given = details["input"]
    # A whole mapping says nothing in one line, and a missing field has no value.
    shown = "" if details["type"] == "missing" or isinstance(given, Mapping | Object) else _shown(given)
    return Violation(field, "" if details["type"] == "extra_forbidden" else shown, rule)
