"""Who may call: ServerAuthorizations and AuthorizationPolicies."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from controller.core.cluster import ClusterConfig
from controller.core.identity import IdentityExact
from controller.core.inbound import (
    Authentication,
    ClientAuthorization,
    TlsAuthenticated,
    TlsUnauthenticated,
    Unauthenticated,
)
from controller.index.parse.cidr import parse_network_match
from controller.index.parse.identity import parse_identity, service_account_identity
from controller.index.parse.invalid import Invalid, parse_each, parse_field
from controller.k8s.meta import ObjectKey
from controller.k8s.policy import (
    AuthorizationPolicy,
    MeshTls,
    ServerAuthorization,
    ServerAuthorizationClient,
    ServiceAccountRef,
)
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP, TargetRef
from controller.k8s.selectors import LabelSelector


@attrs.frozen
class ServerAuthorizationForm:
    """A ServerAuthorization as the index keeps it: for a Server by name, or for those with matching labels."""

    servers: str | LabelSelector
    authorization: ClientAuthorization


@attrs.frozen
class ServerTarget:
    name: str


@attrs.frozen
class NamespaceTarget:
    """Every Server of the policy's own namespace, whatever namespace it names."""


@attrs.frozen
class RouteTarget:
    """A route; all in lower case, because references to routes are compared without regard to it."""

    group: str
    kind: str
    name: str

    @classmethod
    def of(cls, group: str, kind: str, name: str) -> RouteTarget:
        return cls(group.lower(), kind.lower(), name.lower())


PolicyTarget: TypeAlias = ServerTarget | NamespaceTarget | RouteTarget

EVERY_SERVER = NamespaceTarget()


@attrs.frozen
class AuthenticationKey:
    """Which authentication object a policy requires."""

    kind: Literal["MeshTLSAuthentication", "NetworkAuthentication"]
    key: ObjectKey


@attrs.frozen
class AuthorizationPolicyForm:
    """An AuthorizationPolicy as the index keeps it; its authentications are looked up later.

    A policy that requires two identities, or two sets of networks, can be met by nobody: it is `contradictory` and
    grants nothing.
    """

    target: PolicyTarget
    identity: AuthenticationKey | IdentityExact | None = None
    networks: AuthenticationKey | None = None
    contradictory: bool = False

    @property
    def requires(self) -> tuple[AuthenticationKey, ...]:
        """The authentication objects that its meaning depends on."""
        return tuple([ref for ref in (self.identity, self.networks) if isinstance(ref, AuthenticationKey)])


def parse_server_authorization(resource: ServerAuthorization, cluster: ClusterConfig) -> ServerAuthorizationForm:
    server, client = resource.spec.server, resource.spec.client
    authentication = parse_field(
        "spec.client", lambda spec: _parse_client(spec, cluster, resource.metadata.namespace), client
    )
    networks = parse_each("spec.client.networks", parse_network_match, client.networks)
    return ServerAuthorizationForm(
        servers=server.name if server.name is not None else server.selector or LabelSelector(),
        authorization=ClientAuthorization(networks, authentication),
    )


def _parse_client(client: ServerAuthorizationClient, cluster: ClusterConfig, namespace: str) -> Authentication:
    if client.unauthenticated:
        return Unauthenticated()
    if client.mesh_tls is None:
        raise Invalid("no client authentication")
    return parse_field("meshTLS", lambda tls: _parse_mesh_tls(tls, cluster, namespace), client.mesh_tls)


def _parse_mesh_tls(tls: MeshTls, cluster: ClusterConfig, namespace: str) -> Authentication:
    if tls.unauthenticated_tls:
        return TlsUnauthenticated()

    def identity_of(ref: ServiceAccountRef) -> IdentityExact:
        return IdentityExact(service_account_identity(cluster, ref.namespace or namespace, ref.name))

    identities = (
        *(parse_identity(text) for text in tls.identities or ()),
        *(identity_of(ref) for ref in tls.service_accounts or ()),
    )
    if not identities:
        raise Invalid("no identities and no service accounts")
    return TlsAuthenticated(identities)


_ROUTES = ((POLICY_GROUP, "HTTPRoute"), (GATEWAY_GROUP, "HTTPRoute"), (GATEWAY_GROUP, "GRPCRoute"))


def parse_policy_target(ref: TargetRef) -> PolicyTarget:
    """Read what an AuthorizationPolicy is about."""
    if ref.targets(POLICY_GROUP, "Server"):
        return ServerTarget(ref.name)
    if ref.targets("", "Namespace"):
        return EVERY_SERVER
    for group, kind in _ROUTES:
        if ref.targets(group, kind):
            return RouteTarget.of(group, kind, ref.name)
    raise Invalid(f"{ref.canonical_kind} cannot be the target of an AuthorizationPolicy")


def parse_authorization_policy(resource: AuthorizationPolicy, cluster: ClusterConfig) -> AuthorizationPolicyForm:
    identities: list[AuthenticationKey | IdentityExact] = []
    networks: list[AuthenticationKey] = []

    def sort_in(ref: TargetRef) -> None:
        namespace = ref.namespace or resource.metadata.namespace
        if ref.targets(POLICY_GROUP, "MeshTLSAuthentication"):
            identities.append(AuthenticationKey("MeshTLSAuthentication", ObjectKey(namespace, ref.name)))
        elif ref.targets(POLICY_GROUP, "NetworkAuthentication"):
            networks.append(AuthenticationKey("NetworkAuthentication", ObjectKey(namespace, ref.name)))
        elif ref.targets("", "ServiceAccount"):
            identities.append(IdentityExact(service_account_identity(cluster, namespace, ref.name)))
        else:
            raise Invalid(f"{ref.canonical_kind} is not an authentication")

    target = parse_field("spec.targetRef", parse_policy_target, resource.spec.target_ref)
    parse_each("spec.requiredAuthenticationRefs", sort_in, resource.spec.required_authentication_refs)
    return AuthorizationPolicyForm(
        target=target,
        identity=identities[0] if identities else None,
        networks=networks[0] if networks else None,
        contradictory=len(identities) > 1 or len(networks) > 1,
    )
