# SPDX-License-Identifier: Apache-2.0
"""Field types: names, addresses, networks, MAC addresses, timestamps, label maps.

Models are strict (no silent ``"1"`` -> ``1``), but the wire has only strings for networks, addresses and times. Each
type here accepts exactly its Python value or its wire text, refuses all else with a rule that says what is wrong, and
writes the wire text back. The rule is phrased so that it reads after the value: "10.0.0.0/33 is not a network (...)".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Annotated, Final

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = [
    "Address",
    "Annotations",
    "InterfaceName",
    "Labels",
    "MacAddress",
    "Name",
    "NamePrefix",
    "Network",
    "OptionalName",
    "OptionalSubdomain",
    "QualifiedName",
    "Subdomain",
    "Timestamp",
    "broken_rule",
    "format_timestamp",
]

LABEL_LENGTH: Final = 63
SUBDOMAIN_LENGTH: Final = 253
INTERFACE_NAME_LENGTH: Final = 15  # IFNAMSIZ of the kernel less the terminating zero
ANNOTATIONS_LENGTH: Final = 256 * 1024

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_PATTERN = re.compile(_LABEL)
_SUBDOMAIN_PATTERN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LABEL_VALUE_PATTERN = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_INTERFACE_PATTERN = re.compile(r"[^\s/:]+")
_MAC_PATTERN = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def broken_rule(rule: str) -> PydanticCustomError:
    """The error of a validator whose text is the rule itself, with no prefix of pydantic's.

    Args:
        rule: what is wrong and what to do, readable after the value.
    """
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


def _check_label(value: str) -> str:
    if len(value) > LABEL_LENGTH:
        raise broken_rule(f"is longer than {LABEL_LENGTH} characters")
    if not _LABEL_PATTERN.fullmatch(value):
        raise broken_rule("is not a DNS label; use lower-case letters, digits and '-', first and last not '-'")
    return value


def _check_subdomain(value: str) -> str:
    if len(value) > SUBDOMAIN_LENGTH:
        raise broken_rule(f"is longer than {SUBDOMAIN_LENGTH} characters")
    if not _SUBDOMAIN_PATTERN.fullmatch(value) or any(len(part) > LABEL_LENGTH for part in value.split(".")):
        raise broken_rule(
            "is not a DNS name; use lower-case letters, digits and '-', in parts of at most 63 joined by '.'"
        )
    return value


def _check_optional_subdomain(value: str) -> str:
    return _check_subdomain(value) if value else value


def _check_optional_label(value: str) -> str:
    return _check_label(value) if value else value


def _check_prefix(value: str) -> str:
    # Whatever is appended begins and ends with a letter or digit, so one letter decides for all of them.
    if value:
        _check_subdomain(value + "x")
    return value


def _check_qualified(value: str) -> str:
    prefix, separator, name = value.rpartition("/")
    if separator:
        _check_subdomain(prefix)
    if not name or len(name) > LABEL_LENGTH or not _LABEL_VALUE_PATTERN.fullmatch(name):
        raise broken_rule("is not a qualified name; use 'name' or 'prefix.example/name', name of at most 63 characters")
    return value


def _check_labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        _check_qualified(key)
        if len(text) > LABEL_LENGTH or not _LABEL_VALUE_PATTERN.fullmatch(text):
            raise broken_rule(
                f"has the value {text!r} at {key!r}, which is not a label value; use at most 63 letters, digits, '-', "
                "'_' and '.', first and last a letter or digit"
            )
    return value


def _check_annotations(value: dict[str, str]) -> dict[str, str]:
    for key in value:
        _check_qualified(key)
    if sum(len(key) + len(text) for key, text in value.items()) > ANNOTATIONS_LENGTH:
        raise broken_rule(f"holds more than {ANNOTATIONS_LENGTH} characters; keep large data elsewhere")
    return value


def _check_interface(value: str) -> str:
    if len(value) > INTERFACE_NAME_LENGTH or not _INTERFACE_PATTERN.fullmatch(value) or value in (".", ".."):
        raise broken_rule(
            f"is not an interface name; use up to {INTERFACE_NAME_LENGTH} characters, no '/', ':' or space"
        )
    return value


def _parse_network(value: object) -> IPv4Network:
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str):
        raise broken_rule("is not a network; write it as text like '10.0.0.0/16'")
    try:
        return IPv4Network(value)
    except NetmaskValueError:
        raise broken_rule("is not a network (prefix length is at most 32)") from None
    except AddressValueError as error:
        raise broken_rule(f"is not an IPv4 network ({error})") from None
    except ValueError:
        aligned = IPv4Network(value, strict=False)
        raise broken_rule(f"has host bits set; the network is {aligned}") from None


def _parse_address(value: object) -> IPv4Address:
    if isinstance(value, IPv4Address):
        return value
    if not isinstance(value, str):
        raise broken_rule("is not an address; write it as text like '10.0.1.5'")
    try:
        return IPv4Address(value)
    except AddressValueError as error:
        raise broken_rule(f"is not an IPv4 address ({error})") from None


def _parse_mac(value: object) -> str:
    text = value.lower().replace("-", ":") if isinstance(value, str) else ""
    if not _MAC_PATTERN.fullmatch(text):
        raise broken_rule("is not a MAC address; write six pairs of hexadecimal digits like '02:00:0a:00:01:05'")
    if int(text[:2], 16) & 1:
        raise broken_rule("is a group address; a workload needs a unicast MAC (lowest bit of the first byte is 0)")
    if text == "00:00:00:00:00:00":
        raise broken_rule("is the zero address; choose another or leave the field out")
    return text


def _parse_timestamp(value: object) -> datetime:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise broken_rule("is not an RFC 3339 time; write it like '2026-01-31T12:00:00Z'") from None
    if not isinstance(moment, datetime):
        raise broken_rule("is not a time; write it like '2026-01-31T12:00:00Z'")
    if moment.tzinfo is None:
        raise broken_rule("has no time zone; append 'Z' for UTC")
    return moment.astimezone(UTC)


def format_timestamp(moment: datetime) -> str:
    """The moment as RFC 3339 text in UTC, as written on the wire.

    Args:
        moment: a moment with a time zone.
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Name = Annotated[str, AfterValidator(_check_label), Field(json_schema_extra={"pattern": f"^{_LABEL}$"})]
"""A DNS-1123 label: the name of a tenant or namespace, or a reference to an object named so."""

OptionalName = Annotated[str, AfterValidator(_check_optional_label)]
"""A DNS-1123 label, or empty for none."""

Subdomain = Annotated[str, AfterValidator(_check_subdomain), Field(json_schema_extra={"maxLength": SUBDOMAIN_LENGTH})]
"""A DNS-1123 subdomain: the name of an object."""

OptionalSubdomain = Annotated[str, AfterValidator(_check_optional_subdomain)]
"""A DNS-1123 subdomain, or empty for none."""

NamePrefix = Annotated[str, AfterValidator(_check_prefix)]
"""What a generated name begins with; empty for none."""

QualifiedName = Annotated[str, AfterValidator(_check_qualified)]
"""A name with an optional DNS prefix: a label key, an annotation key, a finalizer."""

Labels = Annotated[dict[str, str], AfterValidator(_check_labels)]
"""Label keys to label values."""

Annotations = Annotated[dict[str, str], AfterValidator(_check_annotations)]
"""Annotation keys to any text."""

InterfaceName = Annotated[str, AfterValidator(_check_interface)]
"""The name of a network interface as the kernel accepts it."""

Network = Annotated[
    IPv4Network,
    PlainValidator(_parse_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "ipv4-network", "examples": ["10.0.0.0/16"]}),
]
"""An IPv4 network in CIDR notation, host bits zero."""

Address = Annotated[
    IPv4Address,
    PlainValidator(_parse_address),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "ipv4", "examples": ["10.0.1.5"]}),
]
"""An IPv4 address."""

MacAddress = Annotated[
    str,
    PlainValidator(_parse_mac),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"}),
]
"""A unicast MAC address in lower case with colons."""

Timestamp = Annotated[
    datetime,
    PlainValidator(_parse_timestamp),
    PlainSerializer(format_timestamp, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment in UTC, RFC 3339 on the wire."""
