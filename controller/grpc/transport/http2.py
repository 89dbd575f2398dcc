"""The server's end of one HTTP/2 connection. Does no I/O and reads no clock.

Theory of operation
===================

Bytes go in with `receive`; `next_events` reads whole frames from them and says what happened; whatever has to be sent,
ours or an answer that the protocol demands, waits in order for `data_to_send`. `next_events` stops after a number of
new requests, so that whoever calls it can let others have a turn: the rest of the input stays where it is.

1) *Streams.* A stream is in `streams` while either side may still send. An id that is not there was used before
   (`<= _last_id`) or is still free. `_recent` remembers the last few that were closed, and by whom: what arrives late
   for one that *we* closed is no fault of the client's.
2) *Errors.* Frame handlers raise `StreamFault` or `ConnectionFault`; only `next_events` catches them. Faults are
   counted: a client that makes us reset streams pays from the same bucket as one that resets them itself.
3) *Leaving.* `announce_leaving` says that we will go (GOAWAY with the largest id), `leave` names the last stream that
   we took; in between the client learns of it, and nothing that it sent is lost.

Priorities are ignored and nothing is pushed.
"""

from __future__ import annotations

from typing import ClassVar

from controller.grpc.transport import frames
from controller.grpc.transport.control import ControlFrames, FrameHandler
from controller.grpc.transport.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
)
from controller.grpc.transport.faults import ConnectionFault, StreamFault
from controller.grpc.transport.frames import ErrorCode, FrameType, Setting
from controller.grpc.transport.headers import (
    Block,
    HeaderDecoder,
    HeaderMemo,
    Malformed,
    TooLarge,
    Undecodable,
    check_trailers,
)
from controller.grpc.transport.limits import Limits, TokenBucket
from controller.grpc.transport.sending import Stream
from controller.grpc.transport.windows import ReceiveWindow

_FRAMES_AT_ONCE = 1024  # so that a flood of tiny frames cannot hold up everybody else


class Connection(ControlFrames):
    """The protocol state of one connection."""

    __slots__ = (
        "_block",
        "_block_flags",
        "_block_stream",
        "_greeted",
        "_new_streams",
        "_pos",
        "_requests",
        "_window",
        "decoder",
        "refused",
    )

    def __init__(self, limits: Limits, memo: HeaderMemo) -> None:
        super().__init__(limits)
        self.decoder = HeaderDecoder(memo)
        self.refused = 0  # streams turned away
        self._pos = 0  # where the unread bytes of `_buffer` begin
        self._greeted = False
        self._block: list[bytes] = []  # a header block that CONTINUATION frames go on with
        self._block_stream = 0
        self._block_flags = 0
        self._window = ReceiveWindow(limits.connection_window)
        self._requests = 0
        self._new_streams = TokenBucket(limits.new_streams_per_second, limits.new_streams_burst)
        self._greet()

    def _greet(self) -> None:
        limits = self._limits
        settings = {
            Setting.MAX_CONCURRENT_STREAMS: limits.concurrent_streams,
            Setting.MAX_HEADER_LIST_SIZE: limits.header_list_size,
        }
        if limits.stream_window != frames.DEFAULT_WINDOW:
            settings[Setting.INITIAL_WINDOW_SIZE] = limits.stream_window
        self._send(frames.settings_frame(settings))
        if limits.connection_window > frames.DEFAULT_WINDOW:
            self._send(frames.window_update_frame(0, limits.connection_window - frames.DEFAULT_WINDOW))

    # Input.

    @property
    def greeted(self) -> bool:
        """Whether the client's preface has come: before it, it may be no HTTP/2 client at all."""
        return self._greeted

    def receive(self, data: bytes) -> None:
        """Take bytes in; `next_events` says what they mean."""
        self._buffer = self._buffer[self._pos :] + data if self._pos < len(self._buffer) else data
        self._pos = 0

    def next_events(self, now: float, max_requests: int) -> list[Event]:
        """What the received bytes say, until they end or have opened so many requests (see `has_input`)."""
        self._now = now
        self._requests = max_requests
        if not self.failed:
            try:
                if self._greeted or self._take_preface():
                    self._read_frames()
            except ConnectionFault as fault:
                self.fail(fault.code, str(fault))
        events, self._events = self._events, []
        return events

    @property
    def has_input(self) -> bool:
        """Whether there are whole frames that `next_events` has not read yet."""
        left = len(self._buffer) - self._pos
        if self.failed or left < frames.FRAME_HEADER_SIZE or not self._greeted:
            return False
        length = int.from_bytes(self._buffer[self._pos : self._pos + 3], "big")
        return left >= frames.FRAME_HEADER_SIZE + length or length > frames.DEFAULT_MAX_FRAME_SIZE

    def _take_preface(self) -> bool:
        preface = self._buffer[: len(frames.PREFACE)]
        if not frames.PREFACE.startswith(preface):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        if len(preface) < len(frames.PREFACE):
            return False
        if len(self._buffer) < len(preface) + frames.FRAME_HEADER_SIZE:
            return False
        if self._buffer[len(preface) + 3] != FrameType.SETTINGS:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the preface was not followed by SETTINGS")
        self._pos = len(preface)
        self._greeted = True
        return True

    def _read_frames(self) -> None:
        buffer, pos = self._buffer, self._pos
        end = len(buffer)
        left = _FRAMES_AT_ONCE
        while end - pos >= 9 and self._requests > 0 and left:
            left -= 1
            word, flags, stream_id = frames.FRAME_HEADER.unpack_from(buffer, pos)
            start = pos + 9
            length, kind = word >> 8, word & 0xFF
            if length > frames.DEFAULT_MAX_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            stop = start + length
            if stop > end:
                break
            if self._block_stream and kind != FrameType.CONTINUATION:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
            self._pos = pos = stop
            handle = self._HANDLERS.get(kind)
            if handle is not None:  # a frame of unknown type means nothing
                try:
                    handle(self, stream_id & 0x7FFFFFFF, flags, start, stop)
                except StreamFault as fault:
                    self._fault_stream(fault)
        if pos == end:
            self._buffer, self._pos = b"", 0

    def _fault_stream(self, fault: StreamFault) -> None:
        if not self._resets.take(self._now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many faults; the last: {fault}")
        stream = self.streams.get(fault.stream_id)
        if stream is not None:
            self._events.append(StreamEnded(stream, fault.code, by_client=False))
        self._reset_by_us(fault.stream_id, fault.code)

    # HEADERS and CONTINUATION.

    def _on_headers(self, stream_id: int, flags: int, start: int, stop: int) -> None:
        if flags & (frames.PADDED | frames.PRIORITY):
            start, stop = self._unpad(flags, start, stop)
            if flags & frames.PRIORITY:
                start = self._skip_priority(stream_id, start, stop)
        if flags & frames.END_HEADERS:
            self._take_block(stream_id, flags, self._buffer[start:stop])
            return
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        self._block = [self._buffer[start:stop]]
        self._block_stream, self._block_flags = stream_id, flags

    def _skip_priority(self, stream_id: int, start: int, stop: int) -> int:
        if stop - start < 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
        if frames.read_u32(self._buffer, start) & 0x7FFFFFFF == stream_id:
            # The block has to be decoded all the same, but a request that depends on itself is not worth the care.
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
        return start + 5

    def _on_continuation(self, stream_id: int, flags: int, start: int, stop: int) -> None:
        if stream_id == 0 or stream_id != self._block_stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        block = self._block
        block.append(self._buffer[start:stop])
        limits = self._limits
        if len(block) > limits.continuation_frames + 1 or sum(map(len, block)) > 2 * limits.header_list_size:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block in too many pieces")
        if flags & frames.END_HEADERS:
            self._block, self._block_stream = [], 0
            self._take_block(stream_id, self._block_flags, b"".join(block))

    def _take_block(self, stream_id: int, flags: int, encoded: bytes) -> None:
        try:
            block = self.decoder.decode(encoded)
        except Undecodable as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        except TooLarge as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, str(error)) from error
        ended = bool(flags & frames.END_STREAM)
        if stream_id > self._last_id and stream_id & 1:
            self._open(stream_id, block, ended)
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed_headers(stream_id)
        else:
            self._on_trailers(stream, block, ended)

    def _open(self, stream_id: int, block: Block, ended: bool) -> None:
        if stream_id > self._final_id:
            return  # RFC 9113, 6.8: after the final GOAWAY the client will ask somebody else
        self._last_id = stream_id
        head = block.request
        if head is None:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, block.problem or "malformed")
        if block.too_large or len(self.streams) >= self._limits.concurrent_streams:
            self._refuse(stream_id)
            return
        if not self._new_streams.take(self._now):
            self._refuse(stream_id)
            return
        stream = Stream(stream_id, head, self._now)
        if ended:
            self._end_remote(stream)
        self.streams[stream_id] = stream
        self._requests -= 1
        self._events.append(RequestReceived(stream, ended))

    def _refuse(self, stream_id: int) -> None:
        self.refused += 1
        self._reset_by_us(stream_id, ErrorCode.REFUSED_STREAM)

    def _on_trailers(self, stream: Stream, block: Block, ended: bool) -> None:
        if not stream.remote_open:
            raise StreamFault(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream")
        if not ended:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers that do not end the stream")
        try:
            check_trailers(block.pairs)
        except Malformed as problem:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, str(problem)) from problem
        self._end_remote(stream)
        self._events.append(DataReceived(stream, b"", ended=True))

    def _on_closed_headers(self, stream_id: int) -> None:
        if -stream_id in self._recent:
            return  # it was under way when we closed the stream
        if stream_id in self._recent:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"HEADERS on the closed stream {stream_id}")
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id} after {self._last_id}")

    # DATA.

    def _on_data(self, stream_id: int, flags: int, start: int, stop: int) -> None:
        size = stop - start  # flow control counts the padding too
        stream = self.streams.get(stream_id)
        if not self._window.take(size):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
        if stream is None:
            self._on_closed_data(stream_id, size)
            return
        if not stream.remote_open:
            self._give_back(size)
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA after the end of the stream")
        ended = flags & frames.END_STREAM
        window = stream.window
        if window is None and not ended:
            window = stream.window = ReceiveWindow(self._limits.stream_window)
        if size > self._limits.stream_window if window is None else not window.take(size):
            self._give_back(size)
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window")
        if flags & frames.PADDED:
            start, stop = self._unpad(flags, start, stop)
            self.release(stream, size - (stop - start))
        if start == stop and not ended and not self._empty_frames.take(self._now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many empty frames")
        if stream.expected is not None:
            self._count_body(stream, stop - start, ended=bool(ended))
        if ended:
            self._end_remote(stream)
        self._events.append(DataReceived(stream, self._buffer[start:stop], bool(ended)))

    def _on_closed_data(self, stream_id: int, size: int) -> None:
        if stream_id > self._last_id or not stream_id & 1:
            if stream_id > self._final_id:
                self._give_back(size)
                return
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"DATA on the idle stream {stream_id}")
        self._give_back(size)
        if -stream_id not in self._recent:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA on a closed stream")

    def _count_body(self, stream: Stream, size: int, *, ended: bool) -> None:
        assert stream.expected is not None
        stream.expected -= size
        if stream.expected < 0 or (ended and stream.expected):
            self._give_back(size)
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "the body is not as long as content-length says")

    def _end_remote(self, stream: Stream) -> None:
        if stream.expected:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "the body is not as long as content-length says")
        stream.remote_open = False
        if not stream.local_open:
            self._forget(stream)

    def release(self, stream: Stream, size: int) -> None:
        """Note that bytes of a request's body were used, so that the client may send as many again."""
        window = stream.window
        if window is not None and stream.remote_open:
            increment = window.release(size)
            if increment:
                self._send(frames.window_update_frame(stream.id, increment))
        self._give_back(size)

    def _give_back(self, size: int) -> None:
        increment = self._window.release(size)
        if increment:
            self._send(frames.window_update_frame(0, increment))

    def _unpad(self, flags: int, start: int, stop: int) -> tuple[int, int]:
        if not flags & frames.PADDED:
            return start, stop
        if start == stop or self._buffer[start] >= stop - start:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
        return start + 1, stop - self._buffer[start]

    def fail(self, code: ErrorCode, reason: str) -> None:
        """End the connection: say why, and take nothing more. The streams that were open are lost."""
        if self.failed:
            return
        self.failed = True
        self._buffer, self._pos = b"", 0
        self._send(frames.goaway_frame(self._last_id, code, reason.encode()[:128]))
        self._events.append(ConnectionFailed(code, reason))

    _HANDLERS: ClassVar[dict[int, FrameHandler]] = {
        **ControlFrames.HANDLERS,
        FrameType.DATA: _on_data,
        FrameType.HEADERS: _on_headers,
        FrameType.CONTINUATION: _on_continuation,
    }
