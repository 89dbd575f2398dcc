"""What the cluster makes surprising about a resource."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from controller.admission.advice import Advice
from controller.admission.judge import judge
from controller.core.cluster import ClusterConfig
from controller.core.network import ALL_NETWORKS
from controller.index.inbound import InboundIndex
from controller.index.inbound.survey import LOOKED_AT
from controller.k8s.events import Applied
from controller.k8s.meta import Resource
from tests.builders import container, external_workload, http_route, pod, port, selector, server

from .reviews import GATEWAY, POLICY, answer_of, review

CLUSTER = ClusterConfig(probe_networks=tuple(match.net for match in ALL_NETWORKS))
NEW = {"podSelector": {"matchLabels": {"app": "app-0"}}, "port": 8080}


def advice(kind: str, spec: Any, *resources: Resource, known: bool = True, **more: Any) -> Sequence[str]:
    """The warnings on creating an object where these exist."""
    index = InboundIndex(CLUSTER)
    index.apply([Applied(resource) for resource in resources])
    verdict = judge(json.dumps(review(kind, spec, **more)).encode(), Advice(index, lambda: known))
    assert verdict.allowed
    texts: list[str] = answer_of(verdict)["response"].get("warnings", [])
    return texts


# Servers


def test_a_server_that_selects_nothing_where_there_is_something() -> None:
    """Its selector is likely misspelled."""
    web = {"matchLabels": {"app": "web"}}

    assert advice("Server", NEW | {"podSelector": web}, pod("a")) == [
        "spec.podSelector: selects none of 1 meshed pod here"
    ]
    spec = {"externalWorkloadSelector": web, "port": 80}
    assert advice("Server", spec, pod("a"), external_workload("b"), external_workload("c")) == [
        "spec.externalWorkloadSelector: selects none of 2 ExternalWorkloads here"
    ]


def test_a_server_may_come_before_its_pods() -> None:
    """Manifests are applied in whatever order: where there is nothing, nothing is missed."""
    assert advice("Server", NEW) == []
    assert advice("Server", NEW, pod("a", namespace="ns-1"), external_workload("b")) == []
    assert advice("Server", NEW, pod("a")) == []


def test_a_named_port_that_no_selected_pod_has() -> None:
    """Some may lack it, as versions of a Deployment do."""
    spec = NEW | {"port": "http"}
    named, plain = pod("a", container(port("http", 80))), pod("b")

    assert advice("Server", spec, plain) == ["spec.port: none of 1 meshed pod selected has a port named 'http'"]
    assert advice("Server", spec, plain, named) == []


def test_a_server_behind_another() -> None:
    """A new one is behind every one on the same ports; the text says whom, and where."""
    others = [
        pod("a"),
        pod("b", labels={"app": "app-0", "tier": "1"}),
        server("tiered", selects=selector({"tier": "1"})),
    ]

    effect = "came first (older, or as old and first by name): this one has no effect there"
    assert advice("Server", NEW, *others) == [f"spec.port: of 2 meshed pods selected, Server 'tiered' on 1 {effect}"]
    assert advice("Server", NEW, *others, server("all", created=1)) == [
        f"spec.port: of 2 meshed pods selected, Server 'all' on 1, 'tiered' on 1 {effect}"
    ]
    assert advice("Server", NEW | {"port": 9090}, *others) == []


def test_all_is_said_for_all() -> None:
    """Where the Server has no effect whatever."""
    (text,) = advice("Server", NEW, pod("a"), pod("b"), server("old"))

    assert text.startswith("spec.port: of 2 meshed pods selected, Server 'old' on all came first ")


def test_many_servers_and_workloads_make_a_short_text() -> None:
    """Three Servers are named, and what was not counted to the end is said to be a minimum."""
    pods = [pod(f"p{i}", labels={"app": "app-0", "shard": str(i % 5)}) for i in range(LOOKED_AT + 5)]
    servers = [server(f"s{i}", selects=selector({"shard": str(i)})) for i in range(5)]

    (text,) = advice("Server", NEW, *pods, *servers)

    share = LOOKED_AT // 5
    assert (
        f"Server 's0' on at least {share}, 's1' on at least {share}, 's2' on at least {share} and 2 more came" in text
    )
    assert len(text) < 256


def test_age_decides_between_servers() -> None:
    """A time in the metadata counts; only a new object without one is the youngest."""
    old = server("old", created=5)
    older = {"name": "x", "namespace": "ns-0", "creationTimestamp": "2026-01-01T00:04:00Z"}

    assert len(advice("Server", NEW, pod(), old)) == 1
    assert advice("Server", NEW, pod(), old, metadata=older) == []
    assert advice("Server", NEW, pod(), old, operation="UPDATE") == []  # without a time it is the oldest
    younger = older | {"creationTimestamp": "2026-01-01T00:06:00Z"}
    assert len(advice("Server", NEW, pod(), old, metadata=younger, operation="UPDATE")) == 1


# Routes


PROBED = pod("a", container(port("http", 8080), live=(8080, "/live"), ready=("http", "/ready")))
PARENT = {"group": POLICY, "kind": "Server", "name": "srv-8080"}


def route(*rules: Any, parent: Any = PARENT) -> Any:
    return {"parentRefs": [{"kind": "Service", "name": "web"}, parent], "rules": list(rules)}


@pytest.mark.parametrize("group", [POLICY, GATEWAY])
def test_a_first_route_ends_the_permission_to_probe(group: str) -> None:
    """The text says which probes, and what to do."""
    (text,) = advice("HTTPRoute", route({}), PROBED, server(), group=group)

    assert text.startswith("spec.parentRefs[1]: ")
    assert "/live, /ready" in text
    assert "Server 'srv-8080'" in text
    assert len(text) < 256


def test_routes_without_consequence_for_probes() -> None:
    """No such Server, no probes, a second route, the same route again, a route for gRPC or for others."""
    spec = route({})

    assert advice("HTTPRoute", spec, PROBED) == []
    assert advice("HTTPRoute", spec, pod("a"), server()) == []
    assert advice("HTTPRoute", spec, PROBED, server(), http_route("first")) == []
    assert len(advice("HTTPRoute", spec, PROBED, server(), http_route("x"))) == 1
    assert advice("GRPCRoute", spec, PROBED, server()) == []
    assert advice("HTTPRoute", {"rules": []}, PROBED, server()) == []


@pytest.mark.parametrize(
    ("rules", "fine"),
    [
        ([{}], True),
        ([{"matches": []}], True),
        ([{"matches": [{"path": {"value": "/a"}}, {}]}], True),
        ([{"matches": [{"path": {"type": "PathPrefix"}, "method": "GET"}]}], True),
        ([], False),
        ([{"matches": [{"path": {"type": "Exact", "value": "/"}}]}], False),
        ([{"matches": [{"path": {"value": "/live"}}]}], False),
        ([{"matches": [{"headers": [{"name": "a", "value": "b"}]}]}], False),
        ([{"matches": [{"queryParams": [{"name": "a", "value": "b"}]}]}], False),
        ([{"matches": [{"method": "POST"}]}], False),
    ],
)
def test_probes_pass_where_everything_does(rules: Any, fine: bool) -> None:
    """The Server lets anybody in and the route takes every request."""
    open_server = server(access="all-unauthenticated")

    assert len(advice("HTTPRoute", route(*rules), PROBED, open_server)) == (0 if fine else 1)
    assert len(advice("HTTPRoute", route(*rules), PROBED, server(access="deny"))) == 1


def test_of_many_probes_some_are_named() -> None:
    """The text stays short."""
    many = pod("a", *(container(live=(8080, f"/{i}")) for i in range(5)))

    (text,) = advice("HTTPRoute", route(), many, server())
    assert "/0, /1, /2 and 2 more" in text


# What is not known


def test_nothing_is_said_before_everything_is_known() -> None:
    """What seems to be missing may not have been listed yet."""
    spec = NEW | {"podSelector": {"matchLabels": {"app": "web"}}}

    assert advice("Server", spec, pod("a"), known=False) == []
    assert advice("HTTPRoute", route({}), PROBED, server(), known=False) == []


def test_other_kinds_have_no_surroundings() -> None:
    """What is surprising about them shows in themselves."""
    assert advice("NetworkAuthentication", {"networks": [{"cidr": "10.0.0.0/8"}]}, PROBED, server()) == []
