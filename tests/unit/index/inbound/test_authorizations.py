"""Who may call: ServerAuthorizations, AuthorizationPolicies and what they require."""

from __future__ import annotations

import pytest

from controller.core.identity import IdentityExact, IdentityMatch, IdentitySuffix
from controller.core.inbound import (
    AuthorizationPolicyRef,
    ClientAuthorization,
    ServerAuthorizationRef,
    TlsAuthenticated,
    TlsUnauthenticated,
    Unauthenticated,
)
from controller.core.network import ALL_NETWORKS, NetworkMatch
from controller.index.parse.cidr import parse_net
from controller.k8s.events import Applied, Reset
from controller.k8s.meta import ObjectKey
from controller.k8s.policy import MeshTLSAuthentication, NetworkAuthentication
from tests.builders import (
    EVERYONE,
    Object,
    authorization_policy,
    mesh_tls,
    network,
    network_authentication,
    pod,
    ref,
    selector,
    server,
    server_authorization,
    target,
)
from tests.unit.index.inbound.support import (
    LIVE,
    POD_8080,
    SERVER,
    apply,
    by_policy,
    client,
    delete,
    index_of,
    networks,
    told,
    with_,
)

SA_FOO = "foo.ns-0.serviceaccount.identity.linkerd.cluster.example.com"


def _watched(*resources: object) -> object:
    index = index_of(pod(), server(labels={"app": "app-0"}), *resources)
    index.watch(POD_8080)
    return index


# inbound 28 29
@pytest.mark.parametrize("which", [{"server": "srv-8080"}, {"selects": selector({"app": "app-0"})}])
def test_a_server_authorization_finds_its_server(which: dict[str, object]) -> None:
    """By name or by the labels of the Server, it lets in and changes nothing else."""
    index = _watched()
    authorization = server_authorization(
        networks=[network("10.0.0.0/8")],
        mesh_tls={"identities": ["foo.bar"]},
        **which,
    )

    assert apply(index, authorization) == {POD_8080}

    granted = client("10.0.0.0/8", identity="foo.bar")
    assert told(index) == with_(SERVER, authorizations=((ServerAuthorizationRef("authz-foo"), granted),))
    assert delete(index, authorization) == {POD_8080}
    assert told(index) == SERVER


# inbound 105
def test_the_name_of_a_server_beats_a_selector() -> None:
    """A ServerAuthorization with both goes by the name."""
    both = server_authorization(server="other", selects=selector(), unauthenticated=True)

    assert told(_watched(both)) == SERVER


# inbound 105
def test_a_server_authorization_without_either_is_for_all_servers() -> None:
    """Neither name nor selector: every Server in the namespace."""
    index = _watched(server("srv-9090", 9090), server_authorization(unauthenticated=True))

    for number in (8080, 9090):
        assert told(index, target(port=number)).authorizations == (
            (ServerAuthorizationRef("authz-foo"), ClientAuthorization((), Unauthenticated())),
        )


def test_a_selector_follows_the_labels_of_the_server() -> None:
    """When the labels of a Server change, other authorizations are for it."""
    index = _watched(server_authorization(selects=selector({"app": "app-0"}), unauthenticated=True))

    assert apply(index, server(labels={"app": "other"})) == {POD_8080}

    assert told(index) == SERVER


# inbound 104 105
@pytest.mark.parametrize(
    ("given", "authentication"),
    [
        ({"unauthenticated": True}, Unauthenticated()),
        ({"mesh_tls": {"unauthenticatedTLS": True, "identities": ["ignored"]}}, TlsUnauthenticated()),
        (
            {"mesh_tls": {"identities": ["*", "*.ns.x", "a"], "serviceAccounts": [{"name": "foo"}]}},
            TlsAuthenticated(
                (IdentitySuffix(()), IdentitySuffix(("ns", "x")), IdentityExact("a"), IdentityExact(SA_FOO))
            ),
        ),
        (
            {"mesh_tls": {"serviceAccounts": [{"name": "foo", "namespace": "ns-9"}]}},
            TlsAuthenticated((IdentityExact("foo.ns-9.serviceaccount.identity.linkerd.cluster.example.com"),)),
        ),
    ],
)
def test_what_a_server_authorization_asks_of_clients(given: dict[str, object], authentication: object) -> None:
    """No TLS, any TLS, or one of some identities; without networks the model says none."""
    index = _watched(server_authorization(server="srv-8080", **given))

    assert told(index).authorizations == (
        (ServerAuthorizationRef("authz-foo"), ClientAuthorization((), authentication)),
    )


# inbound 104
def test_networks_keep_their_exceptions_and_host_bits() -> None:
    """A literal address is a block of its own; exceptions stay in order."""
    nets = [network("10.0.0.1/8", "10.1.0.0/16", "10.2.3.4"), network("fd00::1")]
    index = _watched(server_authorization(server="srv-8080", unauthenticated=True, networks=nets))

    ((_, granted),) = told(index).authorizations
    assert granted.networks == (
        NetworkMatch(parse_net("10.0.0.1/8"), (parse_net("10.1.0.0/16"), parse_net("10.2.3.4/32"))),
        NetworkMatch(parse_net("fd00::1/128")),
    )


# inbound 30 31
@pytest.mark.parametrize("about", [ref("Server", "srv-8080"), ref("Namespace", "ns-0", group="core")])
def test_a_policy_waits_for_what_it_requires(about: Object) -> None:
    """The policy lets in once its network and its identity exist, wherever they are."""
    refs = ref("NetworkAuthentication", "net-foo"), ref("MeshTLSAuthentication", "mtls-bar", namespace="ns-1")
    index = _watched(authorization_policy("authz-foo", about, *refs))
    assert told(index) == SERVER

    assert apply(index, network_authentication("net-foo", "10.0.0.0/8")) == frozenset()
    assert apply(index, mesh_tls("mtls-bar", "foo.bar", namespace="ns-1")) == {POD_8080}

    granted = client("10.0.0.0/8", identity="foo.bar")
    assert told(index) == with_(SERVER, authorizations=by_policy("authz-foo", granted))


# inbound 32
def test_a_policy_may_require_a_service_account() -> None:
    """A service account is an identity; it need not exist."""
    refs = ref("NetworkAuthentication", "net-foo"), ref("ServiceAccount", "foo")
    index = _watched(network_authentication("net-foo", "10.0.0.0/8"), authorization_policy("authz-foo", None, *refs))

    assert told(index).authorizations == by_policy("authz-foo", client("10.0.0.0/8", identity=SA_FOO))


# inbound 60 47
def test_a_policy_that_requires_nothing_lets_everyone_in() -> None:
    """An empty list of requirements is met by all, from anywhere; the kind's case does not count."""
    index = _watched()

    assert apply(index, authorization_policy("all", {**ref("Server", "srv-8080"), "kind": "server"})) == {POD_8080}

    assert told(index).authorizations == by_policy("all", ClientAuthorization(ALL_NETWORKS, Unauthenticated()))


# inbound 49
def test_a_network_alone_lets_in_without_identity() -> None:
    """A policy that only requires networks asks for no TLS."""
    index = _watched(
        network_authentication("all-admin", *EVERYONE),
        authorization_policy("all-admin", None, ref("NetworkAuthentication", "all-admin")),
    )

    assert told(index).authorizations == by_policy("all-admin", client(*EVERYONE))


def test_a_namespace_policy_is_for_every_server_and_no_other_port() -> None:
    """Whatever namespace it names, it means its own, and it does not reach ports without a Server."""
    index = _watched(server("srv-9090", 9090), authorization_policy("all", ref("Namespace", "elsewhere")))

    assert told(index).authorizations == told(index, target(port=9090)).authorizations == by_policy("all", client())
    assert told(index, target(port=7070)).reference.name == "cluster-unauthenticated"
    assert len(told(index, target(port=7070)).authorizations) == 1


def test_a_policy_may_change_its_target() -> None:
    """The Server it leaves and the one it goes to both hear of it."""
    index = _watched(server("srv-9090", 9090), authorization_policy("all"))
    index.watch(target(port=9090))

    assert apply(index, authorization_policy("all", ref("Server", "srv-9090"))) == {POD_8080, target(port=9090)}

    assert told(index) == SERVER


# inbound 106
@pytest.mark.parametrize(
    "refs",
    [
        (ref("ServiceAccount", "a"), ref("ServiceAccount", "b")),
        (ref("ServiceAccount", "a"), ref("MeshTLSAuthentication", "mtls-bar")),
        (ref("MeshTLSAuthentication", "mtls-bar"), ref("MeshTLSAuthentication", "mtls-bar")),
        (ref("NetworkAuthentication", "net-foo"), ref("NetworkAuthentication", "net-foo")),
    ],
)
def test_a_policy_that_nobody_can_meet_grants_nothing(refs: tuple[Object, ...]) -> None:
    """Two identities or two sets of networks in one policy: it is ignored."""
    index = _watched(
        mesh_tls("mtls-bar", "x"),
        network_authentication("net-foo", "10.0.0.0/8"),
        authorization_policy("authz-foo", None, *refs),
    )

    assert told(index) == SERVER


# inbound 38 106
@pytest.mark.parametrize("kind", ["mesh", "network"])
def test_a_policy_stops_when_its_requirement_goes(kind: str) -> None:
    """Without the authentication object the policy lets nobody in, and again when it is back."""
    required = mesh_tls("auth", "foo.bar") if kind == "mesh" else network_authentication("auth", "10.0.0.0/8")
    index = _watched(authorization_policy("authz-foo", None, ref(type(required).__name__, "auth")), required)
    before = told(index)
    assert before.authorizations

    assert delete(index, required) == {POD_8080}
    assert told(index) == SERVER
    assert apply(index, required) == {POD_8080}
    assert told(index) == before


# inbound 39 40
@pytest.mark.parametrize("kind", [MeshTLSAuthentication, NetworkAuthentication])
def test_a_list_without_the_requirement_ends_the_policy(kind: type[MeshTLSAuthentication]) -> None:
    """A completed list that no longer has the object removes it like a delete."""
    required = mesh_tls("auth", "x") if kind is MeshTLSAuthentication else network_authentication("auth", "10.0.0.0/8")
    index = _watched(required, authorization_policy("authz-foo", None, ref(kind.__name__, "auth")))

    assert index.apply([Reset(kind, (), frozenset((ObjectKey("ns-0", "auth"),)))]) == {POD_8080}

    assert told(index) == SERVER


def test_an_authentication_that_nobody_requires_costs_nobody() -> None:
    """Authentications come, change and go; who does not require them hears nothing."""
    index = _watched(
        authorization_policy("authz-foo", None, ref("MeshTLSAuthentication", "mine")), mesh_tls("mine", "x")
    )
    other = mesh_tls("other", "y")

    assert apply(index, other, mesh_tls("other", "z")) == delete(index, other, other) == frozenset()
    assert apply(index, mesh_tls("mine", "x")) == frozenset()


# inbound 107
@pytest.mark.parametrize(
    ("refs", "identities"),
    [
        (
            [ref("Namespace", "ns-1")],
            (IdentitySuffix(("ns-1", "serviceaccount", "identity", "linkerd", "cluster", "example", "com")),),
        ),
        ([ref("ServiceAccount", "foo")], (IdentityExact(SA_FOO),)),
        (
            [ref("ServiceAccount", "foo", namespace="ns-9", group="core")],
            (IdentityExact("foo.ns-9.serviceaccount.identity.linkerd.cluster.example.com"),),
        ),
    ],
)
def test_identities_may_be_named_by_reference(refs: list[Object], identities: tuple[IdentityMatch, ...]) -> None:
    """A service account stands for its identity, a namespace for those of all its service accounts."""
    index = _watched(
        mesh_tls("mtls-bar", refs=refs),
        authorization_policy("authz-foo", None, ref("MeshTLSAuthentication", "mtls-bar")),
    )

    ((_, granted),) = told(index).authorizations
    assert granted == ClientAuthorization(ALL_NETWORKS, TlsAuthenticated(identities))


def test_identities_come_before_references() -> None:
    """An authentication with both lists has the identities first."""
    both = mesh_tls("mtls-bar", "*", "x.y", refs=[ref("ServiceAccount", "foo")])
    index = _watched(both, authorization_policy("authz-foo", None, ref("MeshTLSAuthentication", "mtls-bar")))

    ((_, granted),) = told(index).authorizations
    assert granted.authentication == TlsAuthenticated((IdentitySuffix(()), IdentityExact("x.y"), IdentityExact(SA_FOO)))


def test_authorizations_are_in_one_order() -> None:
    """Defaults, ServerAuthorizations, AuthorizationPolicies, each by name, whatever came first."""
    index = index_of(
        authorization_policy("b"),
        authorization_policy("a", ref("Namespace", "ns-0")),
        server_authorization("c", unauthenticated=True),
        server_authorization("d", server="srv-8080", unauthenticated=True),
        server(access="audit"),
        pod(),
        cluster=LIVE,
    )

    assert [ref for ref, _ in told(index).authorizations][1:] == [
        ServerAuthorizationRef("c"),
        ServerAuthorizationRef("d"),
        AuthorizationPolicyRef("a"),
        AuthorizationPolicyRef("b"),
    ]


def test_policies_of_other_namespaces_do_not_apply() -> None:
    """Everything but the authentications is a matter of one namespace."""
    index = _watched(
        authorization_policy("all", namespace="ns-1"),
        server_authorization("all", namespace="ns-1", unauthenticated=True),
    )

    assert told(index) == SERVER


def test_a_changed_authentication_reaches_its_policies_in_all_namespaces() -> None:
    """One authentication, required from two namespaces: both hear of it, in one step."""
    required = ref("NetworkAuthentication", "net", namespace="ns-9")
    index = index_of(
        *[pod(namespace=ns) for ns in ("ns-0", "ns-1", "ns-2")],
        *[server(namespace=ns) for ns in ("ns-0", "ns-1", "ns-2")],
        *[authorization_policy("p", None, required, namespace=ns) for ns in ("ns-0", "ns-1")],
        authorization_policy("p", namespace="ns-2"),
    )
    targets = {target(namespace=ns) for ns in ("ns-0", "ns-1", "ns-2")}
    for each in targets:
        index.watch(each)

    changed = index.apply([Applied(network_authentication("net", "10.0.0.0/8", namespace="ns-9"))])

    assert changed == targets - {target(namespace="ns-2")}
    assert told(index).authorizations == by_policy("p", ClientAuthorization(networks("10.0.0.0/8"), Unauthenticated()))
