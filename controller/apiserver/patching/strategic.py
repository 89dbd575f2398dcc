"""Strategic merge patch: like a merge patch, but lists of built-in kinds merge by the key of their entries.

A patch may carry directives: `$patch: replace` (the rest replaces everything here), `$patch: delete` (this entry or
map goes), `$patch: merge`; `$deleteFromPrimitiveList/F` (these values leave the list F); `$setElementOrder/F` (the
order the list F is to have); `$retainKeys` (every other field goes).
"""

from __future__ import annotations

from typing import Any

from controller.apiserver.schema.node import Node
from controller.apiserver.status import Refused, bad_request

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_merge(value: Any, patch: Any, node: Node) -> Any:
    """What a strategic merge patch makes of a value."""
    if not isinstance(patch, dict):
        return patch
    return _merge_map(value if isinstance(value, dict) else {}, patch, node)


def _merge_map(value: dict[str, Any], patch: dict[str, Any], node: Node) -> dict[str, Any]:
    rest = dict(patch)
    match rest.pop(_DIRECTIVE, None):
        case "replace":
            return _clean(rest)
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise Refused(500, "", f"unknown patch type: {other} in map: {patch}")
    found = dict(value)
    if (kept := rest.pop(_RETAIN, None)) is not None:
        if not isinstance(kept, list) or not all(isinstance(name, str) for name in kept):
            raise bad_request(f"{_RETAIN} must be a list of strings")
        found = {name: inner for name, inner in found.items() if name in kept}
    deleted = _take(rest, _DELETE)
    orders = _take(rest, _ORDER)
    for name, gone in deleted.items():
        if isinstance(found.get(name), list):
            found[name] = [item for item in found[name] if item not in gone]
    for name, inner in rest.items():
        child = node.child(name) or Node({})
        if inner is None:
            found.pop(name, None)
        elif isinstance(inner, dict):
            before = found.get(name)
            found[name] = _merge_map(before if isinstance(before, dict) else {}, inner, child)
        elif isinstance(inner, list):
            found[name] = _merge_list(found.get(name), inner, child)
        else:
            found[name] = inner
    for name, order in orders.items():
        if isinstance(found.get(name), list):
            found[name] = _ordered(found[name], order, node.child(name) or Node({}))
    return found


def _take(patch: dict[str, Any], prefix: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in [name for name in patch if name.startswith(prefix)]:
        inner = patch.pop(name)
        if not isinstance(inner, list):
            raise bad_request(f"{name} must be a list")
        found[name[len(prefix) :]] = inner
    return found


def _clean(value: Any) -> Any:
    """A value as it is stored: without directives and nulls."""
    if isinstance(value, dict):
        return {name: _clean(inner) for name, inner in value.items() if inner is not None and not name.startswith("$")}
    if isinstance(value, list):
        return [_clean(item) for item in value if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "delete")]
    return value


def _merge_list(value: Any, patch: list[Any], node: Node) -> list[Any]:
    if "merge" not in node.strategies:
        return [_clean(item) for item in patch]
    before = value if isinstance(value, list) else []
    if not node.merge_key:
        return [*before, *(item for item in dict.fromkeys(patch) if item not in before)]
    items = node.items or Node({})
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [_clean(item) for item in patch if item.get(_DIRECTIVE) != "replace" or len(item) > 1]
    found = list(before)
    for item in patch:
        if not isinstance(item, dict) or node.merge_key not in item:
            raise Refused(500, "", f"map: {item} does not contain declared merge key: {node.merge_key}")
        places = [
            index
            for index, entry in enumerate(found)
            if isinstance(entry, dict) and entry.get(node.merge_key) == item[node.merge_key]
        ]
        if item.get(_DIRECTIVE) == "delete":
            found = [entry for index, entry in enumerate(found) if index not in places]
        elif places:
            found[places[0]] = _merge_map(found[places[0]], item, items)
        else:
            found.append(_clean(_merge_map({}, item, items)))
    return found


def _ordered(items: list[Any], order: list[Any], node: Node) -> list[Any]:
    """Items in the wanted order; those nobody ordered stay next to whom they followed."""

    def name(item: Any) -> Any:
        return item.get(node.merge_key) if isinstance(item, dict) else item

    wanted = {name(entry): place for place, entry in enumerate(order) if _hashable(name(entry))}
    ordered = sorted((item for item in items if name(item) in wanted), key=lambda item: wanted[name(item)])
    waiting = iter(ordered)
    found: list[Any] = []
    for item in items:
        found.append(next(waiting) if name(item) in wanted else item)
    return found


def _hashable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | None)
