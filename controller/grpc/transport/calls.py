"""gRPC on one HTTP/2 connection: calls come in, answers go out. Does no I/O and reads no clock.

Theory of operation
===================

`receive` and `advance` read what the client sent; `data_to_send` writes what is ready. Between them:

1) A method that answers in place (`unary`, `published`) is called as soon as its request is complete. A method that
   needs a task becomes a `TaskCall`, which the shell fetches with `take_started`.
2) A call with something to write is in `_ready`, once. Publishing only fills its slot and puts it there; `wake` is
   called when the first one gets in from outside, so that somebody writes.
3) Writing goes through `_ready` in order and stops when the connection's window is used up: everybody behind stays
   there, and nobody is woken, until the client makes room. A call whose own window is used up leaves `_ready` for
   `_blocked` until the client makes room for it.
4) Every call ends exactly once, in `_end_call`: by its trailers, by the client, or with the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import cast

import attrs
from google.protobuf.message import DecodeError, Message
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.grpc.transport.call import Call, Gathering, PlainResponse, PublishedStream, TaskCall
from controller.grpc.transport.events import (
    ClientLeaving,
    ConnectionFailed,
    DataReceived,
    PingAcknowledged,
    RequestReceived,
    StreamEnded,
    WindowOpened,
)
from controller.grpc.transport.frames import ErrorCode
from controller.grpc.transport.headers import HeaderMemo
from controller.grpc.transport.http2 import Connection
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.messages import PREFIX_SIZE, BadMessage, prefix, sole_message
from controller.grpc.transport.opening import Opening, interpret
from controller.grpc.transport.responses import OK_TRAILERS
from controller.grpc.transport.sending import Stream
from controller.grpc.transport.services import Method, PublishedFunction, Routes
from controller.grpc.transport.timers import Timers

_LEAVING_PING = b"leaving!"
_OVER = object()  # in place of the call of a stream that still has to be read to its end
_KEEPALIVE_PING = b"stillon?"


@attrs.frozen(eq=False)
class Shared:
    """What all connections of a server have in common."""

    routes: Routes
    limits: Limits
    timers: Timers
    memo: HeaderMemo
    draw: Callable[[], float]  # between 0 and 1
    report: Callable[[str, Exception], None]  # a handler failed; the text says which


class CallConnection:
    """The calls of one connection."""

    __slots__ = (
        "_blocked",
        "_buffered",
        "_busy",
        "_closed",
        "_draining",
        "_http2",
        "_left",
        "_ready",
        "_shared",
        "_started",
        "_wake",
        "client_leaving",
        "failure",
        "peer",
    )

    def __init__(self, shared: Shared, *, peer: str, wake: Callable[[], None]) -> None:
        self.peer = peer
        self.failure: ConnectionFailed | None = None  # why the connection had to end, if a rule was broken
        self.client_leaving = False
        self._shared = shared
        self._wake = wake
        self._http2 = Connection(shared.limits, shared.memo)
        self._ready: deque[Call] = deque()
        self._blocked: dict[Call, None] = {}
        self._started: list[TaskCall] = []
        self._busy = False  # inside `advance` or `data_to_send`: whoever is there looks at `_ready` afterwards
        self._draining = False
        self._left = False
        self._buffered = 0
        self._closed = False

    # What the shell asks.

    @property
    def greeted(self) -> bool:
        return self._http2.greeted

    @property
    def streams(self) -> int:
        return len(self._http2.streams)

    @property
    def refused(self) -> int:
        return self._http2.refused

    @property
    def has_input(self) -> bool:
        return self._http2.has_input

    def take_started(self) -> list[TaskCall]:
        """The calls that need a task each, since the last time."""
        started = self._started
        if started:
            self._started = []
        return started

    # Input.

    def receive(self, data: bytes) -> None:
        """Take bytes in; `advance` handles them."""
        self._http2.receive(data)

    def advance(self, now: float, max_requests: int) -> None:
        """Handle what was received, up to so many new requests; `has_input` says whether some is left."""
        self._busy = True
        try:
            for event in self._http2.next_events(now, max_requests):
                match event:
                    case DataReceived():
                        self._on_data(event, now)
                    case RequestReceived():
                        self._on_request(event)
                    case WindowOpened(stream):
                        self._on_window(stream)
                    case StreamEnded(stream):
                        self._on_stream_ended(stream, now)
                    case PingAcknowledged():
                        self._on_pong(event.payload)
                    case ClientLeaving():
                        self.client_leaving = True
                    case ConnectionFailed():
                        self.failure = event
                        self.close(now)
        finally:
            self._busy = False

    def _on_request(self, event: RequestReceived) -> None:
        stream = event.stream
        opening = stream.head.call
        if not isinstance(opening, Opening):
            opening = stream.head.call = interpret(stream.head, self._shared.routes)
        method = opening.method
        if method is None:
            self._refuse(stream, opening)
            return
        method.hooks.started()
        if method.task is not None:
            call = TaskCall(self, stream, method, self._shared.limits.message_size)
            call.ended = event.ended
            if opening.timeout is not None:
                call.deadline = stream.opened + opening.timeout
            stream.call = call
            self._started.append(call)
        elif event.ended:
            self._answer(stream, method, Status.UNIMPLEMENTED, "a request without a message")

    def _refuse(self, stream: Stream, opening: Opening) -> None:
        refusal = opening.refusal
        assert refusal is not None
        call = stream.call = PlainResponse(self, stream, refusal.head, refusal.body)
        self.enqueue(call)

    def _answer(self, stream: Stream, method: Method, status: Status, message: str | None) -> None:
        """Let a call end with nothing but a status."""
        call = stream.call = Call(self, stream, method.hooks)
        call.finish(status, message)

    def _on_data(self, event: DataReceived, now: float) -> None:
        stream, data = event.stream, event.data
        call = stream.call
        if call is None:
            opening = cast("Opening", stream.head.call)
            message = sole_message(data) if event.ended else None
            if message is not None and len(message) <= self._shared.limits.message_size:
                self._http2.release(stream, len(data))
                self._run(stream, opening, message, now)
                return
            method = cast("Method", opening.method)
            call = stream.call = Gathering(self, stream, method.hooks, self._shared.limits.message_size)
        if isinstance(call, (Gathering, TaskCall)) and call.status is None:
            self._take(call, event, now)
        else:
            self._http2.release(stream, len(data))  # nobody wants it any more

    def _take(self, call: Gathering | TaskCall, event: DataReceived, now: float) -> None:
        call.buffered += len(event.data)
        self.buffer(len(event.data))
        try:
            if isinstance(call, TaskCall):
                call.take(event.data, ended=event.ended)
                self._check_buffered()
                return
            self.release(call, len(event.data))
            call.take(event.data)
            self._check_buffered()
            if event.ended or len(call.messages) > 1:
                self._gathered(call, now)
        except BadMessage as bad:
            if isinstance(call, TaskCall):
                call.abort(bad.status, bad.message)
            else:
                call.finish(bad.status, bad.message)

    def _check_buffered(self) -> None:
        if self._buffered > self._shared.limits.buffered_bytes:
            raise BadMessage(Status.RESOURCE_EXHAUSTED, "too much unfinished on this connection")

    def _gathered(self, call: Gathering, now: float) -> None:
        if len(call.messages) != 1 or call.body.size:
            raise BadMessage(Status.UNIMPLEMENTED, "a request without exactly one message")
        self.buffer(-call.buffered)
        call.buffered = 0
        self._run(call.stream, cast("Opening", call.stream.head.call), call.messages[0], now)

    def _run(self, stream: Stream, opening: Opening, message: bytes, now: float) -> None:
        """Call a method that answers in place."""
        method = cast("Method", opening.method)
        method.hooks.received()
        try:
            if opening.timeout is not None:
                _check_time(opening.timeout, now - stream.opened)
            request = method.decode(message)
            if method.published is not None:
                self._publish(stream, method, method.published, request, opening)
            elif method.unary is not None:
                reply = method.unary(request)
                self._reply(stream, method, reply if isinstance(reply, bytes) else reply.SerializeToString())
        except GRPCError as error:
            self._answer(stream, method, error.status, error.message)
        except DecodeError:
            self._answer(stream, method, Status.INTERNAL, "the request is not a message of this method's type")
        except Exception as error:  # noqa: BLE001  # one handler's fault is one call's end
            self._shared.report(f"{method.service}/{method.name}", error)
            self._answer(stream, method, Status.UNKNOWN, "internal error")

    def _reply(self, stream: Stream, method: Method, message: bytes) -> None:
        call = stream.call = Call(self, stream, method.hooks)
        call.pending = message
        call.status, call.last = Status.OK, OK_TRAILERS
        self.enqueue(call)

    def _publish(
        self, stream: Stream, method: Method, function: PublishedFunction, request: Message, opening: Opening
    ) -> None:
        call = stream.call = PublishedStream(self, stream, method.hooks)
        try:
            call.subscribed(function(request, call))
        except BaseException:
            call.status = Status.UNKNOWN  # whoever got hold of the stream must not publish on it
            raise
        self._set_time(call, opening)
        if self._draining:
            call.end(Status.OK)

    def _set_time(self, call: PublishedStream, opening: Opening) -> None:
        shared, opened = self._shared, call.stream.opened
        age = shared.limits.stream_age_seconds
        if age is not None:
            age *= 1.0 - shared.limits.stream_age_jitter * shared.draw()
        if opening.timeout is not None:
            call.deadline = opened + opening.timeout
            if age is None or opening.timeout <= age:
                shared.timers.schedule(call, call.deadline)
                return
        if age is not None:
            shared.timers.schedule(call, opened + age, coarse=True)

    def call_due(self, call: Call, now: float) -> None:
        if isinstance(call, PublishedStream):
            if call.deadline is not None and now >= call.deadline:
                call.end(Status.DEADLINE_EXCEEDED, "deadline exceeded")
            else:
                call.end(Status.OK)  # old enough; the client asks again, perhaps another replica

    def _on_window(self, stream: Stream | None) -> None:
        if stream is None:
            unblocked = list(self._blocked)
        else:
            call = stream.call
            unblocked = [call] if isinstance(call, Call) and call in self._blocked else []
        for call in unblocked:
            del self._blocked[call]
            self._ready.append(call)

    def _on_stream_ended(self, stream: Stream, now: float) -> None:
        call = stream.call
        if isinstance(call, Call):
            self._end_call(call, now)
        elif call is None and isinstance(stream.head.call, Opening) and stream.head.call.method is not None:
            stream.head.call.method.hooks.cancelled(now - stream.opened)  # it had not even sent its message

    def _on_pong(self, payload: bytes) -> None:
        if payload == _LEAVING_PING:
            self.leave()

    def release(self, call: Call, size: int) -> None:
        self._http2.release(call.stream, size)
        if not self._busy and self._http2.out_size:
            self._wake()

    def reset(self, call: Call, code: ErrorCode, now: float) -> None:
        self._http2.reset(call.stream, code)
        self._end_call(call, now)
        if not self._busy:
            self._wake()

    def buffer(self, change: int) -> None:
        self._buffered += change

    # Output.

    def enqueue(self, call: Call) -> None:
        if call.queued:
            return
        call.queued = True
        self._ready.append(call)
        if not self._busy and len(self._ready) == 1:
            self._wake()

    @property
    def has_output(self) -> bool:
        """Whether `data_to_send` would write more than nothing now."""
        return bool(self._http2.out_size or (self._ready and self._http2.send_window > 0))

    def data_to_send(self, now: float, limit: int) -> bytes:
        """Write what is ready, in order, until about so many bytes or the connection's window are used up."""
        ready, http2 = self._ready, self._http2
        self._busy = True
        try:
            while ready and http2.out_size < limit:
                call = ready[0]
                # Its stream may have ended since, or be answered by another call.
                if call.stream.call is call and not self._write(call, now):
                    break
                ready.popleft()
            return http2.data_to_send()
        finally:
            self._busy = False

    def _write(self, call: Call, now: float) -> bool:
        """Write what the call has. False if the connection's window keeps it from going on."""
        http2, stream = self._http2, call.stream
        if call.head is not None:
            if call.pending is None and call.partial is None and call.last is not None:
                http2.send_headers(stream, call.head + call.last, end_stream=True)
                self._end_call(call, now)
                return True
            http2.send_headers(stream, call.head)
            call.head = None
        while call.partial is not None or call.pending is not None:
            room = min(http2.send_window, http2.initial_window + stream.credit)
            if room <= 0:
                if http2.send_window <= 0:
                    return False
                self._blocked[call] = None
                return True
            self._write_some(call, min(room, http2.max_frame_size))
        call.queued = False
        if call.last is not None:
            if call.last:
                http2.send_headers(stream, call.last, end_stream=True)
            else:
                http2.send_data(stream, b"", b"", end_stream=True)
            self._end_call(call, now)
        return True

    def _write_some(self, call: Call, room: int) -> None:
        """Write one DATA frame with as much as fits of the message that is next."""
        data = call.partial
        if data is None:
            message = call.pending
            assert message is not None
            call.pending = None
            call.took_pending()
            if call.hooks is not None:
                call.hooks.sent()
            size = len(message)
            if size + PREFIX_SIZE <= room:
                self._http2.send_data(call.stream, prefix(size), message)
                return
            data = memoryview(prefix(size) + message)
        self._http2.send_data(call.stream, b"", data[:room])
        call.partial = data[room:] if room < len(data) else None

    def _end_call(self, call: Call, now: float) -> None:
        """The one place where a call is over."""
        stream = call.stream
        stream.call = _OVER
        self._blocked.pop(call, None)
        if call.tick:
            self._shared.timers.cancel(call)
        if isinstance(call, (Gathering, TaskCall)):
            self.buffer(-call.buffered)
        status = call.status
        try:
            call.closed()
        except Exception as error:  # noqa: BLE001  # whoever unsubscribes must not end the connection
            self._shared.report("the end of a call", error)
        if call.hooks is not None:
            if status is None:
                call.hooks.cancelled(now - stream.opened)
            else:
                call.hooks.handled(status, now - stream.opened)

    # The connection as a whole.

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self._http2.ping(_KEEPALIVE_PING)

    def drain(self) -> None:
        """Begin to leave: published streams end with OK, unary calls may finish. Then comes `leave`.

        Streams with a task of their own may last for ever, so they end now, and their clients are told to come back.
        """
        if self._draining or self._closed:
            return
        self._draining = True
        self._http2.announce_leaving()
        self._http2.ping(_LEAVING_PING)
        for stream in list(self._http2.streams.values()):
            call = stream.call
            if isinstance(call, PublishedStream):
                call.end(Status.OK)
            elif isinstance(call, TaskCall) and (call.method.server_streaming or call.method.client_streaming):
                call.abort(Status.UNAVAILABLE, "the server is shutting down")

    def leave(self) -> None:
        """Take no further calls. Called when the client knows, or has had the time to."""
        self._http2.leave()
        self._left = True

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: the connection may be closed when its output was sent."""
        return self._closed or ((self._left or self.client_leaving) and not self._http2.streams)

    def fail(self, reason: str) -> None:
        """End the connection for a reason that is ours."""
        self._http2.fail(ErrorCode.INTERNAL_ERROR, reason)

    def close(self, now: float) -> None:
        """The connection is gone: all its calls are over."""
        if self._closed:
            return
        self._closed = True
        for stream in list(self._http2.streams.values()):
            stream.local_open = stream.remote_open = False
            self._on_stream_ended(stream, now)
        self._http2.streams.clear()
        self._ready.clear()
        self._wake = _nothing  # no cycle: what is left of the connection goes at once


def _nothing() -> None:
    return None


def _check_time(timeout: float, taken: float) -> None:
    if taken >= timeout:
        raise GRPCError(Status.DEADLINE_EXCEEDED, "the deadline had passed before the request was complete")
