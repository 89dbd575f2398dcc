"""How the policy of a port looks on the wire.

Pure, total and deterministic: equal values give equal bytes, so bytes can be compared to find out whether a proxy
would be told anything new. A proxy discards a whole message that breaks one of its rules, and then fails the requests
on that port; what those rules are is said where they are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, assert_never

from controller.core.identity import IdentityExact, IdentityMatch, IdentitySuffix
from controller.core.inbound import (
    Authentication,
    AuthorizationPolicyRef,
    AuthorizationRef,
    Authorizations,
    ClientAuthorization,
    DefaultRef,
    DetectProtocol,
    FixedProtocol,
    GrpcRoute,
    GrpcRule,
    HttpRoute,
    HttpRule,
    InboundServer,
    RateLimit,
    RateLimitOverride,
    ServerAuthorizationRef,
    ServerRef,
    TlsAuthenticated,
    TlsUnauthenticated,
    Unauthenticated,
)
from controller.core.network import IPNet, NetworkMatch
from controller.core.routes import (
    DefaultRoute,
    GrpcFilter,
    GrpcMethodMatch,
    GrpcRouteMatch,
    HttpFilter,
    HttpRouteMatch,
    PathPrefix,
    RequestHeaderModifier,
    RequestRedirect,
    ResponseHeaderModifier,
)
from controller.grpc.gen.linkerd import inbound_pb2 as pb
from controller.grpc.gen.linkerd.meta_pb2 import Metadata, Resource
from controller.grpc.to_proto import (
    to_duration,
    to_grpc_route_match,
    to_host_match,
    to_http_route_match,
    to_ip_network,
    to_request_header_modifier,
    to_request_redirect,
    to_route_metadata,
)

POLICY_GROUP = "policy.linkerd.io"
RATE_LIMIT_KIND = "HTTPLocalRateLimitPolicy"

# A proxy that gets no routes takes the controller for one that is too old to know them, and makes up its own.
_HTTP_ROUTES = (HttpRoute(DefaultRoute("default"), rules=(HttpRule((HttpRouteMatch(PathPrefix("/")),)),)),)
_GRPC_ROUTES = (GrpcRoute(DefaultRoute("default"), rules=(GrpcRule((GrpcRouteMatch(GrpcMethodMatch()),)),)),)

Networks: TypeAlias = tuple[IPNet, ...]


def to_server(server: InboundServer, cluster_networks: Networks) -> pb.Server:
    """`cluster_networks` stand in for those of an authorization that names none; there must be at least one."""
    return pb.Server(
        protocol=_protocol(server, cluster_networks),
        authorizations=_authorizations(server.authorizations, cluster_networks),
        labels=_server_labels(server.reference),
    )


def _protocol(server: InboundServer, cluster_networks: Networks) -> pb.ProxyProtocol:
    match server.protocol:
        case DetectProtocol(timeout):
            detect = pb.ProxyProtocol.Detect(
                timeout=to_duration(timeout),
                http_routes=_http_routes(server, cluster_networks),
                http_local_rate_limit=_rate_limit(server.rate_limit),
            )
            return pb.ProxyProtocol(detect=detect)
        case FixedProtocol.HTTP1:
            routes, limit = _http_routes(server, cluster_networks), _rate_limit(server.rate_limit)
            return pb.ProxyProtocol(http1=pb.ProxyProtocol.Http1(routes=routes, local_rate_limit=limit))
        case FixedProtocol.HTTP2:
            routes, limit = _http_routes(server, cluster_networks), _rate_limit(server.rate_limit)
            return pb.ProxyProtocol(http2=pb.ProxyProtocol.Http2(routes=routes, local_rate_limit=limit))
        case FixedProtocol.GRPC:
            return pb.ProxyProtocol(grpc=pb.ProxyProtocol.Grpc(routes=_grpc_routes(server, cluster_networks)))
        case FixedProtocol.OPAQUE:
            return pb.ProxyProtocol(opaque=pb.ProxyProtocol.Opaque())
        case FixedProtocol.TLS:
            return pb.ProxyProtocol(tls=pb.ProxyProtocol.Tls())
        case _:
            assert_never(server.protocol)


def _server_labels(reference: DefaultRef | ServerRef) -> Mapping[str, str]:
    match reference:
        case DefaultRef(name):
            return {"group": "", "kind": "default", "name": name}
        case ServerRef(name):
            return {"group": POLICY_GROUP, "kind": "server", "name": name}
        case _:
            assert_never(reference)


def _authorizations(authorizations: Authorizations, cluster_networks: Networks) -> list[pb.Authz]:
    return [_authz(ref, authorization, cluster_networks) for ref, authorization in authorizations]


def _authz(ref: AuthorizationRef, authorization: ClientAuthorization, cluster_networks: Networks) -> pb.Authz:
    group, kind, name = _authorization_names(ref)
    # Older proxies know only labels; newer ones prefer the metadata, which must name something.
    resource = Resource(group=group, kind=kind, name=name)
    networks = authorization.networks or map(NetworkMatch, cluster_networks)
    return pb.Authz(
        networks=[_network(network) for network in networks],
        authentication=_authn(authorization.authentication),
        labels={"group": group, "kind": kind, "name": name},
        metadata=Metadata(default=name) if isinstance(ref, DefaultRef) else Metadata(resource=resource),
    )


def _authorization_names(ref: AuthorizationRef) -> tuple[str, str, str]:
    match ref:
        case DefaultRef(name):
            return "", "default", name
        case ServerAuthorizationRef(name):
            return POLICY_GROUP, "serverauthorization", name
        case AuthorizationPolicyRef(name):
            return POLICY_GROUP, "authorizationpolicy", name
        case _:
            assert_never(ref)


def _network(network: NetworkMatch) -> pb.Network:
    message = pb.Network(net=to_ip_network(network.net))
    if network.except_:  # `except` is no name in Python
        getattr(message, "except").extend(to_ip_network(net) for net in network.except_)
    return message


def _authn(authentication: Authentication) -> pb.Authn:
    match authentication:
        case Unauthenticated():
            return pb.Authn(unauthenticated=pb.Authn.PermitUnauthenticated())
        case TlsUnauthenticated():
            anyone = pb.Authn.PermitUnauthenticated()
            return pb.Authn(meshTLS=pb.Authn.PermitMeshTLS(unauthenticated=anyone))
        case TlsAuthenticated(identities):
            return pb.Authn(meshTLS=pb.Authn.PermitMeshTLS(identities=_client_identities(identities)))
        case _:
            assert_never(authentication)


def _client_identities(identities: tuple[IdentityMatch, ...]) -> pb.Authn.PermitMeshTLS.PermitClientIdentities:
    message = pb.Authn.PermitMeshTLS.PermitClientIdentities()
    for identity in identities:
        match identity:
            case IdentityExact(name):
                message.identities.add(name=name)
            case IdentitySuffix(parts):
                message.suffixes.add(parts=parts)
            case _:
                assert_never(identity)
    return message


def _http_routes(server: InboundServer, cluster_networks: Networks) -> list[pb.HttpRoute]:
    return [
        pb.HttpRoute(
            metadata=to_route_metadata(route.ref),
            hosts=[to_host_match(host) for host in route.hosts],
            authorizations=_authorizations(route.authorizations, cluster_networks),
            rules=[_http_rule(rule) for rule in route.rules],
        )
        for route in server.http_routes or _HTTP_ROUTES
    ]


def _http_rule(rule: HttpRule) -> pb.HttpRoute.Rule:
    filters = (_http_filter(filter_) for filter_ in rule.filters)
    return pb.HttpRoute.Rule(
        matches=[to_http_route_match(match_) for match_ in rule.matches],
        filters=[filter_ for filter_ in filters if filter_ is not None],
    )


def _http_filter(filter_: HttpFilter) -> pb.HttpRoute.Filter | None:
    match filter_:
        case RequestHeaderModifier(modifier):
            return pb.HttpRoute.Filter(request_header_modifier=to_request_header_modifier(modifier))
        case RequestRedirect():
            return pb.HttpRoute.Filter(redirect=to_request_redirect(filter_))
        case ResponseHeaderModifier():
            return None  # the inbound API has no field for it
        case _:
            assert_never(filter_)


def _grpc_routes(server: InboundServer, cluster_networks: Networks) -> list[pb.GrpcRoute]:
    return [
        pb.GrpcRoute(
            metadata=to_route_metadata(route.ref),
            hosts=[to_host_match(host) for host in route.hosts],
            authorizations=_authorizations(route.authorizations, cluster_networks),
            rules=[_grpc_rule(rule) for rule in route.rules],
        )
        for route in server.grpc_routes or _GRPC_ROUTES
    ]


def _grpc_rule(rule: GrpcRule) -> pb.GrpcRoute.Rule:
    filters = (_grpc_filter(filter_) for filter_ in rule.filters)
    return pb.GrpcRoute.Rule(
        matches=[to_grpc_route_match(match_) for match_ in rule.matches],
        filters=[filter_ for filter_ in filters if filter_ is not None],
    )


def _grpc_filter(filter_: GrpcFilter) -> pb.GrpcRoute.Filter | None:
    match filter_:
        case RequestHeaderModifier(modifier):
            return pb.GrpcRoute.Filter(request_header_modifier=to_request_header_modifier(modifier))
        case ResponseHeaderModifier():
            return None  # the inbound API has no field for it
        case _:
            assert_never(filter_)


def _rate_limit(limit: RateLimit | None) -> pb.HttpLocalRateLimit | None:
    if limit is None:
        return None
    resource = Resource(group=POLICY_GROUP, kind=RATE_LIMIT_KIND, name=limit.name)
    return pb.HttpLocalRateLimit(
        metadata=Metadata(resource=resource),
        total=None if limit.total is None else _limit(limit.total),
        identity=None if limit.identity is None else _limit(limit.identity),
        overrides=[_override(override) for override in limit.overrides],
    )


def _limit(requests_per_second: int) -> pb.HttpLocalRateLimit.Limit:
    return pb.HttpLocalRateLimit.Limit(requestsPerSecond=requests_per_second)


def _override(override: RateLimitOverride) -> pb.HttpLocalRateLimit.Override:
    clients = pb.HttpLocalRateLimit.Override.ClientIdentities(
        identities=[pb.Identity(name=name) for name in override.identities]
    )
    return pb.HttpLocalRateLimit.Override(limit=_limit(override.requests_per_second), clients=clients)
