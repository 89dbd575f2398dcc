"""The state of single calls: what each has to write, and whom it tells when it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from grpclib.const import Status

from controller.grpc.transport.frames import ErrorCode
from controller.grpc.transport.headers import Pairs
from controller.grpc.transport.messages import PREFIX_SIZE, Deframer
from controller.grpc.transport.responses import GRPC_HEAD, trailers
from controller.grpc.transport.sending import Stream
from controller.grpc.transport.services import Method, MethodHooks


class CallQueue(Protocol):
    """The connection that a call belongs to."""

    @property
    def peer(self) -> str: ...

    def enqueue(self, call: Call) -> None:
        """The call has something to write now."""
        ...

    def call_due(self, call: Call, now: float) -> None:
        """The time that was set for the call has come."""
        ...

    def release(self, call: Call, size: int) -> None:
        """The call has used so many bytes of its request: the client may send as many again."""
        ...

    def reset(self, call: Call, code: ErrorCode, now: float) -> None:
        """End the call's stream without a status."""
        ...

    def buffer(self, change: int) -> None:
        """So many bytes more, or fewer, of requests are kept."""
        ...


class Call:
    """One request being answered.

    `head` is the header block still to be sent, `partial` the rest of a message that has begun, `pending` the next
    message, and `last` the block that ends the stream once no message is left (`b""`: it ends without one). `queued` is
    true while the connection has the call among those that are ready or blocked.
    """

    __slots__ = ("connection", "head", "hooks", "last", "partial", "pending", "queued", "status", "stream", "tick")

    def __init__(self, connection: CallQueue, stream: Stream, hooks: MethodHooks | None) -> None:
        self.connection = connection
        self.stream = stream
        self.hooks = hooks
        self.head: bytes | None = GRPC_HEAD
        self.partial: memoryview | None = None
        self.pending: bytes | None = None
        self.last: bytes | None = None
        self.status: Status | None = None
        self.queued = False
        self.tick = 0

    def took_pending(self) -> None:
        """Called when the pending message has been taken to be written; another may take its place."""

    def finish(self, status: Status, message: str | None = None, fields: bytes = b"") -> None:
        """Let the call end with this status once everything before is written. Only the first time counts."""
        if self.status is None:
            self.status = status
            self.last = trailers(status, message) + fields
            self.connection.enqueue(self)

    def closed(self) -> None:
        """Called once, when the call has ended in whatever way. It is forgotten already."""

    def due(self, now: float) -> None:
        self.connection.call_due(self, now)


class PlainResponse(Call):
    """A response that is not gRPC: a header block, perhaps a text, no trailers."""

    __slots__ = ()

    def __init__(self, connection: CallQueue, stream: Stream, head: bytes, body: bytes) -> None:
        super().__init__(connection, stream, None)
        self.head = head
        self.partial = memoryview(body) if body else None
        self.last = b""


class PublishedStream(Call):
    """A stream that shows the latest value. Its memory is one value, however slowly the client reads."""

    __slots__ = ("_unsubscribe", "deadline")

    def __init__(self, connection: CallQueue, stream: Stream, hooks: MethodHooks) -> None:
        super().__init__(connection, stream, hooks)
        self._unsubscribe: Callable[[], None] | None = None
        self.deadline: float | None = None

    @property
    def peer(self) -> str:
        """Who reads: an address and a port."""
        return self.connection.peer

    def publish(self, message: bytes) -> None:
        """Send this message; it replaces one that has not been sent yet. After the end it changes nothing."""
        if self.status is None:
            self.pending = message
            if not self.queued:
                self.connection.enqueue(self)

    def end(self, status: Status, message: str | None = None) -> None:
        """End the stream once the last message was sent. The subscription ends now."""
        if self.status is None:
            self.finish(status, message)
            self._end_subscription()

    def subscribed(self, unsubscribe: Callable[[], None]) -> None:
        """Note how to end the subscription; at once, if the stream has ended meanwhile."""
        self._unsubscribe = unsubscribe
        if self.status is not None:
            self._end_subscription()

    def closed(self) -> None:
        self.pending = None
        if self.status is None:
            self.status = Status.CANCELLED  # from now on publishing changes nothing
        self._end_subscription()

    def _end_subscription(self) -> None:
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()


class Gathering(Call):
    """A request whose body is not complete, of a method that is called when it is."""

    __slots__ = ("body", "buffered", "messages")

    def __init__(self, connection: CallQueue, stream: Stream, hooks: MethodHooks, limit: int) -> None:
        super().__init__(connection, stream, hooks)
        self.body = Deframer(limit)
        self.buffered = 0  # bytes of the body that are kept
        self.messages: list[bytes] = []

    def take(self, data: bytes) -> None:
        """Add bytes of the body. Raises `BadMessage`."""
        self.messages += self.body.feed(data)


def _nothing() -> None:
    return None


class TaskCall(Call):
    """A call whose handler is a task: a queue of messages in either direction.

    What has arrived and is not taken is *held*: the client may not send more than its window beyond it. Bytes of a
    message that is not complete are held only behind a complete one, so that a message may be larger than the window.
    """

    __slots__ = (
        "_body",
        "_held",
        "_outgoing",
        "buffered",
        "deadline",
        "ended",
        "incoming",
        "method",
        "on_cancel",
        "on_input",
        "on_output",
        "outgoing_size",
    )

    def __init__(self, connection: CallQueue, stream: Stream, method: Method, limit: int) -> None:
        super().__init__(connection, stream, method.hooks)
        self.method = method
        self.deadline: float | None = None
        self.incoming: deque[bytes] = deque()
        self.ended = False  # whether the request is complete
        self.buffered = 0
        self.outgoing_size = 0
        # Set by whoever runs the handler: there is something to read, room to write, nobody to answer any more.
        self.on_input: Callable[[], None] = _nothing
        self.on_output: Callable[[], None] = _nothing
        self.on_cancel: Callable[[], None] = _nothing
        self._held = 0
        self._body = Deframer(limit)
        self._outgoing: deque[bytes] = deque()

    @property
    def peer(self) -> str:
        return self.connection.peer

    @property
    def fields(self) -> Pairs:
        """The request's fields, without pseudo-header fields."""
        return self.stream.head.fields

    def take(self, data: bytes, *, ended: bool) -> None:
        """Add bytes of the body, or its end. Raises `BadMessage`."""
        self._held += len(data)
        self.ended = self.ended or ended
        self.incoming += self._body.feed(data)
        if not self.incoming:
            self._release()
        self.on_input()

    def take_message(self) -> bytes | None:
        """The next message of the request, if one is there."""
        if not self.incoming:
            return None
        message = self.incoming.popleft()
        self.connection.buffer(-(PREFIX_SIZE + len(message)))
        self.buffered -= PREFIX_SIZE + len(message)
        if not self.incoming:
            self._release()
        return message

    def _release(self) -> None:
        held, self._held = self._held, 0
        self.connection.release(self, held)

    def send_head(self) -> None:
        """Send the header block although there is no message yet."""
        if self.status is None:
            self.connection.enqueue(self)

    def send(self, message: bytes) -> None:
        """Queue a message; whoever runs the handler minds `outgoing_size`."""
        if self.status is not None:
            return
        if self.pending is None:
            self.pending = message
        else:
            self._outgoing.append(message)
            self.outgoing_size += len(message)
        self.connection.enqueue(self)

    def took_pending(self) -> None:
        if self._outgoing:
            self.pending = self._outgoing.popleft()
            self.outgoing_size -= len(self.pending)
        self.on_output()

    def reset(self, code: ErrorCode, now: float) -> None:
        """End the stream without a status."""
        if self.status is None:
            self.connection.reset(self, code, now)

    def abort(self, status: Status, message: str) -> None:
        """End the call from outside the handler, which is cancelled."""
        if self.status is None:
            self.finish(status, message)
            self.on_cancel()

    def closed(self) -> None:
        self._outgoing.clear()
        self.pending, self.outgoing_size = None, 0
        self.incoming.clear()
        self.ended = True
        self._release()
        if self.status is None:
            self.status = Status.CANCELLED
            self.on_cancel()
        self.on_input()  # a handler that goes on after the end has nothing more to read
