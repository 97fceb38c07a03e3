# SPDX-License-Identifier: Apache-2.0
"""Names of fabrics and namespaces."""

from pathlib import Path

import pytest

from cloudfabric.lab import names


@pytest.mark.parametrize("name", ["a", "two-tenants", "f" * 40, "0"])
def test_good_fabric_names(name: str) -> None:
    assert names.check(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "Two", "a/b", "..", "a_b", "f" * 41, "a\n"])
def test_bad_fabric_names(name: str) -> None:
    with pytest.raises(names.FabricNameError, match="use 1 to 40 lower-case letters"):
        names.check(name)


@pytest.mark.parametrize(
    ("manifest", "fabric"),
    [
        ("examples/two-tenants.yaml", "two-tenants"),
        ("My Fabric (2).yml", "my-fabric-2"),
        ("___.yaml", "fabric"),
        ("a" * 60 + ".yaml", "a" * 40),
        ("x" * 39 + "-y.yaml", "x" * 39),
    ],
)
def test_a_fabric_is_named_after_its_manifest(manifest: str, fabric: str) -> None:
    assert names.fabric_name_of(Path(manifest)) == fabric
    assert names.check(fabric) == fabric


def test_namespaces_of_a_fabric_differ() -> None:
    found = [
        names.host("f", "red"),
        names.host("f", "host-1"),
        names.underlay("f"),
        names.workload("f", "red", "default", "web"),
        names.workload("f", "red", "", "db"),
        names.workload("f", "red", "prod", "web"),
        names.workload("f", "red-prod", "default", "web"),
    ]

    assert len(set(found)) == len(found)
    assert found[3:6] == ["cf-f-red_web", "cf-f-red_db", "cf-f-red_prod_web"]


def test_the_package_offers_lab_and_down() -> None:
    from cloudfabric import lab
    from cloudfabric.lab import cleanup
    from cloudfabric.lab import lab as module

    assert lab.Lab is module.Lab
    assert lab.down is cleanup.down
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lab.nothing  # noqa: B018
