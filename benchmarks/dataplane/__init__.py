# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of the data plane measure with.

`compiled` compiles the programs written in C for a benchmark; `frames` builds packets; `rig` times single BPF programs;
`hosts` joins two hosts by CloudFabric and by the kernel's own VXLAN; `traffic` sends packets through them; `up` times
`cloudfabric up`.
"""
