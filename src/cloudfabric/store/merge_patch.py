# SPDX-License-Identifier: Apache-2.0
"""JSON merge patch (RFC 7386)."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["merge_patch"]


def merge_patch(target: object, patch: object) -> object:
    """The target with a patch applied; neither is changed.

    Args:
        target: any JSON value.
        patch: a mapping merges into a mapping, its nulls remove; any other value replaces the target.

    Source: RFC 7386 section 2.

    Example:
        >>> merge_patch({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
        {'b': {'c': 2, 'd': 3}}
    """
    if not isinstance(patch, Mapping):
        return patch
    merged: dict[str, object] = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
