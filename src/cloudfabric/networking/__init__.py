# SPDX-License-Identifier: Apache-2.0
"""VPC networking: what every host must hold (control side) and how a host comes to hold it (host side).

The two sides meet only in `cloudfabric.networking.goalstate`. The control side (`ipam`, `vni`, `placement`,
`contributions`, `operators`) knows the store and the controller framework and never the kernel; the host side
(`dataplane`, `agent`) knows the kernel and never the store. So this package imports neither: a host that runs only an
agent loads no control plane. Import from the module that holds what you need.
"""

__all__: list[str] = []
