"""Mesh identities and default policies by name."""

from __future__ import annotations

import pytest

from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.core.identity import IdentityExact, IdentityMatch, IdentitySuffix
from controller.index.parse.defaults import parse_default_policy
from controller.index.parse.identity import namespace_identity, parse_identity, service_account_identity

CLUSTER = ClusterConfig(control_plane_namespace="l5d", identity_domain="example.com")


# inbound 1 2
@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("*", IdentitySuffix(())),
        ("*.example.com", IdentitySuffix(("example", "com"))),
        ("*.*.example.com", IdentitySuffix(("*", "example", "com"))),
        ("*.", IdentitySuffix(("",))),
        ("x.example.com", IdentityExact("x.example.com")),
        ("**.example.com", IdentityExact("**.example.com")),
        ("foo.*.example.com", IdentityExact("foo.*.example.com")),
        ("spiffe://root.example/a", IdentityExact("spiffe://root.example/a")),
        ("", IdentityExact("")),
    ],
)
def test_a_star_in_front_stands_for_any_name(text: str, match: IdentityMatch) -> None:
    """Only in front, and only as a whole label."""
    assert parse_identity(text) == match


def test_accounts_and_namespaces_have_identities() -> None:
    """Whether or not they exist."""
    assert service_account_identity(CLUSTER, "ns", "sa") == "sa.ns.serviceaccount.identity.l5d.example.com"
    suffix = ("ns", "serviceaccount", "identity", "l5d", "example", "com")
    assert namespace_identity(CLUSTER, "ns") == IdentitySuffix(suffix)


# inbound 11
@pytest.mark.parametrize("policy", DefaultPolicy)
def test_default_policies_are_found_by_their_names(policy: DefaultPolicy) -> None:
    """Each name gives its policy back."""
    assert parse_default_policy(policy.value) is policy
    assert len(DefaultPolicy) == 6
