"""What is remembered of an object whose status is ours: what it depends on, and what it shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from controller.core.network import NetworkMatch
from controller.index.parse.cidr import parse_network_match
from controller.index.status import rules
from controller.index.status.references import backends_of, parents_of, shown_parents, verdict_of
from controller.index.status.values import (
    Backend,
    BackendKind,
    Parent,
    ParentKind,
    ParentVerdict,
    Route,
    Stored,
    Verdict,
)
from controller.k8s.conditions import Condition
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.policy import EgressNetwork, HTTPLocalRateLimitPolicy
from controller.k8s.references import CONTROLLER_NAME, POLICY_GROUP

# A route is refused by a parent that a route of a lower rank is attached to as well.
ROUTE_RANKS: Mapping[type[Route], int] = {
    GRPCRoute: 0,
    PolicyHTTPRoute: 1,
    GatewayHTTPRoute: 1,
    TLSRoute: 2,
    TCPRoute: 3,
}

# An object by kind and key, whose existence or usability may decide.
Name: TypeAlias = tuple[str, ObjectKey]
# What several objects can be after and the first of them has: the Server of rate limits, the parent of routes.
Prize: TypeAlias = ObjectKey | Parent
# The smallest bid has the prize.
Bid: TypeAlias = tuple[Any, ...]


@attrs.frozen
class RouteRecord:
    rank: int
    parents: tuple[Parent, ...]
    backends: tuple[Backend, ...]
    shown: tuple[object, ...]  # our entries in the stored status
    stored: Stored = attrs.field(eq=False)

    def names(self) -> Iterator[Name]:
        for parent in self.parents:
            yield parent.kind.value, parent.key
        for backend in self.backends:
            if backend.kind is not BackendKind.UNKNOWN:
                yield backend.kind.value, backend.key

    def bids(self) -> Iterator[tuple[Prize, Bid]]:
        for parent in self.parents:
            yield parent, (self.rank,)


@attrs.frozen
class RateLimitRecord:
    server: ObjectKey | None  # None: not a Server, and then there is no status
    age: Bid
    shown: tuple[Verdict | None, ...] | None
    shown_server: str | None
    stored: Stored = attrs.field(eq=False)

    def names(self) -> Iterator[Name]:
        if self.server is not None:
            yield ParentKind.SERVER.value, self.server

    def bids(self) -> Iterator[tuple[Prize, Bid]]:
        if self.server is not None:
            yield self.server, self.age


@attrs.frozen
class EgressNetworkRecord:
    networks: tuple[NetworkMatch, ...] | None
    shown: tuple[Verdict | None, ...]  # its conditions of type Accepted
    stored: Stored = attrs.field(eq=False)

    def names(self) -> Iterator[Name]:
        return iter(())

    def bids(self) -> Iterator[tuple[Prize, Bid]]:
        return iter(())

    @property
    def usable(self) -> bool:
        """Whether its stored status says that it was accepted."""
        return any(verdict is not None and verdict.status for verdict in self.shown)


Record: TypeAlias = RouteRecord | RateLimitRecord | EgressNetworkRecord


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
        rules.age(policy.metadata.creation_timestamp, policy.key),
        None if policy.status is None else tuple(verdict_of(condition) for condition in conditions),
        None if policy.status is None else policy.status.target_ref.name,
        _stored(policy, _plain_since(conditions), foreign=False),
    )


def _parse_egress_network(resource: Any) -> EgressNetworkRecord:
    network: EgressNetwork = resource
    blocks = network.spec.networks
    conditions: tuple[Condition, ...] = (network.status and network.status.conditions) or ()
    ours = [condition for condition in conditions if condition.type == rules.ACCEPTED]
    return EgressNetworkRecord(
        None if blocks is None else tuple(parse_network_match(block) for block in blocks),
        tuple(verdict_of(condition) for condition in ours),
        _stored(network, _plain_since(ours), foreign=len(ours) < len(conditions)),
    )


PARSERS: Mapping[type[Resource], Callable[[Any], Record]] = {
    **dict.fromkeys(ROUTE_RANKS, _parse_route),
    HTTPLocalRateLimitPolicy: _parse_rate_limit,
    EgressNetwork: _parse_egress_network,
}


def _plain_since(conditions: Iterable[Condition]) -> dict[tuple[Parent | None, str, str], Condition]:
    return {(None, condition.type, condition.status): condition for condition in conditions}


def _stored(resource: Resource, since: Mapping[tuple[Parent | None, str, str], Condition], *, foreign: bool) -> Stored:
    times: dict[tuple[Parent | None, str, str], dt.datetime] = {
        at: condition.last_transition_time for at, condition in since.items()
    }
    return Stored(resource.metadata.uid, resource.metadata.resource_version, foreign, times)
