"""The frames of HTTP/2 that carry no request: settings, windows, pings, resets, goodbyes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from controller.grpc.transport import frames
from controller.grpc.transport.events import ClientLeaving, Event, PingAcknowledged, StreamEnded, WindowOpened
from controller.grpc.transport.faults import ConnectionFault, StreamFault
from controller.grpc.transport.frames import ErrorCode, FrameType, Setting
from controller.grpc.transport.limits import Limits, TokenBucket
from controller.grpc.transport.sending import Sender

# A method of the connection: takes the stream, the flags, and where the payload begins and ends.
FrameHandler: TypeAlias = "Callable[[Any, int, int, int, int], None]"


class ControlFrames(Sender):
    """Takes these frames from `_buffer`, between the given positions, and adds what they say to `_events`."""

    __slots__ = (
        "_buffer",
        "_empty_frames",
        "_events",
        "_largest_credit",
        "_limits",
        "_now",
        "_pings",
        "_resets",
        "_settings",
    )

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._buffer = b""
        self._events: list[Event] = []
        self._now = 0.0
        self._largest_credit = 0  # no stream has more, perhaps all have less
        self._resets = TokenBucket(limits.resets_per_second, limits.resets_burst)
        self._pings = TokenBucket(limits.pings_per_second, limits.pings_burst)
        self._settings = TokenBucket(limits.settings_per_second, limits.settings_burst)
        self._empty_frames = TokenBucket(limits.empty_frames_per_second, limits.empty_frames_burst)

    def _on_priority(self, stream_id: int, _flags: int, start: int, stop: int) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if stop - start != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {stop - start} bytes")
        if frames.read_u32(self._buffer, start) & 0x7FFFFFFF == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
        if not self._empty_frames.take(self._now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many PRIORITY frames")

    def _on_reset(self, stream_id: int, _flags: int, start: int, stop: int) -> None:
        if stop - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {stop - start} bytes")
        self._check_used(stream_id, "RST_STREAM")
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if self._now - stream.opened < self._limits.rapid_seconds and not self._resets.take(self._now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "streams are opened and reset too fast")
        self._events.append(StreamEnded(stream, frames.read_u32(self._buffer, start), by_client=True))
        self._forget(stream)

    def _on_settings(self, stream_id: int, flags: int, start: int, stop: int) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if (stop - start) % 6 or (flags & frames.ACK and stop != start):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {stop - start} bytes")
        if not self._settings.take(self._now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many SETTINGS frames")
        if flags & frames.ACK:
            return
        for setting, value in frames.read_settings(self._buffer[start:stop]):
            self._apply_setting(setting, value)
        self._send(frames.SETTINGS_ACK)

    def _apply_setting(self, setting: int, value: int) -> None:
        if setting == Setting.INITIAL_WINDOW_SIZE:
            self._change_initial_window(value)
        elif setting == Setting.MAX_FRAME_SIZE:
            if not frames.DEFAULT_MAX_FRAME_SIZE <= value <= frames.LARGEST_MAX_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE {value}")
            self.max_frame_size = value
        elif setting == Setting.HEADER_TABLE_SIZE:
            self._table_limited = True
        elif setting == Setting.ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH {value}")

    def _change_initial_window(self, value: int) -> None:
        if value > frames.MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE {value}")
        if value + self._largest_credit > frames.MAX_WINDOW:
            self._largest_credit = max((stream.credit for stream in self.streams.values()), default=0)
            if value + self._largest_credit > frames.MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window became too large")
        grown = value > self.initial_window
        self.initial_window = value
        if grown:
            self._events.append(WindowOpened(None))

    def _on_push_promise(self, _stream_id: int, _flags: int, _start: int, _stop: int) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _on_ping(self, stream_id: int, flags: int, start: int, stop: int) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if stop - start != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {stop - start} bytes")
        if not self._pings.take(self._now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many PING frames")
        payload = self._buffer[start:stop]
        if flags & frames.ACK:
            self._events.append(PingAcknowledged(payload))
        else:
            self._send(frames.ping_frame(payload, ack=True))

    def _on_goaway(self, stream_id: int, _flags: int, start: int, stop: int) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if stop - start < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {stop - start} bytes")
        code = frames.read_u32(self._buffer, start + 4)
        self._events.append(ClientLeaving(code, self._buffer[start + 8 : stop]))

    def _on_window_update(self, stream_id: int, _flags: int, start: int, stop: int) -> None:
        if stop - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {stop - start} bytes")
        increment = frames.read_u32(self._buffer, start) & 0x7FFFFFFF
        if stream_id == 0:
            if increment == 0:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self.send_window += increment
            if self.send_window > frames.MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window became too large")
            return  # what waits for it is sent after every input anyway
        self._check_used(stream_id, "WINDOW_UPDATE")
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if increment == 0:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        stream.credit += increment
        self._largest_credit = max(self._largest_credit, stream.credit)
        if self.initial_window + stream.credit > frames.MAX_WINDOW:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window became too large")
        self._events.append(WindowOpened(stream))

    def _check_used(self, stream_id: int, what: str) -> None:
        if (stream_id > self._last_id and stream_id <= self._final_id) or not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on the idle stream {stream_id}")

    HANDLERS: ClassVar[dict[int, FrameHandler]] = {
        FrameType.PRIORITY: _on_priority,
        FrameType.RST_STREAM: _on_reset,
        FrameType.SETTINGS: _on_settings,
        FrameType.PUSH_PROMISE: _on_push_promise,
        FrameType.PING: _on_ping,
        FrameType.GOAWAY: _on_goaway,
        FrameType.WINDOW_UPDATE: _on_window_update,
    }
