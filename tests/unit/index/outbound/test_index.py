"""The outbound index: what is told after which events, and how much has to be looked at for it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import attrs
import pytest

from controller.core.answer import Answer
from controller.core.cluster import ClusterConfig
from controller.core.outbound import (
    AddressTarget,
    EgressFallback,
    EgressNetworkBackend,
    EgressPolicy,
    InvalidBackend,
    OutboundAnswer,
    OutboundPolicy,
    OutboundTarget,
    ServiceBackend,
    ServiceTarget,
    UndefinedPort,
)
from controller.index.outbound.index import OutboundIndex
from controller.index.outbound.routes import RouteId, RouteTable
from controller.index.parse.cidr import parse_net
from controller.index.parse.outbound_routes import parse_outbound_route
from controller.index.parse.parents import Attachment, ParentKey, ParentKind
from controller.k8s.builtin import Pod, Service
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.gateway import GatewayHTTPRoute
from controller.k8s.meta import ObjectKey, ObjectMeta
from tests.destinations import Object, applied, decode, deleted, egress_network, egress_ref, route, service, service_ref

CONFIG = ClusterConfig(cluster_networks=(parse_net("192.0.2.0/24"),), cluster_domain="cluster.example.com")
APEX = ServiceTarget("ns", "ns", "apex", 8080)


def at(address: str, port: int = 8080, source: str = "ns") -> AddressTarget:
    return AddressTarget(source, ip_address(address), port)


class World:
    """An index, and a watch on everything that was asked about."""

    def __init__(self, *objects: Object, config: ClusterConfig = CONFIG) -> None:
        self.index = OutboundIndex(config)
        self.apply(*objects)

    def apply(self, *objects: Object) -> frozenset[OutboundTarget]:
        return self.index.apply([applied(obj) for obj in objects])

    def delete(self, *objects: Object) -> frozenset[OutboundTarget]:
        return self.index.apply([deleted(obj) for obj in objects])

    def watch(self, target: OutboundTarget) -> OutboundPolicy:
        return policy(self.index.watch(target))

    def answer(self, target: OutboundTarget) -> OutboundPolicy:
        return policy(self.index.answer(target))


def policy(answer: Answer[OutboundAnswer] | None) -> OutboundPolicy:
    assert answer is not None
    value = answer.value.shared.value if isinstance(answer.value, EgressPolicy) else answer.value
    assert isinstance(value, OutboundPolicy)
    return value


def backends(found: OutboundPolicy) -> list[tuple[str, bool | None]]:
    """The backends of the first route, and whether they exist."""
    shown = list[tuple[str, bool | None]]()
    for backend in found.routes[0].rules[0].backends:
        match backend:
            case ServiceBackend() | EgressNetworkBackend():
                shown.append((backend.name, backend.exists))
            case InvalidBackend(message):
                shown.append((message, None))
    return shown


# outbound 96
def test_another_network_that_wins_closes_the_watch_on_the_first() -> None:
    """The caller has to ask again, and is told of the other one."""
    world = World(egress_network("b"))
    target = at("192.168.0.1")
    assert world.watch(target).parent.name == "b"
    assert world.apply(egress_network("a")) == {target}
    assert world.index.answer(target) is None
    assert world.watch(target).parent.name == "a"


# outbound 97
def test_a_network_closes_the_watches_on_what_it_covers() -> None:
    """A fallback is one of an address that none covers."""
    world = World()
    answer = world.index.watch(at("1.1.1.1"))
    assert answer is not None
    assert answer.value == EgressFallback(ip_address("1.1.1.1"), 8080)
    assert world.apply(egress_network()) == {at("1.1.1.1")}
    assert world.index.answer(at("1.1.1.1")) is None


# outbound 98
def test_a_network_that_goes_closes_the_watches_on_what_is_someone_elses_now() -> None:
    """Here on a fallback: the network covered nothing, and hid the global one."""
    own = egress_network(networks=[])
    world = World(own, egress_network("global", "linkerd-egress"))
    world.index.watch(at("1.1.1.1"))
    assert world.delete(own) == {at("1.1.1.1")}
    assert world.index.answer(at("1.1.1.1")) is None
    assert world.watch(at("1.1.1.1")).parent.name == "global"


# outbound 99
def test_a_route_for_all_ports_is_there_at_the_first_question() -> None:
    """With a backend that came after it. Neither Service declares a port."""
    parent = service("parent-svc", ips=["1.1.1.1"], ports=[])
    made = route("G", parents=[service_ref("parent-svc")], backends=[service_ref("backend-svc", port=8080)])
    world = World(parent, made)
    world.apply(service("backend-svc", ips=["1.1.1.2"], ports=[]))
    found = world.watch(ServiceTarget("ns", "ns", "parent-svc", 8080))
    assert [(shown.ref.name, shown.ref.namespace) for shown in found.routes] == [("foo-route", "ns")]
    assert backends(found) == [("backend-svc", True)]


# outbound 100, 101, 102, 103
@pytest.mark.parametrize("letter", "LRTC")
def test_a_backend_that_comes_is_told(letter: str) -> None:
    """To those who watch a route to it."""
    made = route(letter, parents=[service_ref("apex", port=8080)], backends=[service_ref("backend", port=8080)])
    world = World(service("apex", ports=[8080]), made)
    assert backends(world.watch(APEX)) == [("backend", False)]
    assert world.apply(service("backend", ips=["10.96.0.2"], ports=[8080])) == {APEX}
    assert backends(world.answer(APEX)) == [("backend", True)]
    assert world.delete(service("backend")) == {APEX}
    assert backends(world.answer(APEX)) == [("backend", False)]


# outbound 104, 105, 106, 107
@pytest.mark.parametrize("letter", "LRTC")
def test_an_egress_network_may_be_its_own_backend(letter: str) -> None:
    """It exists as soon as it is asked about."""
    made = route(letter, parents=[egress_ref("apex", port=8080)], backends=[egress_ref("apex")])
    assert backends(World(egress_network("apex"), made).watch(at("1.1.1.1"))) == [("apex", True)]
    assert backends(World(made, egress_network("apex")).watch(at("1.1.1.1"))) == [("apex", True)]


def test_events_that_change_nothing_are_told_to_nobody() -> None:
    """Also those that change what nobody watches."""
    objects = [
        service("apex", ports=[8080]),
        egress_network(),
        route("G", parents=[service_ref("apex", port=8080)], backends=[service_ref("backend", port=80)]),
    ]
    world = World(*objects)
    world.watch(APEX)
    world.watch(at("1.1.1.1"))
    before = world.index.answer(APEX)
    for obj in objects:
        assert world.apply(obj) == frozenset()
    assert world.apply(service("unrelated", ips=["10.96.0.5"])) == frozenset()
    assert world.apply(route("G", "unrelated", parents=[service_ref("other", port=8080)])) == frozenset()
    assert world.apply(route("G", "elsewhere", parents=[service_ref("apex", port=9999)])) == frozenset()
    assert world.apply(egress_network("elsewhere", "other-ns")) == frozenset()
    assert world.index.answer(APEX) is before


def test_a_batch_is_derived_once() -> None:
    """What is changed and changed back within it is not told."""
    plain, tuned = service("apex"), service("apex", annotations={"timeout.linkerd.io/idle": "1s"})
    world = World(plain)
    world.watch(APEX)
    assert world.apply(tuned, plain) == frozenset()
    assert world.apply(plain, tuned) == {APEX}
    made = route("G", parents=[service_ref("apex")])
    assert world.index.apply([applied(made), deleted(made)]) == frozenset()


def test_callers_of_all_namespaces_share_an_answer() -> None:
    """Unless theirs has a route of its own."""
    world = World(service("apex"), route("G", "producer", parents=[service_ref("apex", port=8080)]))
    targets = [ServiceTarget(source, "ns", "apex", 8080) for source in ("ns", "a", "b")]
    for target in targets:
        world.watch(target)
    answers = [world.index.answer(target) for target in targets]
    assert answers[0] is answers[1] is answers[2]
    consumer = route("G", "consumer", "a", parents=[service_ref("apex", namespace="ns", port=8080)])
    assert world.apply(consumer) == {targets[1]}
    assert [shown.ref.name for shown in world.answer(targets[1]).routes] == ["consumer", "producer"]
    assert world.index.answer(targets[0]) is world.index.answer(targets[2]) is answers[0]
    assert world.delete(consumer) == {targets[1]}
    assert world.index.answer(targets[1]) is answers[0]


def test_consumers_answers_stay_when_nothing_of_theirs_changes() -> None:
    """A Service that is applied again, and a neighbour's route."""
    consumer = route("G", "consumer", "a", parents=[service_ref("apex", namespace="ns")])
    world = World(service("apex"), consumer)
    mine = ServiceTarget("a", "ns", "apex", 8080)
    world.watch(mine)
    before = world.index.answer(mine)
    assert world.apply(service("apex")) == frozenset()
    assert world.apply(route("G", "consumer", "b", parents=[service_ref("apex", namespace="ns")])) == frozenset()
    assert world.index.answer(mine) is before


def test_an_answer_stays_until_it_differs() -> None:
    """A new one is made only for a new value."""
    world = World(service("apex"))
    first = world.index.watch(APEX)
    assert world.index.watch(APEX) is first
    world.apply(service("apex", annotations={"timeout.linkerd.io/idle": "1s"}))
    assert world.index.answer(APEX) is not first


def test_watches_are_counted() -> None:
    """The last one to go takes the target along."""
    world = World(service("apex"))
    world.index.watch(APEX)
    world.index.watch(APEX)
    world.index.unwatch(APEX)
    assert world.apply(service("apex", annotations={"timeout.linkerd.io/idle": "1s"})) == {APEX}
    world.index.unwatch(APEX)
    assert world.apply(service("apex")) == frozenset()
    assert world.index.statistics().targets == 0


def test_a_watch_on_nothing_can_be_given_up() -> None:
    """It has no answer, now or later."""
    world = World()
    target = at("192.0.2.9")
    assert world.index.watch(target) is None
    assert world.apply(service(ips=["192.0.2.9"], ports=[8080])) == frozenset()
    world.index.unwatch(target)
    assert world.index.statistics().targets == 0


def test_an_address_of_a_declared_port_is_known_by_the_services_name() -> None:
    """Every other target stands for itself."""
    world = World(service("apex", ports=[8080]), egress_network())
    assert world.index.resolve(at("10.96.0.1")) == APEX
    for target in (at("10.96.0.1", 1), at("1.1.1.1"), at("192.0.2.1"), APEX):
        assert world.index.resolve(target) == target


def test_an_address_that_is_watched_by_itself_follows_the_service_too() -> None:
    """Its first answer settles what it is."""
    world = World(service("apex", ports=[8080]))
    target = at("10.96.0.1")
    assert world.watch(target).parent.name == "apex"
    assert world.apply(service("apex", ips=["10.96.0.7"], ports=[8080])) == frozenset()
    assert world.apply(service("apex", annotations={"timeout.linkerd.io/idle": "1s"})) == {target}
    world.index.unwatch(target)
    assert world.index.statistics().targets == 0


# outbound 186
def test_a_question_leaves_nothing_behind() -> None:
    """Whatever it is about."""
    world = World(service("apex", ports=[8080]), egress_network())
    for target in (APEX, at("10.96.0.1"), at("10.96.0.1", 1), at("1.1.1.1"), ServiceTarget("a", "b", "c", 1)):
        assert world.index.lookup(target) is not None
    assert world.index.lookup(at("192.0.2.9")) is None
    statistics = world.index.statistics()
    assert (statistics.targets, statistics.service_port_route_index) == (0, {})


def test_a_question_is_answered_like_a_watch() -> None:
    """With the very answer that watchers have, where there are any."""
    world = World(service("apex", ports=[8080]), egress_network())
    for target in (APEX, at("1.1.1.1"), at("10.96.0.1", 1)):
        asked, watched = world.index.lookup(target), world.index.watch(target)
        assert asked is not None
        assert watched is not None
        assert _plain(asked) == _plain(watched)
    assert world.index.lookup(APEX) is world.index.answer(APEX)
    stranger = attrs.evolve(APEX, source_namespace="stranger")
    assert world.index.lookup(stranger) is world.index.answer(APEX)


def _plain(answer: Answer[OutboundAnswer]) -> Any:
    value = answer.value
    return (value.shared.value, value.address) if isinstance(value, EgressPolicy) else value


def test_a_deleted_service_is_remembered_for_its_watchers() -> None:
    """Its settings, as long as somebody watches; a question in the meantime hears the same."""
    tuned = service("apex", annotations={"timeout.linkerd.io/idle": "1s"})
    world = World(tuned)
    world.watch(APEX)
    assert world.delete(tuned) == frozenset()
    assert policy(world.index.lookup(APEX)).settings.timeouts.idle
    made = route("G", parents=[service_ref("apex", port=8080)])
    assert world.apply(made) == {APEX}
    assert world.answer(APEX).settings.timeouts.idle
    world.index.unwatch(APEX)
    assert policy(world.index.lookup(APEX)).settings.timeouts.idle is None


def test_of_two_services_with_one_address_the_younger_has_it() -> None:
    """The API server gave it away only after the older one had gone."""
    old = service("z-old", created="2020-01-01T00:00:00Z")
    young = service("a-young", created="2021-01-01T00:00:00Z")
    ageless = service("zz-ageless", created=None)
    for order in ([old, young, ageless], [ageless, young, old]):
        world = World(*order)
        target = at("10.96.0.1", 1)
        assert world.index.watch(target) is not None
        answer = world.index.answer(target)
        assert answer is not None
        assert isinstance(answer.value, UndefinedPort)
        assert answer.value.service.name == "a-young"
        assert world.delete(young) == {target}
        assert world.index.resolve(at("10.96.0.1", 4191)) == ServiceTarget("ns", "ns", "z-old", 4191)
        world.delete(old)
        assert world.index.resolve(at("10.96.0.1", 4191)) == ServiceTarget("ns", "ns", "zz-ageless", 4191)
        assert world.index.statistics().service_index == 1


def test_a_relist_applies_and_removes() -> None:
    """In one step; what is listed unchanged is told to nobody."""
    kept, gone = service("apex"), service("gone", ips=["10.96.0.2"])
    made = route("G", parents=[service_ref("apex", port=8080)], backends=[service_ref("gone", port=80)])
    world = World(kept, gone, made)
    world.watch(APEX)
    assert world.index.apply([Reset(Service, (decode(kept), decode(gone)))]) == frozenset()
    assert world.index.apply([Reset(Service, (decode(kept),), frozenset([ObjectKey("ns", "gone")]))]) == {APEX}
    assert backends(world.answer(APEX)) == [("gone", False)]
    assert world.index.apply([Reset(GatewayHTTPRoute, (), frozenset([ObjectKey("ns", "foo-route")]))]) == {APEX}
    assert world.answer(APEX).routes == ()


def test_deletes_of_what_was_never_there_change_nothing() -> None:
    """Neither do objects of kinds that are another index's."""
    world = World()
    world.watch(APEX)
    pod = Pod(metadata=ObjectMeta("pod", "ns"))
    events: list[Event] = [deleted(service()), deleted(egress_network()), deleted(route("G")), Applied(pod)]
    assert world.index.apply([*events, Deleted(Pod, pod.key)]) == frozenset()


def test_a_route_detaches_from_where_it_no_longer_belongs() -> None:
    """From one of its parents, while it stays at the other."""
    both = route("G", parents=[service_ref("apex", port=8080), service_ref("apex", port=9999)])
    one = route("G", parents=[service_ref("apex", port=9999)])
    world = World(service("apex"), both)
    other = attrs.evolve(APEX, port=9999)
    world.watch(APEX)
    world.watch(other)
    assert world.apply(one) == {APEX}
    assert len(world.answer(other).routes) == 1
    portless = route("G", parents=[service_ref("apex")])
    assert world.apply(portless) == {APEX}
    assert world.apply(route("G", accepted=[])) == {APEX, other}


def test_a_route_at_one_port_and_at_all_is_there_once() -> None:
    """It is the same route."""
    parents = [service_ref("apex"), service_ref("apex", port=8080)]
    world = World(service("apex"), route("G", parents=parents))
    assert len(world.watch(APEX).routes) == 1


def test_a_route_for_all_ports_of_a_service_is_not_an_egress_networks() -> None:
    """Though they have one name."""
    world = World(service("apex"), egress_network("apex"), route("G", parents=[service_ref("apex")]))
    assert world.watch(at("1.1.1.1")).routes == ()


def test_a_backend_without_a_namespace_is_in_the_routes_own() -> None:
    """As the Gateway API says, and as statuses say; also on a consumer's route."""
    consumer = route("G", "c", "a", parents=[service_ref("apex", namespace="ns")], backends=[{"name": "x", "port": 80}])
    world = World(service("apex"), consumer, service("x", "a", ips=["10.96.0.3"]))
    (backend,) = world.watch(ServiceTarget("a", "ns", "apex", 8080)).routes[0].rules[0].backends
    assert backend == ServiceBackend("a", "x", 80, exists=True)


def test_what_is_invalid_counts_as_not_seen() -> None:
    """The last good one stays in force; a route that is attached nowhere is not even read."""
    good = route("G", parents=[service_ref("apex", port=8080)])
    bad = route("G", parents=[service_ref("apex", port=8080)], annotations={"timeout.linkerd.io/idle": "bogus"})
    world = World(service("apex"), bad)
    assert world.watch(APEX).routes == ()
    assert world.apply(good) == {APEX}
    assert world.apply(bad) == frozenset()
    assert len(world.answer(APEX).routes) == 1
    assert world.apply({**good, "status": {"parents": []}}) == {APEX}
    assert world.apply({**bad, "status": {"parents": []}}) == frozenset()


def test_backends_come_and_go_for_every_kind_of_backend() -> None:
    """An invalid one neither comes nor goes."""
    listed = [service_ref("a", port=80), egress_ref("b"), {"name": "c", "kind": "ConfigMap"}]
    world = World(service("apex"), route("G", parents=[service_ref("apex", port=8080)], backends=listed))
    invalid = ("unsupported backend type core ConfigMap", None)
    assert backends(world.watch(APEX)) == [("a", False), ("b", False), invalid]
    assert world.apply(egress_network("b")) == {APEX}
    assert backends(world.answer(APEX)) == [("a", False), ("b", True), invalid]
    assert world.delete(egress_network("b")) == {APEX}
    assert world.apply(service("a", ips=["10.96.0.2"]), egress_network("b")) == {APEX}
    assert backends(world.answer(APEX)) == [("a", True), ("b", True), invalid]


def test_two_ports_of_a_parent_are_watched_apart() -> None:
    """When one is given up the other stays."""
    world = World(service("apex"))
    other = attrs.evolve(APEX, port=9999)
    world.index.watch(APEX)
    world.index.watch(other)
    world.index.unwatch(APEX)
    assert world.apply(service("apex", annotations={"timeout.linkerd.io/idle": "1s"})) == {other}
    assert world.apply(route("G", parents=[service_ref("apex", port=9999)])) == {other}


def test_a_refused_port_stays_refused_while_its_service_is_gone() -> None:
    """It may come back; then it is looked at again."""
    world = World(service("apex", ips=["192.0.2.1"], ports=[80]))
    target = at("192.0.2.1")
    world.index.watch(target)
    assert world.delete(service("apex")) == frozenset()
    assert world.apply(service("apex", ips=["192.0.2.1"], ports=[80])) == frozenset()
    assert world.index.answer(target) is not None
    assert world.apply(service("apex", ips=["192.0.2.1"], ports=[8080])) == {target}
    assert world.index.answer(target) is None


def test_an_egress_network_that_changes_in_looks_only() -> None:
    """Its policy is told; what it covers is not looked up again."""
    world = World(egress_network())
    target = at("1.1.1.1")
    world.watch(target)
    assert world.apply(egress_network(policy="Deny")) == {target}
    assert world.index.answer(target) is not None
    assert world.apply(egress_network(policy="Deny", created="2021-01-01T00:00:00Z")) == frozenset()


def test_a_route_that_is_gone_is_not_looked_at_again() -> None:
    """Its backends come and go without it."""
    table = RouteTable(lambda _: False)
    resource = decode(route("G", backends=[service_ref("x", port=80)]))
    assert isinstance(resource, GatewayHTTPRoute)
    route_id = RouteId(GatewayHTTPRoute, "ns", "foo-route")
    here = Attachment(ParentKey(ParentKind.SERVICE, "ns", "apex"), None)
    backend = ParentKey(ParentKind.SERVICE, "ns", "x")
    assert table.put(route_id, frozenset([here]), parse_outbound_route(resource)) == {here}
    table._exists = lambda _: True
    assert list(table.refresh(backend)) == [here]
    assert list(table.refresh(backend)) == []
    assert table.discard(route_id) == {here}
    table._exists = lambda _: False
    assert list(table.refresh(backend)) == []
    assert route_id not in table


def test_statistics_count_what_metrics_show() -> None:
    """Addresses, destinations, Services with HTTPRoutes for all ports, and watched ports by namespace."""
    parent = service_ref("apex")
    world = World(
        service("apex", ips=["10.96.0.1", "fd00::1"]),
        service("headless", "other", ips=["None"]),
        egress_network(),
        route("G", "a", parents=[parent]),
        route("L", "b", parents=[parent]),
        route("R", "c", "other", parents=[service_ref("headless")]),
        route("G", "d", "other", parents=[service_ref("headless", port=80)]),
    )
    for target in (APEX, attrs.evolve(APEX, source_namespace="x"), at("1.1.1.1"), at("1.1.1.2")):
        world.index.watch(target)
    statistics = world.index.statistics()
    assert statistics.service_index == 2
    assert statistics.service_info_index == 3
    assert statistics.service_route_index == {"ns": 1}
    assert statistics.service_port_route_index == {"ns": 2}
    assert statistics.targets == 4
    world.index.apply([deleted(service("apex")), deleted(egress_network()), deleted(service("headless", "other"))])
    assert world.index.statistics().service_info_index == 0
