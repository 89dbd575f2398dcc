"""Everything that exists, as far as inbound answers depend on it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from controller.core.cluster import ClusterConfig
from controller.index.inbound.authentications import Authentications, PolicyEntry
from controller.index.inbound.changes import Changes
from controller.index.inbound.default_cells import DefaultCells
from controller.index.inbound.namespace import Namespace
from controller.index.inbound.shapes import Shapes


@attrs.define(eq=False)
class Resources:
    """The namespaces, and what they have in common."""

    cluster: ClusterConfig
    shapes: Shapes = attrs.field(factory=Shapes, init=False)
    authentications: Authentications = attrs.field(factory=Authentications, init=False)
    namespaces: dict[str, Namespace] = attrs.field(factory=dict[str, Namespace], init=False)
    _defaults: DefaultCells = attrs.field(init=False)
    _touched: dict[str, Namespace] = attrs.field(factory=dict[str, Namespace], init=False)

    def __attrs_post_init__(self) -> None:
        self._defaults = DefaultCells(self.cluster)

    def touch(self, name: str) -> Namespace:
        """The namespace of that name, to be changed."""
        namespace = self.namespaces.get(name)
        if namespace is None:
            namespace = Namespace(name, self.cluster, self.authentications, self._defaults)
            self.namespaces[name] = namespace
        self._touched[name] = namespace
        return namespace

    def touch_policies(self, policies: Iterable[PolicyEntry]) -> None:
        """Note that policies, in whatever namespaces, let in others now."""
        for policy in policies:
            self.touch(policy.key.namespace).touch_policy(policy)

    def settle(self) -> Changes:
        """Bring all watched answers up to date, and let go of namespaces in which nothing is left."""
        changes = Changes()
        for name, namespace in self._touched.items():
            namespace.settle(changes)
            if namespace.empty:
                del self.namespaces[name]
        self._touched.clear()
        return changes
