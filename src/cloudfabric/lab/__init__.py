# SPDX-License-Identifier: Apache-2.0
"""A whole fabric on one machine, with real packets: network namespaces stand for hosts and for workloads.

`Lab` (module `lab`) composes what the other packages offer: a `Fabric` with the network controllers, an agent and a
data plane per host, and a substrate that carries the packets: `namespaced` (kernel) or `simulated` (user space).
`state` records what belongs to a fabric before it is made, so that `cleanup` can remove it after any kind of end.
`demo` is the main job of the project: build, exercise, show, tear down. Names are loaded when they are asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudfabric.lab.cleanup import down
    from cloudfabric.lab.lab import Lab

__all__ = ["Lab", "down"]


def __getattr__(name: str) -> object:
    if name == "Lab":
        from cloudfabric.lab.lab import Lab

        return Lab
    if name == "down":
        from cloudfabric.lab.cleanup import down

        return down
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
