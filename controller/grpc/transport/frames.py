"""HTTP/2 frames as bytes: the numbers of RFC 9113 and how a frame is written."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_SIZE = 9
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1
DEFAULT_MAX_FRAME_SIZE = 16_384  # what we accept, and what a client accepts unless it says otherwise
LARGEST_MAX_FRAME_SIZE = 2**24 - 1
LARGEST_STREAM_ID = 2**31 - 1

# The nine bytes of a frame header, read as (length << 8 | type, flags, stream) in one step.
FRAME_HEADER = Struct(">IBI")
_WRITE_HEADER = Struct(">HBBBI")
_U32 = Struct(">I")
_SETTING = Struct(">HI")


class FrameType(enum.IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


# Plain numbers, because looking up an enum's member and asking a flag costs more than the rest of a small frame.
ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20


class ErrorCode(enum.IntEnum):
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(enum.IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


def frame_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    return _WRITE_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id)


def headers_frames(stream_id: int, block: bytes, *, end_stream: bool, max_frame_size: int) -> bytes:
    """A header block as one HEADERS frame, and CONTINUATION frames for what does not fit."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= max_frame_size:
        return frame_header(len(block), FrameType.HEADERS, flags | END_HEADERS, stream_id) + block
    parts = [block[at : at + max_frame_size] for at in range(0, len(block), max_frame_size)]
    frames = [frame_header(len(parts[0]), FrameType.HEADERS, flags, stream_id), parts[0]]
    for part in parts[1:]:
        last = END_HEADERS if part is parts[-1] else 0
        frames += (frame_header(len(part), FrameType.CONTINUATION, last, stream_id), part)
    return b"".join(frames)


def settings_frame(settings: dict[Setting, int]) -> bytes:
    payload = b"".join(_SETTING.pack(setting, value) for setting, value in settings.items())
    return frame_header(len(payload), FrameType.SETTINGS, 0, 0) + payload


SETTINGS_ACK = frame_header(0, FrameType.SETTINGS, ACK, 0)


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """The settings in a payload whose length is a multiple of six."""
    yield from _SETTING.iter_unpack(payload)


def ping_frame(payload: bytes, *, ack: bool) -> bytes:
    return frame_header(8, FrameType.PING, ACK if ack else 0, 0) + payload


def reset_frame(stream_id: int, code: int) -> bytes:
    return frame_header(4, FrameType.RST_STREAM, 0, stream_id) + _U32.pack(code)


def window_update_frame(stream_id: int, increment: int) -> bytes:
    return frame_header(4, FrameType.WINDOW_UPDATE, 0, stream_id) + _U32.pack(increment)


def goaway_frame(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    payload = _U32.pack(last_stream_id) + _U32.pack(code) + debug
    return frame_header(len(payload), FrameType.GOAWAY, 0, 0) + payload


def read_u32(buffer: bytes, at: int) -> int:
    return int.from_bytes(buffer[at : at + 4], "big")
