# SPDX-License-Identifier: Apache-2.0
"""Bad input gets one error that names object, field, value and rule."""

import pickle

import pytest

from cloudfabric.models import VPC, InvalidObject, Violation, parse

NETWORK = "network.cloudfabric.io/v1"


def wire(**changes: object) -> dict[str, object]:
    return {
        "apiVersion": NETWORK,
        "kind": "VPC",
        "metadata": {"tenant": "red", "name": "main"},
        "spec": {"cidrs": ["10.0.0.0/16"]},
        **changes,
    }


def test_parse_finds_the_class() -> None:
    assert isinstance(parse(wire()), VPC)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            wire(spec={"cidrs": ["10.0.0.0/16", "10.0.9.0/33"]}),
            "f#1: VPC red/main: spec.cidrs[1]: 10.0.9.0/33 is not a network (prefix length is at most 32)",
        ),
        (
            wire(spec={"cidrs": ["10.0.0.0/16"], "dividers": "2"}),
            "f#1: VPC red/main: spec.dividers: 2 must be a whole number",
        ),
        (
            wire(spec={"cidrs": ["10.0.0.0/16"], "dividers": 65}),
            "f#1: VPC red/main: spec.dividers: 65 must be at most 64",
        ),
        (wire(spec={"cidrs": []}), "f#1: VPC red/main: spec.cidrs: [] has too few items; at least 1 needed"),
        (wire(spec={"cidrs": "10.0.0.0/16"}), "f#1: VPC red/main: spec.cidrs: 10.0.0.0/16 must be a list"),
        (wire(spec=7), "f#1: VPC red/main: spec: 7 must be a mapping"),
        (wire(spec={}), "f#1: VPC red/main: spec.cidrs: is required; add it"),
        (
            wire(spec={"cidrs": ["10.0.0.0/16"], "cidr": "x"}),
            "f#1: VPC red/main: spec.cidr: is not a field of this object; correct its name or remove it",
        ),
        (
            wire(metadata={"tenant": "red", "name": "Main"}),
            "f#1: VPC red/Main: metadata.name: Main is not a DNS name; use lower-case letters, digits and '-', "
            "in parts of at most 63 joined by '.'",
        ),
        (
            wire(metadata={"name": "main"}),
            "f#1: VPC main: has no metadata.tenant; a VPC belongs to a tenant, name it",
        ),
        (wire(metadata=[]), "f#1: VPC: metadata: [] must be a mapping"),
        (
            wire(status={"phase": "Ready"}),
            "f#1: VPC red/main: status.phase: Ready must be one of 'Pending', 'Provisioned', 'Failed' or 'Terminating'",
        ),
        ({"kind": "VPC"}, "f#1: VPC: apiVersion: is required and must be text"),
        ({"apiVersion": NETWORK, "kind": 5}, "f#1: object: kind: 5 is required and must be text"),
    ],
)
def test_the_text_says_what_where_and_what_to_do(data: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        parse(data, "f#1")

    assert str(caught.value) == text


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(
        InvalidObject, match=r"kind: Vpc of network\.cloudfabric\.io/v1 is not a known kind; .*VPC"
    ) as caught:
        parse(wire(kind="Vpc"))

    assert caught.value.field == "kind"


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidObject, match="object: list is not a mapping of fields"):
        parse([])  # type: ignore[arg-type]


def test_all_violations_are_reported_at_once() -> None:
    with pytest.raises(InvalidObject) as caught:
        parse(wire(spec={"cidrs": ["10.0.0.1/16"], "dividers": 0}))

    assert caught.value.violations == (
        Violation("spec.cidrs[0]", "10.0.0.1/16", "has host bits set; the network is 10.0.0.0/16"),
        Violation("spec.dividers", "0", "must be at least 1"),
    )
    assert "; also spec.dividers: 0 must be at least 1" in str(caught.value)


def test_a_long_value_is_shortened_in_the_text_only() -> None:
    error = InvalidObject("VPC", "red", "", "main", "spec.x", "y" * 500, "is too long")

    assert error.value == "y" * 500
    assert len(str(error)) < 200


def test_the_error_survives_pickling() -> None:
    error = InvalidObject(
        "VPC", "red", "", "main", "spec.x", 5, "is odd", source="f#1", also=(Violation("a", "b", "c"),)
    )

    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    assert (copy.value, copy.also, copy.source) == (5, error.also, "f#1")
