"""Outbound routes on the wire: those that users wrote, and those that stand in where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never, TypeVar, assert_never

import attrs

from controller.core.outbound import (
    NO_TIMEOUTS,
    EgressNetworkParent,
    ForwardRule,
    GrpcRoute,
    GrpcRule,
    HttpRoute,
    HttpRule,
    Parent,
    ServiceParent,
    TcpRoute,
    Timeouts,
    TlsRoute,
    TrafficPolicy,
    TrafficSettings,
)
from controller.core.routes import (
    GrpcFilter,
    HostExact,
    HostMatch,
    HostSuffix,
    HttpFilter,
    HttpRouteMatch,
    PathPrefix,
    RequestHeaderModifier,
    RequestRedirect,
    ResponseHeaderModifier,
)
from controller.grpc.gen.linkerd import grpc_route_pb2, http_route_pb2, opaque_route_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd.meta_pb2 import Metadata
from controller.grpc.gen.linkerd.tls_route_pb2 import SniMatch
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


def _no_filters(_items: Sequence[Never]) -> list[Any]:
    return []


def _opaque_failure(message: str) -> pb.OpaqueRoute.Filter:
    return pb.OpaqueRoute.Filter(invalid=opaque_route_pb2.Invalid(message=message))


def _tls_failure(message: str) -> pb.TlsRoute.Filter:
    return pb.TlsRoute.Filter(invalid=opaque_route_pb2.Invalid(message=message))


HTTP: Family[HttpFilter] = Family(pb.HttpRoute, _http_filters, _http_failure)
GRPC: Family[GrpcFilter] = Family(pb.GrpcRoute, _grpc_filters, _grpc_failure)
OPAQUE: Family[Never] = Family(pb.OpaqueRoute, _no_filters, _opaque_failure)
TLS: Family[Never] = Family(pb.TlsRoute, _no_filters, _tls_failure)


def to_http_routes(routes: Sequence[HttpRoute], scope: Scope) -> list[pb.HttpRoute]:
    """The users' routes, and what becomes of requests that none of them matches.

    A Service that has routes fails those; an EgressNetwork always has its policy for them.
    """
    converted = [_http_route(route, scope) for route in routes]
    if isinstance(scope.parent, ServiceParent):
        return converted or [_default_http_route("http", [], scope)]
    name, filters = _egress_default("http", scope.parent, _http_failure(DENIED, FORBIDDEN_STATUS))
    return [*converted, _default_http_route(name, filters, scope)]


def _egress_default(protocol: str, parent: EgressNetworkParent, denial: Filter) -> tuple[str, list[Filter]]:
    """The name and the filters of the route that every EgressNetwork has."""
    match parent.traffic_policy:
        case TrafficPolicy.ALLOW:
            return f"{protocol}-egress-allow", []
        case TrafficPolicy.DENY:
            return f"{protocol}-egress-deny", [denial]
        case _:
            assert_never(parent.traffic_policy)


def _default_http_route(name: str, filters: list[pb.HttpRoute.Filter], scope: Scope) -> pb.HttpRoute:
    timeouts = to_timeouts(scope.settings.timeouts)
    rule = pb.HttpRoute.Rule(
        matches=[_ANY_PATH],
        filters=filters,
        backends=to_first_available(HTTP, scope.default),
        requestTimeout=timeouts.request if timeouts.HasField("request") else None,
        timeouts=timeouts,
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
    timeouts = to_timeouts(scope.timeouts(rule.timeouts))
    return pb.HttpRoute.Rule(
        matches=[to_http_route_match(match) for match in rule.matches],
        filters=_http_filters(rule.filters),
        backends=to_distribution(HTTP, rule.backends, scope.default, scope.destination, scope.settings.load_biaser),
        requestTimeout=timeouts.request if timeouts.HasField("request") else None,  # for proxies of before `timeouts`
        timeouts=timeouts,
        retry=to_http_retry(rule.retry or scope.settings.http_retry),
        allow_l5d_request_headers=scope.allow_l5d_request_headers,
    )


def to_grpc_routes(routes: Sequence[GrpcRoute], scope: Scope) -> list[pb.GrpcRoute]:
    """The users' routes, and an EgressNetwork's policy for calls that none of them matches."""
    converted = [_grpc_route(route, scope) for route in routes]
    if isinstance(scope.parent, ServiceParent):
        return converted
    name, filters = _egress_default("grpc", scope.parent, _grpc_failure(DENIED, PERMISSION_DENIED))
    return [*converted, _default_grpc_route(name, filters, scope)]


def _default_grpc_route(name: str, filters: list[pb.GrpcRoute.Filter], scope: Scope) -> pb.GrpcRoute:
    timeouts = to_timeouts(scope.settings.timeouts)
    rule = pb.GrpcRoute.Rule(
        filters=filters,
        backends=to_first_available(GRPC, scope.default),
        requestTimeout=timeouts.request if timeouts.HasField("request") else None,
        timeouts=timeouts,
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
    timeouts = to_timeouts(scope.timeouts(rule.timeouts))
    return pb.GrpcRoute.Rule(
        matches=[to_grpc_route_match(match) for match in rule.matches],
        filters=_grpc_filters(rule.filters),
        backends=to_distribution(GRPC, rule.backends, scope.default, scope.destination, scope.settings.load_biaser),
        requestTimeout=timeouts.request if timeouts.HasField("request") else None,
        timeouts=timeouts,
        retry=to_grpc_retry(rule.retry or scope.settings.grpc_retry),
        allow_l5d_request_headers=scope.allow_l5d_request_headers,
    )


def to_tls_routes(routes: Sequence[TlsRoute], scope: Scope) -> list[pb.TlsRoute]:
    """The users' routes, and an EgressNetwork's policy for connections that none of them matches."""
    converted = [
        pb.TlsRoute(
            metadata=to_route_metadata(route.ref),
            snis=[_sni(host) for host in route.hosts],
            rules=[pb.TlsRoute.Rule(backends=_forward(TLS, rule, scope)) for rule in route.rules],
        )
        for route in routes
    ]
    if isinstance(scope.parent, ServiceParent):
        return converted
    denial = pb.TlsRoute.Filter(forbidden=opaque_route_pb2.Forbidden())
    name, filters = _egress_default("tls", scope.parent, denial)
    rule = pb.TlsRoute.Rule(backends=to_first_available(TLS, scope.default), filters=filters)
    return [*converted, pb.TlsRoute(metadata=Metadata(default=name), rules=[rule])]


def _sni(host: HostMatch) -> SniMatch:
    match host:
        case HostExact(name):
            return SniMatch(exact=name)
        case HostSuffix(labels):
            return SniMatch(suffix=SniMatch.Suffix(reverse_labels=labels))
        case _:
            assert_never(host)


def _forward(family: Family[Never], rule: ForwardRule, scope: Scope) -> Any:
    """Load is biased by what responses say, and these protocols have none that the proxy could read."""
    return to_distribution(family, rule.backends, scope.default, scope.destination, None)


def to_opaque_route(route: TcpRoute, scope: Scope) -> pb.OpaqueRoute:
    return pb.OpaqueRoute(
        metadata=to_route_metadata(route.ref),
        rules=[pb.OpaqueRoute.Rule(backends=_forward(OPAQUE, rule, scope)) for rule in route.rules],
    )


def to_default_opaque_route(parent: Parent, backend: pb.Backend) -> pb.OpaqueRoute:
    """Where connections go whose protocol nobody knows."""
    if isinstance(parent, ServiceParent):
        return opaque_route("opaq", to_first_available(OPAQUE, backend))
    denial = pb.OpaqueRoute.Filter(forbidden=opaque_route_pb2.Forbidden())
    name, filters = _egress_default("tcp", parent, denial)
    return opaque_route(name, to_first_available(OPAQUE, backend), filters)


def opaque_route(name: str, backends: Any, filters: Sequence[pb.OpaqueRoute.Filter] = ()) -> pb.OpaqueRoute:
    """A route that the controller made up."""
    rule = pb.OpaqueRoute.Rule(backends=backends, filters=filters)
    return pb.OpaqueRoute(metadata=Metadata(default=name), rules=[rule])
