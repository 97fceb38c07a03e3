# SPDX-License-Identifier: Apache-2.0
"""Names of a fabric and of the network namespaces that it consists of.

`cf-<fabric>-<droplet>` is a host, `cf-<fabric>-<tenant>_<endpoint>` a workload (with `_<namespace>_` in the middle
outside the namespace "default") and `cf-<fabric>-_underlay` what joins the hosts. Object names are DNS-1123 names and
have no underscore, so no two of these can be equal.
"""

import re
from pathlib import Path

__all__ = ["FabricNameError", "check", "fabric_name_of", "host", "underlay", "workload"]

_FABRIC_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


class FabricNameError(ValueError):
    """A fabric's name is not usable as part of a namespace's and a directory's name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"fabric name {name!r}: use 1 to 40 lower-case letters, digits and inner hyphens")
        self.name = name


def check(fabric: str) -> str:
    """Return the name if it is a good one; raises FabricNameError."""
    if not _FABRIC_NAME.fullmatch(fabric):
        raise FabricNameError(fabric)
    return fabric


def fabric_name_of(manifest: Path) -> str:
    """Return the name for a fabric by its manifest's file name: `examples/two-tenants.yaml` -> `two-tenants`."""
    return re.sub(r"[^a-z0-9]+", "-", manifest.stem.lower()).strip("-")[:40].rstrip("-") or "fabric"


def host(fabric: str, droplet: str) -> str:
    """Return the name of the namespace that stands for a host."""
    return f"cf-{fabric}-{droplet}"


def underlay(fabric: str) -> str:
    """Return the name of the namespace with the switch between the hosts."""
    return f"cf-{fabric}-_underlay"


def workload(fabric: str, tenant: str, namespace: str, endpoint: str) -> str:
    """Return the name of the namespace that an endpoint's workload lives in."""
    middle = "_" if namespace in ("", "default") else f"_{namespace}_"
    return f"cf-{fabric}-{tenant}{middle}{endpoint}"
