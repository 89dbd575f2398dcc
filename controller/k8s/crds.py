"""The CustomResourceDefinitions that Trellis brings: `python -m controller.k8s.crds` prints them."""

from __future__ import annotations

from controller.k8s.custom_resource import CustomResource, JsonObject, merge_crds, to_yaml
from controller.k8s.gateway import PolicyHTTPRoute
from controller.k8s.older import (
    ExternalWorkloadV1Alpha1,
    HTTPRouteV1Alpha1,
    HTTPRouteV1Beta1,
    HTTPRouteV1Beta2,
    ServerAuthorizationV1Alpha1,
    ServerV1Alpha1,
    ServerV1Beta1,
    ServerV1Beta2,
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


def crds() -> tuple[JsonObject, ...]:
    """The definitions of Linkerd's kinds."""
    return tuple(_crd(versions) for versions in LINKERD)


def _crd(versions: tuple[type[CustomResource], ...]) -> JsonObject:
    return merge_crds([version.crd() for version in versions], stored=versions[0].definition.version)


def crds_yaml() -> str:
    """All definitions as one YAML stream, ready for `kubectl apply --server-side -f -`."""
    return to_yaml(*crds())


if __name__ == "__main__":
    print(crds_yaml(), end="")
