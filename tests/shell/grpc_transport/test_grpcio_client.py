"""grpcio's client (the C core) as an independent peer, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
import trio

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from tests.shell.grpc_transport.serving import NAME, Served, encoded, serving


class Client:
    """The methods of the test service, each as grpcio calls it."""

    def __init__(self, channel: grpc.Channel) -> None:
        codecs: Any = {"request_serializer": Ask.SerializeToString, "response_deserializer": Answer.FromString}
        self.get = channel.unary_unary(f"/{NAME}/Get", **codecs)
        self.watch = channel.unary_stream(f"/{NAME}/Watch", **codecs)
        self.call = channel.unary_unary(f"/{NAME}/Call", **codecs)
        self.count = channel.unary_stream(f"/{NAME}/Count", **codecs)
        self.collect = channel.stream_unary(f"/{NAME}/Collect", **codecs)
        self.echo = channel.stream_stream(f"/{NAME}/Echo", **codecs)
        self.nothing = channel.unary_unary(f"/{NAME}/Nothing", **codecs)


async def with_client(served: Served, talk: Callable[[Client], Any], **options: Any) -> Any:
    """Run the conversation in a thread, beside the server."""

    def run() -> Any:
        with grpc.insecure_channel(served.address, **options) as channel:
            return talk(Client(channel))

    return await trio.to_thread.run_sync(run, abandon_on_cancel=True)


def failure(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


async def test_a_unary_method_answers_in_place() -> None:
    """Answers, errors with their text, and faults each reach the client as what they are."""

    def talk(client: Client) -> list[object]:
        return [
            client.get(Ask(service="ab")),
            failure(lambda: client.get(Ask(service="missing"))),
            failure(lambda: client.get(Ask(service="broken"))),
            failure(lambda: client.nothing(Ask())),
        ]

    async with serving() as served:
        told = await with_client(served, talk)

    assert told == [
        Answer(status=2),
        ("NOT_FOUND", "no such thing: 100% ünknown"),
        ("UNKNOWN", "internal error"),
        ("UNIMPLEMENTED", f"no such method: /{NAME}/Nothing"),
    ]


async def test_a_published_stream_shows_what_is_published() -> None:
    """The first value comes at once, later ones as they are published, and cancelling unsubscribes."""

    async with serving() as served:

        def talk(client: Client) -> list[object]:
            stream = client.watch(Ask())
            told = [next(stream)]
            trio.from_thread.run_sync(served.things.published[0].publish, encoded(2))
            told.append(next(stream))
            stream.cancel()
            return told

        told = await with_client(served, talk)
        with trio.fail_after(5):
            await served.things.unsubscribed.wait()

    assert told == [Answer(status=1), Answer(status=2)]
    assert served.things.ended == 1


async def test_draining_ends_published_streams_with_ok() -> None:
    """A published value that was not read yet comes before the end, and the end is OK."""
    async with serving() as served:

        def talk(client: Client) -> tuple[list[Answer], str]:
            stream = client.watch(Ask())
            next(stream)
            trio.from_thread.run_sync(_publish_and_drain, served)
            return list(stream), stream.code().name

        told = await with_client(served, talk)

    assert told == ([Answer(status=3)], "OK")


def _publish_and_drain(served: Served) -> None:
    served.things.published[0].publish(encoded(3))
    served.nursery.start_soon(lambda: served.server.drain(deadline=trio.current_time() + 5))


async def test_handlers_with_tasks_speak_all_four_ways() -> None:
    """Unary and streams in either direction work as grpclib's handlers expect."""

    def talk(client: Client) -> list[object]:
        asks = [Ask(service="a"), Ask(service="ab")]
        return [
            client.call(Ask()),
            list(client.count(Ask(service="abc"))),
            client.collect(iter(asks)),
            list(client.echo(iter(asks))),
            failure(lambda: client.call(Ask(service="missing"))),
            failure(lambda: client.call(Ask(service="broken"))),
            failure(lambda: client.call(Ask(service="sleep10"), timeout=0.1))[0],
        ]

    async with serving() as served:
        told = await with_client(served, talk)

    assert told == [
        Answer(status=1),
        [Answer(status=0), Answer(status=1), Answer(status=2)],
        Answer(status=3),
        [Answer(status=1), Answer(status=2)],
        ("NOT_FOUND", "no such thing"),
        ("UNKNOWN", "internal error"),
        "DEADLINE_EXCEEDED",
    ]


async def test_metadata_goes_both_ways() -> None:
    """Metadata of the client reaches the handler; initial and trailing metadata, text and binary, come back."""

    def talk(client: Client) -> tuple[dict[str, object], dict[str, object]]:
        _, call = client.call.with_call(Ask(service="metadata"), metadata=[("x-client", "me")])
        return dict(call.initial_metadata()), dict(call.trailing_metadata())

    async with serving() as served:
        initial, trailing = await with_client(served, talk)

    assert (initial["x-peer"], initial["x-raw-bin"]) == ("yes", b"\x00\x01")
    assert trailing["x-seen"] == "me"


async def test_compressed_requests_are_not_taken() -> None:
    """A client that compresses is told that we do not, so that it can do without."""

    def talk(client: Client) -> str:
        ask = Ask(service="a" * 2000)
        return failure(lambda: client.get(ask, compression=grpc.Compression.Gzip))[0]

    async with serving() as served:
        assert await with_client(served, talk) == "UNIMPLEMENTED"


async def test_large_messages_pass() -> None:
    """A message far larger than frames and windows arrives, and one above the limit is refused."""

    def talk(client: Client) -> list[object]:
        return [
            client.get(Ask(service="a" * 1_000_001)),
            client.collect(iter([Ask(service="a" * 300_000), Ask(service="b")])),
            failure(lambda: client.get(Ask(service="a" * (4 * 1024 * 1024))))[0],
        ]

    async with serving() as served:
        told = await with_client(served, talk)

    assert told == [Answer(status=1), Answer(status=1), "RESOURCE_EXHAUSTED"]
