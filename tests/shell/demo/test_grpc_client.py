"""The demo's gRPC client against grpcio's server, which shares no code with it."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import attrs
import grpc
import pytest
import trio
from grpclib.const import Status

from controller.cli.demo.grpc_client import Channel, Refused, connect
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask

NAME = "test.Echo"
LARGE = 3 * 1024 * 1024  # three times the window


@attrs.define(eq=False)
class Peer:
    """What the server's methods do, and what they saw."""

    cancelled: threading.Event = attrs.field(factory=threading.Event)
    release: threading.Event = attrs.field(factory=threading.Event)

    def get(self, request: Ask, context: grpc.ServicerContext) -> Ask:
        if request.service == "large":
            return Ask(service="x" * LARGE)
        if request.service == "missing":
            context.abort(grpc.StatusCode.NOT_FOUND, "no ünit, 100 %")
        return request

    def watch(self, request: Ask, context: grpc.ServicerContext) -> Iterator[Ask]:
        context.add_callback(self.cancelled.set)
        for number in range(3):
            yield Ask(service=f"{request.service}{number}")
        if request.service == "open":
            self.release.wait(20)
        if request.service == "large":
            for _ in range(4):
                yield Ask(service="x" * (LARGE // 4))


@attrs.frozen(eq=False)
class Connected:
    channel: Channel
    peer: Peer
    server: grpc.Server

    async def get(self, text: str) -> str:
        return (await self.channel.unary(f"/{NAME}/Get", Ask(service=text), Ask.FromString)).service

    def watch(self, text: str) -> Any:
        return self.channel.open(f"/{NAME}/Watch", Ask(service=text), Ask.FromString)


@asynccontextmanager
async def connected() -> AsyncGenerator[Connected]:
    """A server of grpcio's, in threads, and the client under test."""
    peer = Peer()
    codecs: Any = {"request_deserializer": Ask.FromString, "response_serializer": Ask.SerializeToString}
    methods: dict[str, Any] = {
        "Get": grpc.unary_unary_rpc_method_handler(peer.get, **codecs),
        "Watch": grpc.unary_stream_rpc_method_handler(peer.watch, **codecs),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        async with trio.open_nursery() as nursery:
            channel = await connect("127.0.0.1", port)
            nursery.start_soon(channel.run)
            with trio.fail_after(20):
                yield Connected(channel, peer, server)
            nursery.cancel_scope.cancel()
    finally:
        peer.release.set()
        await trio.to_thread.run_sync(server.stop(None).wait)


async def wait_for(event: threading.Event) -> bool:
    return await trio.to_thread.run_sync(event.wait, 10)


async def test_answers_errors_and_large_messages() -> None:
    """A message comes as it was sent, also one larger than the window; an error comes with its code and text."""
    async with connected() as peers:
        assert await peers.get("ab") == "ab"
        assert await peers.get("large") == "x" * LARGE
        with pytest.raises(Refused) as caught:
            await peers.get("missing")

        assert (caught.value.status, caught.value.text) == (Status.NOT_FOUND, "no ünit, 100 %")
        assert await peers.get("still works") == "still works"


async def test_a_stream_tells_in_order_and_then_how_it_ended() -> None:
    """Messages keep their order; the end is one, also when it is OK; other calls go on meanwhile."""
    async with connected() as peers:
        stream, large = peers.watch("s"), peers.watch("large")

        assert [(await stream.next()).message.service for _ in range(3)] == ["s0", "s1", "s2"]
        with pytest.raises(Refused, match="OK"):
            await stream.next()
        assert await stream.wait_ended() is Status.OK
        assert [len((await large.next()).message.service) for _ in range(7)][3:] == [LARGE // 4] * 4


async def test_the_server_hears_of_lost_interest() -> None:
    """A call that is cancelled is over for the server too, and the connection stays good."""
    async with connected() as peers:
        stream = peers.watch("open")
        for _ in range(3):
            await stream.next()
        assert stream.is_quiet
        stream.cancel()

        assert await wait_for(peers.peer.cancelled)
        assert await peers.get("ab") == "ab"


async def test_a_server_that_goes_away_ends_every_call() -> None:
    """Open streams end rather than wait for ever."""
    async with connected() as peers:
        stream = peers.watch("open")
        for _ in range(3):
            await stream.next()
        await trio.to_thread.run_sync(peers.server.stop(None).wait)

        with pytest.raises(Refused) as caught:
            await stream.next()
        assert caught.value.status in (Status.UNAVAILABLE, Status.CANCELLED)
