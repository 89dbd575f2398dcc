"""How an outbound answer looks on the wire.

Pure, total and deterministic. A proxy refuses a whole policy over one part that is missing: the protocol, a rule's
distribution, a backend's queue, a filter's kind. So each is set wherever it occurs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, assert_never

import attrs

from controller.core.network import IPAddress
from controller.core.outbound import (
    AppProtocol,
    EgressFallback,
    EgressPolicy,
    GrpcRoute,
    HttpRoute,
    OutboundAnswer,
    OutboundPolicy,
    Route,
    TcpRoute,
    TlsRoute,
    UndefinedPort,
)
from controller.grpc.gen.linkerd import http_route_pb2, opaque_route_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd.meta_pb2 import Metadata
from controller.grpc.outbound_backends_to_proto import (
    Destination,
    to_backend,
    to_default_backend,
    to_first_available,
    to_forward,
    to_parent_metadata,
)
from controller.grpc.outbound_forward_to_proto import (
    OPAQUE,
    opaque_route,
    to_default_opaque_route,
    to_opaque_route,
    to_tls_routes,
)
from controller.grpc.outbound_routes_to_proto import HTTP, Scope, to_grpc_routes, to_http_routes
from controller.grpc.outbound_settings_to_proto import SECOND, to_failure_accrual, to_nanoseconds

R = TypeVar("R", HttpRoute, GrpcRoute, TlsRoute, TcpRoute)

# How long a proxy waits for a client to show what it speaks. No setting changes it.
_DETECT_TIMEOUT = to_nanoseconds(10 * SECOND)
FALLBACK = "egress-fallback"


@attrs.frozen
class OutboundDialect:
    """The settings of the controller that show in every policy."""

    cluster_domain: str
    allow_l5d_request_headers: bool = False


def to_outbound_policy(answer: OutboundAnswer, dialect: OutboundDialect) -> pb.OutboundPolicy:
    match answer:
        case OutboundPolicy():
            return _policy(answer, None, dialect)
        case EgressPolicy(shared, address):
            return _policy(shared.value, address, dialect)
        case UndefinedPort():
            return _undefined_port(answer)
        case EgressFallback(address, port):
            return _fallback(address, port)
        case _:
            assert_never(answer)


def _policy(policy: OutboundPolicy, address: IPAddress | None, dialect: OutboundDialect) -> pb.OutboundPolicy:
    destination = Destination(policy.parent, policy.port, address, dialect.cluster_domain)
    # What is opaque has no responses by which load could be biased.
    opaque = policy.settings.protocol in (AppProtocol.OPAQUE, AppProtocol.UNKNOWN)
    default = to_default_backend(destination, None if opaque else policy.settings.load_biaser)
    scope = Scope(destination, default, policy.settings, dialect.allow_l5d_request_headers)
    return pb.OutboundPolicy(
        metadata=to_parent_metadata(policy.parent, policy.port), protocol=_protocol(policy.routes, scope)
    )


def _protocol(routes: Sequence[Route], scope: Scope) -> pb.ProxyProtocol:
    match scope.settings.protocol:
        case AppProtocol.HTTP1:
            http = to_http_routes(_only(HttpRoute, routes), scope)
            return pb.ProxyProtocol(http1=pb.ProxyProtocol.Http1(routes=http, failure_accrual=_accrual(scope)))
        case AppProtocol.HTTP2:
            if grpc := _only(GrpcRoute, routes):
                return _grpc(grpc, scope)
            http = to_http_routes(_only(HttpRoute, routes), scope)
            return pb.ProxyProtocol(http2=pb.ProxyProtocol.Http2(routes=http, failure_accrual=_accrual(scope)))
        case AppProtocol.OPAQUE | AppProtocol.UNKNOWN:
            return pb.ProxyProtocol(opaque=_opaque(_only(TcpRoute, routes), scope))
        case None:
            return _detected(routes, scope)
        case _:
            assert_never(scope.settings.protocol)


def _detected(routes: Sequence[Route], scope: Scope) -> pb.ProxyProtocol:
    """Where nobody said what a port speaks, routes do; without any, and with HTTP's, the proxy finds out."""
    if grpc := _only(GrpcRoute, routes):
        return _grpc(grpc, scope)
    if http := _only(HttpRoute, routes):
        return _detect(http, scope)
    if tls := _only(TlsRoute, routes):
        return pb.ProxyProtocol(tls=pb.ProxyProtocol.Tls(routes=to_tls_routes(tls, scope)))
    if tcp := _only(TcpRoute, routes):
        return pb.ProxyProtocol(opaque=_opaque(tcp, scope))
    return _detect([], scope)


def _detect(routes: Sequence[HttpRoute], scope: Scope) -> pb.ProxyProtocol:
    http, accrual = to_http_routes(routes, scope), _accrual(scope)
    detect = pb.ProxyProtocol.Detect(
        timeout=_DETECT_TIMEOUT,
        opaque=_opaque([], scope),
        http1=pb.ProxyProtocol.Http1(routes=http, failure_accrual=accrual),
        http2=pb.ProxyProtocol.Http2(routes=http, failure_accrual=accrual),
    )
    return pb.ProxyProtocol(detect=detect)


def _only(kind: type[R], routes: Sequence[Route]) -> list[R]:
    return [route for route in routes if isinstance(route, kind)]


def _accrual(scope: Scope) -> pb.FailureAccrual | None:
    return to_failure_accrual(scope.settings)


def _grpc(routes: Sequence[GrpcRoute], scope: Scope) -> pb.ProxyProtocol:
    grpc = pb.ProxyProtocol.Grpc(routes=to_grpc_routes(routes, scope), failure_accrual=_accrual(scope))
    return pb.ProxyProtocol(grpc=grpc)


def _opaque(routes: Sequence[TcpRoute], scope: Scope) -> pb.ProxyProtocol.Opaque:
    """A proxy takes one route here: the first."""
    route = to_opaque_route(routes[0], scope) if routes else to_default_opaque_route(scope.parent, scope.default)
    return pb.ProxyProtocol.Opaque(routes=[route])


def _undefined_port(answer: UndefinedPort) -> pb.OutboundPolicy:
    forbidden = pb.OpaqueRoute.Filter(forbidden=opaque_route_pb2.Forbidden())
    nowhere = pb.OpaqueRoute.Distribution(empty=pb.OpaqueRoute.Distribution.Empty())
    route = opaque_route("undefined-port", nowhere, [forbidden])
    return pb.OutboundPolicy(
        metadata=to_parent_metadata(answer.service, answer.port),
        protocol=pb.ProxyProtocol(opaque=pb.ProxyProtocol.Opaque(routes=[route])),
    )


def _fallback(address: IPAddress, port: int) -> pb.OutboundPolicy:
    metadata = Metadata(default=FALLBACK)
    backend = to_backend(metadata, forward=to_forward(address, port))
    rule = pb.HttpRoute.Rule(matches=[http_route_pb2.HttpRouteMatch()], backends=to_first_available(HTTP, backend))
    routes = [pb.HttpRoute(metadata=metadata, rules=[rule])]
    opaque = opaque_route(FALLBACK, to_first_available(OPAQUE, backend))
    detect = pb.ProxyProtocol.Detect(
        timeout=_DETECT_TIMEOUT,
        opaque=pb.ProxyProtocol.Opaque(routes=[opaque]),
        http1=pb.ProxyProtocol.Http1(routes=routes),
        http2=pb.ProxyProtocol.Http2(routes=routes),
    )
    return pb.OutboundPolicy(metadata=metadata, protocol=pb.ProxyProtocol(detect=detect))
