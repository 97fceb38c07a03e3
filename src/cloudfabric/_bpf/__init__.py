# SPDX-License-Identifier: Apache-2.0
"""BPF objects, compiled at build time from ``bpf/*.bpf.c``: data, found by ``importlib.resources``."""

__all__: list[str] = []
