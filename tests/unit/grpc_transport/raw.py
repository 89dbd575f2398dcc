"""Frames made by hand, and what our end says to them."""

from __future__ import annotations

from controller.grpc.transport import frames
from controller.grpc.transport.events import (
    ConnectionFailed,
    RequestReceived,
)
from controller.grpc.transport.frames import ErrorCode, FrameType
from tests.unit.grpc_transport.pair import Http2Pair

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
