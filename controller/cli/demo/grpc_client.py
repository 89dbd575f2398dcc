"""A gRPC client on Trio, and the streams that it opens: what a proxy has towards its controller."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import attrs
import trio
from grpclib.const import Status
from hpack.exceptions import HPACKError

from controller.cli.demo.http2_client import ClientConnection, ConnectionLost, Ended, Event, Message
from controller.grpc.transport.messages import BadMessage

_READ = 64 * 1024


class Encodes(Protocol):
    """The half of a protobuf message that requests need."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802  # named by protobuf


M = TypeVar("M")


@attrs.frozen
class Told(Generic[M]):
    """A message, and when its last byte was here."""

    message: M
    at: float


@attrs.define(eq=False)
class Refused(Exception):
    """A call ended with something else than an answer."""

    status: Status
    text: str

    def __str__(self) -> str:
        return f"{self.status.name}: {self.text}" if self.text else self.status.name


@attrs.define(eq=False)
class Call(Generic[M]):
    """One call: its messages as they come, and how it ended."""

    _decode: Callable[[bytes], M]
    _cancel: Callable[[], None]
    ended: Ended | None = attrs.field(default=None, init=False)
    _waiting: list[Told[M]] = attrs.field(factory=list[Told[M]], init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not looked at yet, nor the end."""
        return not self._waiting and self.ended is None

    async def next(self) -> Told[M]:
        """Wait for the next message. Raises `Refused` if the call has ended instead, also when with `OK`."""
        while not self._waiting:
            if self.ended is not None:
                raise Refused(self.ended.status, self.ended.text)
            await self._changed.wait()
        return self._waiting.pop(0)

    async def wait_ended(self) -> Status:
        """Wait for the end, whatever comes before it."""
        while self.ended is None:
            await self._changed.wait()
        return self.ended.status

    def cancel(self) -> None:
        """Tell the server that nobody listens any more."""
        self._cancel()

    def take(self, event: Event) -> None:
        """Note what happened to the call."""
        match event:
            case Message(_, data):
                self._waiting.append(Told(self._decode(data), trio.current_time()))
            case Ended():
                self.ended = event
        self._changed.set()
        self._changed = trio.Event()


@attrs.define(eq=False)
class Channel:
    """A connection to a server, with any number of calls on it."""

    _stream: trio.SocketStream
    _connection: ClientConnection
    _calls: dict[int, Call[object]] = attrs.field(factory=dict[int, "Call[object]"], init=False)
    _output: trio.Event = attrs.field(factory=trio.Event, init=False)

    def open(self, path: str, request: Encodes, decode: Callable[[bytes], M]) -> Call[M]:
        """Begin a call; its answers come in time."""
        stream_id = self._connection.call(path, request.SerializeToString())

        def cancel() -> None:
            self._connection.cancel(stream_id)
            self._output.set()

        call = Call(decode, cancel)
        self._calls[stream_id] = call  # type: ignore[assignment]  # what it decodes to is between it and its caller
        self._output.set()
        return call

    async def unary(self, path: str, request: Encodes, decode: Callable[[bytes], M]) -> M:
        """Call a method that answers once. Raises `Refused`."""
        call = self.open(path, request, decode)
        told = await call.next()
        await call.wait_ended()
        return told.message

    async def run(self) -> None:
        """Send and receive until the server closes the connection."""
        async with self._stream, trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            try:
                await self._read()
            except (ConnectionLost, BadMessage, HPACKError, trio.BrokenResourceError) as error:
                self._lose(str(error))
            else:
                self._lose("the server closed the connection")
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        while data := await self._stream.receive_some(_READ):
            for event in self._connection.receive(data):
                self._calls[event.stream_id].take(event)
                if isinstance(event, Ended):
                    del self._calls[event.stream_id]
            self._output.set()

    async def _write(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # the reader will see it too, and says so
            while True:
                self._output = trio.Event()
                if data := self._connection.take_output():
                    await self._stream.send_all(data)
                    continue
                await self._output.wait()

    def _lose(self, why: str) -> None:
        for stream_id, call in self._calls.items():
            call.take(Ended(stream_id, Status.UNAVAILABLE, why))
        self._calls.clear()


async def connect(host: str, port: int) -> Channel:
    """Open a connection; the caller has its `run` run."""
    stream = await trio.open_tcp_stream(host, port)
    return Channel(stream, ClientConnection(f"{host}:{port}"))
