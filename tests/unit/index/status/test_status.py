"""The status of routes, rate limits and EgressNetworks."""

from __future__ import annotations

from typing import Any

import pytest

from controller.index.status.index import StatusIndex
from controller.index.status.rules import EGRESS_BACKEND_NEEDS_PARENT, EGRESS_NOT_ACCEPTED, NO_CLUSTER_IP, OVERLAP
from controller.index.status.values import (
    EgressNetworkStatus,
    Parent,
    ParentKind,
    RateLimitStatus,
    RouteStatus,
    Verdict,
)
from controller.k8s.events import Event, Reset
from controller.k8s.meta import ObjectKey
from controller.k8s.policy import Server
from tests.unit.index.status.objects import (
    CONFIG,
    condition,
    egress,
    egress_ref,
    gone,
    key,
    limit,
    route,
    server,
    server_ref,
    service,
    service_ref,
    verdicts,
)

YES = ("Accepted", True, "Accepted", "")
NO_PARENT = ("Accepted", False, "NoMatchingParent", "")
CONFLICT = ("Accepted", False, "RouteReasonConflicted", "")
RESOLVED = ("ResolvedRefs", True, "ResolvedRefs", "")
NOT_FOUND = ("ResolvedRefs", False, "BackendNotFound", "")
BAD_KIND = ("ResolvedRefs", False, "InvalidKind", "")
BAD_EGRESS = ("ResolvedRefs", False, "InvalidKind", EGRESS_BACKEND_NEEDS_PARENT)

ALL = ("policy", "gateway", "grpc", "tls", "tcp")
every_kind = pytest.mark.parametrize("kind", ALL)


def index(*events: Event) -> StatusIndex:
    made = StatusIndex(CONFIG)
    made.apply(events)
    return made


def shown(kind: str, *events: Event, name: str = "route") -> Any:
    return verdicts(index(*events).wanted(key(kind, name)))


# Routes: status 1-56


@every_kind
def test_a_route_without_backends_resolves(kind: str) -> None:
    """A Service parent and no backend: accepted and resolved."""
    # status 1, 2
    assert shown(kind, service(), route(kind, service_ref())) == [[YES, RESOLVED]]


@every_kind
def test_existing_services_resolve(kind: str) -> None:
    """Service backends that exist resolve."""
    # status 3, 4, 23, 35, 45
    backends = (service_ref("a"), service_ref("b"))

    assert shown(kind, service(), service("a"), service("b"), route(kind, service_ref(), backends=backends)) == [
        [YES, RESOLVED]
    ]


@every_kind
def test_an_egress_network_may_send_to_itself(kind: str) -> None:
    """An EgressNetwork that is both parent and backend resolves."""
    # status 5, 6, 24, 36, 46
    assert shown(kind, egress(), route(kind, egress_ref(), backends=(egress_ref(port=None),))) == [[YES, RESOLVED]]


@every_kind
def test_a_missing_service_does_not_resolve(kind: str) -> None:
    """One missing backend is enough, and does not touch Accepted."""
    # status 7, 8, 25, 37, 47
    backends = (service_ref("a"), service_ref("missing"))

    assert shown(kind, service(), service("a"), route(kind, service_ref(), backends=backends)) == [[YES, NOT_FOUND]]


@every_kind
def test_another_egress_network_is_no_backend(kind: str) -> None:
    """An EgressNetwork backend needs the same EgressNetwork as parent."""
    # status 9, 10, 26, 38, 48
    assert shown(kind, egress(), egress("other"), route(kind, egress_ref(), backends=(egress_ref("other"),))) == [
        [YES, BAD_EGRESS]
    ]


@every_kind
def test_an_egress_network_is_no_backend_of_a_service(kind: str) -> None:
    """An EgressNetwork backend under a Service parent is of an invalid kind."""
    # status 11, 12, 27, 39, 49
    assert shown(kind, service(), egress(), route(kind, service_ref(), backends=(egress_ref(),))) == [[YES, BAD_EGRESS]]


@every_kind
def test_a_service_is_a_backend_of_an_egress_network(kind: str) -> None:
    """A Service backend under an EgressNetwork parent is fine."""
    # status 13, 14, 28, 40, 50
    assert shown(kind, egress(), service(), route(kind, egress_ref(), backends=(service_ref(),))) == [[YES, RESOLVED]]


@every_kind
def test_a_server_that_comes_and_goes_changes_its_routes(kind: str) -> None:
    """Accepted follows the Server; there is no ResolvedRefs, and the namespace is filled in."""
    # status 15, 16, 19, 20, 29, 31, 41, 43, 51, 53, 189, 192, 193, 313
    made = index(route(kind, server_ref(), backends=(service_ref("missing"),)))
    before = made.wanted(key(kind, "route"))

    came = made.apply([server()])
    there = verdicts(made.wanted(key(kind, "route")))
    went = made.apply([gone("server", "srv")])

    assert isinstance(before, RouteStatus)
    assert before.parents[0].parent == Parent(ParentKind.SERVER, ObjectKey("ns-0", "srv"))
    assert (verdicts(before), there) == ([[NO_PARENT]], [[YES]])
    assert came == went == {key(kind, "route")}


@every_kind
def test_an_egress_network_that_comes_and_goes_changes_its_routes(kind: str) -> None:
    """Accepted follows the EgressNetwork, ResolvedRefs does not."""
    # status 17, 18, 21, 22, 30, 32, 42, 44, 52, 54
    made = index(route(kind, egress_ref(port=None)))
    before = verdicts(made.wanted(key(kind, "route")))

    came = made.apply([egress()])
    there = verdicts(made.wanted(key(kind, "route")))
    went = made.apply([gone("egress", "net")])

    assert (before, there) == ([[NO_PARENT, RESOLVED]], [[YES, RESOLVED]])
    assert (came, went) == ({key("egress", "net"), key(kind, "route")}, {key(kind, "route")})
    assert verdicts(made.wanted(key(kind, "route"))) == [[NO_PARENT, RESOLVED]]


@pytest.mark.parametrize(("loser", "winner"), [("policy", "grpc"), ("gateway", "grpc"), ("tcp", "tls")])
@pytest.mark.parametrize("parent", [service_ref(), egress_ref()])
def test_a_route_of_a_higher_kind_takes_the_parent(loser: str, winner: str, parent: dict[str, Any]) -> None:
    """The route of the lower kind is refused, and both are named as changed."""
    # status 33, 34, 55, 56
    made = index(service(), egress(), route(loser, parent, name="lower"))

    changed = made.apply([route(winner, parent, name="higher")])

    assert changed == {key(loser, "lower"), key(winner, "higher")}
    assert verdicts(made.wanted(key(loser, "lower"))) == [[CONFLICT, RESOLVED]]
    assert verdicts(made.wanted(key(winner, "higher"))) == [[YES, RESOLVED]]


RANKS = {"grpc": 0, "policy": 1, "gateway": 1, "tls": 2, "tcp": 3}


@every_kind
@pytest.mark.parametrize("other", ALL)
@pytest.mark.parametrize("parent", [service_ref(port=None), egress_ref(port=None)])
def test_only_a_strictly_higher_kind_conflicts(kind: str, other: str, parent: dict[str, Any]) -> None:
    """GRPCRoutes win over HTTPRoutes of both groups, those over TLSRoutes, those over TCPRoutes."""
    # status 57-76, 308, outbound 183
    events = [service(), egress(), route(kind, parent), route(other, parent, name="other")]

    expected = CONFLICT if RANKS[other] < RANKS[kind] else YES

    assert shown(kind, *events) == [[expected, RESOLVED]]


def test_another_port_is_another_parent() -> None:
    """A reference without a port and one with a port do not conflict."""
    # status 308
    events = [service(), route("policy", service_ref(port=None)), route("grpc", service_ref(port=80), name="g")]

    assert shown("policy", *events) == [[YES, RESOLVED]]


def test_the_loser_is_accepted_again_when_the_winner_goes() -> None:
    """Deleting the higher route names the lower one at once."""
    # status 309; better than upstream, which waits for its next tick
    made = index(service(), route("grpc", service_ref(), name="g"), route("policy", service_ref()))

    changed = made.apply([gone("grpc", "g")])

    assert changed == {key("policy", "route")}
    assert verdicts(made.wanted(key("policy", "route"))) == [[YES, RESOLVED]]


# EgressNetworks and rate limits: status 77-82, 314-317, outbound 184


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (None, Verdict("Accepted", status=True, reason="Accepted")),  # status 77
        ([{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "100.64.0.0/10", "192.168.0.0/16"]}], "overlap"),  # status 79
        ([{"cidr": "10.1.2.3"}], "overlap"),
        ([{"cidr": "10.0.0.0/7", "except": ["10.0.0.0/9", "10.128.0.0/9"]}], "overlap"),  # status 317
        ([{"cidr": "::/0", "except": ["fd00::/8"]}, {"cidr": "9.0.0.0/8"}], Verdict("Accepted", True, "Accepted")),
    ],
)
def test_an_egress_network_must_keep_off_the_cluster(networks: Any, expected: Any) -> None:
    """It is accepted when one exception covers each cluster network that it touches."""
    verdict = Verdict("Accepted", False, "EgressReasonNetworkOverlap", OVERLAP) if expected == "overlap" else expected

    assert index(egress(networks=networks, conditions=[])).wanted(key("egress", "net")) == EgressNetworkStatus(verdict)


def test_an_egress_network_that_shows_it_is_left_alone() -> None:
    """A condition that is right already is not written, whatever stands beside it."""
    # status 78, 316
    other = condition(kind="Other", status="Unknown", reason="Whatever")

    assert index(egress()).wanted(key("egress", "net")) is None
    assert index(egress(conditions=[other, condition()])).wanted(key("egress", "net")) is None
    assert index(egress(conditions=[condition(), other])).wanted(key("egress", "net")) is None


ACCEPTED = Verdict("Accepted", status=True, reason="Accepted")
EXISTS = Verdict("Accepted", status=False, reason="RateLimitReasonAlreadyExists")
NO_TARGET = Verdict("Accepted", status=False, reason="NoMatchingTarget")


def test_the_first_rate_limit_of_a_server_is_in_force() -> None:
    """A limit is accepted; a second one is not, and only that one is named as changed."""
    # status 71, 80, 82; better than upstream, which patches the first one again
    made = index(server(), limit("rl-1"))
    alone = made.wanted(key("limit", "rl-1"))

    changed = made.apply([limit("rl-2")])

    assert alone == made.wanted(key("limit", "rl-1")) == RateLimitStatus(ACCEPTED, "srv")
    assert made.wanted(key("limit", "rl-2")) == RateLimitStatus(EXISTS, "srv")
    assert changed == {key("limit", "rl-2")}


def test_a_rate_limit_without_its_server_says_so() -> None:
    """A missing target is not accepted, and named all the same."""
    # status 81, 314
    made = index(server(), limit(target=server_ref("server-2")))

    assert made.wanted(key("limit", "rl")) == RateLimitStatus(NO_TARGET, "server-2")
    assert made.apply([server("server-2")]) == {key("limit", "rl")}


def test_the_oldest_rate_limit_wins_and_the_next_follows_it() -> None:
    """Age decides, then the name; one without a time comes last; the winner's end promotes the next."""
    # status 314
    made = index(
        server(),
        limit("a"),
        limit("b", created="2026-01-02T00:00:00Z"),
        limit("c", created="2026-01-01T00:00:00Z"),
        limit("d", created="2026-01-01T00:00:00Z"),
    )
    order = []
    for name in "cdba":
        winners = [n for n in "abcd" if made.wanted(key("limit", n)) == RateLimitStatus(ACCEPTED, "srv")]
        order.append(winners)
        made.apply([gone("limit", name)])

    assert order == [["c"], ["d"], ["b"], ["a"]]


def test_a_rate_limit_on_something_else_has_no_status() -> None:
    """Only Servers can be limited; anything else gets no status at all."""
    # status 315
    assert index(limit(target={"kind": "Deployment", "name": "x"})).wanted(key("limit", "rl")) is None


def test_a_rate_limit_that_shows_it_is_left_alone() -> None:
    """Condition and target must both be right."""
    shown = {"conditions": [condition()], "targetRef": server_ref()}
    stale = {"conditions": [condition()], "targetRef": server_ref("before")}

    assert index(server(), limit(status=shown)).wanted(key("limit", "rl")) is None
    assert index(server(), limit(status=stale)).wanted(key("limit", "rl")) == RateLimitStatus(ACCEPTED, "srv")


# References and comparison: status 83-92, 190, 191, 303-312


def entry(ref: dict[str, Any], *conditions: dict[str, Any], by: str = "linkerd.io/policy-controller") -> dict[str, Any]:
    return {"parentRef": ref, "controllerName": by, "conditions": list(conditions)}


RESOLVED_CONDITION = condition(kind="ResolvedRefs", reason="ResolvedRefs")


@every_kind
def test_entries_in_another_order_are_equal(kind: str) -> None:
    """A status that says the same in another order is not written again."""
    # status 83, 84, 304, 305
    refs = [service_ref(port=80, namespace="ns-0"), service_ref(port=81, namespace="ns-0")]
    status = [entry(ref, condition(), RESOLVED_CONDITION) for ref in reversed(refs)]

    assert index(service(), route(kind, *refs, status=status)).wanted(key(kind, "route")) is None


@every_kind
def test_entries_of_other_controllers_do_not_count(kind: str) -> None:
    """What others wrote neither hides a missing entry nor makes one necessary."""
    # status 303
    foreign = entry(service_ref(namespace="ns-0"), condition(), RESOLVED_CONDITION, by="someone/else")
    ours = entry(service_ref(namespace="ns-0"), condition(), RESOLVED_CONDITION)

    assert shown(kind, service(), route(kind, service_ref(), status=[foreign])) == [[YES, RESOLVED]]
    assert index(service(), route(kind, service_ref(), status=[foreign, ours])).wanted(key(kind, "route")) is None


@pytest.mark.parametrize(
    "stored",
    [
        entry(service_ref(namespace="ns-0"), condition()),
        entry(service_ref(namespace="ns-0"), condition("False"), RESOLVED_CONDITION),
        entry(service_ref(namespace="ns-0"), condition("Unknown"), RESOLVED_CONDITION),
        entry(service_ref(), condition(), RESOLVED_CONDITION),
        entry(service_ref(namespace="ns-0", group="Core"), condition(), RESOLVED_CONDITION),
        entry(service_ref(namespace="ns-0", sectionName="s"), condition(), RESOLVED_CONDITION),
        entry({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "svc"}, condition()),
    ],
)
def test_an_entry_in_another_form_is_written_anew(stored: dict[str, Any]) -> None:
    """Whatever is not to the letter what we would write is replaced."""
    assert shown("policy", service(), route("policy", service_ref(), status=[stored])) == [[YES, RESOLVED]]


@every_kind
def test_a_route_that_lost_its_parents_loses_its_entries(kind: str) -> None:
    """No parent and an entry of ours: an empty list is wanted. No parent and no entry: nothing is."""
    # status 68, 191, 306
    gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}
    ours = entry(service_ref(namespace="ns-0"), condition(), RESOLVED_CONDITION)

    assert index(route(kind, status=[ours])).wanted(key(kind, "route")) == RouteStatus(())
    assert index(route(kind, gateway)).wanted(key(kind, "route")) is None


def test_each_parent_is_judged_by_itself() -> None:
    """One existing and one missing parent give one entry each, in spec order."""
    # status 67, 190
    parents = (server_ref("missing"), server_ref())

    assert shown("policy", server(), route("policy", *parents)) == [[NO_PARENT], [YES]]


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None"}, {"clusterIP": "none"}, {"clusterIP": None}, {"type": "ExternalName"}]
)
def test_a_service_without_an_address_is_no_parent(spec: dict[str, Any]) -> None:
    """Headless and ExternalName Services take no routes, and the message says why."""
    # status 194-196, 310
    assert shown("policy", service(**spec), route("policy", service_ref())) == [
        [("Accepted", False, "NoMatchingParent", NO_CLUSTER_IP), RESOLVED]
    ]


def test_a_service_that_gets_an_address_takes_its_routes() -> None:
    """A Service whose usability changes names its routes; one that only changes otherwise does not."""
    made = index(service(clusterIP="None"), route("policy", service_ref()))

    assert made.apply([service(ports=[{"port": 80}])]) == {key("policy", "route")}
    assert made.apply([service(ports=[{"port": 81}])]) == frozenset()


def test_an_egress_network_takes_routes_once_its_status_says_so() -> None:
    """The stored status counts, and not what it will become."""
    # status 311
    made = index(egress(conditions=[]), route("policy", egress_ref()))
    before = verdicts(made.wanted(key("policy", "route")))

    changed = made.apply([egress()])

    assert before == [[("Accepted", False, "NoMatchingParent", EGRESS_NOT_ACCEPTED), RESOLVED]]
    assert changed == {key("egress", "net"), key("policy", "route")}
    assert verdicts(made.wanted(key("policy", "route"))) == [[YES, RESOLVED]]


UNKNOWN_REF = {"group": "example.com", "kind": "Thing", "name": "x"}


@pytest.mark.parametrize(
    ("backends", "expected"),
    [
        ((UNKNOWN_REF, service_ref("missing")), BAD_KIND),
        ((service_ref("missing"), UNKNOWN_REF), NOT_FOUND),
        ((egress_ref("missing"),), NOT_FOUND),
        (({"group": "policy.linkerd.io", "name": "x"},), BAD_KIND),
    ],
)
def test_the_first_bad_backend_decides(backends: tuple[dict[str, Any], ...], expected: Any) -> None:
    """Backends are judged in order, and the first problem is the one shown."""
    # status 312
    assert shown("policy", service(), route("policy", service_ref(), backends=backends)) == [[YES, expected]]


@every_kind
def test_backends_without_a_kind_are_services(kind: str) -> None:
    """No kind means Service, no group or `Core` means the core group, and no namespace the route's own."""
    # status 85-88
    backends = ({"name": "a", "namespace": "ns-0"}, {"name": "a"}, {"group": "Core", "kind": "Service", "name": "a"})

    assert shown(kind, service(), service("a"), route(kind, service_ref(), backends=backends)) == [[YES, RESOLVED]]


@every_kind
def test_backends_keep_their_kinds(kind: str) -> None:
    """A Server is no backend."""
    # status 89-92
    backends = ({"name": "a"}, server_ref())

    assert shown(kind, service(), service("a"), server(), route(kind, service_ref(), backends=backends)) == [
        [YES, BAD_KIND]
    ]


@pytest.mark.parametrize("group", [None, "", "core", "CORE"])
def test_the_core_group_has_many_spellings(group: str | None) -> None:
    """However a Service is named, its entry says `core`."""
    # status 307
    ref = {"kind": "service", "name": "svc"} | ({} if group is None else {"group": group})
    status = index(service(), route("policy", ref)).wanted(key("policy", "route"))

    assert isinstance(status, RouteStatus)
    assert status.parents[0].parent == Parent(ParentKind.SERVICE, ObjectKey("ns-0", "svc"))


@pytest.mark.parametrize("ref", [service_ref(port=70000), {"name": "svc"}, {"kind": "Gateway", "name": "svc"}])
def test_a_parent_that_we_cannot_name_has_no_entry(ref: dict[str, Any]) -> None:
    """A port that is none, no kind, or a kind of somebody else's."""
    assert index(service(), route("policy", ref)).wanted(key("policy", "route")) is None


def test_the_port_of_a_server_reference_does_not_count() -> None:
    """A Server parent never has a port."""
    status = index(server(), route("policy", server_ref(port=80))).wanted(key("policy", "route"))

    assert isinstance(status, RouteStatus)
    assert status.parents[0].parent == Parent(ParentKind.SERVER, ObjectKey("ns-0", "srv"))


# Events


def test_an_event_that_changes_nothing_names_nobody() -> None:
    """The same object again, an object that nobody depends on, and a kind without status."""
    made = index(service(), route("policy", service_ref()))

    assert (
        made.apply([service(), route("policy", service_ref()), server("lonely"), gone("server", "never")])
        == frozenset()
    )


def test_a_list_is_its_objects_and_its_removals() -> None:
    """A completed list names what its changes would name one by one."""
    policy = route("policy", server_ref("a"), server_ref("c"))
    made = index(server("a"), server("b"), policy, limit(target=server_ref("b")))
    removed = frozenset({ObjectKey("ns-0", "a"), ObjectKey("ns-0", "b")})

    changed = made.apply([Reset(Server, (server("c").resource,), removed)])

    assert changed == {key("policy", "route"), key("limit", "rl")}
    assert verdicts(made.wanted(key("policy", "route"))) == [[NO_PARENT], [YES]]


def test_a_new_leader_looks_through_everything_that_has_a_status() -> None:
    """The keys are those of routes, limits and EgressNetworks; what is gone wants nothing."""
    made = index(server(), service(), egress(), limit(), route("tcp", service_ref()))
    made.apply([gone("limit", "rl")])

    assert set(made.subjects()) == {key("egress", "net"), key("tcp", "route")}
    assert made.wanted(key("limit", "rl")) is None


def test_an_object_that_is_written_and_still_wrong_is_named_again() -> None:
    """Another version that says the same may mean that somebody has undone what the writer did."""
    made = index(service(), route("policy", service_ref()))

    assert made.apply([route("policy", service_ref(), version="2")]) == {key("policy", "route")}
    assert made.apply([route("policy", service_ref(), version="2")]) == frozenset()


def test_what_decides_nothing_names_nobody_else() -> None:
    """One more route on a parent that others share, or news of a status, concerns that route alone."""
    others = [route("policy", service_ref(), name=f"other-{number}") for number in range(3)]
    made = index(service(), *others, route("grpc", service_ref(), name="winner"))

    assert made.apply([route("tcp", service_ref())]) == {key("tcp", "route")}
    assert made.apply([gone("tcp", "route")]) == frozenset()
    assert made.apply([route("grpc", service_ref(), name="second")]) == {key("grpc", "second")}
    assert made.apply([gone("grpc", "winner")]) == frozenset()
    assert made.apply([gone("grpc", "second")]) == {key("policy", f"other-{number}") for number in range(3)}
