"""Strategic merge patch: like a merge patch, but lists of built-in kinds merge by the key of their entries.

A patch may carry directives: `$patch: replace` (the rest replaces everything here), `$patch: delete` (this entry or
map goes), `$patch: merge`; `$deleteFromPrimitiveList/F` (these values leave the list F); `$setElementOrder/F` (the
order the list F is to have); `$retainKeys` (every other field goes).
"""

from __future__ import annotations

from typing import Any

from controller.apiserver.schema.node import Node
from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Refused, bad_request

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_merge(value: Any, patch: Any, node: Node) -> Any:
    """What a strategic merge patch makes of a value."""
    if not is_object(patch):
        return patch
    return _merge_map(value if is_object(value) else {}, patch, node)


def _merge_map(value: dict[str, Any], patch: dict[str, Any], node: Node) -> dict[str, Any]:
    rest: dict[str, Any] = dict(patch)
    match rest.pop(_DIRECTIVE, None):
        case "replace":
            cleaned: dict[str, Any] = _clean(rest)
            return cleaned
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise Refused(500, "", f"unknown patch type: {other} in map: map[{_DIRECTIVE}:{other}]")
    found = dict(value)
    if (kept := rest.pop(_RETAIN, None)) is not None:
        if not is_list(kept) or not all(isinstance(name, str) for name in kept):
            raise bad_request(f"{_RETAIN} must be a list of strings")
        found = {name: inner for name, inner in found.items() if name in kept}
    deleted = _take(rest, _DELETE)
    orders = _take(rest, _ORDER)
    for name, gone in deleted.items():
        if is_list(found.get(name)):
            found[name] = [item for item in found[name] if item not in gone]
    for name, inner in rest.items():
        child = node.child(name) or Node({})
        if inner is None:
            found.pop(name, None)
        elif is_object(inner):
            before = found.get(name)
            found[name] = _merge_map(before if is_object(before) else {}, inner, child)
        elif is_list(inner):
            found[name] = _merge_list(found.get(name), inner, child, orders.pop(name, None))
        else:
            found[name] = inner
    for name, order in orders.items():
        if is_list(found.get(name)):
            found[name] = _ordered(found[name], found[name], order, node.child(name) or Node({}))
    return found


def _take(patch: dict[str, Any], prefix: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in [name for name in patch if name.startswith(prefix)]:
        inner = patch.pop(name)
        if not is_list(inner):
            raise Refused(500, "", f"expected a []interface {{}}, but received a {type(inner).__name__}")
        found[name[len(prefix) :]] = inner
    return found


def _clean(value: Any) -> Any:
    """A value as it is stored: without directives and nulls."""
    if is_object(value):
        return {name: _clean(inner) for name, inner in value.items() if inner is not None and not name.startswith("$")}
    if is_list(value):
        return [_clean(item) for item in value if not (is_object(item) and item.get(_DIRECTIVE) == "delete")]
    return value


def _merge_list(value: Any, patch: list[Any], node: Node, order: list[Any] | None) -> list[Any]:
    if "merge" not in node.strategies:
        return [_clean(item) for item in patch]
    before = value if is_list(value) else []
    if not node.merge_key:
        merged = list(before)
        for item in patch:
            if item not in merged:
                merged.append(item)
        return _ordered(merged, before, patch if order is None else order, node)
    if any(is_object(item) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [_clean(item) for item in patch if item.get(_DIRECTIVE) != "replace" or len(item) > 1]
    merged = _merge_entries(before, patch, node)
    return _ordered(merged, before, patch if order is None else order, node)


def _merge_entries(before: list[Any], patch: list[Any], node: Node) -> list[Any]:
    items = node.items or Node({})
    found = list(before)
    for item in patch:
        if not is_object(item) or node.merge_key not in item:
            shown = f"map[{' '.join(f'{key}:{value}' for key, value in item.items())}]" if is_object(item) else item
            raise Refused(500, "", f"map: {shown} does not contain declared merge key: {node.merge_key}")
        places = [index for index, entry in enumerate(found) if _name(entry, node) == item[node.merge_key]]
        if item.get(_DIRECTIVE) == "delete":
            found = [entry for index, entry in enumerate(found) if index not in places]
        elif places:
            found[places[0]] = _merge_map(found[places[0]], item, items)
        else:
            found.append(_clean(_merge_map({}, item, items)))
    return found


def _name(item: Any, node: Node) -> Any:
    return item.get(node.merge_key) if is_object(item) and node.merge_key else item


def _ordered(merged: list[Any], before: list[Any], order: list[Any], node: Node) -> list[Any]:
    """What the patch names in the patch's order, the rest in the server's; a stranger goes before who came later."""
    wanted = [_name(entry, node) for entry in order]
    had = [_name(entry, node) for entry in before]
    named = sorted(
        (item for item in merged if _name(item, node) in wanted), key=lambda item: wanted.index(_name(item, node))
    )
    rest = [item for item in merged if _name(item, node) not in wanted]
    found: list[Any] = []
    while rest and named:
        left, right = _name(rest[0], node), _name(named[0], node)
        server_first = left in had and right in had and had.index(left) < had.index(right)
        found.append(rest.pop(0) if server_first else named.pop(0))
    return found + rest + named
