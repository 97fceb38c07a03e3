# SPDX-License-Identifier: Apache-2.0
__all__ = ["c_offsets"]

def c_offsets() -> dict[str, tuple[int, dict[str, tuple[int, int]]]]: ...
