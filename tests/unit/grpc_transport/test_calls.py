"""Unary calls on one connection, and the end of connections: our end, with h2's client at the other."""

from __future__ import annotations

import pytest
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from controller.grpc.transport.frames import ErrorCode
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.services import NO_HOOKS
from tests.unit.grpc_transport.pair import NAME, CallPair, framed, head

ANSWER = Answer(status=1).SerializeToString()  # type: ignore[arg-type]


# Unary methods.


def test_a_unary_method_answers_at_once() -> None:
    """One message, the status, and the stream is over; a handler may answer with bytes too."""
    pair = CallPair()
    response = pair.call()
    pair.streams.get = lambda _: b"bytes"

    assert (response.head, response.messages, response.trailers) == (
        {":status": "200", "content-type": "application/grpc"},
        [ANSWER],
        {"grpc-status": "0"},
    )
    assert (response.ended, response.reset) == (True, None)
    assert pair.call().messages == [b"bytes"]
    assert pair.server.streams == 0


def test_a_unary_method_may_fail() -> None:
    """A GRPCError is what the client gets; any other fault is ours, is reported, and tells nothing."""
    pair = CallPair()

    def missing(_: Ask) -> Answer:
        raise GRPCError(Status.NOT_FOUND, "no such thing")

    def broken(_: Ask) -> Answer:
        raise ValueError("secret")

    pair.streams.get = missing
    response = pair.call()
    assert (response.status, response.head["grpc-message"], response.body) == (Status.NOT_FOUND, "no such thing", b"")
    assert pair.faults == []

    pair.streams.get = broken
    response = pair.call()
    assert (response.status, response.head["grpc-message"]) == (Status.UNKNOWN, "internal error")
    ((what, error),) = pair.faults
    assert (what, str(error)) == (f"{NAME}/Get", "secret")


def test_requests_in_pieces_are_put_together() -> None:
    """A message cut anywhere, and one larger than the windows, arrives whole."""
    pair = CallPair()
    seen = list[int]()

    def get(ask: Ask) -> Answer:
        seen.append(len(ask.service))
        return Answer()

    pair.streams.get = get
    body = framed(Ask(service="a" * 300_000))
    stream_id = pair.client.open(head(), body[:3], end=False)
    pair.exchange()
    at = 3
    while at < len(body):
        size = min(pair.client.h2.local_flow_control_window(stream_id), 16_384, len(body) - at)
        assert size > 0, "the window is never opened"
        pair.client.h2.send_data(stream_id, body[at : at + size])
        at += size
        pair.exchange()
    pair.client.h2.end_stream(stream_id)
    pair.exchange()

    assert seen == [300_000]
    assert pair.client.responses[stream_id].status is Status.OK


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", Status.UNIMPLEMENTED),  # no message
        (framed(b"") * 2, Status.UNIMPLEMENTED),  # two
        (framed(b"") + b"\0", Status.UNIMPLEMENTED),  # one and a piece
        (framed(b"abc")[:-1], Status.UNIMPLEMENTED),  # a piece
        (framed(b"\xff"), Status.INTERNAL),  # not a message of this type
        (b"\x01\0\0\0\0", Status.UNIMPLEMENTED),  # compressed
        (b"\0\0\0\x04\x01" + b"x" * 1025, Status.RESOURCE_EXHAUSTED),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_requests_that_are_not_one_message(body: bytes, status: Status, pieces: int) -> None:
    """Whatever else a body is, the client is told what is wrong with it."""
    pair = CallPair(limits=Limits(message_size=1024))
    if pieces == 1:
        stream_id = pair.client.open(head(), body)
    else:
        stream_id = pair.client.open(head(), body[:6], end=False)
        pair.exchange()
        if pair.client.responses[stream_id].status is None:
            pair.client.h2.send_data(stream_id, body[6:], end_stream=True)
    pair.exchange()

    assert pair.client.responses[stream_id].status is status
    assert pair.server.streams == 0


def test_unfinished_requests_do_not_fill_the_memory() -> None:
    """What all requests of a connection have sent without ending is bounded; those that go beyond are refused."""
    pair = CallPair(limits=Limits(buffered_bytes=10_000, message_size=9_000))
    opened = [pair.client.open(head(), framed(b"x" * 9_000)[:4_000], end=False) for _ in range(3)]
    pair.exchange()
    statuses = [pair.client.responses[stream_id].status for stream_id in opened]
    assert statuses == [None, None, Status.RESOURCE_EXHAUSTED]

    for stream_id in opened[:2]:
        pair.client.h2.reset_stream(stream_id)
    pair.exchange()
    again = pair.client.open(head(), framed(b"x" * 9_000)[:8_000], end=False)
    pair.exchange()
    assert pair.client.responses[again].status is None


# What is counted.


def test_calls_are_counted() -> None:
    """Started, received, sent and the status of each call, and how long it took."""
    pair = CallPair()
    pair.now = 5.0
    pair.call()
    response = pair.call("Watch")
    assert (pair.counts.started_calls, pair.counts.received_messages, pair.counts.sent_messages) == (2, 2, 2)
    pair.now = 8.0
    pair.streams.open[0].publish(b"second")
    pair.streams.open[0].end(Status.NOT_FOUND)
    pair.exchange()
    pair.client.open(head(), b"")
    pair.exchange()
    cancelled = pair.client.open(head(), b"", end=False)
    pair.exchange()
    pair.client.h2.reset_stream(cancelled)
    pair.exchange()
    pair.call("Nothing")

    assert response.ended
    assert pair.counts.statuses == [Status.OK, Status.NOT_FOUND, Status.UNIMPLEMENTED]
    assert (pair.counts.started_calls, pair.counts.sent_messages, pair.counts.cancelled_calls) == (4, 3, 1)
    assert pair.counts.seconds == [0.0, 3.0, 0.0, 0.0]


def test_a_server_need_not_count() -> None:
    """Without hooks everything works the same."""
    quiet = NO_HOOKS.for_method("a", "b", Cardinality.UNARY_UNARY)
    quiet.started()
    quiet.received()
    quiet.sent()
    quiet.handled(Status.OK, 1.0)
    quiet.cancelled(1.0)


# Leaving.


def test_draining_ends_published_streams_with_ok() -> None:
    """They end with OK after what is pending; unary calls are still answered; then the connection is finished."""
    pair = CallPair()
    response = pair.call("Watch")
    unfinished = pair.client.open(head(), framed(b"")[:3], end=False)
    pair.exchange()
    pair.streams.open[0].publish(b"last")
    pair.server.drain()
    pair.server.drain()
    crossing = pair.client.ask("Get")
    pair.exchange()
    assert (response.messages, response.status) == ([b"first", b"last"], Status.OK)
    assert pair.client.responses[crossing].status is Status.OK
    assert pair.client.last_streams == [2**31 - 1, crossing]  # the second once it had answered our ping
    assert not pair.server.finished

    pair.client.h2.send_data(unfinished, framed(b"")[3:], end_stream=True)
    pair.exchange()
    assert pair.client.responses[unfinished].status is Status.OK
    assert pair.server.finished


def test_calls_that_crossed_the_goodbye_are_answered() -> None:
    """A stream opened before the client could know gets its value and ends with OK."""
    pair = CallPair()
    crossing = pair.client.ask("Watch")
    pair.server.drain()
    pair.exchange()
    response = pair.client.responses[crossing]

    assert (response.messages, response.status) == ([b"first"], Status.OK)
    assert (pair.server.finished, pair.streams.unsubscribed) == (True, 1)


def test_a_client_that_leaves_is_let_go() -> None:
    """When a client says goodbye the connection is finished with its last call."""
    pair = CallPair()
    pair.call("Watch")
    pair.client.h2.close_connection()
    pair.server.receive(pair.client.h2.data_to_send())
    pair.server.advance(0.0, 100)
    assert (pair.server.client_leaving, pair.server.finished) == (True, False)
    pair.streams.open[0].end(Status.OK)
    pair.server.data_to_send(0.0, 1 << 20)

    assert pair.server.finished


def test_a_broken_connection_ends_its_calls() -> None:
    """A client that breaks the protocol is told, and its streams are unsubscribed."""
    pair = CallPair()
    pair.call("Watch")
    pair.server.receive(b"\xff" * 9)
    pair.server.advance(0.0, 100)

    assert pair.server.failure is not None
    assert (pair.server.finished, pair.streams.unsubscribed) == (True, 1)
    pair.client.receive(pair.server.data_to_send(0.0, 1 << 20))
    assert pair.client.goaways == [ErrorCode.FRAME_SIZE_ERROR]


def test_we_may_end_a_connection() -> None:
    """For a reason that is ours, and the client is told it."""
    pair = CallPair()
    pair.server.fail("out of order")
    pair.server.advance(0.0, 1)
    pair.client.receive(pair.server.data_to_send(0.0, 1 << 20))

    assert pair.client.goaways == [ErrorCode.INTERNAL_ERROR]
    assert pair.server.failure is not None
    assert pair.server.failure.reason == "out of order"


def test_pings_of_ours_are_answered() -> None:
    """Asking for a sign of life sends a ping."""
    pair = CallPair()
    pair.server.ping()
    pair.exchange()

    assert any(type(event).__name__ == "PingReceived" for event in pair.client.events)
