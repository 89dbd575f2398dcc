"""What proxies may ask, and what they are told when they ask wrongly."""

from __future__ import annotations

from typing import Any

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.grpc.authority import Authority, ServiceName, parse_authority, parse_service_name
from controller.grpc.gen.linkerd import net_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.outbound import SERVICE
from tests.destinations import egress_network, service
from tests.outbound_controller import Controller, spec, to_ip
from tests.unit.grpc.outbound.reading import destination, names, only_backend, resource

IP = to_ip("10.96.0.1")


def refusal(request: pb.TrafficSpec, controller: Controller | None = None) -> tuple[Status, str | None]:
    """How both methods refuse a request."""
    controller = controller or Controller(service())
    told = set[tuple[Status, str | None]]()
    for ask in (controller.get, controller.watch):
        with pytest.raises(GRPCError) as error:
            ask(request)
        told.add((error.value.status, error.value.message))
    (only,) = told
    assert controller.index.statistics().targets == 0
    return only


def addressed(source: str = "ns:client", **address: Any) -> pb.TrafficSpec:
    return pb.TrafficSpec(source_workload=source, addr=net_pb2.TcpAddress(**address))


# outbound 188, 31
@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (pb.TrafficSpec(source_workload="bad"), "target is required"),  # before the workload is looked at
        (pb.TrafficSpec(source_workload="ns:client"), "target is required"),
        (addressed("bad", port=65536), "Invalid workload: bad"),  # before the port is
        (addressed("", ip=IP, port=80), "Invalid workload: "),
        (addressed(":pod", ip=IP, port=80), "Invalid workload: :pod"),
        (addressed("ns:", ip=IP, port=80), "Invalid workload: ns:"),
        (addressed("nocolon", ip=IP, port=80), "Invalid workload: nocolon"),
        # outbound 30
        (addressed('{"ns":"a","nonsense":"b"}', ip=IP, port=80), 'Invalid workload: {"ns":"a","nonsense":"b"}'),
        (pb.TrafficSpec(source_workload="bad", authority=""), "Invalid workload: bad"),
        (addressed(ip=IP, port=65536), "port outside valid range"),
        (addressed(port=65536), "port outside valid range"),  # before the address is
        (addressed(ip=IP), "port cannot be zero"),
        (addressed(), "port cannot be zero"),
        (addressed(port=80), "traffic target must have an IP"),
        (addressed(ip=net_pb2.IPAddress(), port=80), "failed to parse target addr: invalid IP address"),
        (spec(""), "invalid authority"),
        (spec("web.ns.svc/path"), "invalid authority"),
        (spec(":80"), "authority must have a host"),
    ],
)
def test_what_is_wrong_is_said_in_order(request_: pb.TrafficSpec, message: str) -> None:
    """A proxy does not ask the same again, so this is said of the text alone, whether or not all is known."""
    assert refusal(request_) == (Status.INVALID_ARGUMENT, message)
    loading = Controller()
    loading.policies.ready = False
    assert refusal(request_, loading) == (Status.INVALID_ARGUMENT, message)


# outbound 188
def test_what_is_not_found() -> None:
    """An address of the cluster without a Service, and a name of another form."""
    assert refusal(spec("10.8.255.255:80")) == (Status.NOT_FOUND, "No such service")
    form = "authority must be of the form <name>.<namespace>.svc.cluster.local"
    assert refusal(spec("web.ns")) == (Status.NOT_FOUND, form)


@pytest.mark.parametrize("target", ["10.96.0.1:4191", "10.8.255.255:80", "1.1.1.1:80", "my-svc.ns.svc:80", "web.ns"])
def test_nothing_is_said_before_everything_is_known(target: str) -> None:
    """Neither "not found", which is final for a proxy, nor a policy without its routes."""
    controller = Controller(service(), egress_network())
    controller.policies.ready = False
    assert refusal(spec(target), controller) == (Status.UNAVAILABLE, "policies are still being loaded")


# outbound 27, 28, 29, 31
@pytest.mark.parametrize(
    "source",
    [
        "ns:client",
        '{"ns":"ns","pod":"p"}',
        '{"ns":"ns","external_workload":"e"}',
        '{"ns":"ns","pod":"p","nodeName":"n"}\n',
    ],
)
def test_callers_are_known_by_their_namespace(source: str) -> None:
    """Whatever form their token has."""
    controller = Controller(egress_network())
    assert resource(controller.get("1.1.1.1:80", source).metadata)[1] == "ns"
    stranger = source.replace("ns:", "other:").replace('"ns":"ns"', '"ns":"other"')
    assert controller.get("1.1.1.1:80", stranger).metadata.default == "egress-fallback"


# outbound 186
def test_a_name_always_has_a_policy() -> None:
    """Even if there is no such Service; nothing is kept of the question."""
    controller = Controller()
    policy = controller.get("nosuch.ns.svc.cluster.local")
    assert resource(policy.metadata) == ("Service", "ns", "nosuch", 80)
    assert names(policy) == ["(http)"]
    assert destination(only_backend(policy)) == "nosuch.ns.svc.cluster.local:80"
    assert controller.index.statistics().targets == 0


# outbound 187
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web.ns.svc.cluster.local:8080", ("ns", "web", 8080)),
        ("web.ns.svc.cluster.local", ("ns", "web", 80)),
        ("web.ns.svc.cluster.local.", ("ns", "web", 80)),
        ("web.ns.svc.cluster.local..:8080", ("ns", "web", 8080)),
        ("web.ns.svc", ("ns", "web", 80)),
        ("web.ns.svc:", ("ns", "web", 80)),
        ("web.ns.svc:0", ("ns", "web", 80)),
        ("web.ns.svc:99999", ("ns", "web", 80)),
        ("web.ns.svc:65535", ("ns", "web", 65535)),
        ("web.ns.svc:65536", ("ns", "web", 80)),
        ("web.ns.svc:+8080", ("ns", "web", 8080)),
        ("web.ns.svc:08080", ("ns", "web", 8080)),
        ("web.ns.svc:8080x", ("ns", "web", 80)),
        ("web.ns.svc.example.org", ("ns", "web", 80)),
        ("web.ns.svc.cluster.local.cluster.local", ("ns", "web", 80)),
        ("web.ns.svccluster.local", ("ns", "web", 80)),
        ("Web.ns.svc", ("ns", "Web", 80)),
        ("user:pw@web.ns.svc:81", ("ns", "web", 81)),
        ("a%20b@web.ns.svc", ("ns", "web", 80)),
        ("web..svc", ("", "web", 80)),
        (".ns.svc", ("ns", "", 80)),
        ("web.ns.SVC", None),
        ("web.ns", None),
        ("web", None),
        (".", None),
        ("cluster.local", None),
        ("10.0.0.1:80", None),
        ("[::1]:80", None),
    ],
)
def test_names_of_services(text: str, expected: tuple[str, str, int] | None) -> None:
    """Labels and domain are taken as plain text; a port that cannot be is 80."""
    authority = parse_authority(text)
    assert authority is not None
    name = parse_service_name(authority.host, "cluster.local")
    assert (None if name is None else (name.namespace, name.name, authority.port)) == expected


def test_a_cluster_without_a_domain() -> None:
    """Nothing is taken off then."""
    assert parse_service_name("web.ns.svc.", "") == ServiceName("ns", "web")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "é.ns.svc",
        "http://web.ns.svc",
        "web.ns.svc?q",
        "web.ns.svc#f",
        "web.ns.svc:80:80",
        "::1",
        "%20.ns.svc",
        "user@",
        "@",
        "[::1",
        "::1]",
        "]",
        "[a][b]",
        "a%[b]",
        "1:2:3:4:5:6:7:8:9:0@web",
    ],
)
def test_what_is_no_authority(text: str) -> None:
    """One colon for the port, one pair of brackets, percent signs in front of an `@` only."""
    assert parse_authority(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[::1]:80", Authority("[::1]", 80)),
        ("[::1]", Authority("[::1]", 80)),
        ("u:p@[fe80::1]:81", Authority("[fe80::1]", 81)),
        ("a%b@c", Authority("c", 80)),
        (":", Authority("", 80)),
        ("a[b]c", Authority("a[b]c", 80)),
        ("[a%b]", Authority("[a%b]", 80)),
    ],
)
def test_what_is_an_authority(text: str, expected: Authority) -> None:
    """Also some texts that no resolver would take."""
    assert parse_authority(text) == expected


def test_the_service_is_offered_by_its_name() -> None:
    """With both of its methods, as functions that answer at once."""
    offered = Controller().service.offered()
    assert offered.name == SERVICE == "io.linkerd.proxy.outbound.OutboundPolicies"
    assert set(offered.unary) == {"Get"}
    assert set(offered.published) == {"Watch"}


# outbound 220
def test_a_client_that_goes_away_leaves_nothing() -> None:
    """Its target is forgotten with the last watch of it."""
    controller = Controller(service(), egress_network())
    streams = [controller.watch(target) for target in ("10.96.0.1:4191", "10.96.0.1:4191", "1.1.1.1:80", "10.96.0.1:1")]
    statistics = controller.index.statistics()
    assert statistics.targets == 3
    assert statistics.service_port_route_index == {"ns": 2}
    for stream in streams:
        stream.close()
    statistics = controller.index.statistics()
    assert statistics.targets == 0
    assert statistics.service_port_route_index == {}
    assert controller.publications.statistics().subscriptions == 0
