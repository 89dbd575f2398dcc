"""What holds where nobody has written anything: default policies, default routes, probe routes."""

from __future__ import annotations

from typing import assert_never

from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.core.identity import IdentitySuffix
from controller.core.inbound import (
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
    TlsAuthenticated,
    Unauthenticated,
)
from controller.core.network import ALL_NETWORKS, NetworkMatch
from controller.core.routes import (
    DefaultRoute,
    GrpcMethodMatch,
    GrpcRouteMatch,
    HttpRouteMatch,
    Method,
    PathExact,
    PathPrefix,
)

DEFAULT_HTTP_ROUTE = HttpRoute(DefaultRoute("default"), rules=(HttpRule((HttpRouteMatch(PathPrefix("/")),)),))
DEFAULT_GRPC_ROUTES = (GrpcRoute(DefaultRoute("default"), rules=(GrpcRule((GrpcRouteMatch(GrpcMethodMatch()),)),)),)

ANYONE_IN_THE_MESH = TlsAuthenticated((IdentitySuffix(()),))


def default_authorizations(policy: DefaultPolicy, cluster: ClusterConfig) -> Authorizations:
    """What a default policy grants; `deny` grants nothing."""
    match policy:
        case DefaultPolicy.DENY:
            return ()
        case DefaultPolicy.ALL_AUTHENTICATED:
            client = ClientAuthorization(ALL_NETWORKS, ANYONE_IN_THE_MESH)
        case DefaultPolicy.ALL_UNAUTHENTICATED | DefaultPolicy.AUDIT:
            client = ClientAuthorization(ALL_NETWORKS, Unauthenticated())
        case DefaultPolicy.CLUSTER_AUTHENTICATED:
            client = ClientAuthorization(_cluster_networks(cluster), ANYONE_IN_THE_MESH)
        case DefaultPolicy.CLUSTER_UNAUTHENTICATED:
            client = ClientAuthorization(_cluster_networks(cluster), Unauthenticated())
        case _:
            assert_never(policy)
    return ((DefaultRef(policy.value), client),)


def _cluster_networks(cluster: ClusterConfig) -> tuple[NetworkMatch, ...]:
    return tuple([NetworkMatch(net) for net in cluster.cluster_networks])


def authenticated(policy: DefaultPolicy) -> DefaultPolicy:
    """The variant of a policy that wants an identity; `deny` and `audit` have none."""
    match policy:
        case DefaultPolicy.ALL_UNAUTHENTICATED | DefaultPolicy.ALL_AUTHENTICATED:
            return DefaultPolicy.ALL_AUTHENTICATED
        case DefaultPolicy.CLUSTER_UNAUTHENTICATED | DefaultPolicy.CLUSTER_AUTHENTICATED:
            return DefaultPolicy.CLUSTER_AUTHENTICATED
        case DefaultPolicy.DENY | DefaultPolicy.AUDIT:
            return policy
        case _:
            assert_never(policy)


def default_http_routes(probes: tuple[str, ...], cluster: ClusterConfig) -> tuple[HttpRoute, ...]:
    """The routes of a port to which no route is attached; kubelets may probe it."""
    if not probes or not cluster.probe_networks:
        return (DEFAULT_HTTP_ROUTE,)
    kubelet = ClientAuthorization(
        tuple([NetworkMatch(net) for net in cluster.probe_networks]),
        Unauthenticated(),
    )
    matches = tuple([HttpRouteMatch(PathExact(path), method=Method.GET) for path in probes])
    probe = HttpRoute(
        DefaultRoute("probe"), rules=(HttpRule(matches),), authorizations=((DefaultRef("probe"), kubelet),)
    )
    return (DEFAULT_HTTP_ROUTE, probe)


def default_server(
    policy: DefaultPolicy, *, opaque: bool, probes: tuple[str, ...], cluster: ClusterConfig
) -> InboundServer:
    """The whole policy of a port that no Server governs."""
    return InboundServer(
        reference=DefaultRef(policy.value),
        protocol=FixedProtocol.OPAQUE if opaque else DetectProtocol(cluster.detect_timeout),
        authorizations=default_authorizations(policy, cluster),
        http_routes=default_http_routes(probes, cluster),
    )
