"""What the process can tell about its watches and leases: the JSON that kubert's tools read."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import attrs

Json: TypeAlias = dict[str, Any]


class ObjectSummary(Protocol):
    """What the report says about one object that a watch knows."""

    @property
    def namespace(self) -> str: ...  # empty if cluster scoped
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...
    @property
    def generation(self) -> int | None: ...
    @property
    def created(self) -> dt.datetime | None: ...


class WatchReport(Protocol):
    """The figures of one watch. Times are in UTC, `None` where it has not happened yet."""

    @property
    def api_url(self) -> str: ...  # as in `/apis/policy.linkerd.io/v1beta3/servers`
    @property
    def label_selector(self) -> str: ...
    @property
    def field_selector(self) -> str: ...
    @property
    def created(self) -> dt.datetime: ...
    @property
    def state(self) -> str: ...
    @property
    def resource_version(self) -> str | None: ...
    @property
    def restarts(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def last_error(self) -> tuple[str, dt.datetime] | None: ...
    @property
    def resets(self) -> int: ...
    @property
    def last_reset(self) -> dt.datetime | None: ...
    @property
    def applies(self) -> int: ...
    @property
    def last_apply(self) -> dt.datetime | None: ...
    @property
    def deletes(self) -> int: ...
    @property
    def last_delete(self) -> dt.datetime | None: ...
    @property
    def last_event(self) -> dt.datetime | None: ...
    @property
    def last_bookmark(self) -> dt.datetime | None: ...
    @property
    def objects(self) -> Iterable[ObjectSummary]: ...  # of the last completed list and what followed it


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
    _watches: list[Callable[[], WatchReport]] = attrs.field(factory=list[Callable[[], WatchReport]], init=False)
    _leases: list[Callable[[], LeaseReport]] = attrs.field(factory=list[Callable[[], LeaseReport]], init=False)

    def __attrs_post_init__(self) -> None:
        self._created = self._now()

    def add_watch(self, report: Callable[[], WatchReport]) -> Callable[[], None]:
        """Register a watch; the result takes it out again."""
        self._watches.append(report)
        return lambda: self._watches.remove(report)

    def add_lease(self, report: Callable[[], LeaseReport]) -> Callable[[], None]:
        """Register a lease; the result takes it out again."""
        self._leases.append(report)
        return lambda: self._leases.remove(report)

    def summary(self, *, resources: bool) -> Json:
        """Return the report; with `resources`, each object that a watch knows is in it."""
        summary: Json = {"initialTimestamp": _seconds(self._created), "currentTimestamp": _seconds(self._now())}
        if self._watches:
            summary["watches"] = [_watch(report(), resources=resources) for report in self._watches]
        if self._leases:
            summary["leases"] = [_lease(report()) for report in self._leases]
        return summary


def _watch(watch: WatchReport, *, resources: bool) -> Json:
    objects = sorted(watch.objects, key=_order)
    error = watch.last_error
    return _present(
        {
            "apiUrl": watch.api_url,
            "labelSelector": watch.label_selector,
            "fieldSelector": watch.field_selector,
            "creationTimestamp": _seconds(watch.created),
            "state": watch.state,
            "resourceVersion": watch.resource_version,
            "restarts": watch.restarts,
            "errors": watch.errors,
            "lastError": None if error is None else {"message": error[0], "timestamp": _seconds(error[1])},
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


def checksum(objects: Sequence[ObjectSummary]) -> str:
    """Return a digest that is equal for equal sets of objects, on any replica and in any order.

    What is hashed, with SHA-256: for each object, ordered by creation, namespace, name and uid, one line of creation
    time, namespace, name, uid and resourceVersion, each followed by a zero byte, and a line feed. Creation is written
    in whole seconds of UTC and is empty if unknown.
    """
    digest = hashlib.sha256()
    for item in sorted(objects, key=_order):
        fields = (_optional_seconds(item.created) or "", item.namespace, item.name, item.uid, item.resource_version)
        digest.update(b"".join(field.encode() + b"\0" for field in fields) + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _object(item: ObjectSummary) -> Json:
    return {
        "creationTimestamp": _optional_seconds(item.created),
        "uid": item.uid,
        "name": item.name,
        "namespace": item.namespace,
        "generation": item.generation,
        "resourceVersion": item.resource_version,
    }


def _order(item: ObjectSummary) -> tuple[str, str, str, str]:
    return _optional_seconds(item.created) or "", item.namespace, item.name, item.uid


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _seconds(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _optional_seconds(time: dt.datetime | None) -> str | None:
    return None if time is None else _seconds(time)
