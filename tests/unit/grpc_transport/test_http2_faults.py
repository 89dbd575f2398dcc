"""Clients that break the rules of HTTP/2, or ask too much."""

from __future__ import annotations

import attrs
import pytest

from controller.grpc.transport import frames
from controller.grpc.transport.events import (
    ConnectionFailed,
    StreamEnded,
)
from controller.grpc.transport.frames import ErrorCode, FrameType, Setting
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.sending import Stream
from tests.unit.grpc_transport.pair import AT_ONCE, Http2Pair
from tests.unit.grpc_transport.raw import OK, OPEN, REQUEST, failure, frame, request, reset, sent_frames

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
