"""The inbound service: what each question gets, and what each change sends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from ipaddress import IPv4Address

import attrs
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.core.answer import Answer
from controller.core.inbound import (
    DefaultRef,
    DetectProtocol,
    FixedProtocol,
    GrpcRoute,
    HttpRoute,
    HttpRule,
    InboundServer,
    PortTarget,
    ServerRef,
    WorkloadKind,
)
from controller.core.network import IPNet
from controller.core.routes import DefaultRoute, HeaderModifier, ResponseHeaderModifier
from controller.grpc.gen.linkerd import inbound_pb2 as pb
from controller.grpc.inbound import InboundAnswer, InboundServerPolicies

CLUSTER = (IPNet(IPv4Address("192.0.2.0"), 24),)
WEB = PortTarget(WorkloadKind.POD, "ns", "web", 8080)
DEFAULT = InboundServer(DefaultRef("all-unauthenticated"), DetectProtocol(dt.timedelta(seconds=10)))
GOVERNED = InboundServer(ServerRef("web"), FixedProtocol.HTTP1)


@attrs.define(eq=False)
class Policies:
    """Answers by target, and the observers of each."""

    answers: dict[PortTarget, InboundAnswer] = attrs.field(factory=dict)
    ready: bool = True
    observers: list[Callable[[InboundAnswer | None], None]] = attrs.field(factory=list)

    def lookup(self, target: PortTarget) -> InboundAnswer | None:
        return self.answers.get(target)

    def subscribe(
        self, target: PortTarget, observer: Callable[[InboundAnswer | None], None]
    ) -> tuple[InboundAnswer | None, Callable[[], None]]:
        answer = self.answers.get(target)
        if answer is None:
            return None, lambda: None
        self.observers.append(observer)
        return answer, lambda: self.observers.remove(observer)

    def tell(self, answer: InboundAnswer | None) -> None:
        for observer in tuple(self.observers):
            observer(answer)


@attrs.define(eq=False)
class Stream:
    """Everything published, in order; a real stream keeps the last only."""

    published: list[bytes] = attrs.field(factory=list)
    ended: list[Status] = attrs.field(factory=list)

    def publish(self, message: bytes) -> None:
        assert not self.ended
        self.published.append(message)

    def end(self, status: Status) -> None:
        self.ended.append(status)

    def references(self) -> list[str]:
        return [pb.Server.FromString(message).labels["name"] for message in self.published]


@pytest.fixture
def policies() -> Policies:
    return Policies({WEB: Answer(DEFAULT)})


@pytest.fixture
def service(policies: Policies) -> InboundServerPolicies:
    return InboundServerPolicies(policies, CLUSTER)


def ask(service: InboundServerPolicies, method: str, workload: str, port: int) -> GRPCError:
    request = pb.PortSpec(workload=workload, port=port)
    with pytest.raises(GRPCError) as caught:
        service.get_port(request) if method == "get" else service.watch_port(request, Stream())
    return caught.value


def test_get_port(service: InboundServerPolicies) -> None:
    """A question gets the policy of that port of that workload."""
    message = pb.Server.FromString(service.get_port(pb.PortSpec(workload="ns:web", port=8080)))

    assert message.labels["name"] == "all-unauthenticated"
    assert message.protocol.detect.timeout.seconds == 10


@pytest.mark.parametrize("method", ["get", "watch"])
@pytest.mark.parametrize("workload", ["nowhere:web", "ns:nobody", '{"ns":"ns","external_workload":"web"}'])
def test_unknown_workloads(service: InboundServerPolicies, policies: Policies, method: str, workload: str) -> None:
    """A workload that does not exist, or is not in the mesh, is not found, and nothing stays subscribed."""
    # inbound 89
    error = ask(service, method, workload, 8080)

    assert (error.status, error.message) == (Status.NOT_FOUND, "unknown server")
    assert policies.observers == []


@pytest.mark.parametrize("method", ["get", "watch"])
@pytest.mark.parametrize(
    ("workload", "port", "message"),
    [
        # inbound 90
        *[(token, 8080, f"Invalid workload: {token}") for token in ("x", ":p", "ns:", "{", '{"ns":"a","pod":1}')],
        ("ns:web", 0, "Invalid port: 0"),
        ("ns:web", 65536, "Invalid port: 65536"),
        ("x", 0, "Invalid workload: x"),
    ],
)
@pytest.mark.parametrize("ready", [True, False])
def test_invalid_requests(
    service: InboundServerPolicies, policies: Policies, method: str, workload: str, port: int, message: str, ready: bool
) -> None:
    """A request that can never be right is invalid; the workload is looked at first."""
    policies.ready = ready
    error = ask(service, method, workload, port)

    assert (error.status, error.message) == (Status.INVALID_ARGUMENT, message)


@pytest.mark.parametrize("method", ["get", "watch"])
@pytest.mark.parametrize("workload", ["ns:web", "ns:nobody"])
def test_nothing_is_said_before_everything_is_known(
    service: InboundServerPolicies, policies: Policies, method: str, workload: str
) -> None:
    """Until every kind has been listed, known and unknown workloads alike are told to ask again."""
    policies.ready = False

    assert ask(service, method, workload, 8080).status is Status.UNAVAILABLE
    assert policies.observers == []


def test_watch_port_follows_changes(service: InboundServerPolicies, policies: Policies) -> None:
    """A stream gets the policy at once and after each change, until it is unsubscribed."""
    # inbound 45, 46
    stream = Stream()

    unsubscribe = service.watch_port(pb.PortSpec(workload="ns:web", port=8080), stream)
    policies.tell(Answer(GOVERNED))
    unsubscribe()
    policies.tell(Answer(DEFAULT))

    assert stream.references() == ["all-unauthenticated", "web"]
    assert stream.ended == []


def test_what_looks_the_same_is_not_sent_again(service: InboundServerPolicies, policies: Policies) -> None:
    """Answers that differ only in what the wire does not show send nothing."""
    stream = Stream()
    service.watch_port(pb.PortSpec(workload="ns:web", port=8080), stream)
    hidden = HttpRoute(
        DefaultRoute("default"), rules=(HttpRule(filters=(ResponseHeaderModifier(HeaderModifier(remove=("a",))),)),)
    )

    policies.tell(Answer(attrs.evolve(GOVERNED, http_routes=(attrs.evolve(hidden, rules=(HttpRule(),)),))))
    policies.tell(Answer(attrs.evolve(GOVERNED, http_routes=(hidden,))))
    policies.tell(
        Answer(
            attrs.evolve(GOVERNED, http_routes=(hidden,), grpc_routes=(GrpcRoute(DefaultRoute("default"), rules=()),))
        )
    )
    policies.tell(Answer(attrs.evolve(GOVERNED, protocol=FixedProtocol.OPAQUE, http_routes=(hidden,))))
    policies.tell(Answer(attrs.evolve(GOVERNED, protocol=FixedProtocol.OPAQUE)))

    assert len(stream.published) == 3


def test_a_stream_ends_with_its_workload(service: InboundServerPolicies, policies: Policies) -> None:
    """When the workload is gone the stream ends with OK, once, even if the workload comes back at once."""
    # inbound 93
    stream = Stream()
    service.watch_port(pb.PortSpec(workload="ns:web", port=8080), stream)

    policies.tell(None)
    policies.tell(Answer(GOVERNED))
    policies.tell(None)

    assert stream.ended == [Status.OK]
    assert stream.references() == ["all-unauthenticated"]


def test_an_answer_is_encoded_once(service: InboundServerPolicies, policies: Policies) -> None:
    """Everybody who gets an answer gets the same bytes object."""
    # inbound 123
    first, second = Stream(), Stream()
    request = pb.PortSpec(workload="ns:web", port=8080)
    service.watch_port(request, first)
    service.watch_port(request, second)

    policies.tell(Answer(GOVERNED))

    assert [id(message) for message in first.published] == [id(message) for message in second.published]
    assert service.get_port(request) is first.published[0]


def test_the_whole_service_is_offered(service: InboundServerPolicies) -> None:
    """Every method of the definition is offered under its name, with its request type, unary or streaming as it is."""
    offered = service.offered()
    definition = pb.DESCRIPTOR.services_by_name["InboundServerPolicies"]

    assert offered.name == definition.full_name
    for methods, streaming in ((offered.unary, False), (offered.published, True)):
        assert {name: method.request_type.DESCRIPTOR for name, method in methods.items()} == {
            method.name: method.input_type for method in definition.methods if method.server_streaming is streaming
        }
