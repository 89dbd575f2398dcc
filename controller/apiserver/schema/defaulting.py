"""Filling in what a schema says a missing field means."""

from __future__ import annotations

import copy
from typing import Any

from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.shapes import is_list, is_object


def fill_defaults(value: Any, node: Node) -> None:
    """Add defaults in place, the nested ones of an added value too."""
    if not node.has_defaults:
        return
    if is_object(value):
        for name, inner in node.properties.items():
            found = value.get(name, MISSING)
            # A null where null is not allowed counts as missing, but only if there is a default to take its place.
            if inner.default is not MISSING and (found is MISSING or (found is None and not inner.nullable)):
                value[name] = copy.deepcopy(inner.default)
            if name in value:
                fill_defaults(value[name], inner)
        if node.additional is not None:
            for name, found in value.items():
                if name not in node.properties:
                    if found is None and not node.additional.nullable and node.additional.default is not MISSING:
                        value[name] = copy.deepcopy(node.additional.default)
                    fill_defaults(value[name], node.additional)
    elif is_list(value) and node.items is not None:
        for index, found in enumerate(value):
            if found is None and not node.items.nullable and node.items.default is not MISSING:
                value[index] = copy.deepcopy(node.items.default)
            fill_defaults(value[index], node.items)


def drop_nulls(value: Any, node: Node) -> None:
    """Remove nulls of fields that must not be null and have no default, in place."""
    if is_object(value):
        for name in list(value):
            inner = node.child(name)
            if inner is None:
                continue
            if value[name] is None and not inner.nullable and inner.default is MISSING:
                del value[name]
            else:
                drop_nulls(value[name], inner)
    elif is_list(value) and node.items is not None:
        for item in value:
            drop_nulls(item, node.items)
