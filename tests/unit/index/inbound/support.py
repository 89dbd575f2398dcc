"""The settings of these tests, and what their ports are told."""

from __future__ import annotations

import datetime as dt

import attrs

from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.core.identity import IdentityExact
from controller.core.inbound import (
    AuthorizationPolicyRef,
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
    PortTarget,
    ServerRef,
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
from controller.index.inbound import InboundIndex
from controller.index.parse.cidr import parse_net
from controller.k8s.events import Applied, Deleted
from controller.k8s.meta import Resource
from tests.builders import target

SECOND = dt.timedelta(seconds=1)
CLUSTER = ClusterConfig(
    control_plane_namespace="linkerd",
    identity_domain="cluster.example.com",
    cluster_networks=(parse_net("192.0.2.0/24"),),
    default_policy=DefaultPolicy.CLUSTER_UNAUTHENTICATED,
    detect_timeout=SECOND,
)
# As on a live cluster: anyone may call, and kubelets may probe from anywhere.
LIVE = ClusterConfig(
    default_policy=DefaultPolicy.ALL_UNAUTHENTICATED,
    probe_networks=(parse_net("0.0.0.0/0"), parse_net("::/0")),
)

POD_8080 = target("pod-0", 8080)

DEFAULT_HTTP = HttpRoute(DefaultRoute("default"), rules=(HttpRule((HttpRouteMatch(PathPrefix("/")),)),))
DEFAULT_GRPC = GrpcRoute(DefaultRoute("default"), rules=(GrpcRule((GrpcRouteMatch(GrpcMethodMatch()),)),))


def index_of(*resources: Resource, cluster: ClusterConfig = CLUSTER) -> InboundIndex:
    """An index that has been told of these resources, one at a time."""
    index = InboundIndex(cluster)
    apply(index, *resources)
    return index


def apply(index: InboundIndex, *resources: Resource) -> frozenset[PortTarget]:
    """The targets that changed, in whatever step."""
    return frozenset().union(*[index.apply([Applied(resource)]) for resource in resources])


def delete(index: InboundIndex, *resources: Resource) -> frozenset[PortTarget]:
    return frozenset().union(*[index.apply([Deleted(type(resource), resource.key)]) for resource in resources])


def told(index: InboundIndex, target: PortTarget = POD_8080) -> InboundServer:
    """What a proxy is told, to a question of its own and, if it watches, on its stream."""
    answer = index.lookup(target)
    assert answer is not None
    return answer.value


def networks(*cidrs: str) -> tuple[NetworkMatch, ...]:
    return tuple([NetworkMatch(parse_net(cidr)) for cidr in cidrs])


def client(*cidrs: str, identity: str | None = None) -> ClientAuthorization:
    """Clients in some networks (any, if none is named), perhaps with a certain identity."""
    return ClientAuthorization(
        networks(*cidrs) if cidrs else ALL_NETWORKS,
        Unauthenticated() if identity is None else TlsAuthenticated((IdentityExact(identity),)),
    )


def by_policy(name: str, granted: ClientAuthorization) -> Authorizations:
    return ((AuthorizationPolicyRef(name), granted),)


def probe_route(*paths: str, cidrs: tuple[str, ...] = ("0.0.0.0/0", "::/0")) -> HttpRoute:
    matches = tuple([HttpRouteMatch(PathExact(path), method=Method.GET) for path in paths])
    return HttpRoute(
        DefaultRoute("probe"),
        rules=(HttpRule(matches),),
        authorizations=((DefaultRef("probe"), client(*cidrs)),),
    )


# What holds for port 8080 of pod-0 when nobody has written anything, and when srv-8080 has been written.
DEFAULT = InboundServer(
    reference=DefaultRef("cluster-unauthenticated"),
    protocol=DetectProtocol(SECOND),
    authorizations=((DefaultRef("cluster-unauthenticated"), client("192.0.2.0/24")),),
    http_routes=(DEFAULT_HTTP,),
)
SERVER = InboundServer(
    reference=ServerRef("srv-8080"),
    protocol=FixedProtocol.HTTP1,
    http_routes=(DEFAULT_HTTP,),
    grpc_routes=(DEFAULT_GRPC,),
)


def with_(server: InboundServer, **changes: object) -> InboundServer:
    return attrs.evolve(server, **changes)
