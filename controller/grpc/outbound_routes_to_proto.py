"""HTTP and gRPC routes of outbound policy on the wire: the users' own, and those for what the users' do not match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, TypeVar, assert_never

import attrs
from google.protobuf.duration_pb2 import Duration

from controller.core.outbound import (
    NO_TIMEOUTS,
    EgressNetworkParent,
    GrpcRoute,
    GrpcRule,
    HttpRoute,
    HttpRule,
    Parent,
    ServiceParent,
    Timeouts,
    TrafficPolicy,
    TrafficSettings,
)
from controller.core.routes import (
    GrpcFilter,
    HttpFilter,
    HttpRouteMatch,
    PathPrefix,
    RequestHeaderModifier,
    RequestRedirect,
    ResponseHeaderModifier,
)
from controller.grpc.gen.linkerd import grpc_route_pb2, http_route_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd.meta_pb2 import Metadata
from controller.grpc.outbound_backends_to_proto import Destination, Family, to_distribution, to_first_available
from controller.grpc.outbound_settings_to_proto import to_grpc_retry, to_http_retry, to_timeouts
from controller.grpc.to_proto import (
    to_grpc_route_match,
    to_host_match,
    to_http_route_match,
    to_request_header_modifier,
    to_request_redirect,
    to_response_header_modifier,
    to_route_metadata,
)

Filter = TypeVar("Filter")

DENIED = "traffic not allowed"
# A status for HTTP, a code for gRPC; 500 is none of gRPC's, and proxies turn it into "unknown".
FAILED = 500
FORBIDDEN_STATUS = 403
PERMISSION_DENIED = 7

_ANY_PATH = to_http_route_match(HttpRouteMatch(PathPrefix("/")))


@attrs.frozen
class Scope:
    """What the routes of one policy have in common."""

    destination: Destination
    default: pb.Backend
    settings: TrafficSettings
    allow_l5d_request_headers: bool

    @property
    def parent(self) -> Parent:
        return self.destination.parent

    def timeouts(self, own: Timeouts) -> Timeouts:
        """A rule's own timeouts, or all of its parent's; never some of each."""
        return self.settings.timeouts if own == NO_TIMEOUTS else own


class _TimeLimits(TypedDict):
    """The fields of a rule, of HTTP's and gRPC's alike, that say how long a request may take."""

    requestTimeout: Duration | None  # for proxies of before `timeouts`
    timeouts: http_route_pb2.Timeouts


def _time_limits(timeouts: Timeouts) -> _TimeLimits:
    converted = to_timeouts(timeouts)
    request = converted.request if converted.HasField("request") else None
    return _TimeLimits(requestTimeout=request, timeouts=converted)


def _http_filter(item: HttpFilter) -> pb.HttpRoute.Filter:
    match item:
        case RequestHeaderModifier(modifier):
            return pb.HttpRoute.Filter(request_header_modifier=to_request_header_modifier(modifier))
        case ResponseHeaderModifier(modifier):
            return pb.HttpRoute.Filter(response_header_modifier=to_response_header_modifier(modifier))
        case RequestRedirect():
            return pb.HttpRoute.Filter(redirect=to_request_redirect(item))
        case _:
            assert_never(item)


def _http_filters(items: Sequence[HttpFilter]) -> list[pb.HttpRoute.Filter]:
    return [_http_filter(item) for item in items]


def _http_failure(message: str, status: int = FAILED) -> pb.HttpRoute.Filter:
    return pb.HttpRoute.Filter(failure_injector=http_route_pb2.HttpFailureInjector(status=status, message=message))


def _grpc_filters(items: Sequence[GrpcFilter]) -> list[pb.GrpcRoute.Filter]:
    """gRPC's filters have no response modifier, and a proxy refuses the policy over a filter without a kind."""
    return [
        pb.GrpcRoute.Filter(request_header_modifier=to_request_header_modifier(item.modifier))
        for item in items
        if isinstance(item, RequestHeaderModifier)
    ]


def _grpc_failure(message: str, code: int = FAILED) -> pb.GrpcRoute.Filter:
    return pb.GrpcRoute.Filter(failure_injector=grpc_route_pb2.GrpcFailureInjector(code=code, message=message))


HTTP: Family[HttpFilter] = Family(pb.HttpRoute, _http_filters, _http_failure)
GRPC: Family[GrpcFilter] = Family(pb.GrpcRoute, _grpc_filters, _grpc_failure)


def to_http_routes(routes: Sequence[HttpRoute], scope: Scope) -> list[pb.HttpRoute]:
    """The users' routes, and what becomes of requests that none of them matches.

    A Service that has routes fails those; an EgressNetwork always has its policy for them.
    """
    converted = [_http_route(route, scope) for route in routes]
    if isinstance(scope.parent, ServiceParent):
        return converted or [_default_http_route("http", [], scope)]
    name, filters = egress_default("http", scope.parent, _http_failure(DENIED, FORBIDDEN_STATUS))
    return [*converted, _default_http_route(name, filters, scope)]


def egress_default(protocol: str, parent: EgressNetworkParent, denial: Filter) -> tuple[str, list[Filter]]:
    """The name and the filters of the route that every EgressNetwork has."""
    match parent.traffic_policy:
        case TrafficPolicy.ALLOW:
            return f"{protocol}-egress-allow", []
        case TrafficPolicy.DENY:
            return f"{protocol}-egress-deny", [denial]
        case _:
            assert_never(parent.traffic_policy)


def _default_http_route(name: str, filters: list[pb.HttpRoute.Filter], scope: Scope) -> pb.HttpRoute:
    limits = _time_limits(scope.settings.timeouts)
    rule = pb.HttpRoute.Rule(
        matches=[_ANY_PATH],
        filters=filters,
        backends=to_first_available(HTTP, scope.default),
        **limits,
        retry=to_http_retry(scope.settings.http_retry),
    )
    return pb.HttpRoute(metadata=Metadata(default=name), rules=[rule])


def _http_route(route: HttpRoute, scope: Scope) -> pb.HttpRoute:
    return pb.HttpRoute(
        metadata=to_route_metadata(route.ref),
        hosts=[to_host_match(host) for host in route.hosts],
        rules=[_http_rule(rule, scope) for rule in route.rules],
    )


def _http_rule(rule: HttpRule, scope: Scope) -> pb.HttpRoute.Rule:
    limits = _time_limits(scope.timeouts(rule.timeouts))
    return pb.HttpRoute.Rule(
        matches=[to_http_route_match(match) for match in rule.matches],
        filters=_http_filters(rule.filters),
        backends=to_distribution(HTTP, rule.backends, scope.default, scope.destination, scope.settings.load_biaser),
        **limits,
        retry=to_http_retry(rule.retry or scope.settings.http_retry),
        allow_l5d_request_headers=scope.allow_l5d_request_headers,
    )


def to_grpc_routes(routes: Sequence[GrpcRoute], scope: Scope) -> list[pb.GrpcRoute]:
    """The users' routes, and an EgressNetwork's policy for calls that none of them matches."""
    converted = [_grpc_route(route, scope) for route in routes]
    if isinstance(scope.parent, ServiceParent):
        return converted
    name, filters = egress_default("grpc", scope.parent, _grpc_failure(DENIED, PERMISSION_DENIED))
    return [*converted, _default_grpc_route(name, filters, scope)]


def _default_grpc_route(name: str, filters: list[pb.GrpcRoute.Filter], scope: Scope) -> pb.GrpcRoute:
    limits = _time_limits(scope.settings.timeouts)
    rule = pb.GrpcRoute.Rule(
        filters=filters,
        backends=to_first_available(GRPC, scope.default),
        **limits,
        retry=to_grpc_retry(scope.settings.grpc_retry),
    )
    return pb.GrpcRoute(metadata=Metadata(default=name), rules=[rule])


def _grpc_route(route: GrpcRoute, scope: Scope) -> pb.GrpcRoute:
    return pb.GrpcRoute(
        metadata=to_route_metadata(route.ref),
        hosts=[to_host_match(host) for host in route.hosts],
        rules=[_grpc_rule(rule, scope) for rule in route.rules],
    )


def _grpc_rule(rule: GrpcRule, scope: Scope) -> pb.GrpcRoute.Rule:
    limits = _time_limits(scope.timeouts(rule.timeouts))
    return pb.GrpcRoute.Rule(
        matches=[to_grpc_route_match(match) for match in rule.matches],
        filters=_grpc_filters(rule.filters),
        backends=to_distribution(GRPC, rule.backends, scope.default, scope.destination, scope.settings.load_biaser),
        **limits,
        retry=to_grpc_retry(rule.retry or scope.settings.grpc_retry),
        allow_l5d_request_headers=scope.allow_l5d_request_headers,
    )
