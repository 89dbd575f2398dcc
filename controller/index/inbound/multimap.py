"""Named things by what they are attached to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

import attrs

K = TypeVar("K", bound=Hashable)
N = TypeVar("N", bound=Hashable)
V = TypeVar("V")

_NOTHING: Mapping[object, object] = MappingProxyType({})


@attrs.define(eq=False)
class Multimap(Generic[K, N, V]):
    """For each key some values by name. Keys without values take no room."""

    _values: dict[K, dict[N, V]] = attrs.field(factory=dict[K, "dict[N, V]"], init=False)

    def put(self, key: K, name: N, value: V) -> None:
        self._values.setdefault(key, {})[name] = value

    def discard(self, key: K, name: N) -> None:
        values = self._values.get(key)
        if values is not None and values.pop(name, None) is not None and not values:
            del self._values[key]

    def of(self, key: K) -> Mapping[N, V]:
        """The values of a key, to be read and not kept."""
        return self._values.get(key) or _NOTHING  # type: ignore[return-value]  # empty, so of every type


def put_in(values: dict[K, V], key: K, value: V | None) -> bool:
    """Set a value or, with `None`, remove it; say whether that changed anything."""
    if values.get(key) == value:
        return False
    if value is None:
        del values[key]
    else:
        values[key] = value
    return True
