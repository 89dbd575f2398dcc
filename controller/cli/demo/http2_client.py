"""The client's side of gRPC on HTTP/2, without I/O: requests of one message, any number of messages in answer.

It is as small as the demo can do with. What it shares with the server is how a frame is written; what frames mean is
worked out here anew, so that the two cannot agree on a mistake about that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, cast
from urllib.parse import unquote

import attrs
from grpclib.const import Status
from hpack import Decoder, Encoder

from controller.grpc.transport import frames
from controller.grpc.transport.frames import FRAME_HEADER, FRAME_HEADER_SIZE, FrameType, Setting
from controller.grpc.transport.messages import Deframer, prefix

LARGEST_MESSAGE = 4 * 1024 * 1024  # as gRPC's own clients
WINDOW = 1024 * 1024
CANCEL = int(frames.ErrorCode.CANCEL)


class ConnectionLost(Exception):
    """The server said, or did, something after which the connection is of no use."""


@attrs.frozen
class Message:
    """A whole message came on a stream."""

    stream_id: int
    data: bytes


@attrs.frozen
class Ended:
    """A call is over."""

    stream_id: int
    status: Status
    text: str


Event: TypeAlias = Message | Ended


class ClientConnection:
    """The protocol state of one connection."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._encoder, self._decoder = Encoder(), Decoder()
        self._next_id = 1
        self._calls = dict[int, Deframer]()
        self._buffer = b""
        self._block = b""  # a header block that CONTINUATION frames go on with
        self._block_flags = 0
        self._events = list[Event]()
        settings = {Setting.ENABLE_PUSH: 0, Setting.INITIAL_WINDOW_SIZE: WINDOW}
        grow = frames.window_update_frame(0, WINDOW - frames.DEFAULT_WINDOW)
        self._out = bytearray(frames.PREFACE + frames.settings_frame(settings) + grow)

    def take_output(self) -> bytes:
        """What has to be sent now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def call(self, path: str, message: bytes) -> int:
        """Call a method; what happens to the call has this stream's id."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", self._authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        block = self._encoder.encode(fields)
        self._out += frames.headers_frames(
            stream_id, block, end_stream=False, max_frame_size=frames.DEFAULT_MAX_FRAME_SIZE
        )
        body = prefix(len(message)) + message
        self._out += frames.frame_header(len(body), FrameType.DATA, frames.END_STREAM, stream_id) + body
        self._calls[stream_id] = Deframer(LARGEST_MESSAGE)
        return stream_id

    def cancel(self, stream_id: int) -> None:
        """Lose interest in a call."""
        if self._calls.pop(stream_id, None) is not None:
            self._out += frames.reset_frame(stream_id, CANCEL)

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes in, and return what they mean. Raises `ConnectionLost`."""
        self._buffer += data
        for kind, flags, stream_id, payload in self._frames():
            self._on_frame(kind, flags, stream_id, payload)
        events, self._events = self._events, []
        return events

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        while len(self._buffer) >= FRAME_HEADER_SIZE:
            word, flags, stream_id = FRAME_HEADER.unpack_from(self._buffer)
            end = FRAME_HEADER_SIZE + (word >> 8)
            if len(self._buffer) < end:
                return
            payload, self._buffer = self._buffer[FRAME_HEADER_SIZE:end], self._buffer[end:]
            yield word & 0xFF, flags, stream_id & 0x7FFFFFFF, payload

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        match kind:
            case FrameType.SETTINGS if not flags & frames.ACK:
                self._on_settings(payload)
            case FrameType.PING if not flags & frames.ACK:
                self._out += frames.ping_frame(payload, ack=True)
            case FrameType.DATA:
                self._on_data(stream_id, flags, payload)
            case FrameType.HEADERS | FrameType.CONTINUATION:
                self._on_headers(stream_id, flags, payload)
            case FrameType.RST_STREAM:
                self._end(stream_id, Status.UNAVAILABLE, f"reset with code {frames.read_u32(payload, 0)}")
            case FrameType.GOAWAY:
                self._on_goaway(payload)
            case _:
                pass  # windows for sending are never used up by requests as small as ours

    def _on_settings(self, payload: bytes) -> None:
        for setting, value in frames.read_settings(payload):
            if setting == Setting.HEADER_TABLE_SIZE:
                self._encoder.header_table_size = min(value, self._encoder.header_table_size)
        self._out += frames.SETTINGS_ACK

    def _on_data(self, stream_id: int, flags: int, payload: bytes) -> None:
        if payload:
            self._out += frames.window_update_frame(0, len(payload))
        if flags & frames.PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        deframer = self._calls.get(stream_id)
        if deframer is None:
            return
        if payload:
            self._out += frames.window_update_frame(stream_id, len(payload))
        self._events += (Message(stream_id, message) for message in deframer.feed(payload))
        if flags & frames.END_STREAM:
            self._end(stream_id, Status.UNKNOWN, "the answer ended without a status")

    def _on_headers(self, stream_id: int, flags: int, payload: bytes) -> None:
        if flags & (frames.PADDED | frames.PRIORITY):
            raise ConnectionLost("header frames with padding or priority")  # no gRPC server sends them
        if not self._block:
            self._block_flags = flags
        self._block += payload
        if not flags & frames.END_HEADERS:
            return
        decoded = cast("list[tuple[bytes, bytes]]", self._decoder.decode(self._block, raw=True))
        self._block = b""
        fields = {bytes(name).decode(): bytes(value).decode() for name, value in decoded}
        if self._block_flags & frames.END_STREAM:
            status = Status(int(fields.get("grpc-status", Status.UNKNOWN.value)))
            self._end(stream_id, status, unquote(fields.get("grpc-message", "")))
        elif fields.get(":status") != "200":
            self._end(stream_id, Status.UNKNOWN, f"HTTP status {fields.get(':status')}")

    def _on_goaway(self, payload: bytes) -> None:
        last_id = frames.read_u32(payload, 0) & 0x7FFFFFFF
        for stream_id in [stream_id for stream_id in self._calls if stream_id > last_id]:
            self._end(stream_id, Status.UNAVAILABLE, "the server takes no more calls")

    def _end(self, stream_id: int, status: Status, text: str) -> None:
        if self._calls.pop(stream_id, None) is not None:
            self._events.append(Ended(stream_id, status, text))
