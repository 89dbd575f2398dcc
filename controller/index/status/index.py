"""Which objects should show another status than they do.

Theory of operation
===================

Primary state is one record for each object, only events change it. What an object *should* show is derived when it is
asked for (`wanted`), from records alone. An event therefore never computes a status; it only names the objects whose
status may have become another one, found by the reverse index from what a record depends on: a route on its parents,
its backends and the routes that share a parent with it, a rate limit on its Server and on the other limits of it.

So nothing is patched twice because the news of the first patch has not come back yet: the writer holds keys, and asks
when a key's turn comes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from controller.core.cluster import ClusterConfig
from controller.core.network import NetworkMatch
from controller.index.parse.cidr import parse_network_match
from controller.index.parse.invalid import Invalid
from controller.index.status import rules
from controller.index.status.references import backends_of, parents_of, shown_parents, verdict_of
from controller.index.status.values import (
    CONTROLLER_NAME,
    Backend,
    BackendKind,
    EgressNetworkStatus,
    Parent,
    ParentKind,
    ParentVerdict,
    RateLimitStatus,
    Route,
    RouteStatus,
    Status,
    StatusKey,
    Stored,
    Verdict,
)
from controller.k8s.builtin import Service
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.policy import Condition, EgressNetwork, HTTPLocalRateLimitPolicy, Server
from controller.k8s.references import POLICY_GROUP

# A route is refused by a parent that a route of a lower rank is attached to as well.
ROUTE_RANKS: Mapping[type[Route], int] = {
    GRPCRoute: 0,
    PolicyHTTPRoute: 1,
    GatewayHTTPRoute: 1,
    TLSRoute: 2,
    TCPRoute: 3,
}
KINDS: frozenset[type[Resource]] = frozenset({Server, Service, EgressNetwork, HTTPLocalRateLimitPolicy, *ROUTE_RANKS})

# What a record can depend on: the existence or usability of an object, or the other holders of the same thing.
Dependency: TypeAlias = tuple[str, ObjectKey] | Parent


@attrs.frozen
class RouteRecord:
    rank: int
    parents: tuple[Parent, ...]
    backends: tuple[Backend, ...]
    shown: tuple[object, ...]  # our entries in the stored status
    stored: Stored = attrs.field(eq=False)

    def dependencies(self) -> Iterator[Dependency]:
        for parent in self.parents:
            yield parent
            yield parent.kind.value, parent.key
        for backend in self.backends:
            if backend.kind is not BackendKind.UNKNOWN:
                yield backend.kind.value, backend.key


@attrs.frozen
class RateLimitRecord:
    server: ObjectKey | None  # None: not a Server, and then there is no status
    created: dt.datetime | None
    shown: tuple[Verdict | None, ...] | None
    shown_server: str | None
    stored: Stored = attrs.field(eq=False)

    def dependencies(self) -> Iterator[Dependency]:
        if self.server is not None:
            yield ParentKind.SERVER.value, self.server
            yield "limits of", self.server


@attrs.frozen
class EgressNetworkRecord:
    networks: tuple[NetworkMatch, ...] | None
    shown: tuple[Verdict | None, ...]  # its conditions of type Accepted
    stored: Stored = attrs.field(eq=False)

    def dependencies(self) -> Iterator[Dependency]:
        return iter(())

    @property
    def usable(self) -> bool:
        """Whether its stored status says that it was accepted."""
        return any(verdict is not None and verdict.status for verdict in self.shown)


Record: TypeAlias = RouteRecord | RateLimitRecord | EgressNetworkRecord


@attrs.define(eq=False)
class StatusIndex:
    """Names the objects whose status an event may have changed, and says what each should show."""

    _config: ClusterConfig
    _records: dict[StatusKey, Record] = attrs.field(factory=dict[StatusKey, Record], init=False)
    # Servers, Services and EgressNetworks that exist; the value says whether a route can be attached to it
    _usable: dict[tuple[str, ObjectKey], bool] = attrs.field(factory=dict[tuple[str, ObjectKey], bool], init=False)
    _dependents: dict[Dependency, dict[StatusKey, None]] = attrs.field(
        factory=dict[Dependency, "dict[StatusKey, None]"], init=False
    )

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
                    for resource in resources:
                        dirty.update(self._put(resource))
                    for key in removed:
                        dirty.update(self._remove(kind, key))
        return frozenset(dirty)

    def subjects(self) -> tuple[StatusKey, ...]:
        """Every object that has a status of ours: what a new leader looks through."""
        return tuple(self._records)

    def wanted(self, key: StatusKey) -> Status | None:
        """What the object should show, or `None` if it does, or is gone, or has no status of ours."""
        match self._records.get(key):
            case RouteRecord() as route:
                status = RouteStatus(tuple(self._parent_verdict(route, parent) for parent in route.parents))
                return None if status.equals(route.shown) else status
            case RateLimitRecord() as limit:
                return self._rate_limit_status(key, limit)
            case EgressNetworkRecord() as egress:
                verdict = rules.egress_network(egress.networks, self._config.cluster_networks)
                return None if egress.shown == (verdict,) else EgressNetworkStatus(verdict)
            case None:
                return None

    def stored(self, key: StatusKey) -> Stored | None:
        """What a patch of the object's status has to start from; `None` if the object is gone."""
        record = self._records.get(key)
        return None if record is None else record.stored

    def _parent_verdict(self, route: RouteRecord, parent: Parent) -> ParentVerdict:
        usable = self._usable.get((parent.kind.value, parent.key))
        accepted = rules.accepted(parent.kind, usable=usable, conflicted=self._conflicted(route, parent))
        if parent.kind is ParentKind.SERVER:
            return ParentVerdict(parent, (accepted,))
        return ParentVerdict(parent, (accepted, rules.resolved_refs(parent, route.backends, self._exists)))

    def _exists(self, backend: Backend) -> bool:
        return (backend.kind.value, backend.key) in self._usable

    def _conflicted(self, route: RouteRecord, parent: Parent) -> bool:
        if route.rank == 0:
            return False
        sharing = (self._records[key] for key in self._dependents[parent])
        return any(isinstance(other, RouteRecord) and other.rank < route.rank for other in sharing)

    def _rate_limit_status(self, key: StatusKey, limit: RateLimitRecord) -> RateLimitStatus | None:
        if limit.server is None:
            return None
        exists = (ParentKind.SERVER.value, limit.server) in self._usable
        first = min(self._dependents["limits of", limit.server], key=self._age)
        verdict = rules.rate_limit(server_exists=exists, first=first == key)
        if limit.shown == (verdict,) and limit.shown_server == limit.server.name:
            return None
        return RateLimitStatus(verdict, limit.server.name)

    def _age(self, key: StatusKey) -> tuple[bool, dt.datetime | None, str]:
        record = self._records[key]
        return rules.age(record.created if isinstance(record, RateLimitRecord) else None, key.key)

    # The rest takes events in. Each step returns the objects it may have changed.

    def _put(self, resource: Resource) -> Iterable[StatusKey]:
        match resource:
            case Server():
                return self._set_usable((ParentKind.SERVER.value, resource.key), usable=True)
            case Service():
                usable = rules.has_cluster_ip(resource.spec)
                return self._set_usable((ParentKind.SERVICE.value, resource.key), usable=usable)
            case EgressNetwork():
                return self._put_egress_network(resource)
            case _:
                parse = _PARSERS.get(type(resource))
                return () if parse is None else self._store(StatusKey(type(resource), resource.key), parse(resource))

    def _put_egress_network(self, resource: EgressNetwork) -> Iterable[StatusKey]:
        try:
            record = parse_egress_network(resource)
        except Invalid:
            return ()  # the last good one stays
        changed = set(self._store(StatusKey(EgressNetwork, resource.key), record))
        return changed.union(self._set_usable((ParentKind.EGRESS_NETWORK.value, resource.key), usable=record.usable))

    def _remove(self, kind: type[Resource], key: ObjectKey) -> Iterable[StatusKey]:
        changed = set[StatusKey]()
        if kind in (Server, Service, EgressNetwork):
            changed.update(self._set_usable((kind.__name__, key), usable=None))
        if kind in _PARSERS or kind is EgressNetwork:
            changed.update(self._store(StatusKey(kind, key), None))
        return changed

    def _set_usable(self, name: tuple[str, ObjectKey], *, usable: bool | None) -> Iterable[StatusKey]:
        if self._usable.get(name) is usable:
            return ()
        if usable is None:
            del self._usable[name]
        else:
            self._usable[name] = usable
        return tuple(self._dependents.get(name, ()))

    def _store(self, key: StatusKey, record: Record | None) -> Iterable[StatusKey]:
        old = self._records.get(key)
        if old == record:
            if record is not None:
                self._records[key] = record  # equal, but stored in a newer version
            return ()
        touched = {key: None}
        for dependency in dict.fromkeys(old.dependencies()) if old is not None else ():
            dependents = self._dependents[dependency]
            del dependents[key]
            touched.update(self._sharers(dependency, dependents))
            if not dependents:
                del self._dependents[dependency]
        if record is None:
            del self._records[key]
            del touched[key]
            return touched
        self._records[key] = record
        for dependency in record.dependencies():
            dependents = self._dependents.setdefault(dependency, {})
            touched.update(self._sharers(dependency, dependents))
            dependents[key] = None
        return touched

    @staticmethod
    def _sharers(dependency: Dependency, dependents: dict[StatusKey, None]) -> dict[StatusKey, None]:
        """Those for whom it matters who else depends on the same: routes on a parent, limits of a Server."""
        return dependents if isinstance(dependency, Parent) or dependency[0] == "limits of" else {}


def _parse_route(resource: Any) -> RouteRecord:
    route: Route = resource
    entries = route.status.parents if route.status is not None else ()
    ours = [entry for entry in entries if entry.controller_name == CONTROLLER_NAME]
    shown = shown_parents(ours)
    since = {
        (entry.parent if isinstance(entry, ParentVerdict) else None, condition.type, condition.status): condition
        for entry, raw in zip(shown, ours, strict=True)
        for condition in raw.conditions
    }
    stored = _stored(route, since, foreign=len(ours) < len(entries))
    return RouteRecord(ROUTE_RANKS[type(route)], parents_of(route), backends_of(route), shown, stored)


def _parse_rate_limit(resource: Any) -> RateLimitRecord:
    policy: HTTPLocalRateLimitPolicy = resource
    target = policy.spec.target_ref
    server = ObjectKey(policy.metadata.namespace, target.name) if target.targets(POLICY_GROUP, "Server") else None
    conditions = policy.status.conditions if policy.status is not None else ()
    return RateLimitRecord(
        server,
        policy.metadata.creation_timestamp,
        None if policy.status is None else tuple(verdict_of(condition) for condition in conditions),
        None if policy.status is None else policy.status.target_ref.name,
        _stored(policy, _plain_since(conditions), foreign=False),
    )


def parse_egress_network(resource: EgressNetwork) -> EgressNetworkRecord:
    """The record of an EgressNetwork, or `Invalid`."""
    networks = resource.spec.networks
    conditions: tuple[Condition, ...] = (resource.status and resource.status.conditions) or ()
    ours = [condition for condition in conditions if condition.type == rules.ACCEPTED]
    return EgressNetworkRecord(
        None if networks is None else tuple(parse_network_match(network) for network in networks),
        tuple(verdict_of(condition) for condition in ours),
        _stored(resource, _plain_since(ours), foreign=len(ours) < len(conditions)),
    )


def _plain_since(conditions: Iterable[Condition]) -> dict[tuple[Parent | None, str, str], Condition]:
    return {(None, condition.type, condition.status): condition for condition in conditions}


def _stored(resource: Resource, since: Mapping[tuple[Parent | None, str, str], Condition], *, foreign: bool) -> Stored:
    times = {at: condition.last_transition_time for at, condition in since.items()}
    return Stored(resource.metadata.uid, resource.metadata.resource_version, foreign, times)


_PARSERS: Mapping[type[Resource], Callable[[Any], Record]] = {
    **dict.fromkeys(ROUTE_RANKS, _parse_route),
    HTTPLocalRateLimitPolicy: _parse_rate_limit,
}
