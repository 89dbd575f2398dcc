"""Which protocol a policy has, and the routes that the controller makes up for it."""

from __future__ import annotations

import pytest

from tests.destinations import Object, egress_network, route, service
from tests.outbound_controller import Controller
from tests.unit.grpc.outbound.parents import BOTH, EP, SP, ParentCase
from tests.unit.grpc.outbound.reading import destination, distribution, first_rule, kind, names, resource, routes

OPAQUE = {"config.linkerd.io/opaque-ports": "4191"}


def speaking(app_protocol: str) -> Object:
    return service(ports=[{"port": 4191, "appProtocol": app_protocol}])


def denying(**fields: str) -> Object:
    return egress_network(policy="Deny", annotations=fields or None)


# outbound 117
@pytest.mark.parametrize("on", BOTH, ids=lambda p: p.letter)
def test_a_port_in_the_annotation_is_opaque(on: ParentCase) -> None:
    """With a default route."""
    policy = Controller(*on.objects(**OPAQUE)).get(on.address())
    assert kind(policy) == "opaque"
    assert names(policy) == ["(opaq)" if on.is_service else "(tcp-egress-allow)"]


@pytest.mark.parametrize(
    ("app_protocol", "letters", "expected", "shown"),
    [
        ("linkerd.io/opaque", "", "opaque", "(opaq)"),  # outbound 154
        ("XMPP", "", "opaque", "(opaq)"),  # outbound 155
        ("linkerd.io/opaque", "C", "opaque", "foo-route"),  # outbound 156
        ("linkerd.io/opaque", "GRT", "opaque", "(opaq)"),
        ("http", "", "http1", "(http)"),  # outbound 157
        ("http", "G", "http1", "foo-route"),  # outbound 158
        ("http", "RTC", "http1", "(http)"),
        ("kubernetes.io/h2c", "", "http2", "(http)"),  # outbound 159
        ("kubernetes.io/h2c", "G", "http2", "foo-route"),  # outbound 160
        ("kubernetes.io/h2c", "R", "grpc", "foo-route"),  # outbound 161
        ("kubernetes.io/h2c", "RG", "grpc", "foo-route"),
        ("kubernetes.io/h2c", "TC", "http2", "(http)"),
    ],
)
def test_an_app_protocol_decides(app_protocol: str, letters: str, expected: str, shown: str) -> None:
    """Routes of other kinds are not shown."""
    made = [route(letter, parents=[SP.ref()]) for letter in letters]
    policy = Controller(speaking(app_protocol), *made).get(SP.address())
    assert kind(policy) == expected
    assert names(policy) == [shown]
    assert resource(distribution(first_rule(policy))[0][1].backend.metadata) == SP.metadata


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("RGLTC", "grpc"),
        ("GLTC", "detect"),
        ("LTC", "detect"),
        ("TC", "tls"),
        ("C", "opaque"),
        ("", "detect"),
    ],
)
@pytest.mark.parametrize("on", BOTH, ids=lambda p: p.letter)
def test_where_nobody_says_what_a_port_speaks_routes_do(on: ParentCase, letters: str, expected: str) -> None:
    """gRPC's before HTTP's, TLS's and TCP's."""
    made = [route(letter, f"{letter.lower()}-route", parents=[on.ref()]) for letter in letters]
    policy = Controller(*on.objects(), *made).get(on.address())
    assert kind(policy) == expected
    if expected == "detect":
        # The opaque part is the default's, whatever TCPRoutes there are.
        opaque = policy.protocol.detect.opaque.routes
        assert [r.metadata.default for r in opaque] == ["opaq" if on.is_service else "tcp-egress-allow"]


# outbound 194
def test_a_denying_network_denies_what_no_route_matches() -> None:
    """Requests get 403, other connections are cut."""
    controller = Controller(denying(), route("G", parents=[EP.ref()]))
    policy = controller.get(EP.address())
    assert names(policy) == ["foo-route", "(http-egress-deny)"]
    (denial,) = routes(policy)[1].rules[0].filters
    assert (denial.failure_injector.status, denial.failure_injector.message) == (403, "traffic not allowed")
    assert not denial.failure_injector.HasField("ratio")
    (opaque,) = policy.protocol.detect.opaque.routes
    assert opaque.metadata.default == "tcp-egress-deny"
    assert [item.WhichOneof("kind") for item in opaque.rules[0].filters] == ["forbidden"]
    assert not routes(policy)[0].rules[0].filters


# outbound 195
@pytest.mark.parametrize("verdict", ["Allow", "Deny"])
def test_the_default_of_grpc_matches_every_call(verdict: str) -> None:
    """It has no matches at all; a denial is gRPC's own code."""
    policy = Controller(egress_network(policy=verdict), route("R", parents=[EP.ref()])).get(EP.address())
    assert names(policy) == ["foo-route", f"(grpc-egress-{verdict.lower()})"]
    rule = routes(policy)[1].rules[0]
    assert not rule.matches
    denials = [(item.failure_injector.code, item.failure_injector.message) for item in rule.filters]
    assert denials == ([] if verdict == "Allow" else [(7, "traffic not allowed")])


# outbound 196
@pytest.mark.parametrize("verdict", ["Allow", "Deny"])
def test_the_default_of_tls_and_of_tcp(verdict: str) -> None:
    """TLS has one beside the routes; a TCPRoute takes everything, and leaves nothing to a default."""
    controller = Controller(egress_network(policy=verdict), route("T", parents=[EP.ref()]))
    policy = controller.get(EP.address())
    assert names(policy) == ["foo-route", f"(tls-egress-{verdict.lower()})"]
    filters = [item.WhichOneof("kind") for item in routes(policy)[1].rules[0].filters]
    assert filters == ([] if verdict == "Allow" else ["forbidden"])
    tcp = Controller(egress_network(policy=verdict), route("C", parents=[EP.ref()])).get(EP.address())
    assert names(tcp) == ["foo-route"]
    assert not routes(tcp)[0].rules[0].filters


def test_opaque_ports_of_a_denying_network() -> None:
    """Connections are cut."""
    policy = Controller(denying(**OPAQUE)).get(EP.address())
    assert names(policy) == ["(tcp-egress-deny)"]
    assert [item.WhichOneof("kind") for item in routes(policy)[0].rules[0].filters] == ["forbidden"]


@pytest.mark.parametrize("letter", "GRT")
def test_a_service_with_routes_has_no_default(letter: str) -> None:
    """What no route matches fails."""
    assert names(Controller(*SP.objects(), route(letter, parents=[SP.ref()])).get(SP.address())) == ["foo-route"]


@pytest.mark.parametrize("verdict", ["Allow", "Deny"])
def test_default_routes_go_on_to_where_the_traffic_was_going(verdict: str) -> None:
    """A denial comes before that."""
    policy = Controller(egress_network(policy=verdict)).get("1.1.1.1:80")
    rule = first_rule(policy)
    assert [match.path.prefix for match in rule.matches] == ["/"]
    ((weight, backend),) = distribution(rule)
    assert weight is None
    assert destination(backend) == "1.1.1.1:80"
    assert backend.backend.forward.weight == 1
