# SPDX-License-Identifier: Apache-2.0
"""Every field type accepts what it should, refuses the rest, and says why."""

from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv4Network

import pytest
from pydantic import TypeAdapter, ValidationError

from cloudfabric.models import fields


@pytest.mark.parametrize(
    ("type_", "given", "expected"),
    [
        (fields.Name, "web-1", "web-1"),
        (fields.Name, "a" * 63, "a" * 63),
        (fields.Subdomain, "vni.5", "vni.5"),
        (fields.NamePrefix, "web-", "web-"),
        (fields.NamePrefix, "", ""),
        (fields.QualifiedName, "example.org/Role_x.y", "example.org/Role_x.y"),
        (fields.QualifiedName, "app", "app"),
        (fields.Labels, {"app": "", "example.org/tier": "web_1"}, {"app": "", "example.org/tier": "web_1"}),
        (fields.InterfaceName, "eth0.100", "eth0.100"),
        (fields.Network, "10.0.0.0/16", IPv4Network("10.0.0.0/16")),
        (fields.Network, IPv4Network("10.0.0.0/16"), IPv4Network("10.0.0.0/16")),
        (fields.Address, "10.0.1.5", IPv4Address("10.0.1.5")),
        (fields.Address, IPv4Address("10.0.1.5"), IPv4Address("10.0.1.5")),
        (fields.MacAddress, "02-CF-00-00-00-0A", "02:cf:00:00:00:0a"),
        (fields.Timestamp, "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (
            fields.Timestamp,
            datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))),
            datetime(2026, 1, 31, 12, tzinfo=UTC),
        ),
    ],
)
def test_accepts(type_: object, given: object, expected: object) -> None:
    assert TypeAdapter(type_).validate_python(given) == expected


@pytest.mark.parametrize(
    ("type_", "given", "rule"),
    [
        (fields.Name, "Web", "is not a DNS label"),
        (fields.Name, "-web", "is not a DNS label"),
        (fields.Name, "web.", "is not a DNS label"),
        (fields.Name, "", "is not a DNS label"),
        (fields.Name, "a\n", "is not a DNS label"),
        (fields.Name, "a" * 64, "longer than 63"),
        (fields.Subdomain, "a..b", "is not a DNS name"),
        (fields.Subdomain, f"a.{'b' * 64}", "is not a DNS name"),
        (fields.Subdomain, "a." * 127, "longer than 253"),
        (fields.NamePrefix, "-", "is not a DNS name"),
        (fields.QualifiedName, "example.org/", "is not a qualified name"),
        (fields.QualifiedName, "Example/x", "is not a DNS name"),
        (fields.Labels, {"app": "a b"}, "is not a label value"),
        (fields.Labels, {"": "x"}, "is not a qualified name"),
        (fields.Annotations, {"a": "x" * (256 * 1024)}, "more than 262144 characters"),
        (fields.InterfaceName, "a" * 16, "is not an interface name"),
        (fields.InterfaceName, "a/b", "is not an interface name"),
        (fields.InterfaceName, "..", "is not an interface name"),
        (fields.Network, "10.0.0.0/33", "is not a network (prefix length is at most 32)"),
        (fields.Network, "10.0.0.1/16", "has host bits set; the network is 10.0.0.0/16"),
        (fields.Network, "ten/8", "is not an IPv4 network"),
        (fields.Network, "fd00::/8", "is not an IPv4 network"),
        (fields.Network, "10.0.0.0/8/9", "is not an IPv4 network"),
        (fields.Network, 10, "is not a network; write it as text"),
        (fields.Address, "10.0.1.256", "is not an IPv4 address"),
        (fields.Address, 167772165, "is not an address; write it as text"),
        (fields.MacAddress, "02:00:00:00:00", "is not a MAC address"),
        (fields.MacAddress, 5, "is not a MAC address"),
        (fields.MacAddress, "01:00:5e:00:00:01", "is a group address"),
        (fields.MacAddress, "00:00:00:00:00:00", "is the zero address"),
        (fields.Timestamp, "yesterday", "is not an RFC 3339 time"),
        (fields.Timestamp, 5, "is not a time"),
        (fields.Timestamp, "2026-01-31T12:00:00", "has no time zone"),
    ],
)
def test_refuses_and_says_why(type_: object, given: object, rule: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(type_).validate_python(given)

    assert rule in caught.value.errors()[0]["msg"]


def test_a_time_is_written_in_utc_and_read_back_the_same() -> None:
    moment = datetime(2026, 1, 31, 13, 0, 0, 250000, tzinfo=timezone(timedelta(hours=1)))

    text = fields.format_timestamp(moment)

    assert text == "2026-01-31T12:00:00.250000Z"
    assert TypeAdapter(fields.Timestamp).validate_python(text) == moment
