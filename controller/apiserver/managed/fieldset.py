"""Sets of fields, in the shape of FieldsV1.

A path is a tuple of elements spelled as FieldsV1 spells them: `f:name` for a field, `k:{...}` for the entry of a map
list with these keys, `v:...` for an entry of a set. A set is a tree: what belongs to it are members, and what lies
below them are children.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

Path: TypeAlias = tuple[str, ...]
_canonical = msgspec.json.Encoder(order="sorted").encode


def field(name: str) -> str:
    return f"f:{name}"


def key(values: dict[str, Any]) -> str:
    return f"k:{_canonical(values).decode()}"


def entry(value: Any) -> str:
    return f"v:{_canonical(value).decode()}"


class FieldSet:
    """A set of fields; operations leave their operands alone."""

    __slots__ = ("children", "members")

    def __init__(self, members: set[str] | None = None, children: dict[str, FieldSet] | None = None) -> None:
        self.members = members if members is not None else set[str]()
        self.children = children if children is not None else {}

    def __bool__(self) -> bool:
        return bool(self.members) or any(self.children.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldSet):
            return NotImplemented
        return self.members == other.members and self._filled() == other._filled()

    __hash__ = None  # type: ignore[assignment]  # sets of fields change while they are built

    def _filled(self) -> dict[str, FieldSet]:
        return {name: child for name, child in self.children.items() if child}

    def insert(self, path: Path) -> None:
        if not path:
            return
        *parents, last = path
        place = self
        for element in parents:
            place = place.children.setdefault(element, FieldSet())
        place.members.add(last)

    def has(self, path: Path) -> bool:
        *parents, last = path
        place = self
        for element in parents:
            child = place.children.get(element)
            if child is None:
                return False
            place = child
        return last in place.members

    def child(self, element: str) -> FieldSet:
        return self.children.get(element) or FieldSet()

    def union(self, other: FieldSet) -> FieldSet:
        children = dict(self.children)
        for name, child in other.children.items():
            children[name] = children[name].union(child) if name in children else child
        return FieldSet(self.members | other.members, children)

    def difference(self, other: FieldSet) -> FieldSet:
        """What is in here and not in there; a member does not take its children with it."""
        children: dict[str, FieldSet] = {}
        for name, child in self.children.items():
            rest = child.difference(other.children[name]) if name in other.children else child
            if rest:
                children[name] = rest
        return FieldSet(self.members - other.members, children)

    def intersection(self, other: FieldSet) -> FieldSet:
        children: dict[str, FieldSet] = {}
        for name, child in self.children.items():
            if name in other.children and (shared := child.intersection(other.children[name])):
                children[name] = shared
        return FieldSet(self.members & other.members, children)

    def paths(self, prefix: Path = ()) -> Iterator[Path]:
        """Every member, in the order of its spelling."""
        for name in sorted(self.members | self.children.keys()):
            if name in self.members:
                yield (*prefix, name)
            if name in self.children:
                yield from self.children[name].paths((*prefix, name))

    def to_json(self) -> dict[str, Any]:
        """The set as FieldsV1."""
        found: dict[str, Any] = {}
        for name in sorted(self.members | self._filled().keys()):
            inner = self.children[name].to_json() if name in self.children else {}
            found[name] = {".": {}, **inner} if inner and name in self.members else inner
        return found


def from_json(value: dict[str, Any]) -> FieldSet:
    """Read FieldsV1."""
    found = FieldSet()
    for name, inner in value.items():
        if name == ".":
            continue
        if not inner or "." in inner:
            found.members.add(name)
        if inner and (child := from_json(inner)):
            found.children[name] = child
    return found


def shown(path: Path) -> str:
    """A path as conflict messages show it."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            pairs: dict[str, Any] = msgspec.json.decode(rest)
            inner = ",".join(f"{name}={_canonical(value).decode()}" for name, value in sorted(pairs.items()))
            text += f"[{inner}]"
        else:
            text += f"[={rest}]"
    return text
