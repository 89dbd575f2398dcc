"""The kinds that are watched, and where they are found."""

from __future__ import annotations

from controller.k8s.gateway import TLSRoute
from controller.k8s.kinds import TLS_ROUTES, WATCHED

POLICY = "/apis/policy.linkerd.io"
GATEWAY = "/apis/gateway.networking.k8s.io"


def test_the_kinds_are_watched_in_their_order_at_their_versions() -> None:  # status 3.5, 3.6
    """Pods of the mesh only; routes may be unknown to the cluster."""
    assert [(kind.resource.api_path, kind.resource.label_selector, kind.optional) for kind in WATCHED] == [
        ("/api/v1/pods", "linkerd.io/control-plane-ns", False),
        ("/apis/workload.linkerd.io/v1beta1/externalworkloads", "", False),
        (f"{POLICY}/v1beta3/servers", "", False),
        (f"{POLICY}/v1beta1/serverauthorizations", "", False),
        (f"{POLICY}/v1alpha1/authorizationpolicies", "", False),
        (f"{POLICY}/v1alpha1/meshtlsauthentications", "", False),
        (f"{POLICY}/v1alpha1/networkauthentications", "", False),
        (f"{POLICY}/v1alpha1/httplocalratelimitpolicies", "", False),
        (f"{POLICY}/v1beta3/httproutes", "", True),
        (f"{GATEWAY}/v1/httproutes", "", True),
        (f"{GATEWAY}/v1/grpcroutes", "", True),
        (f"{GATEWAY}/v1alpha2/tlsroutes", "", True),
        (f"{GATEWAY}/v1alpha2/tcproutes", "", True),
        ("/api/v1/services", "", False),
        (f"{POLICY}/v1alpha1/egressnetworks", "", False),
    ]
    assert all(kind.resource.namespaced for kind in WATCHED)


def test_a_tls_route_is_read_as_v1alpha2() -> None:  # status 120
    """There it may lack hostnames."""
    assert TLS_ROUTES.api_version == "gateway.networking.k8s.io/v1alpha2"
    assert repr(TLS_ROUTES) == "<ResourceType gateway.networking.k8s.io/v1alpha2 TLSRoute>"


def test_kinds_are_values() -> None:
    """Two descriptions of one kind are equal, and one can be a key."""
    assert {TLSRoute.resource_type(), TLS_ROUTES} == {TLS_ROUTES}
    assert WATCHED[0].resource.api_version == "v1"
