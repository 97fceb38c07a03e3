# SPDX-License-Identifier: Apache-2.0
"""Manifests: many documents, YAML without its surprises, errors that number the document."""

from itertools import pairwise
from pathlib import Path

import pytest

from cloudfabric.models import Endpoint, InvalidObject, Tenant, load_manifest
from cloudfabric.models.validation import validate_manifest

EXAMPLES = Path(__file__).parents[3] / "examples"

TENANT = """
apiVersion: fabric.cloudfabric.io/v1
kind: Tenant
metadata: {name: red}
"""

ENDPOINT = """
apiVersion: network.cloudfabric.io/v1
kind: Endpoint
metadata: {tenant: red, namespace: default, name: web-1}
spec: {subnet: web, droplet: on, mac: 12:34:56:01:02:03}
"""


def test_documents_become_objects_in_their_order() -> None:
    first, second = load_manifest(f"---\n{TENANT}---\n---\n{ENDPOINT}")

    assert isinstance(first, Tenant)
    assert isinstance(second, Endpoint)


def test_scalars_are_read_as_in_yaml_1_2() -> None:
    (endpoint,) = load_manifest(ENDPOINT)

    assert isinstance(endpoint, Endpoint)
    assert endpoint.spec.mac == "12:34:56:01:02:03"  # YAML 1.1: a number in base 60
    assert endpoint.spec.droplet == "on"  # YAML 1.1: true


def test_an_empty_text_has_no_objects() -> None:
    assert load_manifest("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{TENANT}---\na: b: c", "f.yaml#2: object: is not valid YAML at line 6, column 5: mapping values"),
        (
            f"{TENANT}spec: {{}}\nspec: {{}}",
            "f.yaml#1: object: is not valid YAML at line 6, column 1: the key 'spec' occurs",
        ),
        ("? [a]\n: 1", "f.yaml#1: object: is not valid YAML at line 1, column 3: found unhashable key"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
        ("- 1", "f.yaml#1: object: list is not a mapping"),
        (
            f"{TENANT}---\n---\n{TENANT}",
            "f.yaml#3: Tenant red: metadata.name: red is described twice, first in document 1",
        ),
        (f"{TENANT}---\n{ENDPOINT}bad: 1", "f.yaml#2: Endpoint red/default/web-1: bad: is not a field"),
        (
            "a: \x00",
            "f.yaml#1: object: is not valid YAML: unacceptable character #x0000: special characters are not allowed",
        ),
    ],
)
def test_errors_number_the_document(text: str, message: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        load_manifest(text, "f.yaml")

    assert message in str(caught.value)


def test_aliases_that_would_expand_without_end_are_refused_quickly() -> None:
    levels = (f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairwise("abcdefghij"))
    bomb = "\n".join(["a: &a [x]", *levels])  # 10^9 items

    with pytest.raises(InvalidObject) as caught:
        load_manifest(f"{bomb}\n{TENANT}spec: *j")

    assert len(str(caught.value)) < 2000


def test_generated_names_do_not_collide() -> None:
    generated = TENANT.replace("name: red", "generateName: red-")

    assert len(load_manifest(f"{generated}---\n{generated}")) == 2


def test_the_demo_has_every_kind_of_pair_in_each_vpc() -> None:
    objects = load_manifest((EXAMPLES / "two-tenants.yaml").read_text(), "two-tenants.yaml")

    validate_manifest(objects)
    for tenant in ("red", "blue"):
        endpoints = [o for o in objects if isinstance(o, Endpoint) and o.metadata.tenant == tenant]
        pairs = {
            (a.spec.droplet == b.spec.droplet, a.spec.subnet == b.spec.subnet)
            for a in endpoints
            for b in endpoints
            if a is not b
        }
        assert len(endpoints) == 4
        assert {(True, True), (False, True), (False, False)} <= pairs
        assert {e.spec.droplet for e in endpoints} == {"host-1", "host-2", "host-3"}
