"""The inbound API as a proxy sees it: from objects of a cluster to messages on a stream, without sockets."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.grpc.gen.linkerd import inbound_pb2 as pb
from tests.manifests import (
    accepted,
    accepted_limit,
    authorization_policy,
    external_workload,
    http_route,
    network_authentication,
    network_ref,
    pod,
    rate_limit,
    route_ref,
    server,
    server_authorization,
    server_ref,
    service_account_ref,
)
from tests.policy_cluster import PolicyCluster

EXTERNAL = '{"ns":"ns", "external_workload":"wkld-1"}'

ANYONE = {"unauthenticated": {}}
DEFAULT_LABELS = {"group": "", "kind": "default", "name": "all-unauthenticated"}
DEFAULT_ROUTE = {"metadata": {"default": "default"}, "rules": [{"matches": [{"path": {"prefix": "/"}}]}]}
EVERYWHERE = [{"net": {"ip": {"ipv4": 0}}}, {"net": {"ip": {"ipv6": {}}}}]
PROBE_ROUTE = {
    "metadata": {"default": "probe"},
    "authorizations": [
        {
            "networks": EVERYWHERE,
            "authentication": ANYONE,
            "labels": {"group": "", "kind": "default", "name": "probe"},
            "metadata": {"default": "probe"},
        }
    ],
    "rules": [
        {
            "matches": [
                {"path": {"exact": "/live"}, "method": {"registered": "GET"}},
                {"path": {"exact": "/ready"}, "method": {"registered": "GET"}},
            ]
        }
    ],
}
HTTP1_DEFAULT = {"http1": {"routes": [DEFAULT_ROUTE, PROBE_ROUTE]}}


def labels(kind: str, name: str) -> dict[str, str]:
    return {"group": "policy.linkerd.io", "kind": kind, "name": name}


def plain(message: Message) -> Any:
    return json_format.MessageToDict(message)


@attrs.define(eq=False)
class Proxy:
    """One open stream: every message in order, and how it ended."""

    messages: list[pb.Server] = attrs.field(factory=list[pb.Server])
    ended: Status | None = None

    def publish(self, message: bytes) -> None:
        self.messages.append(pb.Server.FromString(message))

    def end(self, status: Status) -> None:
        self.ended = status

    def next(self) -> Any:
        """The one message that came since the last look."""
        [message] = self.messages
        self.messages.clear()
        return plain(message)

    @property
    def quiet(self) -> bool:
        return not self.messages and self.ended is None


class Cluster(PolicyCluster):
    """A cluster with proxies that ask its controller."""

    def watch(self, workload: str = "ns:web", port: int = 4191) -> Proxy:
        proxy = Proxy()
        self.service.watch_port(pb.PortSpec(workload=workload, port=port), proxy)
        return proxy

    def get(self, workload: str = "ns:web", port: int = 4191) -> Any:
        return plain(pb.Server.FromString(self.service.get_port(pb.PortSpec(workload=workload, port=port))))


@pytest.fixture
def cluster() -> Cluster:
    """One pod with an admin port that has probes."""
    cluster = Cluster()
    cluster.sync()
    cluster.apply(pod(probes=("/live", "/ready")))
    return cluster


def default(routes: list[Any]) -> Any:
    return {
        "protocol": {"detect": {"timeout": "10s", "httpRoutes": routes}},
        "authorizations": [
            {
                "networks": EVERYWHERE,
                "authentication": ANYONE,
                "labels": DEFAULT_LABELS,
                "metadata": {"default": "all-unauthenticated"},
            }
        ],
        "labels": DEFAULT_LABELS,
    }


DEFAULT = default([DEFAULT_ROUTE, PROBE_ROUTE])
ADMIN = server("linkerd-admin")
ADMIN_ANSWER = {"protocol": HTTP1_DEFAULT, "labels": labels("server", "linkerd-admin")}


def admits_anyone(kind: str, name: str) -> Any:
    return {
        "networks": EVERYWHERE,
        "authentication": ANYONE,
        "labels": labels(kind, name),
        "metadata": {"resource": labels(kind, name)},
    }


def test_a_server_with_an_authorization_comes_and_goes(cluster: Cluster) -> None:
    """A Server admits nobody, then whom its authorization admits; without it all is as before."""
    # inbound 45, 46, 47, 48, 57
    proxy = cluster.watch()
    assert proxy.next() == DEFAULT

    cluster.apply(ADMIN)
    assert proxy.next() == ADMIN_ANSWER

    cluster.apply(server_authorization("all-admin", "linkerd-admin", client={"unauthenticated": True}))
    answer = proxy.next()
    [authorization] = answer.pop("authorizations")
    assert authorization["labels"] == labels("serverauthorization", "all-admin")
    assert authorization["authentication"] == ANYONE
    assert answer == ADMIN_ANSWER

    cluster.delete(ADMIN)
    assert proxy.next() == DEFAULT
    assert proxy.ended is None


def test_an_authorization_policy_for_networks(cluster: Cluster) -> None:
    """An AuthorizationPolicy admits the networks that it names, as soon as both objects are there."""
    # inbound 49
    cluster.apply(ADMIN)
    proxy = cluster.watch()
    proxy.next()

    cluster.apply(authorization_policy("all-admin", server_ref("linkerd-admin"), network_ref("all-admin")))
    assert proxy.quiet
    cluster.apply(network_authentication("all-admin"))

    answer = proxy.next()
    assert answer["authorizations"] == [admits_anyone("authorizationpolicy", "all-admin")]


def test_of_two_servers_the_older_one_governs(cluster: Cluster) -> None:
    """Of two Servers for a port the older one governs, and when it goes the other one does, without a gap."""
    # inbound 50
    older = server("linkerd-admin-0", creationTimestamp="2024-01-01T00:00:00Z")
    cluster.apply(older, server("linkerd-admin-1", creationTimestamp="2024-01-01T00:00:01Z"), pod("late"))
    proxy = cluster.watch("ns:late")
    assert proxy.next()["labels"]["name"] == "linkerd-admin-0"

    cluster.delete(older)

    assert proxy.next()["labels"]["name"] == "linkerd-admin-1"


def test_a_server_that_audits(cluster: Cluster) -> None:
    """A Server's access policy is an authorization by that name."""
    # inbound 51
    cluster.apply(server("linkerd-admin", access_policy="audit"))

    answer = cluster.get()

    [authorization] = answer["authorizations"]
    assert authorization["labels"] == {"group": "", "kind": "default", "name": "audit"}
    assert authorization["authentication"] == ANYONE
    assert answer["labels"] == labels("server", "linkerd-admin")


def test_a_rate_limit(cluster: Cluster) -> None:
    """An accepted rate limit is part of the protocol, with identities for the ServiceAccounts that it names."""
    # inbound 52
    override = {"requestsPerSecond": 200, "clientRefs": [service_account_ref("sa-0")]}
    limit = rate_limit("rl-0", "linkerd-admin", total={"requestsPerSecond": 1000}, overrides=[override])
    cluster.apply(server("linkerd-admin", access_policy="audit"), limit)
    assert "localRateLimit" not in cluster.get()["protocol"]["http1"]

    cluster.apply(accepted_limit(limit))

    identity = "sa-0.ns.serviceaccount.identity.linkerd.cluster.local"
    assert cluster.get()["protocol"]["http1"] == {
        **HTTP1_DEFAULT["http1"],
        "localRateLimit": {
            "metadata": {"resource": labels("HTTPLocalRateLimitPolicy", "rl-0")},
            "total": {"requestsPerSecond": 1000},
            "overrides": [
                {"limit": {"requestsPerSecond": 200}, "clients": {"identities": [{"name": identity}]}},
            ],
        },
    }


def test_a_route_and_who_may_use_it(cluster: Cluster) -> None:
    """A route counts once it is accepted and then alone; a policy for it admits to it; without it all is as before."""
    # inbound 53, 54, 55, 96
    cluster.apply(ADMIN)
    proxy = cluster.watch()
    proxy.next()
    route = http_route("metrics-route", "linkerd-admin", "/metrics")

    cluster.apply(route)
    assert proxy.quiet
    cluster.apply(accepted(route))
    shown = {
        "metadata": {"resource": labels("HTTPRoute", "metrics-route")},
        "rules": [{"matches": [{"path": {"exact": "/metrics"}, "method": {"registered": "GET"}}]}],
    }
    assert proxy.next() == {"protocol": {"http1": {"routes": [shown]}}, "labels": labels("server", "linkerd-admin")}

    cluster.apply(network_authentication("all"))
    cluster.apply(authorization_policy("scrapers", route_ref("metrics-route"), network_ref("all")))
    [allowed] = proxy.next()["protocol"]["http1"]["routes"]
    assert allowed == {**shown, "authorizations": [admits_anyone("authorizationpolicy", "scrapers")]}

    cluster.delete(route)
    assert proxy.next() == ADMIN_ANSWER


def test_routes_are_ordered_by_age(cluster: Cluster) -> None:
    """Routes come oldest first, whatever their names; each that comes or goes is one message."""
    # inbound 56
    cluster.apply(ADMIN)
    proxy = cluster.watch()
    proxy.next()

    def paths() -> list[str]:
        routes = proxy.next()["protocol"]["http1"]["routes"]
        return [route["rules"][0]["matches"][0]["path"]["exact"] for route in routes]

    shown: list[str] = []
    routes = {"d": "/metrics", "a": "/ready", "c": "/shutdown", "b": "/proxy-log-level"}
    for second, (name, path) in enumerate(routes.items()):
        created = f"2024-01-01T00:00:0{second}Z"
        cluster.apply(accepted(http_route(name, "linkerd-admin", path, creationTimestamp=created)))
        shown.append(path)
        assert paths() == shown

    cluster.delete(http_route("c", "linkerd-admin", "/shutdown"))
    assert paths() == ["/metrics", "/ready", "/proxy-log-level"]


def test_an_external_workload(cluster: Cluster) -> None:
    """An ExternalWorkload is governed by name of its port like a pod, and never has a probe route."""
    # inbound 58, 59, 60, 61, 65
    cluster.apply(external_workload(labels={"app": "ext"}))
    proxy = cluster.watch(EXTERNAL, 80)
    assert proxy.next() == default([DEFAULT_ROUTE])

    http = server("external-http", port="http", selects={"externalWorkloadSelector": {}})
    cluster.apply(http)
    governed = {"protocol": {"http1": {"routes": [DEFAULT_ROUTE]}}, "labels": labels("server", "external-http")}
    assert proxy.next() == governed

    cluster.apply(authorization_policy("all-http", server_ref("external-http", kind="server")))
    answer = proxy.next()
    assert answer.pop("authorizations") == [admits_anyone("authorizationpolicy", "all-http")]
    assert answer == governed

    cluster.delete(http)
    assert proxy.next() == default([DEFAULT_ROUTE])


def test_a_route_of_an_external_workload(cluster: Cluster) -> None:
    """A route of an ExternalWorkload's Server comes alone, with whom its policy admits, until it goes."""
    # inbound 62, 63, 64
    http = server("external-http", port="http", selects={"externalWorkloadSelector": {}})
    cluster.apply(external_workload(), http)
    proxy = cluster.watch(EXTERNAL, 80)
    proxy.next()
    route = accepted(http_route("http-route", "external-http", "/endpoint"))

    cluster.apply(route)
    [shown] = proxy.next()["protocol"]["http1"]["routes"]
    assert shown["metadata"] == {"resource": labels("HTTPRoute", "http-route")}
    assert "authorizations" not in shown

    cluster.apply(network_authentication("all-net"))
    cluster.apply(authorization_policy("all-net", route_ref("http-route"), network_ref("all-net")))
    [shown] = proxy.next()["protocol"]["http1"]["routes"]
    assert shown["authorizations"] == [admits_anyone("authorizationpolicy", "all-net")]

    cluster.delete(route)
    assert proxy.next()["protocol"] == {"http1": {"routes": [DEFAULT_ROUTE]}}


@pytest.mark.parametrize(
    ("workload", "port"),
    [("nowhere:web", 4191), ("ns:nobody", 4191), (EXTERNAL, 80), ('{"ns":"","pod":""}', 1), ("ns:web:x", 4191)],
)
def test_workloads_that_do_not_exist(cluster: Cluster, workload: str, port: int) -> None:
    """Who does not exist is not found, by either method."""
    # inbound 20, 89
    for ask in (cluster.get, cluster.watch):
        with pytest.raises(GRPCError) as caught:
            ask(workload, port)
        assert (caught.value.status, caught.value.message) == (Status.NOT_FOUND, "unknown server")


def test_a_pod_that_goes_and_comes_back(cluster: Cluster) -> None:
    """The stream of a pod that goes ends with OK, what follows is not found, and a new pod of that name is."""
    # inbound 93
    proxy = cluster.watch()
    proxy.next()

    cluster.delete(pod())

    assert proxy.ended is Status.OK
    with pytest.raises(GRPCError):
        cluster.get()

    cluster.apply(pod())
    assert cluster.watch().next()["labels"] == DEFAULT_LABELS
    assert proxy.messages == []


def test_what_changes_nothing_sends_nothing(cluster: Cluster) -> None:
    """The same object again, a pod's new status or an annotation of no meaning send no message."""
    # inbound 95
    cluster.apply(ADMIN)
    proxy = cluster.watch()
    proxy.next()

    cluster.apply(ADMIN)
    cluster.apply(pod(probes=("/live", "/ready"), annotations={"example.org/note": "new"}))
    cluster.apply({**pod(probes=("/live", "/ready")), "status": {"phase": "Failed"}})

    assert proxy.quiet


def test_a_grpc_route_of_an_http2_server_changes_nothing(cluster: Cluster) -> None:
    """What the wire does not show sends no message."""
    # inbound 101
    cluster.apply(server("linkerd-admin", protocol="HTTP/2"))
    proxy = cluster.watch()
    proxy.next()

    route = http_route("grpc", "linkerd-admin", "/")
    del route["spec"]["rules"]
    cluster.apply(accepted({**route, "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute"}))

    assert proxy.quiet
    assert cluster.get()["protocol"] == {"http2": HTTP1_DEFAULT["http1"]}


def test_everybody_who_watches_a_port_gets_each_state(cluster: Cluster) -> None:
    """However many watch a port, each is told, and one that stops watching is told no more."""
    # inbound 123
    proxies = [cluster.watch() for _ in range(3)]
    for proxy in proxies:
        assert proxy.next() == DEFAULT

    cluster.apply(ADMIN)

    for proxy in proxies:
        assert proxy.next() == ADMIN_ANSWER


def test_nothing_is_said_before_every_kind_was_listed() -> None:
    """A controller that has not seen everything says so, rather than that somebody does not exist."""
    cluster = Cluster()
    cluster.apply(pod())

    for workload in ("ns:web", "ns:nobody"):
        with pytest.raises(GRPCError) as caught:
            cluster.watch(workload)
        assert caught.value.status is Status.UNAVAILABLE

    cluster.sync()
    assert cluster.watch().next()["labels"] == DEFAULT_LABELS
    with pytest.raises(GRPCError) as caught:
        cluster.watch("ns:nobody")
    assert caught.value.status is Status.NOT_FOUND
