"""The inbound service on real sockets, asked by grpcio's client as proxies ask it."""

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

from controller.grpc.gen.linkerd import inbound_pb2 as pb
from controller.grpc.inbound import SERVICE
from controller.grpc.metrics import GrpcMetrics
from controller.grpc.transport import GrpcServer
from tests.manifests import pod, server
from tests.policy_cluster import PolicyCluster

T = TypeVar("T")
WEB = pb.PortSpec(workload="ns:web", port=4191)


class Client:
    """The methods of the service, as grpcio calls them."""

    def __init__(self, channel: grpc.Channel) -> None:
        codecs: Any = {
            "request_serializer": pb.PortSpec.SerializeToString,
            "response_deserializer": pb.Server.FromString,
        }
        self.get_port = channel.unary_unary(f"/{SERVICE}/GetPort", **codecs)
        self.watch_port = channel.unary_stream(f"/{SERVICE}/WatchPort", **codecs)


@attrs.frozen(eq=False)
class Served:
    cluster: PolicyCluster
    server: GrpcServer
    registry: CollectorRegistry
    address: str

    async def ask(self, talk: Callable[[Client], T]) -> T:
        """Hold the conversation in a thread, beside the server."""

        def run() -> T:
            with grpc.insecure_channel(self.address) as channel:
                return talk(Client(channel))

        return await trio.to_thread.run_sync(run, abandon_on_cancel=True)

    def count(self, series: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"grpc_server_{series}", {"grpc_service": SERVICE, **labels})


@contextlib.asynccontextmanager
async def serving() -> AsyncGenerator[Served]:
    """A controller that knows one pod; cancelled at the end of the block, unless it was drained."""
    cluster = PolicyCluster()
    cluster.sync()
    cluster.apply(pod())
    registry = CollectorRegistry()
    metrics = GrpcMetrics({SERVICE})
    registry.register(metrics)
    grpc_server = GrpcServer([cluster.service.offered()], draw=lambda: 0.5, hooks=metrics)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    async with trio.open_nursery() as nursery:
        await nursery.start(grpc_server.serve, [listener])
        yield Served(cluster, grpc_server, registry, f"127.0.0.1:{listener.getsockname()[1]}")
        nursery.cancel_scope.cancel()


def names(stream: Any) -> list[str]:
    """The references of all messages until the stream ends."""
    return [message.labels["name"] for message in stream]


WATCH = {"grpc_method": "WatchPort", "grpc_type": "server_stream"}
GET = {"grpc_method": "GetPort", "grpc_type": "unary"}


async def test_a_stream_from_first_message_to_the_end_of_its_pod() -> None:
    """A proxy gets the policy, each change, and an end with OK when its pod is gone."""
    # inbound 45, 46, 93, 121
    async with serving() as served:

        def talk(client: Client) -> tuple[list[str], Any]:
            stream = client.watch_port(WEB)
            told = [next(stream).labels["name"]]
            trio.from_thread.run_sync(served.cluster.apply, server("web-admin"))
            told.append(next(stream).labels["name"])
            trio.from_thread.run_sync(served.cluster.delete, pod())
            return told + names(stream), stream.code()

        assert await served.ask(talk) == (["all-unauthenticated", "web-admin"], grpc.StatusCode.OK)
        assert served.count("started_total", **WATCH) == 1
        assert served.count("msg_received_total", **WATCH) == 1
        assert served.count("msg_sent_total", **WATCH) == 2
        assert served.count("handled_total", **WATCH, grpc_code="OK") == 1


@pytest.mark.parametrize("method", ["get_port", "watch_port"])
async def test_refusals(method: str) -> None:
    """Codes and texts reach the proxy, and each is counted."""
    # inbound 89, 90, 121
    requests = [("ns:nobody", 1), ("nobody", 0), ("ns:web", 0), ("ns:web", 65536)]

    def talk(client: Client) -> list[tuple[str, str]]:
        told: list[tuple[str, str]] = []
        for workload, port in requests:
            with pytest.raises(grpc.RpcError) as caught:
                answer = getattr(client, method)(pb.PortSpec(workload=workload, port=port))
                list(answer)
            told.append((caught.value.code().name, caught.value.details()))
        return told

    async with serving() as served:
        assert await served.ask(talk) == [
            ("NOT_FOUND", "unknown server"),
            ("INVALID_ARGUMENT", "Invalid workload: nobody"),
            ("INVALID_ARGUMENT", "Invalid port: 0"),
            ("INVALID_ARGUMENT", "Invalid port: 65536"),
        ]
        labels = GET if method == "get_port" else WATCH
        assert served.count("handled_total", **labels, grpc_code="NOT_FOUND") == 1
        assert served.count("handled_total", **labels, grpc_code="INVALID_ARGUMENT") == 3
        assert served.count("started_total", **labels) == 4
        assert served.count("msg_sent_total", **labels) == 0


async def test_a_proxy_that_goes_away_is_forgotten_and_counts_as_ok() -> None:
    """A cancelled stream leaves no subscription, and counts as one that ended well."""

    # inbound 121
    def talk(client: Client) -> None:
        stream = client.watch_port(WEB)
        next(stream)
        stream.cancel()

    async with serving() as served:
        await served.ask(talk)
        with trio.fail_after(10):
            while served.count("handled_total", **WATCH, grpc_code="OK") != 1:  # noqa: ASYNC110  # on its way by TCP
                await trio.sleep(0.01)

        assert served.server.statistics().streams == 0
        assert served.cluster.subscriptions == 0


async def test_a_unary_answer_is_not_counted_as_sent() -> None:
    """GetPort answers with the policy of now; only messages of streams count as sent."""
    async with serving() as served:
        answer = await served.ask(lambda client: client.get_port(WEB))

        assert answer.labels["name"] == "all-unauthenticated"
        assert served.count("handled_total", **GET, grpc_code="OK") == 1
        assert served.count("msg_sent_total", **GET) == 0


async def test_draining_ends_streams_with_ok() -> None:
    """A server that stops ends each stream with OK, after what it had to say."""
    # inbound 94
    async with serving() as served:

        def talk(client: Client) -> tuple[list[str], Any]:
            stream = client.watch_port(WEB)
            told = [next(stream).labels["name"]]
            trio.from_thread.run_sync(stopping.set)
            return told + names(stream), stream.code()

        stopping = trio.Event()
        told: list[Any] = []

        async def ask() -> None:
            told.append(await served.ask(talk))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await stopping.wait()
            await served.server.drain(deadline=trio.current_time() + 10)

        assert told == [(["all-unauthenticated"], grpc.StatusCode.OK)]
