"""One HTTP/2 connection: our end, with h2's client or with frames made by hand at the other."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.grpc.transport import frames
from controller.grpc.transport.events import (
    ClientLeaving,
    ConnectionFailed,
    DataReceived,
    PingAcknowledged,
    RequestReceived,
    StreamEnded,
    WindowOpened,
)
from controller.grpc.transport.frames import ErrorCode, FrameType, Setting
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.sending import Stream
from tests.unit.grpc_transport.pair import AT_ONCE, Client, Http2Pair, head

OK = b"\x88"
REQUEST = b"\x83\x86\x04\x06/a.B/C\x0f\x10\x10application/grpc"  # POST, http, a path, a content-type; in no table


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return frames.frame_header(len(payload), kind, flags, stream_id) + payload


OPEN = frame(FrameType.HEADERS, frames.END_HEADERS, 1, REQUEST)  # a request whose body is to come


def request(stream_id: int, body: bytes | None = None, *, block: bytes = REQUEST) -> bytes:
    """HEADERS, and DATA that ends the stream if there is a body."""
    flags = frames.END_HEADERS | (frames.END_STREAM if body is None else 0)
    opened = frame(FrameType.HEADERS, flags, stream_id, block)
    return opened if body is None else opened + frame(FrameType.DATA, frames.END_STREAM, stream_id, body)


def sent_frames(pair: Http2Pair) -> list[tuple[int, int, int, bytes]]:
    """What our end has to send: type, flags, stream and payload of each frame."""
    found, rest = [], pair.server.data_to_send()
    while rest:
        word, flags, stream_id = frames.FRAME_HEADER.unpack_from(rest)
        found.append((word & 0xFF, flags, stream_id, rest[9 : 9 + (word >> 8)]))
        rest = rest[9 + (word >> 8) :]
    return found


def failure(pair: Http2Pair, *received: bytes) -> ErrorCode:
    """Why the connection fails on these bytes."""
    events = [event for data in received for event in pair.feed(data)]
    failed = [event for event in events if isinstance(event, ConnectionFailed)]
    assert [ErrorCode(event.code) for event in failed], f"the connection goes on after {events}"
    assert pair.feed(request(999)) == []  # it takes nothing more
    kind, _, _, payload = sent_frames(pair)[-1]
    assert (kind, frames.read_u32(payload, 4)) == (FrameType.GOAWAY, failed[0].code)
    return ErrorCode(failed[0].code)


def reset(pair: Http2Pair, stream_id: int, *received: bytes) -> ErrorCode:
    """Why one stream fails on these bytes, while the connection goes on."""
    for data in received:
        pair.feed(data)
    resets = [payload for kind, _, number, payload in sent_frames(pair) if (kind, number) == (3, stream_id)]
    code = ErrorCode(frames.read_u32(resets[-1], 0))
    assert any(isinstance(event, RequestReceived) for event in pair.feed(request(9_999)))
    return code


# Requests and responses.


def test_a_request_and_its_response() -> None:
    """Fields, data in pieces and the end arrive; so do our fields, data and trailers."""
    pair = Http2Pair()
    stream_id = pair.client.open(head(), b"one", end=False)
    events = pair.exchange()
    pair.client.h2.send_data(stream_id, b"two", end_stream=True)
    events += pair.exchange()

    opened, *data = events[-3:]
    assert isinstance(opened, RequestReceived)
    stream = opened.stream
    assert (stream.head.method, stream.head.path, opened.ended) == (b"POST", b"/test.Things/Get", False)
    assert data == [DataReceived(stream, b"one", ended=False), DataReceived(stream, b"two", ended=True)]

    pair.server.send_headers(stream, OK)
    pair.server.send_data(stream, b"an", b"swer")
    pair.server.send_headers(stream, b"\x00\x01x\x01y", end_stream=True)
    pair.exchange()
    response = pair.client.responses[stream_id]
    assert (response.body, response.trailers, response.ended, response.reset) == (b"answer", {"x": "y"}, True, None)
    assert pair.server.streams == {}


def test_trailers_end_a_request() -> None:
    """A request may end with trailers; what they say is not of interest."""
    pair = Http2Pair()
    stream_id = pair.client.open(head(), b"one", end=False)
    pair.client.h2.send_headers(stream_id, [("x-sum", "1")], end_stream=True)

    *_, last = pair.exchange()
    assert isinstance(last, DataReceived)
    assert (last.data, last.ended) == (b"", True)


def test_a_response_before_the_end_of_the_request() -> None:
    """The client is told that the rest is not wanted, and what is under way is no fault of its."""
    pair = Http2Pair()
    stream_id = pair.client.open(head(), b"one", end=False)
    pair.exchange()
    pair.server.send_headers(pair.server.streams[stream_id], OK, end_stream=True)
    pair.client.h2.send_data(stream_id, b"two", end_stream=False)
    pair.feed(pair.client.h2.data_to_send())
    late = pair.feed(frame(FrameType.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id, b"\x00\x01x\x01y"))
    pair.exchange()

    assert late == []
    response = pair.client.responses[stream_id]
    assert (response.ended, response.reset) == (True, ErrorCode.NO_ERROR)


def test_plain_responses_wait_for_the_request() -> None:
    """A response that ends with data lets the client finish; then the stream is gone."""
    pair = Http2Pair()
    stream_id = pair.client.open(head(), b"one", end=False)
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, OK)
    pair.server.send_data(stream, b"", b"no", end_stream=True)
    pair.exchange()
    assert stream_id in pair.server.streams
    pair.client.h2.send_data(stream_id, b"two", end_stream=True)
    pair.exchange()

    assert pair.server.streams == {}
    assert pair.client.responses[stream_id].reset is None


def test_long_header_blocks_come_in_pieces_both_ways() -> None:
    """CONTINUATION frames are read and written."""
    pair = Http2Pair()
    stream_id = pair.client.open(head(x_long="x" * 15_000))  # one frame: the limit for lists is about that
    (opened,) = [event for event in pair.exchange() if isinstance(event, RequestReceived)]
    pieces = [REQUEST[:3], REQUEST[3:9], b"", REQUEST[9:]]
    pair.feed(
        frame(FrameType.HEADERS, frames.END_STREAM, 5, pieces[0])
        + frame(FrameType.CONTINUATION, 0, 5, pieces[1])
        + frame(FrameType.CONTINUATION, 0, 5, pieces[2])
        + frame(FrameType.CONTINUATION, frames.END_HEADERS, 5, pieces[3])
    )
    pair.server.send_headers(opened.stream, OK + b"\x00\x01x\x7f\xc1\xb7\x02" + b"y" * 40_000)

    assert pair.server.streams[5].head.path == b"/a.B/C"
    pair.client.h2.decoder.max_header_list_size = 100_000
    pair.client.receive(pair.server.data_to_send())
    assert len(pair.client.responses[stream_id].head["x"]) == 40_000


@given(st.data())
@settings(deadline=None)
def test_where_the_bytes_are_cut_does_not_matter(data: st.DataObject) -> None:
    """Input in pieces of any size gives the same events as in one piece."""
    client = Client()
    client.open(head(), b"abc")
    client.open(head("Other", x_a="1"), b"d" * 20_000)
    client.h2.ping(b"12345678")
    client.open(head(), b"", end=True)
    sent = client.h2.data_to_send()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=20)))

    assert _told(sent, []) == _told(sent, cuts)


def _told(sent: bytes, cuts: list[int]) -> tuple[list[object], bytes]:
    from controller.grpc.transport.headers import HeaderMemo
    from controller.grpc.transport.http2 import Connection

    server = Connection(Limits(), HeaderMemo(16_384))
    told: list[object] = []
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        server.receive(sent[start:stop])
        for event in server.next_events(0.0, AT_ONCE):
            match event:
                case RequestReceived(stream, ended):
                    told.append((stream.id, stream.head.path, stream.head.fields, ended))
                case DataReceived(stream, body, ended):
                    told.append((stream.id, body, ended))
                case _:
                    told.append(event)
    return told, server.data_to_send()


def test_reading_stops_after_so_many_requests() -> None:
    """A flood of requests can be taken in turns, with nothing lost in between."""
    pair = Http2Pair()
    pair.server.receive(b"".join(request(1 + 2 * number, b"x") for number in range(5)))
    turns = []
    while True:
        events = pair.server.next_events(0.0, 2)
        turns.append(sum(isinstance(event, RequestReceived) for event in events))
        if not pair.server.has_input:
            break

    assert turns == [2, 2, 1]
    assert len(pair.server.streams) == 5


def test_tiny_frames_are_taken_in_turns_too() -> None:
    """A flood of frames that are no requests does not hold the floor."""
    pair = Http2Pair()
    pair.server.receive(frames.window_update_frame(0, 1) * 2500)
    turns = 0
    while turns == 0 or pair.server.has_input:
        pair.server.next_events(0.0, AT_ONCE)
        turns += 1

    assert turns == 3
    assert pair.server.send_window == 65_535 + 2500


# Windows.


def test_we_send_no_more_than_the_client_allows() -> None:
    """Room is the smaller of the two windows, and grows with updates and settings."""
    pair = Http2Pair()
    stream_id = pair.client.open()
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, OK)
    assert pair.server.room(stream) == 65_535

    pair.client.acknowledging = False
    for _ in range(4):
        pair.server.send_data(stream, b"", b"x" * 16_000)
    assert pair.server.room(stream) == 1_535
    pair.exchange()
    pair.client.h2.increment_flow_control_window(1000)
    pair.client.h2.increment_flow_control_window(5000, stream_id)
    assert pair.exchange() == [WindowOpened(stream)]
    assert pair.server.room(stream) == 2_535
    pair.client.h2.increment_flow_control_window(100_000)
    pair.exchange()
    assert pair.server.room(stream) == 6_535
    pair.client.h2.update_settings({4: 70_000})
    assert WindowOpened(None) in pair.exchange()
    assert pair.server.room(stream) == 11_000


def test_a_window_may_become_negative() -> None:
    """A smaller initial window applies to streams that have sent already."""
    pair = Http2Pair()
    stream_id = pair.client.open()
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, OK)
    pair.server.send_data(stream, b"", b"x" * 100)
    pair.feed(frames.settings_frame({Setting.INITIAL_WINDOW_SIZE: 50}))
    assert pair.server.room(stream) == -50
    pair.feed(frames.window_update_frame(stream_id, 51))

    assert pair.server.room(stream) == 1


_steps = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 16_384)),
    st.tuples(st.just("stream"), st.integers(1, 40_000)),
    st.tuples(st.just("connection"), st.integers(1, 40_000)),
    st.tuples(st.just("initial"), st.integers(0, 100_000)),
)


@given(st.lists(_steps, max_size=40))
@settings(deadline=None)
def test_h2_never_sees_its_windows_broken(steps: list[tuple[str, int]]) -> None:
    """Whatever updates and settings come between: if we send what `room` allows, the referee accepts it."""
    client = Client(acknowledging=False)
    pair = Http2Pair(client=client)
    stream_id = client.open()
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, OK)
    sent = 0
    for what, count in steps:
        match what:
            case "send":
                size = min(count, pair.server.room(stream))
                if size > 0:
                    sent += size
                    pair.server.send_data(stream, b"", b"x" * size)
            case "stream":
                client.h2.increment_flow_control_window(count, stream_id)
            case "connection":
                client.h2.increment_flow_control_window(count)
            case _:
                client.h2.update_settings({4: count})
        pair.now += 10.0
        pair.exchange()
    assert len(client.responses[stream_id].body) == sent
    assert client.goaways == []


def test_clients_get_back_what_was_used() -> None:
    """A body of any length passes when its bytes are released, and stalls when they are not."""
    limits = Limits(stream_window=1000, connection_window=70_000)
    pair = Http2Pair(limits)
    stream_id = pair.client.open(head(), b"x", end=False)
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.release(stream, 1)
    received = 1
    for _ in range(500):
        window = pair.client.h2.local_flow_control_window(stream_id)
        assert window > 0
        pair.client.h2.send_data(stream_id, b"x" * window)
        for event in pair.exchange():
            if isinstance(event, DataReceived):
                received += len(event.data)
                pair.server.release(stream, len(event.data))
        pair.exchange()
    assert received > 200_000

    while (window := pair.client.h2.local_flow_control_window(stream_id)) > 0:
        pair.client.h2.send_data(stream_id, b"x" * window)
        pair.exchange()
    assert pair.server.room(stream) == 65_535


@pytest.mark.parametrize("ended", [False, True])
def test_too_much_data_for_a_stream_ends_it(ended: bool) -> None:
    """A body beyond the stream's window resets the stream only, even if it comes in one frame."""
    pair = Http2Pair(Limits(stream_window=1000))
    flags = frames.END_STREAM if ended else 0

    assert reset(pair, 1, OPEN, frame(FrameType.DATA, flags, 1, b"x" * 1001)) is ErrorCode.FLOW_CONTROL_ERROR


def test_too_much_data_for_the_connection_ends_it() -> None:
    """Windows of many streams together are bounded by the connection's."""
    pair = Http2Pair(Limits(connection_window=20_000))
    opened = [frame(FrameType.HEADERS, frames.END_HEADERS, number, REQUEST) for number in (1, 3)]
    data = [frame(FrameType.DATA, 0, number, b"x" * 16_000) for number in (1, 3)]

    assert failure(pair, *opened, *data) is ErrorCode.FLOW_CONTROL_ERROR


def test_refused_data_costs_no_window() -> None:
    """Data that nobody gets, padding, and bodies of the wrong length are given back to the connection's window."""
    pair = Http2Pair(Limits(connection_window=40_000, resets_burst=1000))
    for number in range(1, 200, 2):
        pair.feed(frame(FrameType.HEADERS, frames.END_HEADERS, number, REQUEST + b"\x0f\x0d\x015"))
        pair.feed(frame(FrameType.DATA, frames.PADDED, number, b"\xff" + b"x" * 4 + b"\x00" * 255))
        pair.server.release(pair.server.streams[number], 4)
        pair.feed(frame(FrameType.DATA, 0, number, b"x" * 1000))  # longer than content-length
        pair.feed(frame(FrameType.DATA, 0, number, b"x" * 1000))  # late
        pair.server.data_to_send()

    assert not pair.server.failed
    assert pair.server._window.held == 0  # type: ignore[attr-defined]  # the invariant is worth a look inside


# Faults of one stream.


@pytest.mark.parametrize(
    ("received", "code"),
    [
        ([request(1, b"x" * 3, block=REQUEST + b"\x0f\x0d\x014")], ErrorCode.PROTOCOL_ERROR),
        ([request(1, b"x" * 5, block=REQUEST + b"\x0f\x0d\x014")], ErrorCode.PROTOCOL_ERROR),
        ([request(1, block=REQUEST + b"\x0f\x0d\x014")], ErrorCode.PROTOCOL_ERROR),
        ([request(1, block=b"\x83\x86")], ErrorCode.PROTOCOL_ERROR),
        ([request(1), frame(FrameType.DATA, 0, 1, b"x")], ErrorCode.STREAM_CLOSED),
        ([request(1), request(1)], ErrorCode.STREAM_CLOSED),
        ([request(1), frames.reset_frame(1, 8), frame(FrameType.DATA, 0, 1, b"x")], ErrorCode.STREAM_CLOSED),
        ([request(1), frame(FrameType.WINDOW_UPDATE, 0, 1, b"\0\0\0\0")], ErrorCode.PROTOCOL_ERROR),
        ([request(1), frames.window_update_frame(1, 2**31 - 1)], ErrorCode.FLOW_CONTROL_ERROR),
        ([request(1), frame(FrameType.PRIORITY, 0, 1, b"\0\0\0\x01\x01")], ErrorCode.PROTOCOL_ERROR),
        ([request(1), frame(FrameType.PRIORITY, 0, 1, b"\0\0\0\x01")], ErrorCode.FRAME_SIZE_ERROR),
        (
            [
                OPEN,
                frame(FrameType.HEADERS, frames.END_HEADERS, 1, b"\x00\x01x\x01y"),
            ],
            ErrorCode.PROTOCOL_ERROR,
        ),
        (
            [
                OPEN,
                frame(FrameType.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"\x84"),
            ],
            ErrorCode.PROTOCOL_ERROR,
        ),
    ],
)
def test_faults_of_a_stream_end_the_stream(received: list[bytes], code: ErrorCode) -> None:
    """The stream is reset with the code that RFC 9113 names, and the connection goes on."""
    assert reset(Http2Pair(), 1, *received) is code


def test_the_layer_above_hears_of_streams_that_end() -> None:
    """By a fault or by the client's reset: whoever works for the stream is told, once."""
    pair = Http2Pair()
    pair.feed(request(1) + request(3))
    first, second = pair.server.streams[1], pair.server.streams[3]

    assert pair.feed(frame(FrameType.DATA, 0, 1, b"x")) == [
        StreamEnded(first, ErrorCode.STREAM_CLOSED, by_client=False)
    ]
    assert pair.feed(frames.reset_frame(3, 8)) == [StreamEnded(second, 8, by_client=True)]
    assert pair.feed(frames.reset_frame(3, 8) + frames.reset_frame(1, 8)) == []


# Faults of the connection.


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (frame(FrameType.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),  # idle
        (frame(FrameType.DATA, 0, 2, b"x"), ErrorCode.PROTOCOL_ERROR),
        (request(0), ErrorCode.PROTOCOL_ERROR),
        (request(2), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.HEADERS, 0, 2, REQUEST), ErrorCode.PROTOCOL_ERROR),
        (request(5) + request(3), ErrorCode.PROTOCOL_ERROR),
        (request(1) + frames.reset_frame(1, 8) + request(1), ErrorCode.STREAM_CLOSED),
        (request(1, block=b"\x80"), ErrorCode.COMPRESSION_ERROR),
        (OPEN + frame(FrameType.DATA, frames.PADDED, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (OPEN + frame(FrameType.DATA, frames.PADDED, 1, b"\x03xx"), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.HEADERS, frames.PADDED | frames.END_HEADERS, 1, b"\xff" + REQUEST), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.HEADERS, frames.PRIORITY | frames.END_HEADERS, 1, b"\0\0"), ErrorCode.FRAME_SIZE_ERROR),
        (
            frame(FrameType.HEADERS, frames.PRIORITY | frames.END_HEADERS, 1, b"\0\0\0\x01\0" + REQUEST),
            ErrorCode.PROTOCOL_ERROR,
        ),
        (frame(FrameType.PRIORITY, 0, 0, b"\0\0\0\x01\x01"), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.RST_STREAM, 0, 1, b"\0\0\0"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.reset_frame(0, 0), ErrorCode.PROTOCOL_ERROR),
        (frames.reset_frame(1, 0), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.SETTINGS, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.SETTINGS, 0, 0, b"xxx"), ErrorCode.FRAME_SIZE_ERROR),
        (frame(FrameType.SETTINGS, frames.ACK, 0, b"xxxxxx"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.settings_frame({Setting.ENABLE_PUSH: 2}), ErrorCode.PROTOCOL_ERROR),
        (frames.settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.settings_frame({Setting.MAX_FRAME_SIZE: 16_383}), ErrorCode.PROTOCOL_ERROR),
        (frames.settings_frame({Setting.MAX_FRAME_SIZE: 2**24}), ErrorCode.PROTOCOL_ERROR),
        (
            request(1)
            + frames.window_update_frame(1, 2**31 - 1 - 65_535)
            + frames.settings_frame({Setting.INITIAL_WINDOW_SIZE: 65_536}),
            ErrorCode.FLOW_CONTROL_ERROR,
        ),
        (frame(FrameType.PUSH_PROMISE, frames.END_HEADERS, 1, b"\0\0\0\x02" + REQUEST), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.PING, 0, 1, b"x" * 8), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.PING, 0, 0, b"x" * 7), ErrorCode.FRAME_SIZE_ERROR),
        (frame(FrameType.GOAWAY, 0, 1, b"x" * 8), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.GOAWAY, 0, 0, b"x" * 7), ErrorCode.FRAME_SIZE_ERROR),
        (frame(FrameType.WINDOW_UPDATE, 0, 0, b"\0\0\0"), ErrorCode.FRAME_SIZE_ERROR),
        (frame(FrameType.WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), ErrorCode.PROTOCOL_ERROR),
        (frames.window_update_frame(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.window_update_frame(1, 1), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.CONTINUATION, frames.END_HEADERS, 1, REQUEST), ErrorCode.PROTOCOL_ERROR),
        (frame(FrameType.HEADERS, 0, 1, REQUEST) + frames.ping_frame(b"x" * 8, ack=False), ErrorCode.PROTOCOL_ERROR),
        (
            frame(FrameType.HEADERS, 0, 1, REQUEST) + frame(FrameType.CONTINUATION, frames.END_HEADERS, 3, b""),
            ErrorCode.PROTOCOL_ERROR,
        ),
        (frame(FrameType.HEADERS, 0, 1, REQUEST) + frame(0x77, 0, 0, b""), ErrorCode.PROTOCOL_ERROR),
        (frames.frame_header(16_385, FrameType.DATA, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_faults_of_the_connection_end_it(received: bytes, code: ErrorCode) -> None:
    """The client is told the code that RFC 9113 names, and nothing more is taken."""
    assert failure(Http2Pair(), received) is code


@pytest.mark.parametrize(
    "received", [b"GET / HTTP/1.1\r\n", b"X", frames.PREFACE + frames.ping_frame(b"x" * 8, ack=False)]
)
def test_another_preface_ends_the_connection(received: bytes) -> None:
    """Something that is not an HTTP/2 client is found out by its first bytes."""
    from controller.grpc.transport.headers import HeaderMemo
    from controller.grpc.transport.http2 import Connection

    server = Connection(Limits(), HeaderMemo(16_384))
    server.receive(received)
    (event,) = server.next_events(0.0, AT_ONCE)

    assert isinstance(event, ConnectionFailed)
    assert event.code is ErrorCode.PROTOCOL_ERROR
    server.fail(ErrorCode.INTERNAL_ERROR, "again")
    assert server.next_events(0.0, AT_ONCE) == []


def test_what_means_nothing_changes_nothing() -> None:
    """Unknown frames, unknown settings, and frames that come late for a closed stream are passed over."""
    pair = Http2Pair()
    pair.feed(request(1) + frames.reset_frame(1, 8))

    assert (
        pair.feed(
            frame(0x77, 0xFF, 12, b"abc")
            + frame(FrameType.SETTINGS, 0, 0, b"\x77\x77\0\0\0\x01")
            + frame(FrameType.PRIORITY, 0, 7, b"\0\0\0\x01\x01")
            + frames.window_update_frame(1, 5)
            + frames.reset_frame(1, 8)
        )
        == []
    )
    assert not pair.server.failed


# Pings and goodbyes.


def test_pings_are_answered_and_answers_told() -> None:
    """Both ends may ask for a sign of life."""
    pair = Http2Pair()
    pair.client.h2.ping(b"12345678")
    pair.exchange()
    pair.server.ping(b"abcdefgh")

    assert pair.exchange() == [PingAcknowledged(b"abcdefgh")]
    assert any(getattr(event, "ping_data", b"") == b"12345678" for event in pair.client.events)


def test_a_leaving_client_is_heard() -> None:
    """GOAWAY of a client says why it goes."""
    pair = Http2Pair()

    assert pair.feed(frames.goaway_frame(0, 2, b"bye")) == [ClientLeaving(2, b"bye")]


def test_leaving_in_two_steps_loses_nothing() -> None:
    """Streams opened before the client can know are taken; those after the second GOAWAY are not."""
    pair = Http2Pair()
    pair.feed(request(1))
    pair.server.announce_leaving()
    assert any(isinstance(event, RequestReceived) for event in pair.feed(request(3)))
    pair.server.leave()
    pair.server.leave()
    assert pair.feed(request(5, b"body") + frames.window_update_frame(5, 1) + frames.reset_frame(5, 8)) == []

    goodbyes = [frames.read_u32(payload, 0) for kind, _, _, payload in sent_frames(pair) if kind == FrameType.GOAWAY]
    assert goodbyes == [2**31 - 1, 3]
    assert sorted(pair.server.streams) == [1, 3]
    assert pair.feed(frame(FrameType.DATA, 0, 7, b"late")) == []
    assert pair.server._window.held == 0  # type: ignore[attr-defined]


def test_a_smaller_header_table_is_acknowledged() -> None:
    """A client that allows less than the default table is told that we use none, in the next block and only there."""
    pair = Http2Pair()
    pair.client.h2.update_settings({Setting.HEADER_TABLE_SIZE: 0})
    first, second = pair.client.open(), pair.client.open()
    pair.exchange()
    pair.client.h2.decoder.max_allowed_table_size = 0
    for stream_id in (first, second):
        pair.server.send_headers(pair.server.streams[stream_id], OK, end_stream=True)
    sent = pair.server.data_to_send()
    pair.client.receive(sent)

    assert sent.count(b"\x20\x88") == 1
    assert [pair.client.responses[stream_id].head for stream_id in (first, second)] == [{":status": "200"}] * 2


def test_larger_frames_are_used_where_they_are_allowed() -> None:
    """A client may allow larger frames than the default."""
    pair = Http2Pair()
    pair.client.h2.update_settings({Setting.MAX_FRAME_SIZE: 50_000})
    pair.exchange()

    assert pair.server.max_frame_size == 50_000


# Limits.


def test_no_more_streams_than_announced() -> None:
    """A stream too many is refused, so that it can be tried elsewhere, and counted."""
    pair = Http2Pair(Limits(concurrent_streams=2))
    assert pair.client.h2.remote_settings.max_concurrent_streams == 2
    pair.feed(request(1) + request(3))

    assert reset_only(pair, 5, request(5)) is ErrorCode.REFUSED_STREAM
    assert (pair.server.refused, len(pair.server.streams)) == (1, 2)


def reset_only(pair: Http2Pair, stream_id: int, received: bytes) -> ErrorCode:
    pair.server.data_to_send()
    assert pair.feed(received) == []
    ((kind, _, number, payload),) = sent_frames(pair)
    assert (kind, number) == (FrameType.RST_STREAM, stream_id)
    return ErrorCode(frames.read_u32(payload, 0))


def test_streams_opened_too_fast_are_refused() -> None:
    """Beyond a burst, streams are taken at a rate."""
    pair = Http2Pair(Limits(new_streams_burst=2, new_streams_per_second=1))
    pair.feed(request(1) + request(3))
    assert reset_only(pair, 5, request(5)) is ErrorCode.REFUSED_STREAM

    pair.now += 1.5
    assert len(pair.feed(request(7))) == 1


def test_large_header_lists_are_refused() -> None:
    """Above the announced limit a request is refused; far above it the connection ends."""
    pair = Http2Pair(Limits(header_list_size=1000))
    large = b"\x00\x01x\x7f\xe9\x07" + b"y" * 1128
    assert reset_only(pair, 1, request(1, block=REQUEST + large)) is ErrorCode.REFUSED_STREAM

    assert failure(pair, request(3, block=REQUEST + large * 4)) is ErrorCode.ENHANCE_YOUR_CALM


CALM = Limits(
    resets_burst=10,
    pings_burst=10,
    settings_burst=10,
    empty_frames_burst=10,
    continuation_frames=4,
    header_list_size=4000,
)


@pytest.mark.parametrize(
    "flood",
    [
        [request(number) + frames.reset_frame(number, 8) for number in range(1, 99, 2)],  # rapid reset
        [request(number, block=b"\x83\x86") for number in range(1, 99, 2)],  # making us reset
        [frames.ping_frame(b"x" * 8, ack=False)] * 99,
        [frames.ping_frame(b"x" * 8, ack=True)] * 99,
        [frames.settings_frame({})] * 99,
        [frames.SETTINGS_ACK] * 99,
        [OPEN, *[frame(FrameType.DATA, 0, 1)] * 99],
        [frame(FrameType.PRIORITY, 0, 1, b"\0\0\0\x03\x01")] * 99,
        [frame(FrameType.HEADERS, 0, 1, REQUEST), *[frame(FrameType.CONTINUATION, 0, 1)] * 99],
        [frame(FrameType.HEADERS, 0, 1, REQUEST), *[frame(FrameType.CONTINUATION, 0, 1, b"x" * 4000)] * 3],
    ],
    ids=["resets", "faults", "pings", "pongs", "settings", "acks", "data", "priorities", "continuations", "long"],
)
def test_floods_are_stopped(flood: list[bytes]) -> None:
    """Frames that cost us more than the client are taken in small numbers only."""
    pair = Http2Pair(CALM)

    assert failure(pair, *flood) is ErrorCode.ENHANCE_YOUR_CALM


def test_patient_clients_may_go_on_for_ever() -> None:
    """The same frames at a bearable rate are no flood, nor are resets of streams that are not new."""
    pair = Http2Pair(attrs.evolve(CALM, resets_per_second=0.001))
    for number in range(1, 200, 2):
        pair.feed(request(number) + frames.ping_frame(b"x" * 8, ack=False) + frames.settings_frame({}))
        pair.now += 1.5
        pair.feed(frames.reset_frame(number, 8))
        pair.server.data_to_send()

    assert not pair.server.failed


def test_what_is_kept_of_closed_streams_is_bounded() -> None:
    """Ten thousand streams that came and went leave next to nothing."""
    pair = Http2Pair(Limits(new_streams_burst=100_000))
    for number in range(1, 20_000, 2):
        pair.feed(request(number))
        stream: Stream = pair.server.streams[number]
        pair.server.send_headers(stream, OK, end_stream=True)
    pair.server.data_to_send()

    assert (pair.server.streams, len(pair.server._recent)) == ({}, 64)  # type: ignore[attr-defined]
