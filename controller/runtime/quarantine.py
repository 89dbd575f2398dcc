"""Objects that cannot be read: set aside, counted and shown, so that they harm nobody else.

What they were before stays in force after a bad change (the last good version), and is gone after a list.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container

import attrs

from controller.k8s.meta import ObjectKey, ObjectMeta, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.clock import Clock
from controller.runtime.log import get_logger

_log = get_logger(__name__)


@attrs.frozen
class Quarantined:
    """An object that cannot be read, for diagnostics and for the Event that tells its owner."""

    resource_type: ResourceType[Resource]
    key: ObjectKey
    uid: str
    resource_version: str
    error: str
    count: int  # how often it was seen, in whatever version
    first_seen: dt.datetime
    last_seen: dt.datetime


@attrs.define
class _Entry:
    uid: str
    resource_version: str
    error: str
    count: int
    first_seen: float
    last_seen: float


def _tell_nobody(_quarantined: Quarantined) -> None:
    return None


@attrs.define(eq=False)
class Quarantine:
    """All objects that cannot be read. Each version of one is logged and told about once."""

    _clock: Clock
    _tell: Callable[[Quarantined], None] = _tell_nobody
    _entries: dict[ResourceType[Resource], dict[ObjectKey, _Entry]] = attrs.field(
        factory=dict[ResourceType[Resource], "dict[ObjectKey, _Entry]"], init=False
    )

    def add(self, resource_type: ResourceType[Resource], metadata: ObjectMeta, error: str) -> None:
        """Set an object aside."""
        now = self._clock.monotonic()
        entries = self._entries.setdefault(resource_type, {})
        entry = entries.get(metadata.key)
        if entry is None:
            entry = entries[metadata.key] = _Entry("", "", "", 0, now, now)
        is_new = entry.resource_version != metadata.resource_version
        entry.uid, entry.resource_version, entry.error = metadata.uid, metadata.resource_version, error
        entry.count, entry.last_seen = entry.count + 1, now
        if is_new or entry.count == 1:
            _log.warning(
                "an object cannot be read and is set aside",
                kind=resource_type.kind,
                namespace=metadata.namespace,
                name=metadata.name,
                version=metadata.resource_version,
                error=error,
            )
            self._tell(self._show(resource_type, metadata.key, entry))

    def release(self, resource_type: ResourceType[Resource], key: ObjectKey) -> None:
        """Take an object back that can be read now, or that is gone."""
        entries = self._entries.get(resource_type)
        if entries and entries.pop(key, None) is not None:
            _log.info(
                "an object that was set aside can be read now, or is gone",
                kind=resource_type.kind,
                namespace=key.namespace,
                name=key.name,
            )

    def keep_only(self, resource_type: ResourceType[Resource], keys: Container[ObjectKey]) -> None:
        """Take back all objects of the kind but these."""
        for key in [key for key in self._entries.get(resource_type, ()) if key not in keys]:
            self.release(resource_type, key)

    def count(self, resource_type: ResourceType[Resource]) -> int:
        return len(self._entries.get(resource_type, ()))

    def statistics(self) -> tuple[Quarantined, ...]:
        """Return every object that is set aside, by kind and name."""
        return tuple(
            self._show(resource_type, key, entry)
            for resource_type, entries in sorted(self._entries.items(), key=lambda item: item[0].api_path)
            for key, entry in sorted(entries.items())
        )

    def _show(self, resource_type: ResourceType[Resource], key: ObjectKey, entry: _Entry) -> Quarantined:
        return Quarantined(
            resource_type,
            key,
            entry.uid,
            entry.resource_version,
            entry.error,
            entry.count,
            self._clock.shown(entry.first_seen),
            self._clock.shown(entry.last_seen),
        )
