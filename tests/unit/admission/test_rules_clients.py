"""Rules for AuthorizationPolicies, ServerAuthorizations and MeshTLSAuthentications."""

from __future__ import annotations

from typing import Any

import pytest

from .reviews import GATEWAY, POLICY, admitted, denial, warned

SERVER = {"group": POLICY, "kind": "Server", "name": "web"}
MESH = {"group": POLICY, "kind": "MeshTLSAuthentication", "name": "mesh"}
NETWORK = {"group": POLICY, "kind": "NetworkAuthentication", "name": "nets"}
ACCOUNT = {"kind": "ServiceAccount", "name": "web"}
REFS = "spec.requiredAuthenticationRefs"


def policy(target: Any, *refs: Any) -> Any:
    return {"targetRef": target, "requiredAuthenticationRefs": list(refs)}


# AuthorizationPolicy


@pytest.mark.parametrize(
    ("target", "refs"),
    [
        (SERVER, [MESH, NETWORK | {"namespace": "other"}]),  # status 125
        ({"kind": "Namespace", "name": "ns-0"}, [MESH]),  # status 126
        ({"group": POLICY, "kind": "HttpRoute", "name": "web"}, [MESH]),  # status 128
        (SERVER, [MESH]),  # status 129
        (SERVER, [NETWORK]),  # status 130
        (SERVER, []),  # status 131
        (SERVER, [ACCOUNT, NETWORK]),
        ({"group": "core", "kind": "namespace", "name": "ns-0"}, []),
        ({"group": GATEWAY, "kind": "HTTPRoute", "name": "web"}, []),
        ({"group": GATEWAY, "kind": "GRPCRoute", "name": "web"}, []),
        ({"group": POLICY.upper(), "kind": "SERVER", "name": "web"}, [MESH | {"kind": "meshtlsauthentication"}]),
    ],
)
def test_an_authorization_policy_may(target: Any, refs: Any) -> None:  # inbound 81
    """Targets are Servers, routes and the own Namespace; case does not count, and no referent needs to exist."""
    assert admitted("AuthorizationPolicy", policy(target, *refs))


@pytest.mark.parametrize(
    ("target", "refs", "where", "why"),
    [
        ({"kind": "Namespace", "name": "foobar"}, [], "spec.targetRef.name", "another namespace"),  # status 127
        ({"group": "apps", "kind": "Deployment", "name": "a"}, [], "spec.targetRef", "Deployment.apps"),  # status 133
        (SERVER, [MESH, MESH], f"{REFS}[1]", "only one MeshTLSAuthentication"),  # status 134
        (SERVER, [NETWORK, NETWORK], f"{REFS}[1]", "only one NetworkAuthentication"),  # status 135
        (SERVER, [ACCOUNT, ACCOUNT], f"{REFS}[1]", "only one ServiceAccount"),
        (SERVER, [MESH, NETWORK, ACCOUNT], f"{REFS}[2]", "together with a MeshTLSAuthentication"),
        (SERVER, [ACCOUNT, MESH], f"{REFS}[1]", "together with a ServiceAccount"),
        (SERVER, [SERVER], f"{REFS}[0]", "Server.policy.linkerd.io is not an authentication"),
        (SERVER, [MESH | {"group": ""}], f"{REFS}[0]", "MeshTLSAuthentication is not an authentication"),
        ({"group": POLICY, "kind": "EgressNetwork", "name": "a"}, [], "spec.targetRef", "EgressNetwork"),
        ({"group": GATEWAY, "kind": "TCPRoute", "name": "a"}, [], "spec.targetRef", "TCPRoute"),
        ({"kind": "Server", "name": "web"}, [], "spec.targetRef", "use Server or HTTPRoute of policy.linkerd.io"),
    ],
)
def test_an_authorization_policy_may_not(target: Any, refs: Any, where: str, why: str) -> None:  # inbound 81
    """Nobody can be two clients at once, and only some kinds can be a target or an authentication."""
    (finding,) = denial("AuthorizationPolicy", policy(target, *refs))

    assert finding.startswith(f"{where}: ")
    assert why in finding


def test_the_namespace_of_a_policy_is_the_one_in_its_metadata() -> None:
    """An object without a namespace is in the empty one."""
    spec = policy({"kind": "Namespace", "name": "ns-1"})

    assert admitted("AuthorizationPolicy", spec, metadata={"name": "x", "namespace": "ns-1"})
    assert denial("AuthorizationPolicy", spec, metadata={"name": "x"})
    assert denial("AuthorizationPolicy", spec, metadata={"name": "x", "namespace": None})


def test_all_findings_come_at_once() -> None:
    """In the order of the rules, each with its path."""
    spec = policy({"kind": "Pod", "name": "a"}, MESH, SERVER, MESH, ACCOUNT)

    paths = [finding.partition(": ")[0] for finding in denial("AuthorizationPolicy", spec) if ": " in finding]
    assert paths == ["spec.targetRef", f"{REFS}[1]", f"{REFS}[2]", f"{REFS}[3]"]


# ServerAuthorization


def authorization(**client: Any) -> Any:
    return {"server": {"name": "web"}, "client": client}


@pytest.mark.parametrize(
    "client",
    [
        {  # status 176
            "unauthenticated": True,
            "networks": [{"cidr": "10.1.0.0/24"}, {"cidr": "10.1.1.0/24", "except": ["10.1.1.0/28"]}],
        },
        {  # status 180
            "unauthenticated": True,
            "networks": [{"cidr": "10.1.0.2"}, {"cidr": "10.1.1.0/24", "except": ["10.1.1.3"]}],
        },
        {"unauthenticated": True, "networks": []},
        {"meshTLS": {"unauthenticatedTLS": True}},
        {"meshTLS": {"unauthenticatedTLS": True, "identities": [], "serviceAccounts": []}},
        {"meshTLS": {"identities": ["whatever it is"]}, "unauthenticated": False},
        {"meshTLS": {"serviceAccounts": [{"name": "a", "namespace": None}]}},
    ],
)
def test_a_server_authorization_may(client: Any) -> None:  # inbound 83
    """Clients are anybody, anybody with TLS, or some; the form of identities is the schema's affair."""
    assert admitted("ServerAuthorization", authorization(**client))


@pytest.mark.parametrize(
    ("client", "where", "why"),
    [
        (  # status 177
            {"unauthenticated": True, "networks": [{"cidr": "10.1.1.0/24", "except": ["10.1.0.0/16"]}]},
            "spec.client.networks[0].except[0]",
            "leaves nothing",
        ),
        (
            {"unauthenticated": True, "meshTLS": {"identities": ["*"]}},
            "spec.client",
            "exclude each other",
        ),  # status 178
        (  # status 179
            {"meshTLS": {"unauthenticatedTLS": True, "identities": ["*"]}},
            "spec.client.meshTLS",
            "unauthenticatedTLS excludes identities",
        ),
        (
            {"meshTLS": {"unauthenticatedTLS": True, "serviceAccounts": [{"name": "a"}]}},
            "spec.client.meshTLS",
            "unauthenticatedTLS excludes identities",
        ),
        (  # status 181
            {"unauthenticated": True, "networks": [{"cidr": "10.1.1.0/24", "except": ["10.1.2.0/24"]}]},
            "spec.client.networks[0].except[0]",
            "not inside",
        ),
        (  # status 182
            {"unauthenticated": True, "networks": [{"cidr": "bogus"}]},
            "spec.client.networks[0]",
            "'bogus' is neither an address nor a CIDR",
        ),
        ({"unauthenticated": None}, "spec.client.unauthenticated", "Expected true or false, got null"),
        (
            {"meshTLS": {"unauthenticatedTLS": None}},
            "spec.client.meshTLS.unauthenticatedTLS",
            "Expected true or false, got null",
        ),
    ],
)
def test_a_server_authorization_may_not(client: Any, where: str, why: str) -> None:  # inbound 83
    """What excludes each other, and exceptions that are none."""
    (finding,) = denial("ServerAuthorization", authorization(**client))

    assert finding.startswith(f"{where}: ")
    assert why in finding


@pytest.mark.parametrize(
    ("client", "where"),
    [({}, "spec.client"), ({"meshTLS": {}}, "spec.client.meshTLS"), ({"meshTLS": {"identities": []}}, "spec.client")],
)
def test_a_server_authorization_for_nobody_is_told_so(client: Any, where: str) -> None:
    """It is let in, as upstream lets it in, and has no effect."""
    (warning,) = warned("ServerAuthorization", authorization(**client))

    assert warning.startswith(where)
    assert "nobody is authorized" in warning


# MeshTLSAuthentication


@pytest.mark.parametrize(
    "spec",
    [
        {"identityRefs": [{"kind": "ServiceAccount", "name": "a"}]},  # status 160
        {"identityRefs": [{"kind": "Namespace", "name": "a"}]},  # status 161
        {"identities": ["example.id"]},  # status 163
        {"identityRefs": [{"group": "core", "kind": "serviceaccount", "name": "a", "namespace": "b"}]},
        {},  # the schema's affair: status 164, 165
        {"identities": ["*"], "identityRefs": [{"kind": "Namespace", "name": "a"}]},
    ],
)
def test_a_mesh_tls_authentication_may(spec: Any) -> None:  # inbound 84
    """Identities are listed or stand behind ServiceAccounts and Namespaces."""
    assert admitted("MeshTLSAuthentication", spec)


@pytest.mark.parametrize(
    ("spec", "where", "why"),
    [
        (  # status 162
            {"identityRefs": [{"kind": "Namespace", "name": "a", "namespace": "b"}]},
            "spec.identityRefs[0].namespace",
            "leave this out",
        ),
        ({"identityRefs": [{"kind": "Pod", "name": "a"}]}, "spec.identityRefs[0]", "Pod has no mesh identity"),
        ({"identityRefs": [{"kind": "Namespace"}]}, "spec.identityRefs[0].name", "must be set"),
        ({"identities": ["a.b", "a..b"]}, "spec.identities[1]", "is not an identity"),
    ],
)
def test_a_mesh_tls_authentication_may_not(spec: Any, where: str, why: str) -> None:  # inbound 84
    """A Namespace is in no namespace, other kinds have no identity, and identities have a form."""
    (finding,) = denial("MeshTLSAuthentication", spec)

    assert finding.startswith(f"{where}: ")
    assert why in finding
