"""The outbound service on real sockets, asked by grpcio's client as proxies ask it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

import attrs
import grpc
import pytest
import trio
from prometheus_client import CollectorRegistry

from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.metrics import GrpcMetrics
from controller.grpc.outbound import SERVICE
from controller.grpc.transport import GrpcServer
from tests.destinations import Object, egress_network, route, service, service_ref
from tests.outbound_controller import Controller, spec

T = TypeVar("T")
WATCH = {"grpc_method": "Watch", "grpc_type": "server_stream"}
GET = {"grpc_method": "Get", "grpc_type": "unary"}
WEB, OUTSIDE, NOWHERE, UNDECLARED = "10.96.0.1:4191", "1.1.1.1:80", "10.8.255.255:80", "10.96.0.1:1"


class Client:
    """The methods of the service, as grpcio calls them."""

    def __init__(self, channel: grpc.Channel) -> None:
        codecs: Any = {
            "request_serializer": pb.TrafficSpec.SerializeToString,
            "response_deserializer": pb.OutboundPolicy.FromString,
        }
        self.get = channel.unary_unary(f"/{SERVICE}/Get", **codecs)
        self.watch = channel.unary_stream(f"/{SERVICE}/Watch", **codecs)


@attrs.frozen(eq=False)
class Served:
    controller: Controller
    server: GrpcServer
    registry: CollectorRegistry
    address: str

    async def ask(self, talk: Callable[[Client], T]) -> T:
        """Hold the conversation in a thread, beside the server."""

        def run() -> T:
            with grpc.insecure_channel(self.address) as channel:
                return talk(Client(channel))

        return await trio.to_thread.run_sync(run, abandon_on_cancel=True)

    def tell(self, *objects: Object) -> None:
        """From within a conversation."""
        trio.from_thread.run_sync(self.controller.apply, *objects)

    def count(self, series: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"grpc_server_{series}", {"grpc_service": SERVICE, **labels})


@contextlib.asynccontextmanager
async def serving() -> AsyncGenerator[Served]:
    """A controller that knows one Service; cancelled at the end of the block, unless it was drained."""
    controller = Controller(service())
    registry = CollectorRegistry()
    metrics = GrpcMetrics({SERVICE})
    registry.register(metrics)
    server = GrpcServer([controller.service.offered()], draw=lambda: 0.5, hooks=metrics)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        yield Served(controller, server, registry, f"127.0.0.1:{listener.getsockname()[1]}")
        nursery.cancel_scope.cancel()


def name(policy: pb.OutboundPolicy) -> str:
    """What the policy is about."""
    return policy.metadata.default or policy.metadata.resource.name


def routes(policy: pb.OutboundPolicy) -> list[str]:
    return [shown.metadata.default or shown.metadata.resource.name for shown in policy.protocol.detect.http1.routes]


async def test_a_stream_hears_of_each_change_once() -> None:
    """Of the Service and of its routes; an event that changes nothing is no message."""
    async with serving() as served:

        def talk(client: Client) -> list[list[str]]:
            stream = client.watch(spec(WEB))
            told = [routes(next(stream))]
            served.tell(service())
            served.tell(route("G", parents=[service_ref(port=4191)]))
            told.append(routes(next(stream)))
            served.tell(route("G", accepted=[]))
            told.append(routes(next(stream)))
            stream.cancel()
            return told

        assert await served.ask(talk) == [["http"], ["foo-route"], ["http"]]
        assert served.count("msg_sent_total", **WATCH) == 3


# outbound 116
async def test_a_message_whose_bytes_are_the_same_is_sent_too() -> None:
    """The policy changed, in what the protocol does not show."""
    async with serving() as served:

        def talk(client: Client) -> list[pb.OutboundPolicy]:
            stream = client.watch(spec(WEB))
            told = [next(stream)]
            for arrival in ("a-route", "b-route"):
                served.tell(route("C", arrival, parents=[service_ref(port=4191)]))
                told.append(next(stream))
            stream.cancel()
            return told

        first, second, third = await served.ask(talk)
        assert second == third != first


# outbound 162, 163
async def test_a_stream_ends_with_ok_when_its_address_is_something_else() -> None:
    """The proxy asks again."""
    async with serving() as served:

        def talk(client: Client) -> tuple[list[str], Any, list[str]]:
            stream = client.watch(spec(OUTSIDE))
            told = [name(next(stream))]
            served.tell(egress_network())
            told += [name(message) for message in stream]
            again = client.watch(spec(OUTSIDE))
            now = [name(next(again))]
            again.cancel()
            return told, stream.code(), now

        assert await served.ask(talk) == (["egress-fallback"], grpc.StatusCode.OK, ["my-egress"])
        assert served.count("handled_total", **WATCH, grpc_code="OK") is not None


# outbound 188
@pytest.mark.parametrize("method", ["get", "watch"])
async def test_refusals(method: str) -> None:
    """Codes and texts reach the proxy, and each is counted."""
    requests = [
        spec(NOWHERE),
        spec("web"),
        spec("a b"),
        spec(WEB, "nobody"),
        pb.TrafficSpec(source_workload="ns:client"),
    ]

    def talk(client: Client) -> list[tuple[str, str]]:
        told: list[tuple[str, str]] = []
        for request in requests:
            with pytest.raises(grpc.RpcError) as caught:
                list(getattr(client, method)(request))
            told.append((caught.value.code().name, caught.value.details()))
        return told

    async with serving() as served:
        assert await served.ask(talk) == [
            ("NOT_FOUND", "No such service"),
            ("NOT_FOUND", "authority must be of the form <name>.<namespace>.svc.cluster.local"),
            ("INVALID_ARGUMENT", "invalid authority"),
            ("INVALID_ARGUMENT", "Invalid workload: nobody"),
            ("INVALID_ARGUMENT", "target is required"),
        ]
        labels = GET if method == "get" else WATCH
        assert served.count("started_total", **labels) == len(requests)
        assert served.count("handled_total", **labels, grpc_code="INVALID_ARGUMENT") == 3


# outbound 221
async def test_what_is_counted() -> None:
    """A stream that is refused has sent nothing; one on an undeclared port has, and is handled when it ends."""
    async with serving() as served:

        def refused(client: Client) -> None:
            with pytest.raises(grpc.RpcError):
                list(client.watch(spec(NOWHERE)))

        await served.ask(refused)
        assert served.count("started_total", **WATCH) == served.count("msg_received_total", **WATCH) == 1
        assert served.count("handled_total", **WATCH, grpc_code="NOT_FOUND") == 1
        assert served.count("handled_total", **WATCH, grpc_code="OK") == 0  # there from the first call on
        assert served.count("msg_sent_total", **WATCH) == 0

        def undeclared(client: Client) -> Any:
            stream = client.watch(spec(UNDECLARED))
            next(stream)
            handled = served.count("handled_total", **WATCH, grpc_code="OK")
            served.tell(service(ports=[1]))
            return handled, list(stream), stream.code()

        assert await served.ask(undeclared) == (0, [], grpc.StatusCode.OK)
        assert served.count("msg_sent_total", **WATCH) == 1
        assert served.count("handled_total", **WATCH, grpc_code="OK") == 1
        await served.ask(lambda client: client.get(spec(WEB)))
        assert served.count("msg_sent_total", **GET) == 0
        assert served.count("handled_total", **GET, grpc_code="OK") == 1


# outbound 220
async def test_a_proxy_that_goes_away_is_forgotten_and_counts_as_ok() -> None:
    """A cancelled stream leaves no subscription, and counts as one that ended well."""

    def talk(client: Client) -> None:
        stream = client.watch(spec(WEB))
        next(stream)
        stream.cancel()

    async with serving() as served:
        await served.ask(talk)
        with trio.fail_after(10):
            while served.count("handled_total", **WATCH, grpc_code="OK") != 1:  # noqa: ASYNC110  # on its way by TCP
                await trio.sleep(0.01)
        assert served.controller.index.statistics().targets == 0


# outbound 220
async def test_draining_ends_streams_with_ok() -> None:
    """A server that stops ends each stream with OK, after what it had to say."""
    async with serving() as served:
        stopping, told = trio.Event(), list[Any]()

        def talk(client: Client) -> tuple[list[str], Any]:
            streams = [client.watch(spec(target)) for target in (WEB, OUTSIDE, UNDECLARED)]
            first = [name(next(stream)) for stream in streams]
            trio.from_thread.run_sync(stopping.set)
            assert not any(list(stream) for stream in streams)
            return first, {stream.code() for stream in streams}

        async def ask() -> None:
            told.append(await served.ask(talk))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await stopping.wait()
            await served.server.drain(deadline=trio.current_time() + 10)
        assert told == [(["my-svc", "egress-fallback", "my-svc"], {grpc.StatusCode.OK})]
