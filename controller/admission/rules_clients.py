"""Rules for who may call: AuthorizationPolicies, ServerAuthorizations, MeshTLSAuthentications."""

from __future__ import annotations

from collections.abc import Iterator

from controller.admission.findings import Finding, check, check_each, each, warning
from controller.admission.identity_syntax import check_identity
from controller.admission.rules_networks import exceptions_fit
from controller.core.cluster import ClusterConfig
from controller.index.parse.authorizations import parse_policy_target, parse_server_authorization
from controller.index.parse.invalid import Invalid
from controller.k8s.policy import AuthorizationPolicy, MeshTLSAuthentication, ServerAuthorization
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP, TargetRef

_REFS = "spec.requiredAuthenticationRefs"
_TARGETS = f"Server or HTTPRoute of {POLICY_GROUP}, HTTPRoute or GRPCRoute of {GATEWAY_GROUP}, or Namespace"
_ANY_CLUSTER = ClusterConfig()

# AuthorizationPolicy


def target_is_supported(resource: AuthorizationPolicy) -> Iterator[Finding]:
    for finding in check("spec.targetRef", parse_policy_target, resource.spec.target_ref):
        yield Finding(finding.path, f"{finding.message} (use {_TARGETS})")


def target_namespace_is_own(resource: AuthorizationPolicy) -> Iterator[Finding]:
    ref, own = resource.spec.target_ref, resource.metadata.namespace
    if ref.targets("", "Namespace") and ref.name != own:
        yield Finding("spec.targetRef.name", f"cannot target another namespace: {ref.name} (the policy is in {own!r})")


def authentications_can_be_met(resource: AuthorizationPolicy) -> Iterator[Finding]:
    """At most one identity and one set of networks: no client is two at once."""
    mesh = accounts = networks = 0
    for i, ref in enumerate(resource.spec.required_authentication_refs):
        if ref.targets(POLICY_GROUP, "MeshTLSAuthentication"):
            mesh += 1
            count, what, others = mesh, "MeshTLSAuthentication", accounts and "ServiceAccount"
        elif ref.targets("", "ServiceAccount"):
            accounts += 1
            count, what, others = accounts, "ServiceAccount", mesh and "MeshTLSAuthentication"
        elif ref.targets(POLICY_GROUP, "NetworkAuthentication"):
            networks += 1
            count, what, others = networks, "NetworkAuthentication", 0
        else:
            yield Finding(f"{_REFS}[{i}]", _unsupported(ref))
            continue
        if count > 1:
            yield Finding(f"{_REFS}[{i}]", f"only one {what} may be required")
        elif others:
            yield Finding(f"{_REFS}[{i}]", f"a {what} cannot be required together with a {others}")


def _unsupported(ref: TargetRef) -> str:
    return (
        f"{ref.canonical_kind} is not an authentication (use MeshTLSAuthentication or NetworkAuthentication of "
        f"{POLICY_GROUP}, or ServiceAccount)"
    )


# ServerAuthorization


def client_is_either(resource: ServerAuthorization) -> Iterator[Finding]:
    client = resource.spec.client
    tls = client.mesh_tls
    if tls is None:
        return
    if client.unauthenticated:
        yield Finding("spec.client", "unauthenticated and meshTLS exclude each other")
    if tls.unauthenticated_tls and (tls.identities or tls.service_accounts):
        yield Finding(
            "spec.client.meshTLS", "unauthenticatedTLS excludes identities and serviceAccounts: it lets in any of them"
        )


def client_exceptions_fit(resource: ServerAuthorization) -> Iterator[Finding]:
    return each("spec.client.networks", exceptions_fit, resource.spec.client.networks)


def client_is_somebody(resource: ServerAuthorization) -> Iterator[Finding]:
    try:
        parse_server_authorization(resource, _ANY_CLUSTER)
    except Invalid as invalid:
        yield warning(invalid.path, f"{invalid.reason}: nobody is authorized, and this object is not followed")


# MeshTLSAuthentication


def identities_are_well_formed(resource: MeshTLSAuthentication) -> Iterator[Finding]:
    return check_each("spec.identities", check_identity, resource.spec.identities)


def identity_refs_are_supported(resource: MeshTLSAuthentication) -> Iterator[Finding]:
    return each("spec.identityRefs", _identity_ref, resource.spec.identity_refs)


def _identity_ref(path: str, ref: TargetRef) -> Iterator[Finding]:
    if ref.targets("", "Namespace"):
        if ref.namespace is not None:
            yield Finding(f"{path}.namespace", "a Namespace is in no namespace: leave this out")
    elif not ref.targets("", "ServiceAccount"):
        yield Finding(path, f"{ref.canonical_kind} has no mesh identity (use ServiceAccount or Namespace)")
