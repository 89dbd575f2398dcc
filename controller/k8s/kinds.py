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
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP, WORKLOAD_GROUP
from controller.k8s.resource import ResourceType
from controller.k8s.workload import ExternalWorkload


@attrs.frozen
class WatchedKind:
    """A kind to follow; an optional one may be missing from the cluster, and then counts as an empty list."""

    resource: ResourceType[Resource]
    optional: bool = False


PODS = ResourceType(Pod, "", "v1", "pods", "Pod", label_selector="linkerd.io/control-plane-ns")
SERVICES = ResourceType(Service, "", "v1", "services", "Service")
EXTERNAL_WORKLOADS = ResourceType(ExternalWorkload, WORKLOAD_GROUP, "v1beta1", "externalworkloads", "ExternalWorkload")
SERVERS = ResourceType(Server, POLICY_GROUP, "v1beta3", "servers", "Server")
SERVER_AUTHORIZATIONS = ResourceType(
    ServerAuthorization, POLICY_GROUP, "v1beta1", "serverauthorizations", "ServerAuthorization"
)
AUTHORIZATION_POLICIES = ResourceType(
    AuthorizationPolicy, POLICY_GROUP, "v1alpha1", "authorizationpolicies", "AuthorizationPolicy"
)
MESH_TLS_AUTHENTICATIONS = ResourceType(
    MeshTLSAuthentication, POLICY_GROUP, "v1alpha1", "meshtlsauthentications", "MeshTLSAuthentication"
)
NETWORK_AUTHENTICATIONS = ResourceType(
    NetworkAuthentication, POLICY_GROUP, "v1alpha1", "networkauthentications", "NetworkAuthentication"
)
HTTP_LOCAL_RATE_LIMIT_POLICIES = ResourceType(
    HTTPLocalRateLimitPolicy, POLICY_GROUP, "v1alpha1", "httplocalratelimitpolicies", "HTTPLocalRateLimitPolicy"
)
EGRESS_NETWORKS = ResourceType(EgressNetwork, POLICY_GROUP, "v1alpha1", "egressnetworks", "EgressNetwork")
POLICY_HTTP_ROUTES = ResourceType(PolicyHTTPRoute, POLICY_GROUP, "v1beta3", "httproutes", "HTTPRoute")
GATEWAY_HTTP_ROUTES = ResourceType(GatewayHTTPRoute, GATEWAY_GROUP, "v1", "httproutes", "HTTPRoute")
GRPC_ROUTES = ResourceType(GRPCRoute, GATEWAY_GROUP, "v1", "grpcroutes", "GRPCRoute")
# Not v1: there every TLSRoute has hostnames, and those without exist at v1alpha2 only.
TLS_ROUTES = ResourceType(TLSRoute, GATEWAY_GROUP, "v1alpha2", "tlsroutes", "TLSRoute")
TCP_ROUTES = ResourceType(TCPRoute, GATEWAY_GROUP, "v1alpha2", "tcproutes", "TCPRoute")

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
