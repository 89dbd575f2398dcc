"""The CustomResourceDefinitions that Trellis brings."""

from __future__ import annotations

from controller.k8s.custom_resource import CustomResource, JsonObject, merge_crds, to_yaml
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.other_versions import (
    ExternalWorkloadV1Alpha1,
    GatewayHTTPRouteV1Beta1,
    HTTPRouteV1Alpha1,
    HTTPRouteV1Beta1,
    HTTPRouteV1Beta2,
    ServerAuthorizationV1Alpha1,
    ServerV1Alpha1,
    ServerV1Beta1,
    ServerV1Beta2,
    TLSRouteV1,
    TLSRouteV1Alpha3,
)
from controller.k8s.policy import (
    AuthorizationPolicy,
    EgressNetwork,
    HTTPLocalRateLimitPolicy,
    MeshTLSAuthentication,
    NetworkAuthentication,
    Server,
    ServerAuthorization,
)
from controller.k8s.workload import ExternalWorkload

# Each kind with its versions, the stored one first.
LINKERD: tuple[tuple[type[CustomResource], ...], ...] = (
    (AuthorizationPolicy,),
    (EgressNetwork,),
    (HTTPLocalRateLimitPolicy,),
    (PolicyHTTPRoute, HTTPRouteV1Beta2, HTTPRouteV1Beta1, HTTPRouteV1Alpha1),
    (MeshTLSAuthentication,),
    (NetworkAuthentication,),
    (ServerAuthorization, ServerAuthorizationV1Alpha1),
    (Server, ServerV1Beta2, ServerV1Beta1, ServerV1Alpha1),
    (ExternalWorkload, ExternalWorkloadV1Alpha1),
)


GATEWAY_API: tuple[tuple[type[CustomResource], ...], ...] = (
    (GRPCRoute,),
    (GatewayHTTPRoute, GatewayHTTPRouteV1Beta1),
    (TCPRoute,),
    # v1alpha2 is in every release of the Gateway API that has the kind, so that one of them can take over.
    (TLSRoute, TLSRouteV1, TLSRouteV1Alpha3),
)


def crds(*, gateway_api: bool = False) -> tuple[JsonObject, ...]:
    """The definitions of Linkerd's kinds, and on request stand-ins for the routes of the Gateway API."""
    return tuple(_crd(versions) for versions in (*LINKERD, *(GATEWAY_API if gateway_api else ())))


def _crd(versions: tuple[type[CustomResource], ...]) -> JsonObject:
    return merge_crds([version.crd() for version in versions], stored=versions[0].definition.version)


def crds_yaml(*, gateway_api: bool = False) -> str:
    """All definitions as one YAML stream, ready for `kubectl apply --server-side -f -`."""
    return to_yaml(*crds(gateway_api=gateway_api))
