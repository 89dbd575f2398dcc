"""What a handler with a task of its own sees of its call: grpclib's stream, on Trio."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeAlias, TypeVar, cast

import attrs
import trio
from google.protobuf.message import DecodeError, Message
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError
from grpclib.metadata import decode_metadata, encode_metadata
from multidict import MultiDict

from controller.grpc.transport.call import TaskCall
from controller.grpc.transport.frames import ErrorCode
from controller.grpc.transport.responses import GRPC_HEAD, encode_fields

_MAX_OUTGOING = 64 * 1024  # so much may wait to be written before a handler has to

R = TypeVar("R", bound=Message)
S = TypeVar("S", bound=Message)
Value: TypeAlias = "str | bytes"
Metadata: TypeAlias = "Mapping[str, Value] | Collection[tuple[str, Value]]"


@attrs.frozen
class Deadline:
    """Until when the client waits, on Trio's clock."""

    at: float

    def time_remaining(self) -> float:
        return max(0.0, self.at - trio.current_time())


class HandlerStream(Generic[R, S]):
    """One call: messages of the client, answers, metadata and the status.

    Every method that waits may be cancelled, and then has done nothing or, for those that send, everything but wait.
    """

    def __init__(self, call: TaskCall) -> None:
        self._call = call
        self._changed = trio.Event()
        self._received = 0
        self._sent = 0
        self._head_sent = False
        fields = [(name.decode("ascii", "replace"), value.decode("ascii", "replace")) for name, value in call.fields]
        self.user_agent = next((value for name, value in fields if name == "user-agent"), None)
        self.deadline = None if call.deadline is None else Deadline(call.deadline)
        self.peer = call.peer
        self._fields = fields
        self._metadata: MultiDict[Value] | None = None
        call.on_input = call.on_output = self._wake

    @property
    def metadata(self) -> MultiDict[Value]:
        """What the client sent along, binary values decoded. Raises `GRPCError` if they cannot be."""
        if self._metadata is None:
            try:
                self._metadata = cast("MultiDict[Value]", decode_metadata(self._fields))
            except ValueError as error:
                raise GRPCError(Status.INVALID_ARGUMENT, f"malformed metadata: {error}") from error
        return self._metadata

    def _wake(self) -> None:
        self._changed.set()

    async def _wait_changed(self) -> None:
        if self._changed.is_set():  # else another task of the handler waits for it already
            self._changed = trio.Event()
        await self._changed.wait()

    async def recv_message(self) -> R | None:
        """Wait for the next message; `None` when the client has sent its last one."""
        await trio.lowlevel.checkpoint()
        call = self._call
        while (data := call.take_message()) is None:
            if call.ended:
                if not self._received and not call.method.client_streaming:
                    raise GRPCError(Status.UNIMPLEMENTED, "a request without a message")
                return None
            await self._wait_changed()
        self._received += 1
        call.method.hooks.received()
        try:
            return cast("R", call.method.decode(data))
        except DecodeError as error:
            raise GRPCError(Status.INTERNAL, "the request is not a message of this method's type") from error

    def __aiter__(self) -> HandlerStream[R, S]:
        return self

    async def __anext__(self) -> R:
        message = await self.recv_message()
        if message is None:
            raise StopAsyncIteration
        return message

    async def send_initial_metadata(self, *, metadata: Metadata | None = None) -> None:
        """Send the header block now, instead of with the first message."""
        if self._head_sent:
            raise ProtocolError("initial metadata was already sent")
        self._head_sent = True
        self._call.head = GRPC_HEAD + encode_fields(encode_metadata(metadata or ()))
        self._call.send_head()
        await trio.lowlevel.checkpoint()

    async def send_message(self, message: S) -> None:
        """Send a message; wait while many are waiting before it."""
        call = self._call
        if self._sent and not call.method.server_streaming:
            raise ProtocolError("a unary response has one message")
        self._sent += 1
        self._head_sent = True
        call.send(message.SerializeToString())
        await trio.lowlevel.checkpoint()
        while call.outgoing_size > _MAX_OUTGOING:
            await self._wait_changed()

    async def send_trailing_metadata(
        self, *, status: Status = Status.OK, status_message: str | None = None, metadata: Metadata | None = None
    ) -> None:
        """End the call with a status, before the handler returns."""
        if self._call.status is not None:
            raise ProtocolError("trailing metadata was already sent")
        if status is Status.OK and not self._sent and not self._call.method.server_streaming:
            raise ProtocolError("a unary response with status OK needs a message")
        self._call.finish(status, status_message, encode_fields(encode_metadata(metadata or ())))
        await trio.lowlevel.checkpoint()

    async def cancel(self) -> None:
        """Give the call up: the client gets a reset instead of a status."""
        self._call.reset(ErrorCode.CANCEL, trio.current_time())
        await trio.lowlevel.checkpoint()

    def ended(self, status: Status, message: str | None = None) -> None:
        """The handler is done. Does nothing if it has said so itself."""
        if status is Status.OK and not self._sent and not self._call.method.server_streaming:
            status, message = Status.UNKNOWN, "the handler sent no message"
        self._call.finish(status, message)


async def run_handler(call: TaskCall, report: Callable[[str, Exception], None]) -> None:
    """Run the call's handler to its end; the client going away cancels it, and so does its deadline."""
    if call.status is not None:
        return  # it was cancelled before it could begin
    deadline = math.inf if call.deadline is None else call.deadline
    method = call.method
    assert method.task is not None
    stream: HandlerStream[Message, Message] = HandlerStream(call)
    with trio.CancelScope(deadline=deadline) as scope:
        call.on_cancel = scope.cancel
        try:
            await method.task(stream)
        except GRPCError as error:
            stream.ended(error.status, error.message)
        except Exception as error:  # noqa: BLE001  # one handler's fault is one call's end
            report(f"{method.service}/{method.name}", error)
            stream.ended(Status.UNKNOWN, "internal error")
        else:
            stream.ended(Status.OK)
    if scope.cancelled_caught:
        stream.ended(Status.DEADLINE_EXCEEDED, "deadline exceeded")
