"""Lists that are sets or maps hold nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from controller.apiserver import causes
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Cause

_canonical = msgspec.json.Encoder(order="sorted").encode


def duplicates(value: Any, node: Node, path: str = "") -> Iterator[Cause]:
    """Each entry of a set or map list that equals an earlier one."""
    if is_list(value):
        if node.list_type in ("map", "set"):
            yield from _repeated(value, node, path)
        if node.items is not None:
            for index, item in enumerate(value):
                yield from duplicates(item, node.items, f"{path}[{index}]")
    elif is_object(value):
        for name, inner in value.items():
            if (schema := node.child(name)) is not None:
                yield from duplicates(inner, schema, f"{path}.{name}" if path else name)


def _repeated(value: list[Any], node: Node, path: str) -> Iterator[Cause]:
    seen: set[bytes] = set()
    told: set[bytes] = set()
    for index, item in enumerate(value):
        shown = item
        if node.list_type == "map":
            if item is None:
                continue  # whose type is wrong already
            if not is_object(item):
                text = "must be an object for an array of list-type map"
                yield causes.invalid_value(f"{path}[{index}]", item, text)
                continue
            shown = list_key(item, node)
        form = _canonical(shown)
        if form in seen and form not in told:
            told.add(form)
            yield causes.duplicate(f"{path}[{index}]", shown)
        seen.add(form)


def list_key(item: dict[str, Any], node: Node) -> dict[str, Any]:
    """What tells an entry of a map list from the others; a key that is left out counts with its default."""
    found: dict[str, Any] = {}
    for name in node.map_keys:
        inner = node.items.properties.get(name) if node.items is not None else None
        value = item.get(name, inner.default if inner is not None else MISSING)
        if value is not MISSING:
            found[name] = value
    return found


def same_entry(item: Any, old: Any, node: Node) -> Any:
    """What an entry of a map list was before."""
    if node.list_type != "map" or not is_list(old) or not is_object(item):
        return MISSING
    key = list_key(item, node)
    return next((entry for entry in old if is_object(entry) and list_key(entry, node) == key), MISSING)
