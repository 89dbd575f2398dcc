"""The client's HTTP/2 with h2 as the server, which is strict about what it gets."""

from __future__ import annotations

from typing import Any

import attrs
import h2.config
import h2.connection
import h2.events
import pytest
from grpclib.const import Status

from controller.cli.demo.http2_client import ClientConnection, Ended, Event, Message

OK = [("grpc-status", "0")]
HEAD = [(":status", "200"), ("content-type", "application/grpc")]


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


@attrs.define(eq=False)
class Pair:
    """A client and a server, connected by nothing but their bytes."""

    client: ClientConnection
    server: h2.connection.H2Connection
    seen: list[h2.events.Event] = attrs.field(factory=list[h2.events.Event], init=False)

    def to_server(self) -> list[h2.events.Event]:
        events = self.server.receive_data(self.client.take_output())
        self.seen += events
        return events

    def to_client(self, *, at_once: int = 1 << 30) -> list[Event]:
        """Deliver what the server has sent, in pieces if they are to be small."""
        data = self.server.data_to_send()
        pieces = [data[at : at + at_once] for at in range(0, len(data), at_once)]
        return [event for piece in pieces for event in self.client.receive(piece)]

    def called(self, message: bytes = b"ask") -> int:
        """A call whose request has reached the server."""
        stream_id = self.client.call("/s/M", message)
        self.to_server()
        return stream_id


@pytest.fixture
def pair() -> Pair:
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    pair = Pair(ClientConnection("host:1"), server)
    pair.to_server()
    pair.to_client()
    return pair


def test_a_request_is_one_that_grpc_servers_take(pair: Pair) -> None:
    """It has gRPC's header fields, one framed message, and an end."""
    pair.called(b"ask")
    requests: dict[str, Any] = {type(event).__name__: event for event in pair.seen}

    assert dict(requests["RequestReceived"].headers) == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/s/M",
        ":authority": "host:1",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    assert requests["DataReceived"].data == framed(b"ask")
    assert "StreamEnded" in requests


@pytest.mark.parametrize("at_once", [1, 7, 1 << 30])
def test_an_answer_in_any_pieces(pair: Pair, at_once: int) -> None:
    """Messages, padding and a header block in several frames mean the same however the bytes arrive."""
    stream_id = pair.called()
    pair.server.send_headers(stream_id, [*HEAD, ("x-large", "v" * 40_000)])
    pair.server.send_data(stream_id, framed(b"one") + framed(b"two")[:4], pad_length=9)
    pair.server.send_data(stream_id, framed(b"two")[4:])
    pair.server.send_headers(stream_id, [*OK, ("grpc-message", "all%20well")], end_stream=True)

    assert pair.to_client(at_once=at_once) == [
        Message(stream_id, b"one"),
        Message(stream_id, b"two"),
        Ended(stream_id, Status.OK, "all well"),
    ]


def test_what_was_read_is_given_back(pair: Pair) -> None:
    """More than both windows hold goes through, because each byte is allowed again."""
    stream_id = pair.called()
    pair.server.send_headers(stream_id, HEAD)
    message = framed(b"x" * 16_000)
    received = list[Event]()
    for _ in range(200):
        pair.server.send_data(stream_id, message)
        received += pair.to_client()
        pair.to_server()

    assert len(received) == 200


def test_pings_are_answered(pair: Pair) -> None:
    """With the same bytes, or the server takes the connection for dead."""
    pair.server.ping(b"12345678")
    pair.to_client()

    assert [event.ping_data for event in pair.to_server() if isinstance(event, h2.events.PingAckReceived)] == [
        b"12345678"
    ]


def test_a_smaller_header_table_is_kept_to(pair: Pair) -> None:
    """The server would not decode another request otherwise."""
    pair.server.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
    pair.to_client()
    pair.to_server()
    pair.called()
    pair.called()

    assert sum(isinstance(event, h2.events.RequestReceived) for event in pair.seen) == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")], Status.NOT_FOUND),
        ([(":status", "200"), ("content-type", "application/grpc")], Status.UNKNOWN),
    ],
)
def test_an_answer_of_headers_alone(pair: Pair, headers: list[tuple[str, str]], status: Status) -> None:
    """They say how the call went; where they do not, that is not taken for success."""
    stream_id = pair.called()
    pair.server.send_headers(stream_id, headers, end_stream=True)

    [ended] = pair.to_client()
    assert isinstance(ended, Ended)
    assert ended.status is status


def test_an_http_error_is_no_answer(pair: Pair) -> None:
    """What follows it on the stream is not looked at."""
    stream_id = pair.called()
    pair.server.send_headers(stream_id, [(":status", "502")])
    pair.server.send_data(stream_id, framed(b"an error page"), end_stream=True)

    assert pair.to_client() == [Ended(stream_id, Status.UNKNOWN, "HTTP status 502")]


def test_an_end_without_a_status_is_no_success(pair: Pair) -> None:
    """Somebody between us and the server may have cut the answer off."""
    stream_id = pair.called()
    pair.server.send_headers(stream_id, HEAD)
    pair.server.send_data(stream_id, b"", end_stream=True)

    assert pair.to_client() == [Ended(stream_id, Status.UNKNOWN, "the answer ended without a status")]


def test_resets_and_leaves_end_calls(pair: Pair) -> None:
    """A reset ends its stream; GOAWAY those that the server has not begun to look at."""
    first, second = pair.called(), pair.called()
    pair.server.reset_stream(first, 11)
    assert pair.to_client() == [Ended(first, Status.UNAVAILABLE, "reset with code 11")]

    late = pair.client.call("/s/M", b"")
    pair.server.close_connection(last_stream_id=second)
    assert pair.to_client() == [Ended(late, Status.UNAVAILABLE, "the server takes no more calls")]


def test_a_cancelled_call_is_reset(pair: Pair) -> None:
    """The server is told once; what still comes of it is dropped."""
    stream_id = pair.called()
    pair.server.send_headers(stream_id, HEAD)
    pair.server.send_data(stream_id, framed(b"too late"))
    pair.client.cancel(stream_id)
    pair.client.cancel(stream_id)

    [reset] = [event for event in pair.to_server() if isinstance(event, h2.events.StreamReset)]
    assert (reset.stream_id, int(reset.error_code)) == (stream_id, 8)
    assert pair.to_client() == []
