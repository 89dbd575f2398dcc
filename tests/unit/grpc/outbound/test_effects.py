"""What proxies make of a policy, in the situations in which upstream's tests run real ones.

A small reader of policies stands in for the proxy: it takes the first route that matches and tells where a request or
a connection goes, or how it fails.
"""

from __future__ import annotations

from typing import Any

import pytest

from controller.grpc.gen.linkerd import outbound_pb2 as pb
from tests.destinations import egress_network, egress_ref, route, rule, service, service_ref
from tests.outbound_controller import Controller
from tests.unit.grpc.outbound.reading import destination, distribution, kind, routes

EVERYWHERE = {"path": {"type": "PathPrefix", "value": "/"}}


def exactly(path: str) -> dict[str, Any]:
    return {"path": {"type": "Exact", "value": path}}


def end_of(rule: Any) -> str:
    """What becomes of what a rule takes: where it goes, or how it is refused."""
    for item in rule.filters:
        match item.WhichOneof("kind"):
            case "failure_injector":
                return str(item.failure_injector.status)
            case "forbidden":
                return "refused"
            case other:
                raise AssertionError(other)
    ((_, backend),) = distribution(rule)
    if not destination(backend):
        (item,) = backend.filters
        return str(item.failure_injector.status)
    return destination(backend)


def request(policy: pb.OutboundPolicy, path: str, host: str = "example.com") -> str:
    """What becomes of an HTTP request; 404 if no route takes it."""
    if kind(policy) == "opaque":
        return connection(policy)
    candidates = [
        (matched, rule)
        for shown in routes(policy)
        if not shown.hosts or any(item.exact == host for item in shown.hosts)
        for rule in shown.rules
        for matched in (specificity(rule, path),)
        if matched is not None
    ]
    # The most specific match wins, and of equals the first.
    return end_of(max(candidates, key=lambda found: found[0])[1]) if candidates else "404"


def specificity(rule: Any, path: str) -> int | None:
    if not rule.matches:
        return 0
    lengths = [
        1000 if item.path.exact else len(item.path.prefix)
        for item in rule.matches
        if item.path.exact == path or (item.path.prefix and path.startswith(item.path.prefix))
    ]
    return max(lengths, default=None)


def connection(policy: pb.OutboundPolicy, sni: str | None = None) -> str:
    """What becomes of a connection that is not HTTP; TLS has a server name."""
    match kind(policy):
        case "detect":
            (shown,) = policy.protocol.detect.opaque.routes
            return end_of(shown.rules[0])
        case "opaque":
            (shown,) = policy.protocol.opaque.routes
            return end_of(shown.rules[0])
        case "tls":
            named = [shown for shown in routes(policy) if any(item.exact == sni for item in shown.snis)]
            others = [shown for shown in routes(policy) if not shown.snis]
            found = [*named, *others]
            return end_of(found[0].rules[0]) if found else "refused"
        case other:
            raise AssertionError(other)


def asked(*objects: Any, target: str) -> pb.OutboundPolicy:
    return Controller(*objects).get(target)


HTTP, HTTPS = "1.1.1.1:80", "1.1.1.1:443"


# outbound 164, 165
@pytest.mark.parametrize(
    ("policy", "http", "https"), [("Allow", HTTP, HTTPS), ("Deny", "403", "refused")], ids=["allow", "deny"]
)
def test_an_egress_network_lets_everything_or_nothing_through(policy: str, http: str, https: str) -> None:
    """Requests are told 403, connections are closed."""
    assert request(asked(egress_network(policy=policy), target=HTTP), "/get") == http
    assert connection(asked(egress_network(policy=policy), target=HTTPS)) == https


# outbound 166
def test_a_route_lets_one_path_through() -> None:
    """Everything else is denied still."""
    made = route("G", parents=[egress_ref(port=80)], rules=[{"matches": [exactly("/get")]}])
    policy = asked(egress_network(policy="Deny"), made, target=HTTP)
    assert request(policy, "/get") == HTTP
    assert request(policy, "/ip") == "403"


# outbound 167
def test_a_tls_route_lets_one_host_through() -> None:
    """Everything else is denied still."""
    made = route("T", parents=[egress_ref(port=443)], hostnames=["good.example"], backends=[egress_ref()])
    policy = asked(egress_network(policy="Deny"), made, target=HTTPS)
    assert connection(policy, "good.example") == HTTPS
    assert connection(policy, "bad.example") == "refused"


# outbound 168
def test_a_tcp_route_lets_one_port_through() -> None:
    """Other ports are denied still."""
    made = route("C", parents=[egress_ref(port=443)], backends=[egress_ref()])
    objects = (egress_network(policy="Deny"), made)
    assert connection(asked(*objects, target=HTTPS)) == HTTPS
    assert request(asked(*objects, target=HTTP), "/") == "403"


# outbound 169
def test_a_route_leads_into_the_cluster() -> None:
    """One path of one host; the rest goes out."""
    backend = {"name": "web", "port": 80}
    made = route(
        "G",
        parents=[egress_ref(port=80)],
        hostnames=["example.com"],
        rules=[rule("G", [backend], matches=[exactly("/get")])],
    )
    policy = asked(egress_network(), service("web"), made, target=HTTP)
    assert request(policy, "/get") == "web.ns.svc.cluster.local:80"
    assert request(policy, "/ip") == HTTP
    assert request(policy, "/get", "other.example") == HTTP


# outbound 170
def test_a_tls_route_leads_into_the_cluster() -> None:
    """One host, where the handshake fails; the others go out."""
    made = route("T", parents=[egress_ref(port=443)], hostnames=["one.example"], backends=[service_ref("web", port=80)])
    policy = asked(egress_network(), service("web"), made, target=HTTPS)
    assert connection(policy, "one.example") == "web.ns.svc.cluster.local:80"
    assert connection(policy, "other.example") == HTTPS


# outbound 171
def test_a_tcp_route_leads_into_the_cluster() -> None:
    """All of the port's traffic."""
    made = route("C", parents=[egress_ref(port=80)], backends=[service_ref("web", port=80)])
    assert request(asked(egress_network(), service("web"), made, target=HTTP), "/") == "web.ns.svc.cluster.local:80"


# outbound 172
def test_routes_of_a_service_leave_no_default() -> None:
    """A backend that is missing fails with 500, what no route takes with 404. No namespace is named anywhere."""
    rules = [
        rule("L", [{"name": "web", "port": 80}], matches=[exactly("/valid")]),
        rule("L", [{"name": "missing", "port": 80}], matches=[exactly("/invalid")]),
    ]
    made = route("L", parents=[service_ref("web", port=4191)], rules=rules)
    policy = asked(service("web"), made, target="10.96.0.1:4191")
    assert request(policy, "/valid") == "web.ns.svc.cluster.local:80"
    assert request(policy, "/invalid") == "500"
    assert request(policy, "/other") == "404"


# outbound 173
def test_an_app_protocol_is_taken_at_its_word() -> None:
    """So HTTP/1 behind a port that is called h2c fails."""
    called = {1: "linkerd.io/opaque", 2: "http", 3: "kubernetes.io/h2c"}
    ports = [{"port": port, "appProtocol": protocol} for port, protocol in called.items()]
    controller = Controller(service(ports=ports))
    assert [kind(controller.get(f"10.96.0.1:{port}")) for port in called] == ["opaque", "http1", "http2"]


# outbound 174
def test_a_circuit_breaker_opens_after_some_failures() -> None:
    """After the fifth, for five minutes at least."""
    annotations = {
        "balancer.linkerd.io/failure-accrual": "consecutive",
        "balancer.linkerd.io/failure-accrual-consecutive-max-failures": "5",
        "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": "5m",
        "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": "10m",
    }
    detect = asked(service(annotations=annotations), target="10.96.0.1:4191").protocol.detect
    for http in (detect.http1, detect.http2):
        breaker = http.failure_accrual.consecutive_failures
        assert breaker.max_failures == 5
        assert (breaker.backoff.min_backoff.seconds, breaker.backoff.max_backoff.seconds) == (300, 600)
