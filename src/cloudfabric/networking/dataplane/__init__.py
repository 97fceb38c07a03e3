# SPDX-License-Identifier: Apache-2.0
"""The data plane of one host: what the agent asks of a kernel, or of its user-space twin.

May import `cloudfabric._fastpath`, `cloudfabric.models` and `cloudfabric.networking.goalstate`; nothing of the
control side. Modules: `protocol` (what a data plane offers), `records` (goal-state entries as map keys and values),
`slots` (counter slots), `namespaces` and `links` (the host's network), `programs` and `kernel` (BPF),
`userspace` (the same without a kernel). Nothing is imported here, so that a reader of `protocol` loads no libbpf.
"""

__all__: list[str] = []
