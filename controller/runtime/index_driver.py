"""What a list or a change means to an index, given what was handed on before.

Theory of operation
===================

`known` is what the index has been told, object by object; it survives lists that fail. `_staged` is what the list
under way has shown so far. A completed list is the only moment at which the two are compared: an object is removed if
it was known and is not in the list. What a failed list has shown is forgotten when the next one begins, so nothing
can be lost or doubled by a failure in the middle, however often it happens.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from controller.k8s.events import Applied, Deleted, Reset
from controller.k8s.meta import ObjectKey, ObjectMeta, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.freshness import Known

R = TypeVar("R", bound=Resource)


@attrs.frozen
class Synced(Generic[R]):
    """A completed list; `replaced` names objects that were deleted and made anew since the last one."""

    reset: Reset[R]
    replaced: frozenset[ObjectKey]


@attrs.define(eq=False)
class IndexDriver(Generic[R]):
    """Turns lists and changes of one kind into events."""

    resource_type: ResourceType[R]
    known: dict[ObjectKey, Known] = attrs.field(factory=dict[ObjectKey, Known])
    _staged: dict[ObjectKey, R] = attrs.field(factory=dict[ObjectKey, R], init=False)
    _staged_known: dict[ObjectKey, Known] = attrs.field(factory=dict[ObjectKey, Known], init=False)

    def accepts(self, metadata: ObjectMeta) -> bool:
        """Say whether the object has the names that its kind has to have."""
        return bool(metadata.name) and bool(metadata.namespace) is self.resource_type.namespaced

    def list_started(self) -> None:
        self._staged, self._staged_known = {}, {}

    def staged(self, resource: R) -> None:
        """Take an object of the list under way; of two with the same name, the later counts."""
        metadata = resource.metadata
        key = metadata.key
        self._staged[key] = resource
        self._staged_known[key] = Known.of(metadata)

    def synced(self) -> Synced[R]:
        """Complete the list."""
        resources, after = tuple(self._staged.values()), self._staged_known
        self.list_started()
        removed = frozenset(self.known.keys() - after.keys())
        replaced = frozenset(key for key, known in self.known.items() if key in after and after[key].uid != known.uid)
        self.known.clear()  # in place: others read this mapping
        self.known.update(after)
        return Synced(Reset(self.resource_type.model, resources, removed), replaced)

    def applied(self, resource: R) -> Applied[R]:
        metadata = resource.metadata
        self.known[metadata.key] = Known.of(metadata)
        return Applied(resource)

    def deleted(self, key: ObjectKey) -> Deleted[R]:
        """Delete it, even if it was never known: the object may be one that never could be read."""
        self.known.pop(key, None)
        return Deleted(self.resource_type.model, key)
