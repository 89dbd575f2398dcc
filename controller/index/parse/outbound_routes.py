"""Routes as a client's side sees them: all five kinds.

A conversion that fails keeps the route's last good version in force, so anything that is wrong is `Invalid` here and
never left out. Backends are the exception: one that is wrong takes traffic and fails it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from controller.core.outbound import (
    ForwardRule,
    GrpcRoute,
    GrpcRule,
    HttpRetry,
    HttpRoute,
    HttpRule,
    Nanoseconds,
    Route,
    TcpRoute,
    Timeouts,
    TlsRoute,
)
from controller.core.routes import HostMatch, ResourceRoute
from controller.index.parse.annotation_values import parse_duration
from controller.index.parse.backends import parse_forward_backends, parse_grpc_backends, parse_http_backends
from controller.index.parse.durations import parse_go_duration
from controller.index.parse.filters import parse_gateway_filter, parse_grpc_filter, parse_policy_filter
from controller.index.parse.http import parse_grpc_match, parse_host, parse_http_match
from controller.index.parse.invalid import Invalid, parse_each
from controller.index.parse.retries import parse_grpc_retry, parse_http_retry, parse_timeouts
from controller.k8s import gateway
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP

RouteResource: TypeAlias = PolicyHTTPRoute | GatewayHTTPRoute | GRPCRoute | TLSRoute | TCPRoute


def parse_policy_http_route(resource: PolicyHTTPRoute) -> HttpRoute:
    namespace, (timeouts, retry) = resource.metadata.namespace, _http_annotations(resource)

    def parse_rule(rule: gateway.PolicyHttpRouteRule) -> HttpRule:
        return HttpRule(
            matches=parse_each("matches", parse_http_match, rule.matches),
            filters=parse_each("filters", parse_policy_filter, rule.filters),
            backends=parse_http_backends(namespace, rule.backend_refs),
            timeouts=_with_request(timeouts, rule.timeouts, _go_duration),
            retry=retry,
        )

    return HttpRoute(
        ref=_ref(POLICY_GROUP, "HTTPRoute", resource),
        created=resource.metadata.creation_timestamp,
        hosts=_hosts(resource.spec.hostnames),
        rules=parse_each("spec.rules", parse_rule, resource.spec.rules),
    )


def parse_gateway_http_route(resource: GatewayHTTPRoute) -> HttpRoute:
    namespace, (timeouts, retry) = resource.metadata.namespace, _http_annotations(resource)

    def parse_rule(rule: gateway.HttpRouteRule) -> HttpRule:
        return HttpRule(
            matches=parse_each("matches", parse_http_match, rule.matches),
            filters=parse_each("filters", parse_gateway_filter, rule.filters),
            backends=parse_http_backends(namespace, rule.backend_refs),
            timeouts=_with_request(timeouts, rule.timeouts, _lenient_duration),
            retry=retry,
        )

    return HttpRoute(
        ref=_ref(GATEWAY_GROUP, "HTTPRoute", resource),
        created=resource.metadata.creation_timestamp,
        hosts=_hosts(resource.spec.hostnames),
        rules=parse_each("spec.rules", parse_rule, resource.spec.rules),
    )


def parse_grpc_route(resource: GRPCRoute) -> GrpcRoute:
    namespace = resource.metadata.namespace
    timeouts, retry = parse_timeouts(resource.annotations), parse_grpc_retry(resource.annotations)

    def parse_rule(rule: gateway.GrpcRouteRule) -> GrpcRule:
        return GrpcRule(
            matches=parse_each("matches", parse_grpc_match, rule.matches),
            filters=parse_each("filters", parse_grpc_filter, rule.filters),
            backends=parse_grpc_backends(namespace, rule.backend_refs),
            timeouts=timeouts,
            retry=retry,
        )

    return GrpcRoute(
        ref=_ref(GATEWAY_GROUP, "GRPCRoute", resource),
        created=resource.metadata.creation_timestamp,
        hosts=_hosts(resource.spec.hostnames),
        rules=parse_each("spec.rules", parse_rule, resource.spec.rules),
    )


def parse_tls_route(resource: TLSRoute) -> TlsRoute:
    return TlsRoute(
        ref=_ref(GATEWAY_GROUP, "TLSRoute", resource),
        created=resource.metadata.creation_timestamp,
        hosts=_hosts(resource.spec.hostnames),
        rules=(_forward_rule(resource, "TLSRoute"),),
    )


def parse_tcp_route(resource: TCPRoute) -> TcpRoute:
    return TcpRoute(
        ref=_ref(GATEWAY_GROUP, "TCPRoute", resource),
        created=resource.metadata.creation_timestamp,
        rules=(_forward_rule(resource, "TCPRoute"),),
    )


def _forward_rule(resource: TLSRoute | TCPRoute, kind: str) -> ForwardRule:
    match resource.spec.rules:
        case [rule]:
            return ForwardRule(parse_forward_backends(resource.metadata.namespace, rule.backend_refs))
        case _:
            raise Invalid(f"{kind} needs to have one rule", "spec.rules")


def _ref(group: str, kind: str, resource: RouteResource) -> ResourceRoute:
    return ResourceRoute(group, kind, resource.metadata.name, resource.metadata.namespace)


def _hosts(hostnames: tuple[str, ...] | None) -> tuple[HostMatch, ...]:
    return tuple([parse_host(hostname) for hostname in hostnames or ()])


def _http_annotations(resource: PolicyHTTPRoute | GatewayHTTPRoute) -> tuple[Timeouts, HttpRetry | None]:
    return parse_timeouts(resource.annotations), parse_http_retry(resource.annotations)


def _with_request(
    timeouts: Timeouts, rule: gateway.HttpRouteTimeouts | None, parse: Callable[[str], Nanoseconds]
) -> Timeouts:
    """The annotations' timeouts; a rule's own request timeout counts where they have none. A rule's zero is none."""
    if rule is None or rule.request is None or timeouts.request is not None:
        return timeouts
    request = parse(rule.request)
    return Timeouts(request, timeouts.response, timeouts.idle) if request else timeouts


def _go_duration(text: str) -> Nanoseconds:
    """A negative duration counts without its sign; admission lets none in."""
    return parse_go_duration(text).nanoseconds


def _lenient_duration(text: str) -> Nanoseconds:
    """The Gateway API's durations in the syntax of annotations; what is no such thing is no timeout."""
    try:
        return parse_duration(text)
    except Invalid:
        return 0


# A row per kind: how the index and the webhook read it.
ROUTE_PARSERS: Mapping[type[RouteResource], Callable[[Any], Route]] = {
    PolicyHTTPRoute: parse_policy_http_route,
    GatewayHTTPRoute: parse_gateway_http_route,
    GRPCRoute: parse_grpc_route,
    TLSRoute: parse_tls_route,
    TCPRoute: parse_tcp_route,
}


def parse_outbound_route(resource: RouteResource) -> Route:
    """Read a route of any kind. Whether its backends exist is for the index to say."""
    return ROUTE_PARSERS[type(resource)](resource)
