"""grpclib's client, on asyncio in a thread, as an independent peer over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpclib
import pytest
import trio
from grpclib.client import Channel, StreamStreamMethod, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from tests.shell.grpc_transport.serving import NAME, Served, encoded, serving


class Client:
    def __init__(self, channel: Channel) -> None:
        self.get = UnaryUnaryMethod(channel, f"/{NAME}/Get", Ask, Answer)
        self.watch = UnaryStreamMethod(channel, f"/{NAME}/Watch", Ask, Answer)
        self.call = UnaryUnaryMethod(channel, f"/{NAME}/Call", Ask, Answer)
        self.count = UnaryStreamMethod(channel, f"/{NAME}/Count", Ask, Answer)
        self.collect = StreamUnaryMethod(channel, f"/{NAME}/Collect", Ask, Answer)
        self.echo = StreamStreamMethod(channel, f"/{NAME}/Echo", Ask, Answer)


async def with_client(served: Served, talk: Callable[[Client], Awaitable[Any]]) -> Any:
    """Run the conversation on asyncio in a thread, beside the server."""

    async def run() -> Any:
        async with Channel("127.0.0.1", served.port) as channel:
            return await talk(Client(channel))

    return await trio.to_thread.run_sync(lambda: asyncio.run(run()), abandon_on_cancel=True)


async def failure(call: Awaitable[object]) -> tuple[Status, str | None]:
    with pytest.raises(grpclib.GRPCError) as caught:
        await call
    return caught.value.status, caught.value.message


async def test_all_four_ways_of_calling() -> None:
    """Answers of methods with and without tasks, in every cardinality, and errors."""

    async def talk(client: Client) -> list[object]:
        asks = [Ask(service="a"), Ask(service="ab")]
        return [
            await client.get(Ask(service="ab")),
            await failure(client.get(Ask(service="missing"))),
            await failure(client.get(Ask(service="broken"))),
            await client.call(Ask()),
            await client.count(Ask(service="abc")),
            await client.collect(asks),
            await client.echo(asks),
            (await failure(client.call(Ask(service="missing"))))[0],
        ]

    async with serving() as served:
        told = await with_client(served, talk)

    assert told == [
        Answer(status=2),
        (Status.NOT_FOUND, "no such thing: 100% ünknown"),
        (Status.UNKNOWN, "internal error"),
        Answer(status=1),
        [Answer(status=0), Answer(status=1), Answer(status=2)],
        Answer(status=3),
        [Answer(status=1), Answer(status=2)],
        Status.NOT_FOUND,
    ]


async def test_a_published_stream() -> None:
    """Values as they are published, and the end with its status."""
    async with serving() as served:

        async def talk(client: Client) -> list[object]:
            async with client.watch.open() as stream:
                await stream.send_message(Ask(), end=True)
                told: list[object] = [await stream.recv_message()]
                trio.from_thread.run_sync(served.things.published[0].publish, encoded(2))
                told.append(await stream.recv_message())
                trio.from_thread.run_sync(served.things.published[0].end, Status.OK)
                told.append(await stream.recv_message())
                return told

        told = await with_client(served, talk)

    assert told == [Answer(status=1), Answer(status=2), None]
    assert served.things.ended == 1


async def test_cancelling_reaches_the_handler() -> None:
    """A client that gives up cancels the task of its call, and unsubscribes its stream."""
    async with serving() as served:

        async def talk(client: Client) -> None:
            async with client.echo.open() as chat, client.watch.open() as stream:
                await chat.send_message(Ask(service="a"))
                assert await chat.recv_message() == Answer(status=1)
                await stream.send_message(Ask(), end=True)
                await stream.recv_message()
                await chat.cancel()
                await stream.cancel()

        await with_client(served, talk)
        with trio.fail_after(5):
            await served.things.unsubscribed.wait()

    assert served.things.cancelled == ["echo"]


async def test_deadlines_of_the_client_are_kept() -> None:
    """The server ends a call when its client does not wait any longer."""

    async def talk(client: Client) -> object:
        try:
            return await client.call(Ask(service="sleep10"), timeout=0.1)
        except (TimeoutError, grpclib.GRPCError) as error:
            return type(error)

    async with serving() as served:
        told = await with_client(served, talk)
        with trio.fail_after(5):
            while not served.things.cancelled:  # noqa: ASYNC110  # the handler's own end
                await trio.sleep(0.01)

    assert told in (asyncio.TimeoutError, grpclib.GRPCError)
    assert served.things.cancelled == ["sleep10"]


async def test_a_hundred_calls_at_once() -> None:
    """Many calls on one connection do not get into each other's way."""

    async def talk(client: Client) -> list[object]:
        calls = [client.get(Ask(service="a" * n)) for n in range(100)]
        calls += [client.call(Ask(service="sleep0.01")) for _ in range(20)]
        return await asyncio.gather(*calls)

    async with serving() as served:
        told = await with_client(served, talk)

    assert told == [Answer(status=n % 4) for n in range(100)] + [Answer(status=1)] * 20
