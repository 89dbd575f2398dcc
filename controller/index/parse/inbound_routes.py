"""Routes as a server's side sees them: HTTPRoutes of both groups and GRPCRoutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, assert_never

import attrs

from controller.core import routes as core
from controller.core.inbound import GrpcRoute, GrpcRule, HttpRoute, HttpRule
from controller.index.parse.filters import parse_gateway_filter, parse_grpc_filter, parse_policy_filter
from controller.index.parse.http import parse_grpc_match, parse_host, parse_http_match
from controller.index.parse.invalid import Invalid, parse_each
from controller.k8s import gateway
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute
from controller.k8s.references import CONTROLLER_NAME, GATEWAY_GROUP, POLICY_GROUP, group_key

InboundRoute: TypeAlias = HttpRoute | GrpcRoute
AnyRoute: TypeAlias = PolicyHTTPRoute | GatewayHTTPRoute | GRPCRoute


@attrs.frozen
class RouteForm:
    """A route as the index keeps it, before authorizations: where it wants to belong, and where it was let in."""

    parents: frozenset[str]
    accepted: frozenset[str]
    route: InboundRoute

    @property
    def servers(self) -> frozenset[str]:
        """The Servers whose traffic it routes."""
        return self.parents & self.accepted


# What is kept of a route that no Server is a parent of.
NO_ROUTE = RouteForm(frozenset(), frozenset(), HttpRoute(core.DefaultRoute("")))


def parse_inbound_route(resource: AnyRoute) -> RouteForm:
    """Read a route of any kind."""
    match resource:
        case PolicyHTTPRoute():
            return _form(
                resource,
                HttpRoute(
                    ref=_ref(POLICY_GROUP, "HTTPRoute", resource),
                    hosts=_hosts(resource),
                    rules=parse_each("spec.rules", parse_policy_http_rule, resource.spec.rules),
                    created=resource.metadata.creation_timestamp,
                ),
            )
        case GatewayHTTPRoute():
            return _form(
                resource,
                HttpRoute(
                    ref=_ref(GATEWAY_GROUP, "HTTPRoute", resource),
                    hosts=_hosts(resource),
                    rules=parse_each("spec.rules", parse_gateway_http_rule, resource.spec.rules),
                    created=resource.metadata.creation_timestamp,
                ),
            )
        case GRPCRoute():
            return _form(
                resource,
                GrpcRoute(
                    ref=_ref(GATEWAY_GROUP, "GRPCRoute", resource),
                    hosts=_hosts(resource),
                    rules=parse_each("spec.rules", parse_grpc_rule, resource.spec.rules),
                    created=resource.metadata.creation_timestamp,
                ),
            )
        case _:
            assert_never(resource)


def _form(resource: AnyRoute, route: InboundRoute) -> RouteForm:
    return RouteForm(server_parents(resource), accepted_servers(resource.status), route)


def _ref(group: str, kind: str, resource: AnyRoute) -> core.ResourceRoute:
    return core.ResourceRoute(group, kind, resource.metadata.name)


def _hosts(resource: AnyRoute) -> tuple[core.HostMatch, ...]:
    return tuple([parse_host(hostname) for hostname in resource.spec.hostnames or ()])


def server_parents(route: AnyRoute) -> frozenset[str]:
    """The Servers that a route names as its parents. Other parents are somebody else's business."""
    names = list[str]()
    for i, parent in enumerate(route.spec.parent_refs or ()):
        if parent.name and is_server(parent):
            _check_parent(parent, route.metadata.namespace, f"spec.parentRefs[{i}]")
            names.append(parent.name)
    return frozenset(names)


def is_server(parent: gateway.ParentRef) -> bool:
    """Whether a reference means a Server; case does not count."""
    return parent.kind is not None and parent.kind.lower() == "server" and group_key(parent.group) == POLICY_GROUP


def _check_parent(parent: gateway.ParentRef, namespace: str, path: str) -> None:
    if parent.namespace is not None and parent.namespace != namespace:
        raise Invalid("a Server parent is in the route's own namespace", f"{path}.namespace")
    if parent.port is not None:
        raise Invalid("a Server parent has its port already", f"{path}.port")
    if parent.section_name is not None:
        raise Invalid("a Server parent has no sections", f"{path}.sectionName")


def accepted_servers(status: gateway.RouteStatus | None) -> frozenset[str]:
    """The Servers for which this controller has accepted a route, whatever its generation was then."""
    return frozenset(_accepted(status))


def _accepted(status: gateway.RouteStatus | None) -> Iterator[str]:
    for parent in status.parents if status else ():
        ours = parent.controller_name == CONTROLLER_NAME and parent.parent_ref.kind == "Server"
        if ours and any(c.type == "Accepted" and c.status == "True" for c in parent.conditions):
            yield parent.parent_ref.name


def parse_policy_http_rule(rule: gateway.PolicyHttpRouteRule) -> HttpRule:
    return HttpRule(
        parse_each("matches", parse_http_match, rule.matches), parse_each("filters", parse_policy_filter, rule.filters)
    )


def parse_gateway_http_rule(rule: gateway.HttpRouteRule) -> HttpRule:
    return HttpRule(
        parse_each("matches", parse_http_match, rule.matches), parse_each("filters", parse_gateway_filter, rule.filters)
    )


def parse_grpc_rule(rule: gateway.GrpcRouteRule) -> GrpcRule:
    return GrpcRule(
        parse_each("matches", parse_grpc_match, rule.matches), parse_each("filters", parse_grpc_filter, rule.filters)
    )
