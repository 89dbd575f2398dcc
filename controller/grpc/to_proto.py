"""How core values that both policy APIs share look on the wire: addresses, route metadata, matches, filters.

Pure and total. A member of a oneof is always set explicitly, even to its zero value (0.0.0.0, GET, HTTP): its presence
is the message, and a proxy discards a whole policy in which one is missing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import assert_never

from google.protobuf.duration_pb2 import Duration

from controller.core.network import IPAddress, IPNet
from controller.core.routes import (
    DefaultRoute,
    GrpcRouteMatch,
    HeaderExact,
    HeaderMatch,
    HeaderModifier,
    HeaderRegex,
    HostExact,
    HostMatch,
    HostSuffix,
    HttpRouteMatch,
    Method,
    PathExact,
    PathMatch,
    PathModifier,
    PathPrefix,
    PathRegex,
    QueryParamExact,
    QueryParamMatch,
    QueryParamRegex,
    ReplaceFullPath,
    ReplacePrefixMatch,
    RequestRedirect,
    ResourceRoute,
    RouteRef,
    Scheme,
)
from controller.grpc.gen.linkerd import grpc_route_pb2, http_route_pb2, meta_pb2, net_pb2
from controller.grpc.gen.linkerd.http_types_pb2 import Headers, HttpMethod
from controller.grpc.gen.linkerd.http_types_pb2 import Scheme as PbScheme

_METHODS: Mapping[Method, HttpMethod.Registered] = {
    Method.GET: HttpMethod.Registered.GET,
    Method.POST: HttpMethod.Registered.POST,
    Method.PUT: HttpMethod.Registered.PUT,
    Method.DELETE: HttpMethod.Registered.DELETE,
    Method.PATCH: HttpMethod.Registered.PATCH,
    Method.OPTIONS: HttpMethod.Registered.OPTIONS,
    Method.CONNECT: HttpMethod.Registered.CONNECT,
    Method.HEAD: HttpMethod.Registered.HEAD,
    Method.TRACE: HttpMethod.Registered.TRACE,
}
_SCHEMES: Mapping[Scheme, PbScheme.Registered] = {
    Scheme.HTTP: PbScheme.Registered.HTTP,
    Scheme.HTTPS: PbScheme.Registered.HTTPS,
}
_LOW_64_BITS = (1 << 64) - 1

# What upstream sends for a redirect without a status. A proxy takes it literally; 0 would leave the choice to it.
_REDIRECT_STATUS = 200


def to_duration(duration: dt.timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(duration)
    return message


def to_ip_address(address: IPAddress) -> net_pb2.IPAddress:
    match address:
        case IPv4Address():
            return net_pb2.IPAddress(ipv4=int(address))
        case IPv6Address():
            number = int(address)
            return net_pb2.IPAddress(ipv6=net_pb2.IPv6(first=number >> 64, last=number & _LOW_64_BITS))
        case _:
            assert_never(address)


def to_ip_network(net: IPNet) -> net_pb2.IPNetwork:
    """Host bits stay as the user wrote them."""
    return net_pb2.IPNetwork(ip=to_ip_address(net.address), prefix_len=net.prefix)


def to_route_metadata(ref: RouteRef) -> meta_pb2.Metadata:
    match ref:
        case DefaultRoute(name):
            return meta_pb2.Metadata(default=name)
        case ResourceRoute(group, kind, name, namespace):
            resource = meta_pb2.Resource(group=group, kind=kind, name=name, namespace=namespace)
            return meta_pb2.Metadata(resource=resource)
        case _:
            assert_never(ref)


def to_host_match(host: HostMatch) -> http_route_pb2.HostMatch:
    match host:
        case HostExact(name):
            return http_route_pb2.HostMatch(exact=name)
        case HostSuffix(labels):
            return http_route_pb2.HostMatch(suffix=http_route_pb2.HostMatch.Suffix(reverse_labels=labels))
        case _:
            assert_never(host)


def to_http_route_match(match_: HttpRouteMatch) -> http_route_pb2.HttpRouteMatch:
    return http_route_pb2.HttpRouteMatch(
        path=None if match_.path is None else _path(match_.path),
        headers=[_header(header) for header in match_.headers],
        query_params=[_query_param(param) for param in match_.query_params],
        method=None if match_.method is None else HttpMethod(registered=_METHODS[match_.method]),
    )


def to_grpc_route_match(match_: GrpcRouteMatch) -> grpc_route_pb2.GrpcRouteMatch:
    rpc = match_.rpc
    return grpc_route_pb2.GrpcRouteMatch(
        rpc=None if rpc is None else grpc_route_pb2.GrpcRpcMatch(service=rpc.service, method=rpc.method),
        headers=[_header(header) for header in match_.headers],
    )


def _path(path: PathMatch) -> http_route_pb2.PathMatch:
    match path:
        case PathExact(value):
            return http_route_pb2.PathMatch(exact=value)
        case PathPrefix(value):
            return http_route_pb2.PathMatch(prefix=value)
        case PathRegex(pattern):
            return http_route_pb2.PathMatch(regex=pattern)
        case _:
            assert_never(path)


def _header(header: HeaderMatch) -> http_route_pb2.HeaderMatch:
    match header:
        case HeaderExact(name, value):
            return http_route_pb2.HeaderMatch(name=name, exact=value)
        case HeaderRegex(name, pattern):
            return http_route_pb2.HeaderMatch(name=name, regex=pattern)
        case _:
            assert_never(header)


def _query_param(param: QueryParamMatch) -> http_route_pb2.QueryParamMatch:
    match param:
        case QueryParamExact(name, value):
            return http_route_pb2.QueryParamMatch(name=name, exact=value)
        case QueryParamRegex(name, pattern):
            return http_route_pb2.QueryParamMatch(name=name, regex=pattern)
        case _:
            assert_never(param)


def to_request_header_modifier(modifier: HeaderModifier) -> http_route_pb2.RequestHeaderModifier:
    """`add` and `set` are always there, possibly empty."""
    return http_route_pb2.RequestHeaderModifier(
        add=_headers(modifier.add), set=_headers(modifier.set), remove=modifier.remove
    )


def to_response_header_modifier(modifier: HeaderModifier) -> http_route_pb2.ResponseHeaderModifier:
    """`add` and `set` are always there, possibly empty."""
    return http_route_pb2.ResponseHeaderModifier(
        add=_headers(modifier.add), set=_headers(modifier.set), remove=modifier.remove
    )


def _headers(pairs: tuple[tuple[str, str], ...]) -> Headers:
    return Headers(headers=[Headers.Header(name=name, value=value.encode()) for name, value in pairs])


def to_request_redirect(redirect: RequestRedirect) -> http_route_pb2.RequestRedirect:
    return http_route_pb2.RequestRedirect(
        scheme=None if redirect.scheme is None else PbScheme(registered=_SCHEMES[redirect.scheme]),
        host=redirect.host,
        path=None if redirect.path is None else _path_modifier(redirect.path),
        port=redirect.port,
        status=_REDIRECT_STATUS if redirect.status is None else redirect.status,
    )


def _path_modifier(modifier: PathModifier) -> http_route_pb2.PathModifier:
    match modifier:
        case ReplaceFullPath(path):
            return http_route_pb2.PathModifier(full=path)
        case ReplacePrefixMatch(path):
            return http_route_pb2.PathModifier(prefix=path)
        case _:
            assert_never(modifier)
