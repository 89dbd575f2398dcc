"""The sending half of an HTTP/2 connection: what goes out, in which order, and how much may.

A stream keeps only the difference between its sending window and the initial one (`credit`), so that a SETTINGS frame
which changes the initial window costs the same with one stream and with ten thousand.
"""

from __future__ import annotations

from collections import deque

from controller.grpc.transport import frames
from controller.grpc.transport.frames import ErrorCode, FrameType
from controller.grpc.transport.headers import RequestHead
from controller.grpc.transport.windows import ReceiveWindow

_RECENT = 64
_EMPTY_TABLE = b"\x20"  # a dynamic table size update to 0 (RFC 7541, 6.3)


class Stream:
    """One request and its response, as far as HTTP/2 knows it. `call` belongs to the layer above."""

    __slots__ = ("call", "credit", "expected", "head", "id", "local_open", "opened", "remote_open", "window")

    def __init__(self, stream_id: int, head: RequestHead, opened: float) -> None:
        self.id = stream_id
        self.head = head
        self.opened = opened
        self.credit = 0  # the sending window, less the connection's initial one
        self.window: ReceiveWindow | None = None  # made for the first body that does not end at once
        self.expected = head.content_length  # what is still to come of it
        self.remote_open = True
        self.local_open = True
        self.call: object | None = None


class Sender:
    """Streams as far as we may still send on them, and the bytes that wait to be sent."""

    __slots__ = (
        "_final_id",
        "_last_id",
        "_out",
        "_recent",
        "_table_emptied",
        "_table_limited",
        "failed",
        "initial_window",
        "max_frame_size",
        "out_size",
        "send_window",
        "streams",
    )

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self.failed = False
        self.out_size = 0
        self._out: list[bytes] = []
        self.send_window: int = frames.DEFAULT_WINDOW
        self.initial_window = frames.DEFAULT_WINDOW
        self.max_frame_size = frames.DEFAULT_MAX_FRAME_SIZE
        # We never use the table; but a client that allows less than the default has to be told (RFC 7541, 4.2).
        self._table_limited = False
        self._table_emptied = False
        self._last_id = 0  # the largest stream the client has opened
        self._final_id = frames.LARGEST_STREAM_ID  # the largest that we will take
        self._recent: deque[int] = deque(maxlen=_RECENT)  # closed streams; negative if closed by us

    def data_to_send(self) -> bytes:
        """All that has to be sent, in order, as one piece. It is the caller's from now on."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        self.out_size = 0
        return data

    def _send(self, data: bytes) -> None:
        self._out.append(data)
        self.out_size += len(data)

    def room(self, stream: Stream) -> int:
        """How many bytes of data may be sent on the stream now; not above zero means none."""
        return min(self.send_window, self.initial_window + stream.credit)

    def send_headers(self, stream: Stream, block: bytes, *, end_stream: bool = False) -> None:
        """Send a header block. It may use no dynamic table: none is kept."""
        if self._table_limited and not self._table_emptied:
            self._table_emptied = True
            block = _EMPTY_TABLE + block
        self._send(frames.headers_frames(stream.id, block, end_stream=end_stream, max_frame_size=self.max_frame_size))
        if end_stream:
            stream.local_open = False
            if stream.remote_open:
                # RFC 9113, 8.1: the response is complete, and the rest of the request is not wanted.
                self._reset_by_us(stream.id, ErrorCode.NO_ERROR)
            else:
                self._forget(stream)

    def send_data(self, stream: Stream, prefix: bytes, data: bytes | memoryview, *, end_stream: bool = False) -> None:
        """Send prefix and data as one DATA frame; the caller has asked `room` and minds `max_frame_size`."""
        size = len(prefix) + len(data)
        self.send_window -= size
        stream.credit -= size
        flags = frames.END_STREAM if end_stream else 0
        self._out += (frames.frame_header(size, FrameType.DATA, flags, stream.id) + prefix, data)  # type: ignore[arg-type]  # join takes both
        self.out_size += size + frames.FRAME_HEADER_SIZE
        if end_stream:
            # Only plain HTTP responses end like this, and their clients may take a reset for a failure: the stream
            # stays until they have sent their request.
            stream.local_open = False
            if not stream.remote_open:
                self._forget(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream without a response. There is no event for it."""
        self._reset_by_us(stream.id, code)

    def _reset_by_us(self, stream_id: int, code: int) -> None:
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            stream.local_open = stream.remote_open = False
        self._recent.append(-stream_id)
        self._send(frames.reset_frame(stream_id, code))

    def _forget(self, stream: Stream) -> None:
        stream.local_open = stream.remote_open = False
        if self.streams.pop(stream.id, None) is not None:
            self._recent.append(stream.id)

    def ping(self, payload: bytes) -> None:
        """Ask the client for a sign of life; `PingAcknowledged` with the same eight bytes is the answer."""
        self._send(frames.ping_frame(payload, ack=False))

    def announce_leaving(self) -> None:
        """Say that we are going to leave: what the client sent before it knew is still taken."""
        self._send(frames.goaway_frame(frames.LARGEST_STREAM_ID, ErrorCode.NO_ERROR))

    def leave(self) -> None:
        """Take no more streams than those that were opened so far."""
        if not self.failed and self._final_id == frames.LARGEST_STREAM_ID:
            self._final_id = self._last_id
            self._send(frames.goaway_frame(self._last_id, ErrorCode.NO_ERROR))
