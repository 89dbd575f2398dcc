"""Which objects should show another status than they do.

Theory of operation
===================

Primary state is one record for each object, only events change it. What an object *should* show is derived when it is
asked for (`wanted`), from records alone. An event therefore never computes a status; it only names the objects whose
status may have become another one:

* the object itself, if it was written,
* by the names that records depend on: those whose parent or backend has come, gone, or become of use,
* by the contest for a parent or a Server: those who have lost it to somebody new, or won it because somebody left.

So nothing is patched twice because the news of the first patch has not come back yet: the writer holds keys, and asks
when a key's turn comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

import attrs

from controller.core.cluster import ClusterConfig
from controller.index.status import rules
from controller.index.status.contest import Contest
from controller.index.status.records import (
    PARSERS,
    EgressNetworkRecord,
    Name,
    Prize,
    RateLimitRecord,
    Record,
    RouteRecord,
)
from controller.index.status.values import (
    Backend,
    EgressNetworkStatus,
    Parent,
    ParentKind,
    ParentVerdict,
    RateLimitStatus,
    RouteStatus,
    Status,
    StatusKey,
    Stored,
)
from controller.k8s.builtin import Service
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.policy import EgressNetwork, Server

KINDS: frozenset[type[Resource]] = frozenset({Server, Service, *PARSERS})
_NAMED = frozenset({Server, Service, EgressNetwork})


@attrs.frozen
class StatusIndexStatistics:
    subjects: int  # objects that have a status of ours
    names: int  # objects that a status depends on, whether they exist or not
    contests: int  # parents and Servers that somebody is after


@attrs.define(eq=False)
class StatusIndex:
    """Names the objects whose status an event may have changed, and says what each should show."""

    _config: ClusterConfig
    _records: dict[StatusKey, Record] = attrs.field(factory=dict[StatusKey, Record], init=False)
    # Servers, Services and EgressNetworks that exist; the value says whether a route can be attached to it
    _usable: dict[Name, bool] = attrs.field(factory=dict[Name, bool], init=False)
    _dependents: dict[Name, dict[StatusKey, None]] = attrs.field(
        factory=dict[Name, "dict[StatusKey, None]"], init=False
    )
    _contests: dict[Prize, Contest[StatusKey]] = attrs.field(factory=dict[Prize, Contest[StatusKey]], init=False)

    def apply(self, events: Sequence[Event]) -> frozenset[StatusKey]:
        """Take events in; the objects returned are worth asking `wanted` about."""
        dirty = set[StatusKey]()
        for event in events:
            match event:
                case Applied(resource):
                    dirty.update(self._put(resource))
                case Deleted(kind, key):
                    dirty.update(self._remove(kind, key))
                case Reset(kind, resources, removed):
                    for key in removed:
                        dirty.update(self._remove(kind, key))
                    for resource in resources:
                        dirty.update(self._put(resource))
                case _:
                    assert_never(event)
        return frozenset(dirty & self._records.keys())

    def subjects(self) -> tuple[StatusKey, ...]:
        """Every object that has a status of ours: what a new leader looks through."""
        return tuple(self._records)

    def wanted(self, key: StatusKey) -> Status | None:
        """What the object should show, or `None` if it does, or is gone, or has no status of ours."""
        match self._records.get(key):
            case RouteRecord() as route:
                status = RouteStatus(tuple([self._parent_verdict(route, parent) for parent in route.parents]))
                return None if status.equals(route.shown) else status
            case RateLimitRecord() as limit:
                return self._rate_limit_status(limit)
            case EgressNetworkRecord() as egress:
                verdict = rules.egress_network(egress.networks, self._config.cluster_networks)
                return None if egress.shown == (verdict,) else EgressNetworkStatus(verdict)
            case _:
                return None

    def stored(self, key: StatusKey) -> Stored | None:
        """What a patch of the object's status has to start from; `None` if the object is gone."""
        record = self._records.get(key)
        return None if record is None else record.stored

    def statistics(self) -> StatusIndexStatistics:
        return StatusIndexStatistics(len(self._records), len(self._dependents), len(self._contests))

    def _parent_verdict(self, route: RouteRecord, parent: Parent) -> ParentVerdict:
        usable = self._usable.get((parent.kind.value, parent.key))
        wins = self._contests[parent].wins((route.rank,))
        accepted = rules.accepted(parent.kind, usable=usable, conflicted=not wins)
        if parent.kind is ParentKind.SERVER:
            return ParentVerdict(parent, (accepted,))
        return ParentVerdict(parent, (accepted, rules.resolved_refs(parent, route.backends, self._exists)))

    def _exists(self, backend: Backend) -> bool:
        return (backend.kind.value, backend.key) in self._usable

    def _rate_limit_status(self, limit: RateLimitRecord) -> RateLimitStatus | None:
        if limit.server is None:
            return None
        exists = (ParentKind.SERVER.value, limit.server) in self._usable
        verdict = rules.rate_limit(server_exists=exists, first=self._contests[limit.server].wins(limit.age))
        if limit.shown == (verdict,) and limit.shown_server == limit.server.name:
            return None
        return RateLimitStatus(verdict, limit.server.name)

    # The rest takes events in. Each step returns the objects it may have changed, some of which may be gone.

    def _put(self, resource: Resource) -> Iterable[StatusKey]:
        match resource:
            case Server():
                return self._set_usable((ParentKind.SERVER.value, resource.key), usable=True)
            case Service():
                usable = rules.has_cluster_ip(resource.spec)
                return self._set_usable((ParentKind.SERVICE.value, resource.key), usable=usable)
            case _:
                record = PARSERS[type(resource)](resource)
                changed = self._store(StatusKey(type(resource), resource.key), record)
        if isinstance(record, EgressNetworkRecord):
            name = ParentKind.EGRESS_NETWORK.value, resource.key
            return {*changed, *self._set_usable(name, usable=record.usable)}
        return changed

    def _remove(self, kind: type[Resource], key: ObjectKey) -> Iterable[StatusKey]:
        changed = set[StatusKey]()
        if kind in _NAMED:
            changed.update(self._set_usable((kind.__name__, key), usable=None))
        if kind in PARSERS:
            changed.update(self._store(StatusKey(kind, key), None))
        return changed

    def _set_usable(self, name: Name, *, usable: bool | None) -> Iterable[StatusKey]:
        if self._usable.get(name) is usable:
            return ()
        if usable is None:
            del self._usable[name]
        else:
            self._usable[name] = usable
        return self._dependents.get(name, ())

    def _store(self, key: StatusKey, record: Record | None) -> Iterable[StatusKey]:
        old = self._records.get(key)
        if record is None:
            self._records.pop(key, None)
        else:
            self._records[key] = record
        if old == record:
            # Equal, but perhaps a newer version: what was written on the old one had no effect, or was undone.
            return (key,) if old and record and old.stored.resource_version != record.stored.resource_version else ()
        changed = {key}
        self._depend(key, old, record)
        before, after = dict(old.bids() if old else ()), dict(record.bids() if record else ())
        for prize, bid in before.items():
            if after.get(prize) != bid:
                changed.update(self._withdraw(prize, key))
        for prize, bid in after.items():
            if before.get(prize) != bid:
                changed.update(self._contests.setdefault(prize, Contest()).place(key, bid))
        return changed

    def _withdraw(self, prize: Prize, key: StatusKey) -> Iterable[StatusKey]:
        contest = self._contests[prize]
        won = contest.withdraw(key)
        if not contest:
            del self._contests[prize]
        return won

    def _depend(self, key: StatusKey, old: Record | None, record: Record | None) -> None:
        before, after = dict.fromkeys(old.names() if old else ()), dict.fromkeys(record.names() if record else ())
        for name in before:
            if name not in after:
                dependents = self._dependents[name]
                del dependents[key]
                if not dependents:
                    del self._dependents[name]
        for name in after:
            self._dependents.setdefault(name, {})[key] = None
