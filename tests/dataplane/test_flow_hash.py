# SPDX-License-Identifier: Apache-2.0
"""The flow hash in the kernel and in the Cython core: the same bits for the same flow."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudfabric._fastpath.bpf import Object
from cloudfabric._fastpath.hashing import flow_hash, flow_hash_batch

pytestmark = pytest.mark.kernel

EDGES = [(0, 0, 0, 0, 0), (2**32 - 1, 2**32 - 1, 65535, 65535, 255), (0x0A000001, 0x0A000002, 40000, 80, 6)]


def test_bpf_and_the_core_compute_the_same_bits(compile_bpf: Callable[[str], Path]) -> None:
    source = random.Random(2)
    flows = EDGES + [
        tuple(source.randrange(1 << bits) for bits in (32, 32, 16, 16, 8))  # seeded: the same flows every time
        for _ in range(2000)
    ]
    packed = [struct.pack("!IIHHB", *flow) for flow in flows]

    with Object(compile_bpf("probe"), programs=["flow_hash"]) as loaded:
        program = loaded.programs["flow_hash"]
        in_kernel = [program.test_run(bytes(14) + flow).retval & 0xFFFFFFFF for flow in packed]

    assert in_kernel == [flow_hash(*flow) for flow in flows]
    assert in_kernel == flow_hash_batch(b"".join(packed)).tolist()
