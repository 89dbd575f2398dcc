"""Watched addresses that may turn into something else, by what could do that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import attrs

from controller.core.network import IPAddress
from controller.core.outbound import AddressTarget
from controller.index.outbound.entries import PortKey, WatchedTarget
from controller.index.parse.parents import ParentKind

K = TypeVar("K")


@attrs.define
class LooseTargets:
    """The watched addresses that no Service's name stands for."""

    _by_address: dict[IPAddress, dict[AddressTarget, WatchedTarget]] = attrs.field(
        factory=dict[IPAddress, "dict[AddressTarget, WatchedTarget]"], init=False
    )
    _by_caller: dict[str, dict[AddressTarget, WatchedTarget]] = attrs.field(
        factory=dict[str, "dict[AddressTarget, WatchedTarget]"], init=False
    )

    def add(self, watched: WatchedTarget) -> None:
        """Remember a target, unless it has been settled what it is."""
        target, place = watched.target, watched.place
        settled = isinstance(place, PortKey) and place.parent.kind is ParentKind.SERVICE
        if isinstance(target, AddressTarget) and not settled:
            self._by_address.setdefault(target.address, {})[target] = watched
            self._by_caller.setdefault(target.source_namespace, {})[target] = watched

    def discard(self, watched: WatchedTarget) -> None:
        target = watched.target
        if isinstance(target, AddressTarget) and target in self._by_address.get(target.address, ()):
            _remove(self._by_address, target.address, target)
            _remove(self._by_caller, target.source_namespace, target)

    def namespaces(self) -> frozenset[str]:
        """Those of the callers."""
        return frozenset(self._by_caller)

    def at(self, addresses: Iterable[IPAddress], callers: Iterable[str] | None) -> Sequence[WatchedTarget]:
        """The targets with these addresses or of callers in these namespaces; all of them if `callers` is `None`."""
        found = dict[AddressTarget, WatchedTarget]()
        for address in addresses:
            found.update(self._by_address.get(address, {}))
        for caller in self._by_caller if callers is None else callers:
            found.update(self._by_caller.get(caller, {}))
        return tuple(found.values())


def _remove(table: dict[K, dict[AddressTarget, WatchedTarget]], key: K, target: AddressTarget) -> None:
    targets = table[key]
    del targets[target]
    if not targets:
        del table[key]
