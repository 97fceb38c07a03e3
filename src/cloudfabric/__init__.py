# SPDX-License-Identifier: Apache-2.0
"""CloudFabric: an SDK for building a multi-tenant cloud, from objects in a store to packets in eBPF."""

__all__: list[str] = []
