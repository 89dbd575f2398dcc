"""TLS and opaque routes on the wire: they only say where connections go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never, assert_never

from controller.core.outbound import ForwardRule, Parent, ServiceParent, TcpRoute, TlsRoute
from controller.core.routes import HostExact, HostMatch, HostSuffix
from controller.grpc.gen.linkerd import opaque_route_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd.meta_pb2 import Metadata
from controller.grpc.gen.linkerd.tls_route_pb2 import SniMatch
from controller.grpc.outbound_backends_to_proto import Family, to_distribution, to_first_available
from controller.grpc.outbound_routes_to_proto import Scope, egress_default
from controller.grpc.to_proto import to_route_metadata


def _no_filters(_items: Sequence[Never]) -> list[Any]:
    return []


def _opaque_failure(message: str) -> pb.OpaqueRoute.Filter:
    return pb.OpaqueRoute.Filter(invalid=opaque_route_pb2.Invalid(message=message))


def _tls_failure(message: str) -> pb.TlsRoute.Filter:
    return pb.TlsRoute.Filter(invalid=opaque_route_pb2.Invalid(message=message))


OPAQUE: Family[Never] = Family(pb.OpaqueRoute, _no_filters, _opaque_failure)
TLS: Family[Never] = Family(pb.TlsRoute, _no_filters, _tls_failure)


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
    name, filters = egress_default("tls", scope.parent, denial)
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
    name, filters = egress_default("tcp", parent, denial)
    return opaque_route(name, to_first_available(OPAQUE, backend), filters)


def opaque_route(name: str, backends: Any, filters: Sequence[pb.OpaqueRoute.Filter] = ()) -> pb.OpaqueRoute:
    """A route that the controller made up."""
    rule = pb.OpaqueRoute.Rule(backends=backends, filters=filters)
    return pb.OpaqueRoute(metadata=Metadata(default=name), rules=[rule])
