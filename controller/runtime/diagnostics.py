"""What the process can tell about its watches and leases: the JSON that kubert's tools read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from controller.k8s.meta import ObjectKey
from controller.runtime.freshness import Known, KnownResource, WatchRecord, WatchStatistics, checksum, in_order

Json: TypeAlias = dict[str, Any]


@attrs.frozen
class LeaseReport:
    """The figures of one lease."""

    name: str
    namespace: str
    claimant: str
    field_manager: str
    duration: float  # seconds
    renew_grace_period: float  # seconds
    created: dt.datetime
    updates: int = 0
    last_update: dt.datetime | None = None
    resource_version: str | None = None
    current: tuple[str, dt.datetime] | None = None  # holder, expiry


@attrs.define(eq=False)
class Diagnostics:
    """Where watches and leases are registered for as long as they live."""

    _now: Callable[[], dt.datetime]
    _created: dt.datetime = attrs.field(init=False)
    _watches: list[WatchRecord] = attrs.field(factory=list[WatchRecord], init=False)
    _leases: list[Callable[[], LeaseReport]] = attrs.field(factory=list[Callable[[], LeaseReport]], init=False)

    def __attrs_post_init__(self) -> None:
        self._created = self._now()

    def add_watch(self, record: WatchRecord) -> Callable[[], None]:
        """Register a watch; the result takes it out again."""
        self._watches.append(record)
        return lambda: self._watches.remove(record)

    def add_lease(self, report: Callable[[], LeaseReport]) -> Callable[[], None]:
        """Register a lease; the result takes it out again."""
        self._leases.append(report)
        return lambda: self._leases.remove(report)

    def snapshot(self) -> Snapshot:
        """Return how things stand. Quick, so that the loop can do it; what is made of it a thread can."""
        return Snapshot(
            self._created,
            self._now(),
            tuple((record.statistics(), dict(record.known)) for record in self._watches),
            tuple(report() for report in self._leases),
        )


@attrs.frozen
class Snapshot:
    """Everything the report is made of, at one moment."""

    created: dt.datetime
    taken: dt.datetime
    watches: tuple[tuple[WatchStatistics, Mapping[ObjectKey, Known]], ...]
    leases: tuple[LeaseReport, ...]

    def report(self, *, resources: bool) -> Json:
        """Return the report; with `resources`, each object that a watch knows is in it."""
        report: Json = {"initialTimestamp": _seconds(self.created), "currentTimestamp": _seconds(self.taken)}
        if self.watches:
            report["watches"] = [_watch(*watch, resources=resources) for watch in self.watches]
        if self.leases:
            report["leases"] = [_lease(lease) for lease in self.leases]
        return report


def _watch(watch: WatchStatistics, known: Mapping[ObjectKey, Known], *, resources: bool) -> Json:
    objects = in_order(known)
    error = watch.last_error
    return _present(
        {
            "apiUrl": watch.api_url,
            "labelSelector": watch.label_selector,
            "fieldSelector": watch.field_selector,
            "creationTimestamp": _seconds(watch.created),
            "state": watch.state.value,
            "resourceVersion": watch.resource_version,
            "restarts": watch.restarts,
            "errors": watch.errors,
            "lastError": None if error is None else {"message": error.message, "timestamp": _seconds(error.at)},
            "resets": watch.resets,
            "lastResetTimestamp": _optional_seconds(watch.last_reset),
            "applies": watch.applies,
            "lastApplyTimestamp": _optional_seconds(watch.last_apply),
            "deletes": watch.deletes,
            "lastDeleteTimestamp": _optional_seconds(watch.last_delete),
            "lastEventTimestamp": _optional_seconds(watch.last_event),
            "lastBookmarkTimestamp": _optional_seconds(watch.last_bookmark),
            "checksum": checksum(objects) if objects else None,
            "resources": [_object(item) for item in objects] if resources else None,
        }
    )


def _lease(lease: LeaseReport) -> Json:
    current = lease.current
    return _present(
        {
            "name": lease.name,
            "namespace": lease.namespace,
            "claimant": lease.claimant,
            "fieldManager": lease.field_manager,
            "leaseDurationSeconds": float(lease.duration),
            "renewGracePeriodSeconds": float(lease.renew_grace_period),
            "updates": lease.updates,
            "creationTimestamp": _seconds(lease.created),
            "lastUpdateTimestamp": _optional_seconds(lease.last_update),
            "resourceVersion": lease.resource_version,
            "current": None if current is None else {"holder": current[0], "expiry": _seconds(current[1])},
        }
    )


def _object(item: KnownResource) -> Json:
    return {
        "creationTimestamp": _optional_seconds(item.known.created),
        "uid": item.known.uid,
        "name": item.key.name,
        "namespace": item.key.namespace,
        "generation": item.known.generation,
        "resourceVersion": item.known.resource_version,
    }


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _seconds(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _optional_seconds(time: dt.datetime | None) -> str | None:
    return None if time is None else _seconds(time)
