"""Calls whose handlers are tasks, without the tasks."""

from __future__ import annotations

import attrs
from grpclib.const import Cardinality, Handler, Status

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from controller.grpc.transport.call import TaskCall
from controller.grpc.transport.frames import ErrorCode
from controller.grpc.transport.limits import Limits
from tests.unit.grpc_transport.pair import NAME, CallPair, Response, framed, head

ANSWER = Answer(status=1).SerializeToString()  # type: ignore[arg-type]


@attrs.define(eq=False)
class Tasks:
    """Methods whose tasks the tests play."""

    async def run(self, _: object) -> None:
        raise AssertionError("nobody runs it here")

    def __mapping__(self) -> dict[str, Handler]:
        return {
            f"/{NAME}/Unary": Handler(self.run, Cardinality.UNARY_UNARY, Ask, Answer),
            f"/{NAME}/Both": Handler(self.run, Cardinality.STREAM_STREAM, Ask, Answer),
        }


def started(pair: CallPair, body: bytes = b"", *, end: bool = False, **changes: str) -> tuple[TaskCall, Response]:
    stream_id = pair.client.open(head("Both", **changes), body, end=end)
    pair.exchange()
    (call,) = pair.server.take_started()
    assert pair.server.take_started() == []
    return call, pair.client.responses[stream_id]


def test_a_task_talks_both_ways() -> None:
    """Messages come as they arrive, go as they are sent, and the end is the handler's word."""
    pair = CallPair(Tasks())
    call, response = started(pair, framed(b"one") + framed(b"two")[:6], grpc_timeout="5S")
    assert (call.take_message(), call.take_message(), call.ended, call.deadline) == (b"one", None, False, 5.0)
    stream_id = call.stream.id
    pair.client.h2.send_data(stream_id, framed(b"two")[6:], end_stream=True)
    pair.exchange()
    assert (call.take_message(), call.ended, call.peer) == (b"two", True, "10.0.0.1:4321")

    call.send(b"a")
    call.send(b"b")
    call.send(b"c")
    assert call.outgoing_size == 2
    call.finish(Status.OK, None, b"\x00\x01x\x01y")
    pair.exchange()
    assert (response.messages, response.trailers) == ([b"a", b"b", b"c"], {"grpc-status": "0", "x": "y"})
    call.send(b"too late")
    call.send_head()
    assert pair.server.streams == 0


def test_a_task_that_does_not_read_holds_the_client_back() -> None:
    """The client may send a window's worth beyond what was taken, and the window opens as messages are taken."""
    pair = CallPair(Tasks())
    message = framed(b"x" * 10_000)
    call, _ = started(pair, message)
    stream_id = call.stream.id
    sent = len(message)

    def send_all() -> None:
        nonlocal sent
        while (room := min(16_384, pair.client.h2.local_flow_control_window(stream_id))) > 0:
            pair.client.h2.send_data(stream_id, (message * 3)[sent % len(message) :][:room])
            sent += room
            pair.exchange()

    send_all()
    assert sent == 65_535
    while call.take_message() is not None:
        pass
    pair.exchange()
    send_all()
    assert 65_535 < sent <= 2 * 65_535


def test_a_message_may_be_larger_than_the_window() -> None:
    """A single message beyond the stream's window arrives."""
    pair = CallPair(Tasks())
    message = framed(b"x" * 500_000)
    call, _ = started(pair)
    stream_id = call.stream.id
    at = 0
    while at < len(message):
        room = min(16_384, pair.client.h2.local_flow_control_window(stream_id))
        assert room > 0, "the window is never opened"
        pair.client.h2.send_data(stream_id, message[at : at + room])
        at += room
        pair.exchange()

    assert call.take_message() == b"x" * 500_000


def test_a_task_whose_client_sends_nonsense_is_stopped() -> None:
    """The handler is cancelled, and the client told why."""
    pair = CallPair(Tasks())
    cancelled = list[bool]()
    call, response = started(pair)
    call.on_cancel = lambda: cancelled.append(True)
    pair.client.h2.send_data(call.stream.id, b"\x01\0\0\0\0")
    pair.exchange()
    pair.client.h2.send_data(call.stream.id, b"more") if response.reset is None else None
    pair.exchange()

    assert (response.status, cancelled) == (Status.UNIMPLEMENTED, [True])
    call.abort(Status.OK, "again")
    assert cancelled == [True]


def test_a_task_may_reset_its_stream() -> None:
    """The client gets the code, and no status."""
    pair = CallPair(Tasks())
    call, response = started(pair)
    call.reset(ErrorCode.CANCEL, 1.0)
    call.reset(ErrorCode.CANCEL, 1.0)
    assert pair.woken
    pair.exchange()

    assert (response.reset, response.status) == (ErrorCode.CANCEL, None)
    assert pair.counts.cancelled_calls == 1


def test_windows_held_by_a_task_are_given_back_with_it() -> None:
    """What a handler never took does not narrow the connection's window for ever."""
    pair = CallPair(Tasks(), limits=Limits(connection_window=70_000))
    for _ in range(20):
        call, _ = started(pair, framed(b"x" * 20_000))
        pair.client.h2.reset_stream(call.stream.id)
        pair.exchange()

    call, _ = started(pair, framed(b"x" * 20_000))
    assert call.take_message() == b"x" * 20_000


def test_a_task_sees_the_request() -> None:
    """The fields are there for it, without what HTTP/2 adds."""
    call, _ = started(CallPair(Tasks()), x_a="b")

    assert (b"x-a", b"b") in call.fields
