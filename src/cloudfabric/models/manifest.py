# SPDX-License-Identifier: Apache-2.0
"""Manifests: several objects in one YAML text, one document each.

The loader builds plain data only (never Python objects) and follows YAML 1.2's core schema where 1.1 would surprise:
``12:34:56:01:02:03`` stays a MAC address instead of becoming a number in base 60, and ``on`` stays a name. A key that
occurs twice is an error, because one of the two would be lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

import yaml

from cloudfabric.models.errors import InvalidObject
from cloudfabric.models.object import Object
from cloudfabric.models.parsing import parse

__all__ = ["load_manifest"]


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalar rules of YAML 1.2 and no duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice", key_node.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's rules
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def load_manifest(text: str, source: str = "manifest") -> list[Object]:
    """The objects of a multi-document YAML text, in their order; empty documents are left out.

    Args:
        text: the YAML.
        source: what to call it in errors, usually the name of the file.

    Raises:
        InvalidObject: the YAML cannot be read, a document is not a valid object, or two name the same object; the text
            begins with ``source#number`` of the document, counted from 1.
    """
    objects: list[Object] = []
    first_seen: dict[tuple[str, str, str, str], int] = {}
    number = 1
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while loader.check_data():  # type: ignore[no-untyped-call]  # the stubs leave it untyped
            data = loader.get_data()
            if data is not None:
                obj = parse(data, f"{source}#{number}")
                _check_unique(obj, number, source, first_seen)
                objects.append(obj)
            number += 1
    except yaml.YAMLError as error:
        raise InvalidObject("", "", "", "", "", "", _yaml_fault(error), source=f"{source}#{number}") from None
    finally:
        if loader is not None:
            loader.dispose()
    return objects


def _check_unique(obj: Object, number: int, source: str, seen: dict[tuple[str, str, str, str], int]) -> None:
    meta = obj.metadata
    if not meta.name:
        return  # the name is generated, so it is unique
    key = (obj.resource(), meta.tenant, meta.namespace, meta.name)
    earlier = seen.setdefault(key, number)
    if earlier != number:
        raise InvalidObject(
            obj.KIND,
            meta.tenant,
            meta.namespace,
            meta.name,
            "metadata.name",
            meta.name,
            f"is described twice, first in document {earlier}; remove one or rename it",
            source=f"{source}#{number}",
        )


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"is not valid YAML{where}: {problem}"
