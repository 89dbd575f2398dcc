"""Whether a value of JSON is an object or a list, in a way that type checkers follow into it."""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec

_canonical = msgspec.json.Encoder(order="sorted").encode


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def object_at(value: Any, *path: str) -> dict[str, Any]:
    """The object at a path of keys; an empty one where there is none."""
    for key in path:
        if not is_object(value):
            return {}
        value = value.get(key)
    return value or {}


def list_at(value: Any, *path: str) -> list[Any]:
    """The list at a path of keys; an empty one where there is none."""
    found: Any = object_at(value, *path)
    return found or []


def same(one: Any, other: Any) -> bool:
    """Equality that tells true from 1, and 1 from 1.0."""
    return one == other and _canonical(one) == _canonical(other)
