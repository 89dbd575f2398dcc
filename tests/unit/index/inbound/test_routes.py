"""HTTP and gRPC routes: when they belong to a Server, in which order, for whom."""

from __future__ import annotations

import datetime as dt

import pytest

from controller.core.inbound import FixedProtocol, GrpcRoute, GrpcRule, HttpRoute, HttpRule
from controller.core.routes import (
    GrpcMethodMatch,
    GrpcRouteMatch,
    HttpRouteMatch,
    Method,
    PathExact,
    PathPrefix,
    ResourceRoute,
)
from controller.index.inbound import InboundIndex
from tests.builders import (
    EVERYONE,
    GATEWAY,
    POLICY,
    Object,
    authorization_policy,
    condition,
    container,
    grpc_route,
    http_route,
    network_authentication,
    parent,
    parent_status,
    path,
    pod,
    port,
    ref,
    rule,
    server,
    target,
)
from tests.unit.index.inbound.support import (
    DEFAULT,
    DEFAULT_GRPC,
    DEFAULT_HTTP,
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
    with_,
)

CREATED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROUTE_FOO = HttpRoute(
    ResourceRoute(POLICY, "HTTPRoute", "route-foo"),
    rules=(HttpRule((HttpRouteMatch(PathPrefix("/foo")),)),),
    created=CREATED,
)
SA_FOO = "foo.ns-0.serviceaccount.identity.linkerd.cluster.example.com"


def _watched(*resources: object) -> InboundIndex:
    index = index_of(pod(), server(), *resources)
    index.watch(POD_8080)
    return index


def _names(index: InboundIndex) -> list[tuple[str, str]]:
    refs = [route.ref for route in told(index).http_routes]
    return [(ref.group, ref.name) for ref in refs if isinstance(ref, ResourceRoute)]


# inbound 34
def test_an_accepted_route_replaces_the_default_and_has_policies_of_its_own() -> None:
    """The route is all there is to call, and a policy on it lets in on it alone."""
    index = _watched()

    assert apply(index, http_route()) == {POD_8080}
    assert told(index) == with_(SERVER, http_routes=(ROUTE_FOO,))

    about = {"group": POLICY, "kind": "HttpRoute", "name": "route-foo"}
    assert apply(index, authorization_policy("authz-foo", about, ref("ServiceAccount", "foo"))) == {POD_8080}
    granted = by_policy("authz-foo", client(identity=SA_FOO))
    assert told(index) == with_(SERVER, http_routes=(with_(ROUTE_FOO, authorizations=granted),))


# inbound 33 120
def test_a_namespace_outlives_its_servers() -> None:
    """Policies, authentications and routes that stay work on when Server and route come back."""
    route, srv = http_route(), server()
    index = index_of(
        srv,
        network_authentication("net-foo", "10.0.0.0/8"),
        authorization_policy(
            "authz-foo",
            ref("HTTPRoute", "route-foo"),
            ref("NetworkAuthentication", "net-foo"),
            ref("ServiceAccount", "foo"),
        ),
        route,
    )
    delete(index, srv, route)
    apply(index, srv, route, pod())

    granted = by_policy("authz-foo", client("10.0.0.0/8", identity=SA_FOO))
    assert told(index) == with_(SERVER, http_routes=(with_(ROUTE_FOO, authorizations=granted),))


# inbound 120
def test_a_namespace_with_nothing_but_a_grpc_route_keeps_it() -> None:
    """A gRPC route or rate limit alone is enough for a namespace to be remembered."""
    srv = server(protocol="gRPC")
    index = index_of(srv, grpc_route())
    delete(index, srv)
    apply(index, srv, pod())

    assert [route.ref for route in told(index).grpc_routes] == [ResourceRoute(GATEWAY, "GRPCRoute", "route-foo")]


# inbound 37
def test_a_route_leaves_no_room_for_the_probe_route() -> None:
    """Where a route is attached the kubelet needs an authorization like everybody else."""
    index = index_of(pod("pod-0", container(live=(8080, "/live"))), server(), cluster=LIVE)
    index.watch(POD_8080)
    assert told(index).http_routes == (DEFAULT_HTTP, probe_route("/live"))

    assert apply(index, http_route()) == {POD_8080}

    assert told(index).http_routes == (ROUTE_FOO,)


# inbound 53 54 55
def test_the_life_of_a_route() -> None:
    """Created nothing happens, accepted it counts, authorized it lets in, deleted the default is back."""
    proxy = pod("pause", container(port("linkerd-admin", 4191), live=(4191, "/live"), ready=(4191, "/ready")))
    watched = target("pause", 4191)
    index = index_of(proxy, server("linkerd-admin", 4191), cluster=LIVE)
    index.watch(watched)
    before = told(index, watched)
    metrics = rule({"path": {"type": "Exact", "value": "/metrics"}, "method": "GET"})
    parents = [parent("linkerd-admin")]

    assert apply(index, http_route("metrics-route", metrics, parents=parents, accepted_by=None)) == frozenset()
    accepted = http_route("metrics-route", metrics, accepted_by=["linkerd-admin"])
    assert apply(index, accepted) == {watched}
    route = HttpRoute(
        ResourceRoute(POLICY, "HTTPRoute", "metrics-route"),
        rules=(HttpRule((HttpRouteMatch(PathExact("/metrics"), method=Method.GET),)),),
        created=CREATED,
    )
    assert told(index, watched).http_routes == (route,)

    authorization = authorization_policy("all", ref("HTTPRoute", "metrics-route"), ref("NetworkAuthentication", "net"))
    assert apply(index, network_authentication("net", *EVERYONE)) == frozenset()
    assert apply(index, authorization) == {watched}
    assert told(index, watched).http_routes[0].authorizations == by_policy("all", client(*EVERYONE))

    assert delete(index, accepted) == {watched}
    assert told(index, watched) == before


# inbound 56
def test_routes_are_in_the_order_of_their_age() -> None:
    """The older route is tried first, whatever its name."""
    index = _watched()
    routes = [http_route(name, created=age) for age, name in enumerate("dacb")]
    assert [apply(index, route) for route in routes] == [{POD_8080}] * 4

    assert [name for _, name in _names(index)] == ["d", "a", "c", "b"]
    assert delete(index, routes[2]) == {POD_8080}
    assert [name for _, name in _names(index)] == ["d", "a", "b"]


# inbound 99
def test_routes_of_one_age_are_in_the_order_of_names_and_groups() -> None:
    """Equal times: the name decides, then the group; without a time a route comes last."""
    index = _watched(
        http_route("none", created=None),
        http_route("b", group=GATEWAY),
        http_route("b", group=POLICY),
        http_route("a", group=POLICY),
    )

    assert _names(index) == [(POLICY, "a"), (GATEWAY, "b"), (POLICY, "b"), (POLICY, "none")]


# inbound 99
def test_a_policy_is_for_the_route_of_its_group() -> None:
    """Routes of one name in two groups have their policies apart."""
    about = ref("HTTPRoute", "route-foo", group=GATEWAY)
    index = _watched(http_route(group=GATEWAY), http_route(group=POLICY), authorization_policy("p", about))

    assert [bool(route.authorizations) for route in told(index).http_routes] == [True, False]


# inbound 96
@pytest.mark.parametrize(
    "statuses",
    [
        None,
        [],
        [parent_status(status="False")],
        [parent_status(controller="example.com/gateway")],
        [parent_status(kind="server")],
        [parent_status(kind=None)],
        [parent_status("other")],
        [parent_status(conditions=[])],
        [parent_status(conditions=[condition(kind="ResolvedRefs")])],
    ],
)
@pytest.mark.parametrize("group", [POLICY, GATEWAY])
def test_a_route_that_was_not_let_in_does_not_count(statuses: list[Object] | None, group: str) -> None:
    """Only an Accepted condition of this controller, for this Server, attaches a route."""
    index = _watched()
    parents = [parent()]

    assert apply(index, http_route(group=group, parents=parents, accepted_by=None, statuses=statuses)) == frozenset()

    assert told(index) == SERVER


def test_a_route_that_was_let_in_elsewhere_does_not_count() -> None:
    """A status for a Server that the spec no longer names is out of date."""
    index = _watched(http_route(parents=[parent("other")], statuses=[parent_status()]))

    assert told(index) == SERVER


# inbound 97
@pytest.mark.parametrize("wrong", [{"port": 8080}, {"section": "x"}, {"namespace": "ns-1"}])
def test_a_parent_that_cannot_be_keeps_the_route_as_it_was(wrong: Object) -> None:
    """The whole route is ignored, and what it said before holds on."""
    index = _watched(http_route())

    changed = apply(index, http_route("route-foo", rule(path("/bar")), parents=[parent(**wrong)]))

    assert changed == frozenset()
    assert told(index).http_routes == (ROUTE_FOO,)


def test_a_parent_may_name_the_namespace_it_is_in() -> None:
    """The route's own namespace may be spelled out, and the kind in any case."""
    index = _watched(http_route(parents=[parent(namespace="ns-0", kind="SERVER", group="Policy.Linkerd.IO")]))

    assert told(index).http_routes == (ROUTE_FOO,)


# inbound 98
def test_other_parents_are_other_matters() -> None:
    """A Service beside the Server does not matter; without its group a Server is none."""
    service = parent("web", group=None, kind="Service", port=80)
    index = _watched(http_route(parents=[service, parent()]))
    assert told(index).http_routes == (ROUTE_FOO,)

    assert apply(index, http_route(parents=[service, parent(group=None)])) == {POD_8080}
    assert told(index) == SERVER
    assert apply(index, http_route(parents=[parent(""), parent(kind=None)])) == frozenset()


def test_a_route_may_belong_to_several_servers() -> None:
    """Each Server that let it in has the route; leaving one leaves the other."""
    index = _watched(server("srv-9090", 9090), http_route(accepted_by=["srv-8080", "srv-9090"]))
    index.watch(target(port=9090))

    assert told(index).http_routes == told(index, target(port=9090)).http_routes == (ROUTE_FOO,)
    assert apply(index, http_route(accepted_by=["srv-9090"])) == {POD_8080}
    assert (told(index).http_routes, told(index, target(port=9090)).http_routes) == ((DEFAULT_HTTP,), (ROUTE_FOO,))


def test_a_route_for_clients_is_not_read() -> None:
    """A route without a Server for its parent may say what it likes; a Server's route may not."""
    bad = rule(path("relative"))
    index = _watched(http_route("route-foo", bad, parents=[parent("web", group=None, kind="Service")]))
    assert not index.invalid()
    assert apply(index, http_route()) == {POD_8080}

    assert (
        apply(index, http_route("route-foo", bad, parents=[parent("web", group=None, kind="Service")])) == frozenset()
    )
    assert len(index.invalid()) == 1
    assert told(index).http_routes == (ROUTE_FOO,)
    no_longer = http_route("route-foo", parents=[parent("web", group=None, kind="Service")])
    assert apply(index, no_longer) == {POD_8080}
    assert told(index) == SERVER


# inbound 100
def test_a_grpc_route_is_for_grpc_servers() -> None:
    """The route with its method, filters and hosts is what a gRPC Server has."""
    index = index_of(pod(), server(protocol="gRPC"))
    index.watch(POD_8080)
    assert told(index).grpc_routes == (DEFAULT_GRPC,)

    assert apply(index, grpc_route()) == {POD_8080}

    route = GrpcRoute(
        ResourceRoute(GATEWAY, "GRPCRoute", "route-foo"),
        rules=(GrpcRule((GrpcRouteMatch(GrpcMethodMatch("library.Books", "Get")),)),),
        created=CREATED,
    )
    assert told(index) == with_(SERVER, protocol=FixedProtocol.GRPC, grpc_routes=(route,))
    about = {"group": GATEWAY, "kind": "grpcroute", "name": "ROUTE-FOO"}
    assert apply(index, authorization_policy("p", about)) == {POD_8080}
    assert told(index).grpc_routes == (with_(route, authorizations=by_policy("p", client())),)


# inbound 101
@pytest.mark.parametrize("protocol", ["HTTP/2", "unknown"])
def test_a_grpc_route_does_not_touch_http_routes(protocol: str) -> None:
    """What an HTTP Server tells of HTTP stays the default."""
    index = index_of(pod(), server(protocol=protocol), grpc_route())

    assert told(index).http_routes == (DEFAULT_HTTP,)


def test_a_policy_on_a_route_that_is_not_there_waits_for_it() -> None:
    """A policy may come before its route, and its route may never come."""
    index = _watched(authorization_policy("p", ref("HTTPRoute", "route-foo")))

    assert apply(index, http_route()) == {POD_8080}

    assert told(index).http_routes == (with_(ROUTE_FOO, authorizations=by_policy("p", client())),)


def test_a_policy_on_a_route_waits_for_what_it_requires() -> None:
    """A route whose policy lacks its authentication lets nobody in."""
    index = _watched(
        http_route(), authorization_policy("p", ref("HTTPRoute", "route-foo"), ref("NetworkAuthentication", "net"))
    )
    assert told(index).http_routes == (ROUTE_FOO,)

    assert apply(index, network_authentication("net", "10.0.0.0/8")) == {POD_8080}

    assert told(index).http_routes[0].authorizations == by_policy("p", client("10.0.0.0/8"))


def test_routes_matter_only_with_their_server() -> None:
    """A port without a Server has no routes but the default ones."""
    index = index_of(pod(), http_route(), grpc_route())

    assert told(index) == DEFAULT
    assert apply(index, server()) == frozenset()  # nobody watches
    assert told(index).http_routes == (ROUTE_FOO,)
