"""What rules of routes consist of, as proxies see it: filters, retries, timeouts, hosts."""

from __future__ import annotations

from typing import Any

from controller.core.cluster import ClusterConfig
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd.http_types_pb2 import Scheme
from tests.destinations import Object, route, rule
from tests.outbound_controller import Controller
from tests.unit.grpc.outbound.parents import BOTH, EP, SP, ParentCase, on, opened
from tests.unit.grpc.outbound.reading import (
    distribution,
    first_rule,
    only_backend,
    routes,
)

MODIFIER = {
    "set": [{"name": "set", "value": "set-value"}],
    "add": [{"name": "add", "value": "add-value"}],
    "remove": ["remove"],
}
REDIRECT = {
    "scheme": "http",
    "hostname": "host",
    "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/path"},
    "port": 5555,
    "statusCode": 302,
}


def filters(redirect_type: str = "RequestRedirect") -> list[Object]:
    return [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": MODIFIER},
        {"type": redirect_type, "requestRedirect": REDIRECT},
    ]


def assert_modifier(modifier: Any) -> None:
    assert [(header.name, header.value) for header in modifier.add.headers] == [("add", b"add-value")]
    assert [(header.name, header.value) for header in modifier.set.headers] == [("set", b"set-value")]
    assert list(modifier.remove) == ["remove"]


def assert_filters(shown: Any) -> None:
    modifier, redirect = shown
    assert_modifier(modifier.request_header_modifier)
    assert redirect.redirect.scheme.registered == Scheme.Registered.HTTP
    assert redirect.redirect.host == "host"
    assert redirect.redirect.path.prefix == "/path"
    assert (redirect.redirect.port, redirect.redirect.status) == (5555, 302)


# outbound 123
@on(BOTH, "GL")
def test_filters_of_a_rule(on: ParentCase, letter: str) -> None:
    """In the order in which they are written."""
    controller, stream = opened(on)
    match = {"path": {"type": "PathPrefix", "value": "/foo"}}
    controller.apply(route(letter, parents=[on.ref()], rules=[{"matches": [match], "filters": filters()}]))
    shown = first_rule(stream.update())
    assert shown.matches[0].path.prefix == "/foo"
    assert_filters(shown.filters)


# outbound 124
@on(BOTH, "GL")
def test_filters_of_a_backend(on: ParentCase, letter: str) -> None:
    """What a filter holds decides, also in a policy route whose `type` says something else."""
    controller, stream = opened(on)
    listed = filters("RequestHeaderModifier" if letter == "L" else "RequestRedirect")
    controller.apply(route(letter, parents=[on.ref()], backends=[on.backend(filters=listed)]))
    assert_filters(only_backend(stream.update()).filters)


# outbound 125
@on(BOTH, "R")
def test_filters_of_a_grpc_rule(on: ParentCase, letter: str) -> None:
    """Request modifiers are what gRPC has."""
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], rules=[{"filters": filters()[:1]}]))
    (shown,) = first_rule(stream.update()).filters
    assert_modifier(shown.request_header_modifier)


# outbound 126
@on(BOTH, "R")
def test_filters_of_a_grpc_backend(on: ParentCase, letter: str) -> None:
    """Request modifiers are what gRPC has."""
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], backends=[on.backend(filters=filters()[:1])]))
    (shown,) = only_backend(stream.update()).filters
    assert_modifier(shown.request_header_modifier)


@on(BOTH, "R")
def test_a_grpc_response_modifier_is_left_out(on: ParentCase, letter: str) -> None:
    """gRPC's filters have none, and a filter that says nothing makes a proxy refuse the whole policy."""
    response = {"type": "ResponseHeaderModifier", "responseHeaderModifier": MODIFIER}
    both = [response, filters()[0]]
    rules = [rule("R", [on.backend(filters=both)], filters=both)]
    shown = first_rule(Controller(*on.objects(), route(letter, parents=[on.ref()], rules=rules)).get(on.address()))
    ((_, backend),) = distribution(shown)
    for (item,) in (shown.filters, backend.filters):
        assert item.WhichOneof("kind") == "request_header_modifier"


@on(BOTH, "GL")
def test_an_http_response_modifier_is_shown(on: ParentCase, letter: str) -> None:
    """HTTP's filters have one. (A policy route has it on backends only.)"""
    response = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": MODIFIER}]
    made = route(letter, parents=[on.ref()], backends=[on.backend(filters=response)])
    (shown,) = only_backend(Controller(*on.objects(), made).get(on.address())).filters
    assert_modifier(shown.response_header_modifier)


SECONDS = {"timeout.linkerd.io/response": "10s"}


# outbound 127
@on(BOTH, "GL")
def test_annotations_of_a_route_set_retries_and_timeouts(on: ParentCase, letter: str) -> None:
    """For its own rules."""
    annotations = {"retry.linkerd.io/http": "5xx", **SECONDS}
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], annotations=annotations))
    shown = first_rule(stream.update())
    assert [(r.start, r.end) for r in shown.retry.conditions.status_ranges] == [(500, 599)]
    assert shown.timeouts.response.seconds == 10
    assert (shown.retry.max_retries, shown.retry.max_request_bytes) == (1, 65_536)
    backoff = shown.retry.backoff
    assert (backoff.min_backoff.nanos, backoff.max_backoff.nanos) == (25_000_000, 250_000_000)
    assert (backoff.jitter_ratio, backoff.respect_retry_after_hint) == (1.0, False)


# outbound 128
@on(BOTH, "R")
def test_annotations_of_a_grpc_route_set_retries_and_timeouts(on: ParentCase, letter: str) -> None:
    """For its own rules."""
    annotations = {"retry.linkerd.io/grpc": "internal", **SECONDS}
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], annotations=annotations))
    shown = first_rule(stream.update())
    assert shown.retry.conditions == pb.GrpcRoute.Retry.Conditions(internal=True)
    assert shown.timeouts.response.seconds == 10


# outbound 129, 214
@on(BOTH, "GL")
def test_a_route_inherits_retries_but_not_single_timeouts(on: ParentCase, letter: str) -> None:
    """One timeout of its own, and none of the parent's counts."""
    controller, stream = opened(on, **{"retry.linkerd.io/http": "5xx", **SECONDS})
    controller.apply(route(letter, parents=[on.ref()], annotations={"timeout.linkerd.io/request": "5s"}))
    shown = first_rule(stream.update())
    assert [(r.start, r.end) for r in shown.retry.conditions.status_ranges] == [(500, 599)]
    assert shown.timeouts.request.seconds == 5
    assert not shown.timeouts.HasField("response")
    assert shown.requestTimeout.seconds == 5
    controller.apply(route(letter, parents=[on.ref()], annotations={"timeout.linkerd.io/idle": "7s"}))
    shown = first_rule(stream.update())
    assert shown.timeouts.idle.seconds == 7
    assert not shown.timeouts.HasField("request")
    assert not shown.HasField("requestTimeout")


# outbound 130
@on(BOTH, "R")
def test_a_grpc_route_inherits_retries_but_not_single_timeouts(on: ParentCase, letter: str) -> None:
    """One timeout of its own, and none of the parent's counts."""
    controller, stream = opened(on, **{"retry.linkerd.io/grpc": "internal", **SECONDS})
    controller.apply(route(letter, parents=[on.ref()], annotations={"timeout.linkerd.io/request": "5s"}))
    shown = first_rule(stream.update())
    assert shown.retry.conditions == pb.GrpcRoute.Retry.Conditions(internal=True)
    assert shown.timeouts.request.seconds == 5
    assert not shown.timeouts.HasField("response")


@on(BOTH, "GLR")
def test_a_route_without_annotations_inherits_everything(on: ParentCase, letter: str) -> None:
    """Retries of its own family, and all timeouts."""
    settings = {"retry.linkerd.io/limit": "3", "retry.linkerd.io/timeout": "2s", **SECONDS}
    made = route(letter, parents=[on.ref()], annotations={"retry.linkerd.io/limit": "0"})
    shown = first_rule(Controller(*on.objects(**settings), made).get(on.address()))
    # outbound 82, 84
    assert shown.retry.max_retries == 3
    assert shown.retry.timeout.seconds == 2
    assert shown.retry.HasField("conditions")
    assert shown.timeouts.response.seconds == 10


# outbound 131, 132
@on(BOTH, "GL")
def test_a_rule_has_its_own_request_timeout(on: ParentCase, letter: str) -> None:
    """In both groups; older proxies read another field."""
    controller, stream = opened(on)
    controller.apply(route(letter, parents=[on.ref()], rules=[{"timeouts": {"request": "5s"}}]))
    shown = first_rule(stream.update())
    assert shown.timeouts.request.seconds == shown.requestTimeout.seconds == 5


# outbound 210
def test_hostnames_of_http_and_tls_routes() -> None:
    """Suffixes have their labels in reverse; case is kept."""
    hostnames = ["*.example.com", "Example.com"]
    for letter in "GLR":
        made = route(letter, parents=[SP.ref()], hostnames=hostnames)
        suffix, exact = routes(Controller(*SP.objects(), made).get(SP.address()))[0].hosts
        assert list(suffix.suffix.reverse_labels) == ["com", "example"]
        assert exact.exact == "Example.com"
    policy = Controller(*SP.objects(), route("T", parents=[SP.ref()], hostnames=hostnames)).get(SP.address())
    suffix, exact = routes(policy)[0].snis
    assert list(suffix.suffix.reverse_labels) == ["com", "example"]
    assert exact.exact == "Example.com"


# outbound 211
def test_a_redirect_without_a_status() -> None:
    """The schemas default it; where one gets through it is upstream's 200."""
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "x"}}
    made = route("G", parents=[SP.ref()], rules=[{"filters": [redirect]}])
    (shown,) = first_rule(Controller(*SP.objects(), made).get(SP.address())).filters
    assert shown.redirect.status == 200


# outbound 208
def test_allowed_request_headers_are_for_the_routes_of_users() -> None:
    """Not for those that the controller makes up."""
    for allowed in (True, False):
        config = ClusterConfig(allow_l5d_request_headers=allowed)
        for letter in "GLR":
            controller = Controller(*EP.objects(), route(letter, parents=[EP.ref()]), config=config)
            users, default = routes(controller.get(EP.address()))
            assert users.rules[0].allow_l5d_request_headers is allowed
            assert default.rules[0].allow_l5d_request_headers is False
