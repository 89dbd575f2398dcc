"""How fresh our knowledge of a kind is, and what has happened to it so far.

Each watched kind has one `WatchRecord`. The task that watches the kind is its only writer; everybody else (metrics,
diagnostics, readiness) reads frozen `WatchStatistics`. Writing costs an addition, so that it can be done per event;
all arithmetic on times happens when somebody asks.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import attrs
import msgspec

from controller.k8s.meta import ObjectKey, ObjectMeta, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.clock import Clock


class WatchState(enum.Enum):
    """What the task that watches a kind is doing."""

    STARTING = "starting"
    LISTING = "listing"
    WATCHING = "watching"
    BACKING_OFF = "backing off"
    ABSENT = "absent"  # the API server does not serve the kind; looked for again now and then


class Known(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of an object that was handed on: enough to tell versions and lives of it apart."""

    uid: str
    resource_version: str
    generation: int | None
    created: dt.datetime | None

    @classmethod
    def of(cls, metadata: ObjectMeta) -> Known:
        return cls(metadata.uid, metadata.resource_version, metadata.generation, metadata.creation_timestamp)


@attrs.frozen
class Trouble:
    """An error, and when it happened."""

    message: str
    at: dt.datetime


@attrs.frozen(kw_only=True)
class WatchStatistics:
    """One watched kind at one moment."""

    group: str
    version: str
    kind: str
    api_url: str  # the path of the list, without parameters
    label_selector: str
    field_selector: str
    created: dt.datetime
    state: WatchState
    state_since: dt.datetime
    synced: bool  # whether a list has been completed (an absent kind counts as an empty one)
    resource_version: str | None
    objects: int
    quarantined: int
    errors: int
    last_error: Trouble | None
    resets: int  # completed lists
    last_reset: dt.datetime | None
    applies: int
    last_apply: dt.datetime | None
    deletes: int
    last_delete: dt.datetime | None
    bookmarks: int
    last_bookmark: dt.datetime | None
    last_event: dt.datetime | None  # an apply or a delete, whichever came last
    last_contact: dt.datetime | None  # the last time the server proved that we are up to date
    restarts: int  # watches that ended and had to be opened again, for whatever reason
    staleness: float | None  # seconds since `last_contact`; None before the first, and where there is nothing to miss

    errors_by_label: Mapping[str, int] = attrs.field(factory=dict[str, int], repr=False)
    restarts_by_reason: Mapping[str, int] = attrs.field(factory=dict[str, int], repr=False)
    lists_by_result: Mapping[str, int] = attrs.field(factory=dict[str, int], repr=False)
    decode_failures: int = 0


@attrs.frozen
class KnownResource:
    """One object in the diagnostics."""

    key: ObjectKey
    known: Known


def _observe_nothing(_seconds: float) -> None:
    return None


@attrs.define(eq=False)
class WatchRecord:
    """What the watching task writes down. Instants are on the monotonic clock."""

    resource_type: ResourceType[Resource]
    clock: Clock
    field_selector: str = ""
    known: dict[ObjectKey, Known] = attrs.field(factory=dict[ObjectKey, Known], repr=False)
    quarantined: int = 0
    decode_failures: int = 0
    skipped: int = 0  # lines and items that are not what the kind consists of
    synced: bool = False
    resource_version: str | None = None
    resets: int = 0
    applies: int = 0
    deletes: int = 0
    bookmarks: int = 0
    errors: Counter[str] = attrs.field(factory=Counter[str])
    restarts: Counter[str] = attrs.field(factory=Counter[str])
    lists: Counter[str] = attrs.field(factory=Counter[str])
    last_reset: float | None = None
    last_apply: float | None = None
    last_delete: float | None = None
    last_bookmark: float | None = None
    last_contact: float | None = None
    observe_list: Callable[[float], object] = _observe_nothing  # told how many seconds a list took
    _last_error: tuple[str, float] | None = None
    _state: WatchState = WatchState.STARTING
    _created: float = attrs.field(init=False)
    _state_since: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._created = self._state_since = self.clock.monotonic()

    @property
    def state(self) -> WatchState:
        return self._state

    def enter(self, state: WatchState) -> None:
        """Note what the task does now; entering the same state again does not restart its time."""
        if state is not self._state:
            self._state, self._state_since = state, self.clock.monotonic()

    def failed(self, label: str, message: str) -> None:
        """Count an error under one of the labels that upstream's metric has."""
        self.errors[label] += 1
        self._last_error = (message, self.clock.monotonic())

    def statistics(self) -> WatchStatistics:
        last_error = self._last_error
        events = [instant for instant in (self.last_apply, self.last_delete) if instant is not None]
        return WatchStatistics(
            group=self.resource_type.group,
            version=self.resource_type.version,
            kind=self.resource_type.kind,
            api_url=self.resource_type.api_path,
            label_selector=self.resource_type.label_selector,
            field_selector=self.field_selector,
            created=self.clock.shown(self._created),
            state=self._state,
            state_since=self.clock.shown(self._state_since),
            synced=self.synced,
            resource_version=self.resource_version,
            objects=len(self.known),
            quarantined=self.quarantined,
            errors=self.errors.total(),
            last_error=None if last_error is None else Trouble(last_error[0], self.clock.shown(last_error[1])),
            resets=self.resets,
            last_reset=self._shown(self.last_reset),
            applies=self.applies,
            last_apply=self._shown(self.last_apply),
            deletes=self.deletes,
            last_delete=self._shown(self.last_delete),
            bookmarks=self.bookmarks,
            last_bookmark=self._shown(self.last_bookmark),
            last_event=self._shown(max(events, default=None)),
            last_contact=self._shown(self.last_contact),
            restarts=self.restarts.total(),
            staleness=self._staleness(),
            errors_by_label=dict(self.errors),
            restarts_by_reason=dict(self.restarts),
            lists_by_result=dict(self.lists),
            decode_failures=self.decode_failures,
        )

    def _staleness(self) -> float | None:
        if self.last_contact is None or self._state is WatchState.ABSENT:
            return None
        return self.clock.monotonic() - self.last_contact

    def resources(self) -> tuple[KnownResource, ...]:
        """Every object we know, oldest first; ties by namespace, name and uid, so that replicas agree."""
        return in_order(self.known)

    def _shown(self, instant: float | None) -> dt.datetime | None:
        return None if instant is None else self.clock.shown(instant)


def in_order(known: Mapping[ObjectKey, Known]) -> tuple[KnownResource, ...]:
    """Every object, oldest first; ties by namespace, name and uid, so that replicas agree."""
    resources = (KnownResource(key, item) for key, item in known.items())
    return tuple(sorted(resources, key=lambda item: (_canonical_time(item.known.created), item.key, item.known.uid)))


def checksum(resources: Iterable[KnownResource]) -> str:
    """Return the digest by which two replicas see that they know the same.

    It is the SHA-256 of one line per object, in the order of `WatchRecord.resources`: creation time (RFC 3339, UTC,
    empty if there is none), namespace, name, resourceVersion and uid, each followed by a NUL, and then a line feed.
    """
    digest = hashlib.sha256()
    for resource in resources:
        fields = (
            _canonical_time(resource.known.created),
            resource.key.namespace,
            resource.key.name,
            resource.known.resource_version,
            resource.known.uid,
        )
        digest.update(b"".join(field.encode() + b"\0" for field in fields) + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _canonical_time(time: dt.datetime | None) -> str:
    return "" if time is None else time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
