"""What clients must show: MeshTLSAuthentications and NetworkAuthentications."""

from __future__ import annotations

from controller.core.cluster import ClusterConfig
from controller.core.identity import IdentityExact, IdentityMatch
from controller.core.network import NetworkMatch
from controller.index.parse.cidr import parse_network_match
from controller.index.parse.identity import namespace_identity, parse_identity, service_account_identity
from controller.index.parse.invalid import Invalid, parse_each
from controller.k8s.policy import MeshTLSAuthentication, NetworkAuthentication
from controller.k8s.references import TargetRef


def parse_mesh_tls_authentication(resource: MeshTLSAuthentication, cluster: ClusterConfig) -> tuple[IdentityMatch, ...]:
    """Read the identities, then those that references stand for."""

    def identity_of(ref: TargetRef) -> IdentityMatch:
        if ref.targets("", "ServiceAccount"):
            namespace = ref.namespace or resource.metadata.namespace
            return IdentityExact(service_account_identity(cluster, namespace, ref.name))
        if ref.targets("", "Namespace"):
            return namespace_identity(cluster, ref.name)
        raise Invalid(f"{ref.canonical_kind} has no mesh identity")

    identities = (
        *(parse_identity(text) for text in resource.spec.identities or ()),
        *parse_each("spec.identityRefs", identity_of, resource.spec.identity_refs),
    )
    if not identities:
        raise Invalid("no identities", "spec")
    return identities


def parse_network_authentication(resource: NetworkAuthentication, _cluster: ClusterConfig) -> tuple[NetworkMatch, ...]:
    """Read the networks; there must be one."""
    networks = parse_each("spec.networks", parse_network_match, resource.spec.networks)
    if not networks:
        raise Invalid("no networks", "spec.networks")
    return networks
