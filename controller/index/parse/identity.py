"""Mesh identities: of the clients that a resource names, and of service accounts."""

from __future__ import annotations

from controller.core.cluster import ClusterConfig
from controller.core.identity import IdentityExact, IdentityMatch, IdentitySuffix


def parse_identity(text: str) -> IdentityMatch:
    """Read `*` (anyone in the mesh), `*.suffix`, or one identity. Every text means something."""
    if text == "*":
        return IdentitySuffix(())
    if text.startswith("*."):
        return IdentitySuffix(tuple(text[2:].split(".")))
    return IdentityExact(text)


def service_account_identity(cluster: ClusterConfig, namespace: str, name: str) -> str:
    """The identity of pods that run as a service account, whether or not it exists."""
    return f"{name}.{namespace}.{_tail(cluster)}"


def namespace_identity(cluster: ClusterConfig, namespace: str) -> IdentityMatch:
    """The identities of all service accounts in a namespace."""
    return parse_identity(f"*.{namespace}.{_tail(cluster)}")


def _tail(cluster: ClusterConfig) -> str:
    return f"serviceaccount.identity.{cluster.control_plane_namespace}.{cluster.identity_domain}"
