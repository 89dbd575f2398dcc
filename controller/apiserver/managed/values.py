"""Values under a schema: which fields they have, how two of them differ, and what merging them gives.

A schema says how fine ownership is: maps are owned field by field unless they are atomic, lists as a whole unless
they are sets or maps of something. Where no schema reaches, maps are fine and lists are whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from controller.apiserver.managed import fieldset
from controller.apiserver.managed.fieldset import FieldSet, Path
from controller.apiserver.schema.listtypes import list_key
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.shapes import is_list, is_object

_DEDUCED = Node({})


def _shape(value: Any, node: Node) -> str:
    """How a value is owned: as a leaf, as a map, or as a list whose entries have names."""
    if is_object(value):
        return "leaf" if node.atomic_map else "map"
    if is_list(value):
        return "list" if node.list_type in ("map", "set") else "leaf"
    return "leaf"


def _is_empty(value: Any) -> bool:
    return value is MISSING or value is None or value in ({}, [])


def _child(node: Node, name: str) -> Node:
    return node.child(name) or _DEDUCED


def _entry_name(item: Any, node: Node) -> str:
    if node.list_type == "map" and is_object(item):
        return fieldset.key(list_key(item, node))
    return fieldset.entry(item)


def entries(items: Any, node: Node) -> dict[str, Any]:
    """The entries of a set or map list by name; of entries of the same name the first."""
    found: dict[str, Any] = {}
    for item in items if is_list(items) else ():
        found.setdefault(_entry_name(item, node), item)
    return found


def field_set(value: Any, node: Node) -> FieldSet:
    """The fields that an applied configuration names."""
    found = FieldSet()
    _collect(value, node, (), found)
    return found


def _collect(value: Any, node: Node, path: Path, found: FieldSet) -> None:
    match _shape(value, node):
        case "map":
            for name, inner in value.items():
                where = (*path, fieldset.field(name))
                _collect(inner, _child(node, name), where, found)
                if inner is None or inner == {} or name not in node.properties:
                    found.insert(where)
        case "list":
            for name, item in entries(value, node).items():
                where = (*path, name)
                _collect(item, node.items or _DEDUCED, where, found)
                found.insert(where)
        case _:
            found.insert(path)


def mistyped(value: Any, node: Node, path: str = "") -> Iterator[str]:
    """Fields that a schema does not have, and values of the wrong type."""
    expected = {
        "string": "string",
        "boolean": "boolean",
        "integer": "numeric (int or float)",
        "number": "numeric (int or float)",
    }
    if value is None or node.int_or_string or (node.preserve_unknown and (node.type != "object" or is_object(value))):
        return
    if node.properties or node.additional is not None or node.preserve_unknown:
        if not is_object(value):
            yield f"{path}: expected map, got {_go_value(value)}"
            return
        for name, inner in value.items():
            child = node.child(name)
            if child is None:
                yield f"{path}.{name}: field not declared in schema"
            else:
                yield from mistyped(inner, child, f"{path}.{name}")
    elif node.items is not None:
        if not is_list(value):
            yield f"{path}: expected list, got {_go_value(value)}"
            return
        named = node.list_type in ("map", "set")
        for index, item in enumerate(value):
            if node.list_type == "set" and item is None:
                yield f"{path}: element {index}: associative list without keys has an element that's an explicit null"
                return
            if node.list_type == "map" and not is_object(item):
                yield f"{path}: element {index}: associative list with keys may not have non-map elements"
                return
            where = fieldset.shown((_entry_name(item, node),)) if named else f"[{index}]"
            yield from mistyped(item, node.items, f"{path}{where}")
    elif node.type in expected and _scalar_differs(value, node.type):
        yield f"{path}: expected {expected[node.type]}, got {_go_value(value)}"


def _scalar_differs(value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return not isinstance(value, str)
        case "boolean":
            return not isinstance(value, bool)
        case _:
            return isinstance(value, bool) or not isinstance(value, int | float)


def _go_value(value: Any) -> str:
    shown = f'"{value}"' if isinstance(value, str) else value
    return f"&value.valueUnstructured{{Value:{shown}}}"


class Differences(NamedTuple):
    """What changed from one value to another."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    @property
    def changed(self) -> FieldSet:
        return self.added.union(self.modified)

    @property
    def none(self) -> bool:
        return not (self.added or self.modified or self.removed)


def compare(old: Any, new: Any, node: Node) -> Differences:
    found = Differences(FieldSet(), FieldSet(), FieldSet())
    _compare(old, new, node, (), found)
    return found


def _compare(old: Any, new: Any, node: Node, path: Path, found: Differences) -> None:
    if old is MISSING and new is MISSING:
        return
    shapes = {_shape(value, node) for value in (old, new) if not (value is MISSING or value is None)}
    if not shapes or "leaf" in shapes or len(shapes) > 1 or (_is_empty(old) and _is_empty(new)):
        _compare_leaf(old, new, path, found)
        return
    if shapes == {"map"}:
        before, after = old if is_object(old) else {}, new if is_object(new) else {}
        for name in [*before, *(name for name in after if name not in before)]:
            inner = _child(node, name)
            where = (*path, fieldset.field(name))
            _compare(before.get(name, MISSING), after.get(name, MISSING), inner, where, found)
    else:
        left, right = entries(old, node), entries(new, node)
        for name in [*left, *(name for name in right if name not in left)]:
            where = (*path, name)
            _compare(left.get(name, MISSING), right.get(name, MISSING), node.items or _DEDUCED, where, found)
    if old is MISSING:
        found.added.insert(path)
    elif new is MISSING:
        found.removed.insert(path)


def _compare_leaf(old: Any, new: Any, path: Path, found: Differences) -> None:
    if old is MISSING:
        found.added.insert(path)
    elif new is MISSING:
        found.removed.insert(path)
    elif old != new or type(old) is not type(new):
        found.modified.insert(path)


def merge(live: Any, applied: Any, node: Node) -> Any:
    """What applying a configuration to a live value gives, before anything is taken away."""
    if applied is MISSING:
        return live
    if live is MISSING or live is None:
        return applied
    if applied is None:  # the null of a map or list is an empty one, which takes nothing away
        return applied if _is_empty(live) or _shape(live, node) == "leaf" else live
    shapes = (_shape(live, node), _shape(applied, node))
    if shapes == ("map", "map"):
        found = dict(live)
        for name, inner in applied.items():
            found[name] = merge(live.get(name, MISSING), inner, _child(node, name))
        return found
    if shapes == ("list", "list"):
        return _merge_lists(live, applied, node)
    return applied


def _merge_lists(live: list[Any], applied: list[Any], node: Node) -> list[Any]:
    """Entries of both; shared ones in the order of the applied list, the others where they stand."""
    left, right = entries(live, node), entries(applied, node)
    inner = node.items or _DEDUCED
    merged: list[Any] = []
    waiting = list(right)
    for name, item in left.items():
        if name not in right:
            merged.append(item)
            continue
        while waiting and waiting[0] != name and waiting[0] not in left:
            new = waiting.pop(0)
            merged.append(right[new])
        if waiting and name in waiting:
            # Everything up to this entry in the applied order comes now, so that shared entries keep that order.
            upto = waiting.index(name)
            merged += [merge(left.get(other, MISSING), right[other], inner) for other in waiting[: upto + 1]]
            waiting = waiting[upto + 1 :]
    merged += [merge(left.get(name, MISSING), right[name], inner) for name in waiting]
    return merged


def without(value: Any, node: Node, fields: FieldSet) -> Any:
    """A value without these fields and entries."""
    match _shape(value, node):
        case "map":
            kept: dict[str, Any] = {}
            for name, inner in value.items():
                element = fieldset.field(name)
                if element in fields.members:
                    continue
                child = fields.child(element)
                kept[name] = without(inner, _child(node, name), child) if child else inner
            return kept or None
        case "list":
            items: list[Any] = []
            for item in value:
                element = _entry_name(item, node)
                if element in fields.members:
                    continue
                child = fields.child(element)
                items.append(without(item, node.items or _DEDUCED, child) if child else item)
            return items or None
        case _:
            return value


def with_named_fields(fields: FieldSet, node: Node) -> FieldSet:
    """The set with every declared field that has something below it as a member."""
    members = set(fields.members)
    children: dict[str, FieldSet] = {}
    for name, child in fields.children.items():
        inner = _element_node(name, node)
        if name.startswith("f:") and name[2:] in node.properties:
            members.add(name)
        children[name] = with_named_fields(child, inner)
    return FieldSet(members, children)


def _element_node(name: str, node: Node) -> Node:
    if name.startswith("f:"):
        return _child(node, name[2:])
    return node.items or _DEDUCED
