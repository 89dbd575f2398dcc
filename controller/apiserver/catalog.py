"""Which kinds are served, and which of them a path means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from controller.apiserver.kinds import Endpoint, Kind
from controller.apiserver.status import GroupResource


def version_order(name: str) -> tuple[Any, ...]:
    """Sorts versions as clients should prefer them: v2, v1, v1beta2, v1alpha1, then the rest by name."""
    found = re.fullmatch(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?", name)
    if found is None:
        return (1, name)
    major, stage, minor = found.groups()
    return (0, {None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0))


class Catalog:
    """The kinds that are served now; definitions of custom resources add to them and take away."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {kind.resource: kind for kind in kinds}
        self.generation = 0  # counts changes, for whoever caches what follows from the kinds

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def add(self, kind: Kind) -> None:
        self._kinds[kind.resource] = kind
        self.generation += 1

    def remove(self, resource: GroupResource) -> None:
        if self._kinds.pop(resource, None) is not None:
            self.generation += 1

    def get(self, resource: GroupResource) -> Kind | None:
        return self._kinds.get(resource)

    def endpoint(self, group: str, version: str, plural: str) -> Endpoint | None:
        """The kind that a path means, if it is served in that version."""
        kind = self._kinds.get(GroupResource(group, plural))
        if kind is None or version not in kind.versions:
            return None
        return Endpoint(kind, kind.versions[version])

    def by_kind(self, group: str, name: str) -> Kind | None:
        return next((kind for kind in self if kind.group == group and kind.kind == name), None)

    def groups(self) -> dict[str, list[str]]:
        """Every group and its versions, the preferred one first."""
        found: dict[str, set[str]] = {}
        for kind in self:
            found.setdefault(kind.group, set()).update(kind.versions)
        return {group: sorted(versions, key=version_order) for group, versions in found.items()}

    def served(self, group: str, version: str) -> list[Kind]:
        """The kinds of one group and version, by plural name."""
        found = [kind for kind in self if kind.group == group and version in kind.versions]
        return sorted(found, key=lambda kind: kind.plural)
