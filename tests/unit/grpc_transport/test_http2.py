"""One HTTP/2 connection: our end, with h2's client or with frames made by hand at the other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.grpc.transport import frames
from controller.grpc.transport.events import (
    ClientLeaving,
    DataReceived,
    PingAcknowledged,
    RequestReceived,
)
from controller.grpc.transport.frames import ErrorCode, FrameType, Setting
from controller.grpc.transport.limits import Limits
from tests.unit.grpc_transport.pair import AT_ONCE, Client, Http2Pair, head
from tests.unit.grpc_transport.raw import OK, REQUEST, frame, request, sent_frames

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
