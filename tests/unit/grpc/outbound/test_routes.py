"""Routes of every kind on Services and EgressNetworks, as proxies see them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.destinations import GATEWAY, ROUTES, Object, egress_ref, route, service, service_ref
from tests.outbound_controller import Controller
from tests.unit.grpc.outbound.parents import BOTH, EP, LOOKED_UP, SP, ParentCase, default_name, on, opened
from tests.unit.grpc.outbound.reading import (
    destination,
    distribution,
    failure,
    first_rule,
    kind,
    name,
    names,
    only_backend,
    resource,
    routes,
)


# outbound 109
@pytest.mark.parametrize("on", BOTH, ids=lambda p: p.letter)
def test_a_parent_without_routes_has_a_default_route(on: ParentCase) -> None:
    """The proxy finds out the protocol, and everything goes to the parent itself."""
    policy = Controller(*on.objects()).get(on.address())
    assert resource(policy.metadata) == on.metadata
    assert kind(policy) == "detect"
    assert names(policy) == [default_name(on)]
    ((weight, backend),) = distribution(first_rule(policy))
    assert weight is None
    assert resource(backend.backend.metadata) == on.metadata
    assert destination(backend) == (f"my-svc.ns.svc.cluster.local:{LOOKED_UP}" if on.is_service else on.address())


# outbound 110
@on(BOTH, "LR")
def test_a_route_without_rules_is_there_without_rules(on: ParentCase, letter: str) -> None:
    """No rule is made up for it."""
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], rules=[]))
    policy = stream.update()
    assert name(routes(policy)[0].metadata) == "foo-route"
    assert not routes(policy)[0].rules


# outbound 111
@on(BOTH, "GLR")
def test_a_rule_without_backends_goes_to_the_parent(on: ParentCase, letter: str) -> None:
    """All of it."""
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()]))
    policy = stream.update()
    assert names(policy)[0] == "foo-route"
    ((weight, backend),) = distribution(first_rule(policy))
    assert weight is None
    assert resource(backend.backend.metadata) == on.metadata


# outbound 112
@on(BOTH, "GLRTC")
def test_a_rule_with_a_backend_goes_there_by_weight(on: ParentCase, letter: str) -> None:
    """Even if it is the only one. The backend's port need not be one that the Service declares."""
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], backends=[on.backend()]))
    policy = stream.update()
    assert names(policy)[0] == "foo-route"
    ((weight, backend),) = distribution(first_rule(policy))
    assert weight == 1
    assert not backend.filters
    assert resource(backend.backend.metadata) == on.backend_metadata
    assert destination(backend) == ("backend.ns.svc.cluster.local:8888" if on.is_service else on.address())


# outbound 113
@on((SP,), "GLRTC")
def test_a_backend_may_be_in_another_namespace(on: ParentCase, letter: str) -> None:
    """Nobody there has to grant it."""
    controller, stream = opened(on)
    controller.apply(service("backend", "elsewhere", ips=["10.96.0.3"]))
    ref = on.backend(namespace="elsewhere")
    controller.apply(route(letter, parents=[on.ref()], backends=[ref]))
    backend = only_backend(stream.update())
    assert not backend.filters
    assert resource(backend.backend.metadata) == ("Service", "elsewhere", "backend", 8888)
    assert destination(backend) == "backend.elsewhere.svc.cluster.local:8888"


# outbound 114
@on(BOTH, "GLRTC")
def test_a_backend_that_does_not_exist_fails(on: ParentCase, letter: str) -> None:
    """With one filter that says so, in the way of its kind."""
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], backends=[on.backend("invalid")]))
    backend = only_backend(stream.update())
    expected = "Service not found invalid" if on.is_service else "EgressNetwork not found invalid"
    assert failure(backend) == (None if letter in "TC" else 500, expected)
    assert resource(backend.backend.metadata)[1:] == ("ns", "invalid", 8888)


# outbound 115
@on(BOTH, "GLRT")
def test_routes_of_one_age_are_ordered_by_name(on: ParentCase, letter: str) -> None:
    """However they arrive; each is one update."""
    controller, stream = opened(on)
    for arrival in ("a-route", "b-route"):
        controller.apply(route(letter, arrival, parents=[on.ref()], backends=[on.backend()]))
        assert arrival in names(policy := stream.update())
    assert names(policy)[:2] == ["a-route", "b-route"]


# outbound 116
@on(BOTH, "C")
def test_of_tcp_routes_the_first_is_shown_and_each_is_an_update(on: ParentCase, letter: str) -> None:
    """The second changes the policy, and not what a proxy makes of it; it is sent all the same."""
    controller, stream = opened(on)
    for arrival in ("a-route", "b-route"):
        controller.apply(route(letter, arrival, parents=[on.ref()], backends=[on.backend()]))
        assert names(stream.update()) == ["a-route"]
    assert len(stream.messages) == 3
    assert stream.wire[1] == stream.wire[2]


def test_a_route_that_the_protocol_makes_no_use_of_is_an_update_too() -> None:
    """A TLSRoute at a port that is served as HTTP."""
    controller = Controller(service(ports=[{"port": 4191, "appProtocol": "http"}]))
    stream = controller.watch("10.96.0.1:4191")
    before = stream.update()
    controller.apply(route("T", parents=[SP.ref()]))
    assert stream.update() == before


# outbound 118
@on((SP,), "GLRTC")
def test_a_route_for_all_ports_is_at_each(on: ParentCase, letter: str) -> None:
    """At those that are watched already, and at those that are asked about later."""
    controller = Controller(*on.objects())
    streams = {port: controller.watch(on.address(port)) for port in (4191, 9999)}
    for stream in streams.values():
        stream.update()
    controller.apply(route(letter, parents=[on.ref(port=None)], backends=[on.backend()]))
    for port, stream in streams.items():
        policy = stream.update()
        assert names(policy)[0] == "foo-route"
        assert policy.metadata.resource.port == port
    assert names(controller.get("my-svc.ns.svc:7777"))[0] == "foo-route"


# outbound 119
@on((SP,), "GLRTC")
def test_a_producers_route_is_for_everybody(on: ParentCase, letter: str) -> None:
    """Callers of every namespace see it."""
    controller = Controller(*on.objects())
    streams = [controller.watch(on.address(), source) for source in ("ns:client", "consumer_ns:client")]
    for stream in streams:
        stream.update()
    controller.apply(route(letter, parents=[on.ref()], backends=[on.backend()]))
    assert [names(stream.update())[0] for stream in streams] == ["foo-route", "foo-route"]


# outbound 120
@on((SP,), "GLRTC")
def test_a_producers_route_is_in_the_first_message(on: ParentCase, letter: str) -> None:
    """If it was there before."""
    controller = Controller(*on.objects(), route(letter, parents=[on.ref()], backends=[on.backend()]))
    for source in ("ns:client", "consumer_ns:client"):
        assert names(controller.watch(on.address(), source).update())[0] == "foo-route"


# outbound 121
@on((SP,), "GLRTC")
def test_a_consumers_route_is_for_its_own_namespace(on: ParentCase, letter: str) -> None:
    """Nobody else hears of it."""
    controller = Controller(*on.objects())
    streams = {source: controller.watch(on.address(), f"{source}:client") for source in ("ns-consumer", "ns", "other")}
    for stream in streams.values():
        stream.update()
    backend = on.backend(namespace="ns")
    consumer = route(letter, namespace="ns-consumer", parents=[on.ref(namespace="ns")], backends=[backend])
    controller.apply(consumer)
    assert names(streams["ns-consumer"].update())[0] == "foo-route"
    assert streams["ns"].quiet
    assert streams["other"].quiet
    controller.delete(consumer)
    assert names(streams["ns-consumer"].update()) == ["(http)"]
    assert streams["ns"].quiet


def test_consumers_see_their_routes_among_the_producers() -> None:
    """Neither comes first: age and name decide."""
    refs: dict[str, Any] = {"parents": [SP.ref(namespace="ns")]}
    made = [
        route("G", "b", **refs),
        route("G", "c", "ns-consumer", **refs),
        route("G", "a", "ns-consumer", created="2021-01-01T00:00:00Z", **refs),
    ]
    controller = Controller(*SP.objects(), *made)
    assert names(controller.get(SP.address(), "ns-consumer:x")) == ["b", "c", "a"]
    assert names(controller.get(SP.address(), "other:x")) == ["b"]


# outbound 122
@on(BOTH, "GLRTC")
def test_a_route_that_moves_away_and_back(on: ParentCase, letter: str) -> None:
    """One update each way."""
    here = route(letter, parents=[on.ref()], backends=[on.backend()])
    away = route(letter, parents=[on.ref(name="other")], backends=[on.backend()])
    controller, stream = opened(on)
    controller.apply(here)
    assert names(stream.update())[0] == "foo-route"
    controller.apply(away)
    assert names(stream.update()) == [default_name(on)]
    controller.apply(here)
    assert names(stream.update())[0] == "foo-route"


# outbound 207
@on((SP,), "GLRTC")
def test_weights_are_shown_as_they_are(on: ParentCase, letter: str) -> None:
    """Zero too; one where there is none."""
    backends = [on.backend(weight=weight) for weight in (0, 5, None)]
    made = route(letter, parents=[on.ref()], backends=backends)
    policy = Controller(*on.objects(), made).get(on.address())
    assert [weight for weight, _ in distribution(first_rule(policy))] == [0, 5, 1]


# outbound 200, 201, 203
@on(BOTH, "G")
def test_an_invalid_backend_stands_among_others(on: ParentCase, letter: str) -> None:
    """Its share of traffic fails, with its own words."""
    invalid = [
        {"name": "x", "kind": "ConfigMap", "weight": 1},
        service_ref("backend", port=80, weight=2, filters=[{"type": "URLRewrite", "urlRewrite": {}}]),
        service_ref("backend", weight=3),
    ]
    made = route(letter, parents=[on.ref()], backends=[*invalid, on.backend()])
    *failing, (_, serving) = distribution(first_rule(Controller(*on.objects(), made).get(on.address())))
    assert [(weight, *failure(backend)) for weight, backend in failing] == [
        (1, 500, "unsupported backend type core ConfigMap"),
        (2, 500, "unsupported backend filter: URLRewrite filter is not supported"),
        (3, 500, "missing port for backend Service backend"),
    ]
    assert {name(backend.backend.metadata) for _, backend in failing} == {"(invalid)"}
    assert destination(serving)


# outbound 212
def test_routes_of_two_groups_may_have_one_name() -> None:
    """They are two routes."""
    made = [route(letter, parents=[SP.ref()]) for letter in "GL"]
    controller = Controller(*SP.objects(), *made)
    groups = [shown.metadata.resource.group for shown in routes(controller.get(SP.address()))]
    assert groups == [GATEWAY, "policy.linkerd.io"]
    controller.delete(made[0])
    assert names(controller.get(SP.address())) == ["foo-route"]


# outbound 213
def test_a_route_of_no_age_comes_last() -> None:
    """Whatever its name."""
    made = [route("G", "a", parents=[SP.ref()], created=None), route("G", "b", parents=[SP.ref()])]
    assert names(Controller(*SP.objects(), *made).get(SP.address())) == ["b", "a"]


# outbound 202, 209
@pytest.mark.parametrize(
    "item",
    [
        {"type": "URLRewrite", "urlRewrite": {"hostname": "x"}},
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x", "value": "\u0000"}]}},
    ],
)
def test_a_route_that_cannot_be_read_leaves_its_last_version_in_force(item: Object) -> None:
    """A new one is absent; of an older one the last that could be read stays, until it is deleted."""
    controller, stream = opened(SP)
    broken = route("G", parents=[SP.ref()], rules=[{"filters": [item]}])
    controller.apply(broken)
    assert stream.quiet
    controller.apply(route("G", parents=[SP.ref()]))
    assert names(stream.update()) == ["foo-route"]
    controller.apply(broken)
    assert stream.quiet
    moved = {**broken, "status": {"parents": []}}
    controller.apply(moved)
    assert stream.quiet
    controller.delete(broken)
    assert names(stream.update()) == ["(http)"]


# outbound 205
@on((SP,), "GLRTC")
def test_a_route_is_there_while_its_status_accepts_it(on: ParentCase, letter: str) -> None:
    """Each change of mind is one update; what else the status says is not."""
    accepted = route(letter, parents=[on.ref()], backends=[on.backend()])
    refused = {**accepted, "status": {"parents": []}}
    controller, stream = opened(on)
    controller.apply(refused)
    assert stream.quiet
    controller.apply(accepted)
    assert names(stream.update())[0] == "foo-route"
    again = {**accepted, "metadata": {**accepted["metadata"], "labels": {"x": "y"}}}
    controller.apply(again)
    assert stream.quiet
    controller.apply(refused)
    assert names(stream.update()) == ["(http)"]


# outbound 217
def test_every_backend_has_a_queue() -> None:
    """Also those that fail: a proxy refuses one without."""
    backends = [
        service_ref("backend", port=80),
        service_ref("missing", port=80),
        {"name": "x", "kind": "X"},
        egress_ref(),
    ]
    for letter in ROUTES:
        made = route(letter, parents=[SP.ref(), EP.ref()], backends=backends)
        controller = Controller(*SP.objects(), *EP.objects(), made)
        for address in (SP.address(), EP.address()):
            shown = [b for r in routes(controller.get(address)) for _, b in distribution(r.rules[0])]
            assert len(shown) >= len(backends)
            for backend in shown:
                assert (backend.backend.queue.capacity, backend.backend.queue.failfast_timeout.seconds) == (100, 3)
