"""Watches, batches, lists, and what the index says of itself."""

from __future__ import annotations

import msgspec
import pytest

from controller.core.inbound import RateLimit
from controller.index.inbound import KINDS, AuthenticationCounts, InboundIndex, InboundStatistics, NamespaceCounts
from controller.k8s.builtin import Pod
from controller.k8s.events import Applied, Deleted, Reset
from controller.k8s.gateway import GatewayHTTPRoute, PolicyHTTPRoute
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.policy import AuthorizationPolicy, MeshTLSAuthentication, NetworkAuthentication, Server
from tests.builders import (
    GATEWAY,
    authorization_policy,
    container,
    decode,
    external_target,
    external_workload,
    grpc_route,
    http_route,
    mesh_tls,
    network_authentication,
    parent,
    path,
    pod,
    rate_limit,
    ref,
    rule,
    server,
    server_authorization,
    target,
)
from tests.unit.index.inbound.support import (
    CLUSTER,
    DEFAULT,
    LIVE,
    POD_8080,
    SERVER,
    apply,
    by_policy,
    client,
    delete,
    index_of,
    probe_route,
    told,
)

EVERYTHING: tuple[Resource, ...] = (
    pod("pod-0", container(live=(8080, "/live"))),
    external_workload(),
    server(),
    server_authorization(server="srv-8080", unauthenticated=True),
    authorization_policy("p", None, ref("MeshTLSAuthentication", "m"), ref("NetworkAuthentication", "n")),
    mesh_tls("m", "*"),
    network_authentication("n", "10.0.0.0/8"),
    rate_limit(total=1),
    http_route(),
    http_route(group=GATEWAY),
    grpc_route(),
)


# inbound 123
def test_watchers_of_one_port_are_counted() -> None:
    """A target stays watched until everyone who watched it has stopped."""
    index = index_of(pod())
    assert index.watch(POD_8080) is index.watch(POD_8080)
    index.unwatch(POD_8080)

    assert apply(index, server()) == {POD_8080}
    index.unwatch(POD_8080)
    assert apply(index, server(access="audit")) == frozenset()
    with pytest.raises(KeyError):
        index.unwatch(POD_8080)


def test_ports_of_one_pod_are_watched_apart() -> None:
    """The end of one watch leaves the other."""
    index = index_of(pod())
    index.watch(POD_8080)
    index.watch(target(port=9090))
    index.unwatch(target(port=9090))

    assert apply(index, server(), server("srv-9090", 9090)) == {POD_8080}


def test_an_answer_keeps_its_identity_while_it_is_the_same() -> None:
    """Who holds the same answer was told the same; another value is another answer."""
    index = index_of(pod(), server())
    first = index.watch(POD_8080)

    index.apply([Applied(authorization_policy()), Deleted(AuthorizationPolicy, ObjectKey("ns-0", "authz-foo"))])
    assert index.answer(POD_8080) is index.lookup(POD_8080) is first

    apply(index, authorization_policy())
    second = index.answer(POD_8080)
    assert second is not first
    assert second is index.lookup(POD_8080)


# inbound 122
def test_a_batch_is_one_change() -> None:
    """Whatever happened within a batch, only its end is told, and to nobody for whom that is where it began."""
    index = index_of(pod(), server())
    index.watch(POD_8080)

    assert index.apply([Applied(server(access=access)) for access in ("audit", "deny", "all-authenticated")]) == {
        POD_8080
    }
    assert index.apply([Applied(server(access=access)) for access in ("audit", "all-authenticated")]) == frozenset()
    assert index.apply([]) == frozenset()


@pytest.mark.parametrize("resource", EVERYTHING, ids=lambda resource: type(resource).__name__)
def test_every_kind_can_be_listed_and_go(resource: Resource) -> None:
    """A list that has the object, one that no longer has it, and a delete of what is gone."""
    kind = type(resource)
    assert kind in KINDS
    index = InboundIndex(LIVE)
    index.apply([Applied(each) for each in EVERYTHING])
    whole = told(index)
    index.apply([Deleted(kind, resource.key)])
    without = told(index) if index.lookup(POD_8080) else None

    index.apply([Reset(kind, (resource,))])
    assert told(index) == whole
    index.apply([Reset(kind, (), frozenset((resource.key,)))])
    assert (told(index) if index.lookup(POD_8080) else None) == without
    assert delete(index, resource) == frozenset()


def test_everything_gone_leaves_nothing() -> None:
    """An index from which all has been taken holds no namespace."""
    index = InboundIndex(LIVE)
    index.apply([Applied(each) for each in EVERYTHING])

    delete(index, *EVERYTHING)

    assert index.statistics() == InboundStatistics(namespaces={}, authentications={}, watched=0, invalid=0)


@pytest.mark.parametrize(
    "resource", [r for r in EVERYTHING if "Authentication" not in type(r).__name__], ids=lambda r: type(r).__name__
)
def test_any_kind_alone_keeps_its_namespace(resource: Resource) -> None:
    """A namespace is there as long as anything is in it."""
    index = index_of(resource)
    assert list(index.statistics().namespaces) == ["ns-0"]

    delete(index, resource)
    assert not index.statistics().namespaces


# inbound 120
def test_a_rate_limit_survives_its_server() -> None:
    """A namespace in which only a rate limit is left remembers it for the Server that comes back."""
    index = index_of(server(), rate_limit(total=1))
    delete(index, server())
    apply(index, server(), pod())

    assert told(index).rate_limit == RateLimit("ratelimit-0", total=1)


# inbound 39
def test_a_list_tells_of_what_is_new_and_what_is_gone() -> None:
    """One list may bring some objects and take others away, in one change."""
    index = index_of(pod(), server("old", created=None), server())
    index.watch(POD_8080)

    changed = index.apply([Reset(Server, (server(access="audit"),), frozenset((ObjectKey("ns-0", "old"),)))])

    assert changed == {POD_8080}
    assert told(index).reference == SERVER.reference


def test_a_list_of_pods_keeps_the_watches_on_those_that_stay() -> None:
    """After a list only the watches on missing pods have ended."""
    index = index_of(pod("a"), pod("b"))
    index.watch(target("a"))
    index.watch(target("b"))

    assert index.apply([Reset(Pod, (pod("a"),), frozenset((ObjectKey("ns-0", "b"),)))]) == {target("b")}

    assert index.answer(target("a")) is not None


# inbound 108
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (
            server_authorization(server="srv-8080", unauthenticated=True),
            server_authorization(server="srv-8080"),
        ),
        (
            server_authorization(server="srv-8080", unauthenticated=True),
            server_authorization(server="srv-8080", mesh_tls={}),
        ),
        (authorization_policy(), authorization_policy("authz-foo", ref("Deployment", "x", group="apps"))),
        (authorization_policy(), authorization_policy("authz-foo", None, ref("Secret", "x", group="core"))),
        (rate_limit(total=1), rate_limit(target=ref("HTTPRoute", "x"))),
        (http_route(), http_route("route-foo", rule(path("relative")))),
        (grpc_route(), grpc_route("route-foo", rule({"method": {"type": "RegularExpression", "service": "x"}}))),
    ],
    ids=lambda resource: type(resource).__name__,
)
def test_what_has_no_meaning_leaves_what_was_before(good: Resource, bad: Resource) -> None:
    """The last form that meant something holds on until another one does, or the object goes."""
    index = index_of(pod(), server())
    index.watch(POD_8080)
    assert apply(index, bad) == frozenset()
    assert apply(index, good) == {POD_8080}
    whole = told(index)

    assert apply(index, bad) == frozenset()
    assert index.apply([Reset(type(bad), (bad,))]) == frozenset()
    assert told(index) == whole
    assert list(index.invalid()) == [(type(bad), bad.key)]
    assert index.statistics().invalid == 1

    assert apply(index, good) == frozenset()
    assert not index.invalid()
    apply(index, bad)
    assert delete(index, bad) == {POD_8080}
    assert told(index) == SERVER
    assert not index.invalid()


# inbound 108
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (mesh_tls("auth", "*"), mesh_tls("auth")),
        (mesh_tls("auth", "*"), mesh_tls("auth", refs=[ref("Server", "x")])),
        (network_authentication("auth", "10.0.0.0/8"), network_authentication("auth")),
    ],
)
def test_an_authentication_without_meaning_leaves_the_one_before(good: Resource, bad: Resource) -> None:
    """Policies go on requiring what the authentication last said."""
    index = index_of(pod(), server(), authorization_policy("p", None, ref(type(good).__name__, "auth")), good)
    before = index.watch(POD_8080)

    assert apply(index, bad) == frozenset()

    assert index.answer(POD_8080) is before
    assert len(told(index).authorizations) == 1


# inbound 109
@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (Server, {"podSelector": {}, "port": 0}),
        (Server, {"podSelector": {}, "port": 65536}),
        (Server, {"podSelector": {}, "port": 80, "proxyProtocol": "http/1"}),
        (Server, {"port": 80}),
        (Server, {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}, "port": 80}),
        (Server, {"podSelector": {"matchLabels": {"a": 1}}, "port": 80}),
        (NetworkAuthentication, {"networks": [{"cidr": "bogus"}]}),
        (NetworkAuthentication, {"networks": [{"cidr": "10.0.0.0/8", "except": ["10.0.0.0/33"]}]}),
        (NetworkAuthentication, {}),
        (MeshTLSAuthentication, {"identityRefs": [{"kind": "ServiceAccount"}]}),
        (AuthorizationPolicy, {"targetRef": {"kind": "Server", "name": "x"}}),
        (PolicyHTTPRoute, {"rules": [{"timeouts": {"request": "5"}}]}),
        (PolicyHTTPRoute, {"rules": [{"filters": [{"type": "URLRewrite"}]}]}),
        (PolicyHTTPRoute, {"rules": [{"filters": [{"type": "RequestRedirect"}]}]}),
        (PolicyHTTPRoute, {"rules": [{"filters": [{"type": "RequestHeaderModifier"}]}]}),
        (PolicyHTTPRoute, {"rules": [{"filters": [{"type": "ResponseHeaderModifier"}]}]}),
        (GatewayHTTPRoute, {"rules": [{"matches": [{"method": "get"}]}]}),
    ],
)
def test_what_cannot_be_read_never_reaches_the_index(kind: type[Resource], spec: dict[str, object]) -> None:
    """An object of the wrong form is refused where it is decoded, so a list without it removes what it was."""
    with pytest.raises(msgspec.ValidationError):
        decode(kind, {"metadata": {"name": "x", "namespace": "ns-0"}, "spec": spec})


# inbound 109
def test_an_unreadable_object_disappears_with_the_next_list() -> None:
    """A list names what it could not read as removed; a delete works by the name alone."""
    index = index_of(pod(), server())
    index.watch(POD_8080)

    assert index.apply([Reset(Server, (), frozenset((ObjectKey("ns-0", "srv-8080"),)))]) == {POD_8080}
    apply(index, server())
    assert index.apply([Deleted(Server, ObjectKey("ns-0", "srv-8080"))]) == {POD_8080}
    assert told(index) == DEFAULT


# inbound 121
def test_the_index_counts_by_namespace() -> None:
    """Every namespace in which something is has its counts, routes without a Server included."""
    index = index_of(
        *EVERYTHING,
        pod("pod-1"),
        http_route("client-side", parents=[parent("web", group=None, kind="Service")]),
        server(namespace="ns-1"),
        mesh_tls("m", "*", namespace="ns-2"),
    )
    index.watch(POD_8080)

    assert index.statistics() == InboundStatistics(
        namespaces={
            "ns-0": NamespaceCounts(
                pods=2,
                external_workloads=1,
                servers=1,
                server_authorizations=1,
                authorization_policies=1,
                http_routes=3,
                grpc_routes=1,
                rate_limits=1,
            ),
            "ns-1": NamespaceCounts(servers=1),
        },
        authentications={
            "ns-0": AuthenticationCounts(mesh_tls=1, network=1),
            "ns-2": AuthenticationCounts(mesh_tls=1),
        },
        watched=1,
        invalid=0,
    )


def test_an_index_told_of_everything_at_once_knows_it_all() -> None:
    """A first list of every kind, in one batch and in any order, gives whole answers."""
    index = InboundIndex(LIVE)

    assert index.apply([Applied(resource) for resource in reversed(EVERYTHING)]) == frozenset()

    answer = told(index)
    assert [ref.name for ref, _ in answer.authorizations] == ["authz-foo", "p"]
    assert [len(answer.http_routes), len(answer.grpc_routes)] == [2, 1]
    assert answer.rate_limit == RateLimit("ratelimit-0", total=1)


def test_a_rate_of_change_does_not_reach_other_namespaces() -> None:
    """Watchers in one namespace never hear of another."""
    index = index_of(pod(), pod(namespace="ns-1"), server(namespace="ns-1"), cluster=CLUSTER)
    index.watch(POD_8080)

    assert apply(index, authorization_policy(namespace="ns-1")) == frozenset()
    assert told(index, target(namespace="ns-1")).authorizations == by_policy("authz-foo", client())


def test_probe_routes_differ_where_probes_do() -> None:
    """Under one Server each port has the probe route of its own pod."""
    pods = [pod(f"pod-{i}", container(live=(8080, f"/{i}"))) for i in range(2)]
    index = index_of(server(), *pods, cluster=LIVE)

    for i in range(2):
        assert told(index, target(f"pod-{i}")).http_routes[1] == probe_route(f"/{i}")


def test_the_index_finds_out_what_it_has_forgotten_to_change() -> None:
    """A check from scratch names the watched targets that were told something else."""
    index = InboundIndex(LIVE)
    index.apply([Applied(resource) for resource in EVERYTHING])
    targets = POD_8080, target(port=7070), external_target()
    for each in targets:
        index.watch(each)
    before = told(index)
    assert (index.namespaces(), index.check("ns-0"), index.check("ns-1")) == (("ns-0",), frozenset(), frozenset())

    index.answer(POD_8080).value = DEFAULT  # as if an event had been lost

    assert index.check("ns-0") == {POD_8080}
    index.answer(POD_8080).value = before
    delete(index, external_workload())
    assert index.check("ns-0") == frozenset()
