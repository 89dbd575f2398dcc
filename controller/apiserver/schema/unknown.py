"""Removing what a schema does not describe."""

from __future__ import annotations

from typing import Any

from controller.apiserver.schema.node import Node
from controller.apiserver.shapes import is_list, is_object

_RESOURCE_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


def prune(value: Any, node: Node, path: str = "", *, unknown: list[str] | None = None, root: bool = False) -> None:
    """Remove unknown fields in place; their paths are added to `unknown`."""
    if is_object(value):
        _prune_map(value, node, path, unknown, root=root)
    elif is_list(value) and node.items is not None:
        for index, item in enumerate(value):
            prune(item, node.items, f"{path}[{index}]", unknown=unknown)
    elif is_list(value) and not node.preserve_unknown:
        for index, item in enumerate(value):
            prune(item, _NOTHING, f"{path}[{index}]", unknown=unknown)


def _prune_map(value: dict[str, Any], node: Node, path: str, unknown: list[str] | None, *, root: bool) -> None:
    whole = root or node.embedded
    for name in list(value):
        if whole and name in _RESOURCE_FIELDS:
            continue
        inner = node.properties.get(name) or node.additional
        where = f"{path}.{name}" if path else name
        if inner is not None:
            prune(value[name], inner, where, unknown=unknown)
        elif not node.preserve_unknown:
            del value[name]
            if unknown is not None:
                unknown.append(where)


_NOTHING = Node({})
