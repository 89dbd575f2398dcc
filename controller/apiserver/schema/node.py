"""One place in a schema: its type, its children, and how lists and maps there are merged."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Object

PREFIX = "#/components/schemas/"


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()
"""Says that a schema has no default, or an object no value, where None would mean JSON's null."""


class Node:
    """A schema, read as far as somebody asks: `types` are what its references point to."""

    def __init__(self, raw: Object, types: Mapping[str, Object] | None = None) -> None:
        self.types = types or {}
        self.reference, self.raw = _resolved(raw, self.types)
        raw = self.raw
        self.type: str = raw.get("type", "")
        self.default: Any = raw.get("default", MISSING)
        self.nullable: bool = raw.get("nullable", False)
        self.int_or_string: bool = raw.get("x-kubernetes-int-or-string", False) or raw.get("format") == "int-or-string"
        self.preserve_unknown: bool = raw.get("x-kubernetes-preserve-unknown-fields", False)
        self.embedded: bool = raw.get("x-kubernetes-embedded-resource", False)
        self.list_type: str = raw.get("x-kubernetes-list-type", "")
        self.map_keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys", ()))
        self.atomic_map: bool = raw.get("x-kubernetes-map-type") == "atomic"
        self.merge_key: str = raw.get("x-kubernetes-patch-merge-key", "")
        self.strategies: tuple[str, ...] = tuple(filter(None, raw.get("x-kubernetes-patch-strategy", "").split(",")))
        self.required: tuple[str, ...] = tuple(raw.get("required", ()))
        self.rules: tuple[Object, ...] = tuple(raw.get("x-kubernetes-validations", ()))

    @functools.cached_property
    def properties(self) -> dict[str, Node]:
        return {name: Node(raw, self.types) for name, raw in self.raw.get("properties", {}).items()}

    @functools.cached_property
    def items(self) -> Node | None:
        raw = self.raw.get("items")
        return Node(raw, self.types) if is_object(raw) else None

    @functools.cached_property
    def additional(self) -> Node | None:
        """What the values of a map are; None if this is no map."""
        raw = self.raw.get("additionalProperties")
        if raw is True:
            return Node({"x-kubernetes-preserve-unknown-fields": True})
        return Node(raw, self.types) if is_object(raw) else None

    @functools.cached_property
    def branches(self) -> dict[str, tuple[Node, ...]]:
        """The schemas of allOf, anyOf, oneOf and not, which judge values and add no fields."""
        found: dict[str, tuple[Node, ...]] = {}
        for word in ("allOf", "anyOf", "oneOf"):
            if raw := self.raw.get(word):
                found[word] = tuple(Node(inner, self.types) for inner in raw)
        if raw := self.raw.get("not"):
            found["not"] = (Node(raw, self.types),)
        return found

    @functools.cached_property
    def has_defaults(self) -> bool:
        """Whether a default stands anywhere at or below this place."""
        inner = (*self.properties.values(), self.items, self.additional)
        return self.default is not MISSING or any(node is not None and node.has_defaults for node in inner)

    @functools.cached_property
    def has_rules(self) -> bool:
        inner = (*self.properties.values(), self.items, self.additional)
        return bool(self.rules) or any(node is not None and node.has_rules for node in inner)

    def child(self, name: str) -> Node | None:
        """The schema of a field, be it a property or a value of a map."""
        return self.properties.get(name) or self.additional


def _resolved(raw: Object, types: Mapping[str, Object]) -> tuple[str, Object]:
    """A schema with its reference, bare or as the only entry of an allOf, replaced by what it points to."""
    reference = raw.get("$ref")
    inner = raw.get("allOf")
    if reference is None and is_list(inner) and len(inner) == 1 and "$ref" in inner[0]:
        reference = inner[0]["$ref"]
    if reference is None:
        return "", raw
    name = reference.removeprefix(PREFIX)
    return name, {**types[name], **{key: value for key, value in raw.items() if key not in ("$ref", "allOf")}}


ANYTHING = Node({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
