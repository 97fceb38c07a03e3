# SPDX-License-Identifier: Apache-2.0
"""The numbers that name a VPC and a subnet on the wire and in map keys.

A VNI has 24 bits (RFC 8926, section 3.4). VPCs get theirs from 4096 upwards: smaller ones are left to be given by hand,
for example where a fabric is joined to networks that exist already. A VNI belongs to one VPC of one tenant as long as
the VPC exists, and the one that has been free for longest is given out next.

A segment is the number of a subnet. Map keys hold it beside the VNI; it is unique in the fabric all the same, so that a
number in a trace or a counter means one subnet. Segment 0 stands for the VPC's dividers.
"""

from __future__ import annotations

from typing import Final

from cloudfabric.networking.allocation import ValueRange

__all__ = ["SEGMENTS", "VNIS"]

VNIS: Final = ValueRange("vni", 4096, (1 << 24) - 1)
"""Virtual network identifiers of VPCs."""

SEGMENTS: Final = ValueRange("segment", 1, (1 << 32) - 1)
"""Numbers of subnets."""
