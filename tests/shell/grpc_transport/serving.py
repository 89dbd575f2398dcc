"""A server with one method of every kind, for tests to talk to."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, Callable

import attrs
import trio
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from controller.grpc.transport import NO_HOOKS, GrpcServer, Hooks, Limits, Published, Publisher, Service, Unary

NAME = "test.Things"


def encoded(status: int) -> bytes:
    return Answer(status=status).SerializeToString()  # type: ignore[arg-type]


@attrs.define(eq=False)
class Things:
    """What the methods do, and what became of the streams."""

    published: list[Publisher] = attrs.field(factory=list)
    ended: int = 0
    unsubscribed: trio.Event = attrs.field(factory=trio.Event)
    cancelled: list[str] = attrs.field(factory=list)
    first: bytes = attrs.field(factory=lambda: encoded(1))
    opened: int = 0
    cost: Callable[[], object] = lambda: None  # what opening a stream takes

    def get(self, ask: Ask) -> Answer:
        """Answers with the length of the name; some names are trouble."""
        match ask.service:
            case "missing":
                raise GRPCError(Status.NOT_FOUND, "no such thing: 100% ünknown")
            case "broken":
                raise RuntimeError("broken")
        return Answer(status=len(ask.service) % 4)  # type: ignore[arg-type]

    def watch(self, ask: Ask, stream: Publisher) -> Callable[[], None]:
        if ask.service == "missing":
            raise GRPCError(Status.NOT_FOUND, "no such thing")
        self.opened += 1
        self.cost()
        self.published.append(stream)
        stream.publish(self.first)

        def unsubscribe() -> None:
            self.published.remove(stream)
            self.ended += 1
            self.unsubscribed.set()

        return unsubscribe

    async def call(self, stream) -> None:  # type: ignore[no-untyped-def]
        """Answers one request, slowly if asked to."""
        ask = await stream.recv_message()
        try:
            if ask.service.startswith("sleep"):
                await trio.sleep(float(ask.service[5:]))
            if ask.service == "missing":
                raise GRPCError(Status.NOT_FOUND, "no such thing")
            if ask.service == "broken":
                raise RuntimeError("broken")
            if ask.service == "metadata":
                await stream.send_initial_metadata(metadata={"x-peer": "yes", "x-raw-bin": b"\x00\x01"})
            await stream.send_message(Answer(status=1))
            if ask.service == "metadata":
                seen = stream.metadata.get("x-client", "")
                await stream.send_trailing_metadata(metadata={"x-seen": seen})
        except trio.Cancelled:
            self.cancelled.append(ask.service)
            raise

    async def count(self, stream) -> None:  # type: ignore[no-untyped-def]
        """Streams as many answers as the name is long."""
        ask = await stream.recv_message()
        for number in range(len(ask.service)):
            await stream.send_message(Answer(status=number % 4))

    async def collect(self, stream) -> None:  # type: ignore[no-untyped-def]
        total = 0
        async for ask in stream:
            total += len(ask.service)
        await stream.send_message(Answer(status=total % 4))

    async def echo(self, stream) -> None:  # type: ignore[no-untyped-def]
        try:
            async for ask in stream:
                await stream.send_message(Answer(status=len(ask.service) % 4))
        except trio.Cancelled:
            self.cancelled.append("echo")
            raise

    def __mapping__(self) -> dict[str, Handler]:
        return {
            f"/{NAME}/Call": Handler(self.call, Cardinality.UNARY_UNARY, Ask, Answer),
            f"/{NAME}/Count": Handler(self.count, Cardinality.UNARY_STREAM, Ask, Answer),
            f"/{NAME}/Collect": Handler(self.collect, Cardinality.STREAM_UNARY, Ask, Answer),
            f"/{NAME}/Echo": Handler(self.echo, Cardinality.STREAM_STREAM, Ask, Answer),
        }

    def service(self) -> Service:
        return Service(NAME, unary={"Get": Unary(Ask, self.get)}, published={"Watch": Published(Ask, self.watch)})


@attrs.frozen
class Served:
    server: GrpcServer
    things: Things
    port: int
    nursery: trio.Nursery

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(1024)
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def serving(limits: Limits | None = None, hooks: Hooks = NO_HOOKS) -> AsyncGenerator[Served]:
    """A server on a port of its own; cancelled at the end of the block, unless it was drained."""
    things = Things()
    server = GrpcServer([things.service(), things], draw=lambda: 0.5, limits=limits, hooks=hooks)
    listener = listening()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        yield Served(server, things, listener.getsockname()[1], nursery)
        nursery.cancel_scope.cancel()
