"""What there is for a Server that somebody is about to write, or for a route of one."""

from __future__ import annotations

import attrs

from controller.core.cluster import ClusterConfig
from controller.core.network import ALL_NETWORKS
from controller.index.inbound import InboundIndex
from controller.index.inbound.survey import LOOKED_AT, ProbeSurvey, ServerSurvey
from controller.index.parse.authorizations import RouteTarget
from controller.index.parse.servers import ServerForm, parse_server
from controller.k8s.events import Applied
from controller.k8s.meta import Resource
from controller.k8s.policy import Server
from tests.builders import POLICY, container, external_workload, http_route, pod, port, selector, server

CLUSTER = ClusterConfig()
PROBED = ClusterConfig(probe_networks=tuple(match.net for match in ALL_NETWORKS))


def index(*resources: Resource, cluster: ClusterConfig = CLUSTER) -> InboundIndex:
    found = InboundIndex(cluster)
    found.apply([Applied(resource) for resource in resources])
    return found


def form(resource: Server) -> ServerForm:
    return parse_server(resource, CLUSTER)


def test_in_an_unknown_namespace_there_is_nothing() -> None:
    """And no namespace comes into being by asking."""
    empty = index()

    assert empty.survey_server("ns-0", form(server())) == ServerSurvey(0, 0)
    assert empty.survey_probes("ns-0", "srv-8080") is None
    assert empty.statistics().namespaces == {}


def test_workloads_of_the_kind_and_those_selected_are_counted() -> None:
    """Other kinds and other namespaces do not count."""
    found = index(
        pod("a"), pod("b"), pod("c", labels={"app": "other"}), pod("d", namespace="ns-1"), external_workload("e")
    )

    assert found.survey_server("ns-0", form(server())) == ServerSurvey(3, 2, looked_at=2)
    assert found.survey_server("ns-0", form(server(selects_external=selector({})))) == ServerSurvey(1, 1, looked_at=1)
    assert found.survey_server("ns-0", form(server(selects=selector({"app": "none"})))) == ServerSurvey(3, 0)


def test_workloads_without_the_named_port_are_counted() -> None:
    """A number is a port of every workload."""
    found = index(pod("a", container(port("http", 8080))), pod("b"), pod("c"))

    assert found.survey_server("ns-0", form(server(port="http"))).without_port == 2
    assert found.survey_server("ns-0", form(server(port=8080))).without_port == 0


def test_servers_that_come_first_hold_a_port() -> None:
    """An older one, or one as old with a lesser name; where both select a workload and mean the same port."""
    found = index(
        pod("a", container(port("http", 8080))),
        pod("b", container(port("http", 8081)), labels={"app": "app-0", "tier": "1"}),
        server("old", 8080, selects=selector({}), created=1),
        server("tiered", "http", selects=selector({"tier": "1"}), created=2),
        server("late", 8080, created=9),
    )

    assert found.survey_server("ns-0", form(server("new", 8080, created=5))).held == {"old": 2}
    assert found.survey_server("ns-0", form(server("new", "http", created=5))).held == {"old": 1, "tiered": 1}
    assert found.survey_server("ns-0", form(server("new", 9090, created=5))).held == {}
    assert found.survey_server("ns-0", form(server("new", 8080, created=0))).held == {}
    assert found.survey_server("ns-0", form(server("aaa", 8080, created=1))).held == {}
    assert found.survey_server("ns-0", form(server("zzz", 8080, created=1))).held == {"old": 2}


def test_a_server_does_not_come_before_itself() -> None:
    """When it is written anew, its former self does not count; whom that held up counts as before."""
    found = index(pod(), server("first", created=0), server("second", created=1))

    assert found.survey_server("ns-0", form(server("first", created=0))).held == {}
    assert found.survey_server("ns-0", form(server("second", created=1))).held == {"first": 1}


def test_only_so_many_workloads_are_looked_at() -> None:
    """All are counted."""
    found = index(*(pod(f"p{i}") for i in range(LOOKED_AT + 5)), server("old", created=0))

    survey = found.survey_server("ns-0", form(server("new", created=1)))

    assert survey == ServerSurvey(LOOKED_AT + 5, LOOKED_AT + 5, 0, LOOKED_AT, {"old": LOOKED_AT})


def test_asking_changes_nothing() -> None:
    """Not what is counted, and not what anybody is told."""
    found = index(pod("a"), server("old", created=0))
    before = found.statistics()

    found.survey_server("ns-0", form(server("new", created=1)))
    found.survey_probes("ns-0", "old")

    assert found.statistics() == before


LIVE = container(port("http", 8080), live=(8080, "/live"), ready=("http", "/ready"))


def test_probes_of_the_ports_that_a_server_governs() -> None:
    """Those of other ports, other workloads and other Servers go on as before."""
    found = index(
        pod("a", LIVE),
        pod("b", container(live=(9090, "/other-port"))),
        pod("c", container(live=(8080, "/other-app")), labels={"app": "other"}),
        pod("d", container(live=(8080, "/taken")), labels={"app": "app-0", "tier": "1"}),
        server("tiered", selects=selector({"tier": "1"}), created=0),
        server(created=1),
        cluster=PROBED,
    )

    assert found.survey_probes("ns-0", "srv-8080") == ProbeSurvey(("/live", "/ready"), frozenset(), open=False)
    assert found.survey_probes("ns-0", "none") is None
    assert found.survey_probes("ns-1", "srv-8080") is None


def test_without_probe_networks_nobody_may_probe() -> None:
    """So there is nothing to lose."""
    found = index(pod("a", LIVE), server())

    assert found.survey_probes("ns-0", "srv-8080") == ProbeSurvey((), frozenset(), open=False)


def test_routes_and_openness_of_a_server() -> None:
    """Attached HTTP routes by name, and whether its access policy lets anybody in."""
    found = index(pod(), server(access="all-unauthenticated"), http_route("a"), http_route("b", accepted_by=None))

    survey = found.survey_probes("ns-0", "srv-8080")

    assert survey is not None
    assert survey == attrs.evolve(survey, routes=frozenset([RouteTarget.of(POLICY, "HTTPRoute", "a")]), open=True)
    for access, expected in (("audit", True), ("all-authenticated", False), ("deny", False)):
        survey = index(pod(), server(access=access)).survey_probes("ns-0", "srv-8080")
        assert survey is not None
        assert survey.open is expected
