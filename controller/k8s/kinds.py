"""Which kinds the controller follows, in the order in which it starts to."""

from __future__ import annotations

import attrs

from controller.k8s.builtin import Pod, Service
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.meta import Resource
from controller.k8s.policy import (
    AuthorizationPolicy,
    EgressNetwork,
    HTTPLocalRateLimitPolicy,
    MeshTLSAuthentication,
    NetworkAuthentication,
    Server,
    ServerAuthorization,
)
from controller.k8s.resource import ResourceType
from controller.k8s.workload import ExternalWorkload


@attrs.frozen
class WatchedKind:
    """A kind to follow; an optional one may be missing from the cluster, and then counts as an empty list."""

    resource: ResourceType[Resource]
    optional: bool = False


PODS = ResourceType(Pod, "", "v1", "pods", "Pod", label_selector="linkerd.io/control-plane-ns")
SERVICES = ResourceType(Service, "", "v1", "services", "Service")
EXTERNAL_WORKLOADS = ExternalWorkload.resource_type()
SERVERS = Server.resource_type()
SERVER_AUTHORIZATIONS = ServerAuthorization.resource_type()
AUTHORIZATION_POLICIES = AuthorizationPolicy.resource_type()
MESH_TLS_AUTHENTICATIONS = MeshTLSAuthentication.resource_type()
NETWORK_AUTHENTICATIONS = NetworkAuthentication.resource_type()
HTTP_LOCAL_RATE_LIMIT_POLICIES = HTTPLocalRateLimitPolicy.resource_type()
EGRESS_NETWORKS = EgressNetwork.resource_type()
POLICY_HTTP_ROUTES = PolicyHTTPRoute.resource_type()
GATEWAY_HTTP_ROUTES = GatewayHTTPRoute.resource_type()
GRPC_ROUTES = GRPCRoute.resource_type()
# v1alpha2, not v1: there every TLSRoute has hostnames, and those without exist at v1alpha2 only.
TLS_ROUTES = TLSRoute.resource_type()
TCP_ROUTES = TCPRoute.resource_type()

WATCHED: tuple[WatchedKind, ...] = (
    WatchedKind(PODS),
    WatchedKind(EXTERNAL_WORKLOADS),
    WatchedKind(SERVERS),
    WatchedKind(SERVER_AUTHORIZATIONS),
    WatchedKind(AUTHORIZATION_POLICIES),
    WatchedKind(MESH_TLS_AUTHENTICATIONS),
    WatchedKind(NETWORK_AUTHENTICATIONS),
    WatchedKind(HTTP_LOCAL_RATE_LIMIT_POLICIES),
    WatchedKind(POLICY_HTTP_ROUTES, optional=True),
    WatchedKind(GATEWAY_HTTP_ROUTES, optional=True),
    WatchedKind(GRPC_ROUTES, optional=True),
    WatchedKind(TLS_ROUTES, optional=True),
    WatchedKind(TCP_ROUTES, optional=True),
    WatchedKind(SERVICES),
    WatchedKind(EGRESS_NETWORKS),
)
