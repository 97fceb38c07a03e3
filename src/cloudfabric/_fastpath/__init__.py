# SPDX-License-Identifier: Apache-2.0
"""The Cython core: BPF maps, the BPF loader, hashes and the user-space twin of the data plane.

Nothing is imported here, because `maps` and `bpf` load libbpf: a program that only simulates a fabric must not need it.

    maps         batch access to BPF maps                                       (libbpf)
    bpf          loads objects; offers the next three, too                      (libbpf)
    programs     test-runs, pins, attaches and replaces programs                (libbpf)
    attachments  what is attached to an interface                               (libbpf)
    clsact       the place of tcx on kernels before 6.6                         (libbpf)
    hashing      flow hash and Maglev tables, the same bits as the BPF programs
    encap        builds and parses Geneve packets
    pipeline     the data plane's decisions in user space, from the same headers
    layout       map keys and values of `bpf/include/cloudfabric/types.h` as dataclasses
    offsets      where the C compiler put each field of those, for the test that compares
    verdicts     what can become of a packet; made from verdicts.h by the build
    errors       what `maps` and `bpf` raise

No module here imports a sibling package of `cloudfabric` or opens a socket of its own.
"""

__all__: list[str] = []
