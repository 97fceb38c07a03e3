# SPDX-License-Identifier: Apache-2.0
"""The Cython core: BPF maps, the BPF loader, hashes and the user-space twin of the data plane.

Nothing is imported here, because `maps` and `bpf` load libbpf: a program that only simulates a fabric must not need it.

    maps       batch access to BPF maps                          (libbpf)
    bpf        loads, pins, attaches and test-runs BPF programs  (libbpf)
    hashing    flow hash and Maglev tables, the same bits as the BPF programs
    layout     map keys and values of `bpf/include/cloudfabric/types.h` as dataclasses
    offsets    where the C compiler put each field of those, for the test that compares
    errors     what `maps` and `bpf` raise

No module here imports a sibling package of `cloudfabric` or opens a socket of its own.
"""

__all__: list[str] = []
