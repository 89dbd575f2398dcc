"""Anything at all from a client: the connection ends with a reason, or stays in order."""

from __future__ import annotations

from collections.abc import Callable

import hpack
from grpclib.const import Cardinality, Handler, Status
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from controller.grpc.transport import frames
from controller.grpc.transport.call import TaskCall
from controller.grpc.transport.calls import CallConnection
from controller.grpc.transport.frames import FrameType
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.services import Publisher
from tests.unit.grpc_transport.pair import NAME, CallPair, framed, frames_of, head


class Chat:
    async def run(self, _: object) -> None:
        raise AssertionError("nobody runs it here")

    def __mapping__(self) -> dict[str, Handler]:
        return {f"/{NAME}/Chat": Handler(self.run, Cardinality.STREAM_STREAM, Ask, Answer)}


def blocks() -> list[bytes]:
    """Header blocks that mean something, and some that do not."""
    encoder = hpack.Encoder()
    found = [encoder.encode(head(method)) for method in ("Get", "Watch", "Chat", "Nothing") for _ in range(2)]
    found += [encoder.encode(head("Watch", grpc_timeout="1S")), encoder.encode(head("Get", content_length="5"))]
    found += [encoder.encode(head(_method="GET")), encoder.encode([("x-trailer", "1")])]
    return [*found, b"", b"\x80", b"\x3f\xff\xff\x01", b"\xbe", b"\x00\x01A\x01a"]


_messages = st.sampled_from(
    [framed(b""), framed(Ask(service="abc")), framed(b"\xff"), b"\x01\0\0\0\0", framed(b"x" * 99)]
)
_bodies = st.builds(lambda parts, cut: b"".join(parts)[cut:], st.lists(_messages, max_size=3), st.integers(0, 3))
_settings = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([0, 1, 2, 100, 65_535, 16_384, 2**31 - 1, 2**31, 2**32 - 1])),
    max_size=3,
).map(lambda pairs: b"".join(a.to_bytes(2, "big") + b.to_bytes(4, "big") for a, b in pairs))
_numbers = st.sampled_from([0, 1, 8, 100, 65_535, 2**31 - 1, 2**32 - 1]).map(lambda number: number.to_bytes(4, "big"))
_payloads = {
    FrameType.DATA: _bodies,
    FrameType.HEADERS: st.sampled_from(blocks()),
    FrameType.CONTINUATION: st.sampled_from(blocks()),
    FrameType.SETTINGS: _settings,
    FrameType.RST_STREAM: _numbers,
    FrameType.WINDOW_UPDATE: _numbers,
    FrameType.PING: st.just(b"leaving!") | st.binary(min_size=8, max_size=8),
    FrameType.GOAWAY: st.binary(min_size=8, max_size=12),
    FrameType.PRIORITY: st.binary(min_size=5, max_size=5),
}
_flags = st.sampled_from([0, 1, 4, 5, 5, 5, 8, 9, 0x20, 0x25, 0xFF])
_streams = st.sampled_from([0, 1, 1, 3, 3, 5, 7, 9, 2, 2**31 - 1, 2**32 - 1])


@st.composite
def _frame(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([*_payloads, FrameType.HEADERS, FrameType.DATA, FrameType.PUSH_PROMISE, 0x42]))
    payload = draw(_payloads.get(kind, st.binary(max_size=20)) if draw(st.integers(0, 9)) else st.binary(max_size=20))
    return frames.frame_header(len(payload), kind, draw(_flags), draw(_streams)) + payload


class Talker:
    """Turns a plan into bytes of a client that mostly knows the protocol."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()
        self._opened: list[int] = []
        self._next_id = 1

    def say(self, what: str, which: int, body: bytes, *, end: bool) -> bytes:
        stream_id = self._opened[which % len(self._opened)] if self._opened else 1
        flag = frames.END_STREAM if end else 0
        match what:
            case "open" | "call":
                stream_id, self._next_id = self._next_id, self._next_id + 2
                self._opened.append(stream_id)
                fields = head(*_CALLS[which % len(_CALLS)][:1], **_CALLS[which % len(_CALLS)][1])
                opened = self._frame(FrameType.HEADERS, 4, stream_id, self._encoder.encode(fields))
                if what == "open":
                    return opened
                return opened + self._frame(FrameType.DATA, 1, stream_id, framed(Ask(service="abc")))
            case "data":
                return self._frame(FrameType.DATA, flag, stream_id, body)
            case "padded":
                return self._frame(FrameType.DATA, flag | 8, stream_id, b"\x03" + body + b"\0\0\0")
            case "trailers":
                return self._frame(FrameType.HEADERS, 5, stream_id, self._encoder.encode([("x-sum", "1")]))
            case "reset":
                return frames.reset_frame(stream_id, which)
            case "update":
                return frames.window_update_frame(stream_id if end else 0, 1 + which * 100)
            case "window":
                return frames.settings_frame({frames.Setting.INITIAL_WINDOW_SIZE: which * 20})
            case "ping":
                return frames.ping_frame(b"leaving!", ack=end)
            case _:
                return body

    @staticmethod
    def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
        return frames.frame_header(len(payload), kind, flags, stream_id) + payload


_CALLS: list[tuple[str, dict[str, str | None]]] = [
    ("Watch", {}),
    ("Chat", {}),
    ("Get", {}),
    ("Watch", {"grpc_timeout": "1S"}),
    ("Chat", {"grpc_timeout": "1S"}),
    ("Get", {"grpc_timeout": "10m"}),
    ("Get", {"content_length": "10"}),
    ("Get", {"_method": "GET"}),
    ("Nothing", {}),
]
_WORDS = ["open", "call", "call", "data", "data", "data", "padded", "trailers", "reset"]
_WORDS += ["update", "update", "window", "ping"]
_plan = st.tuples(st.sampled_from(_WORDS), st.integers(0, 9), _bodies, st.booleans())
_noise = st.tuples(st.just("noise"), st.just(0), _frame() | st.binary(max_size=30), st.just(False))
_plans = st.lists(st.one_of(*[_plan] * 12, _noise), max_size=60)


class Watched:
    """A connection whose every word and deed is checked."""

    def __init__(self) -> None:
        self.subscribed = self.unsubscribed = 0
        self.publishers: list[Publisher] = []
        self.tasks: list[TaskCall] = []
        self.over: set[int] = set()  # streams that we have ended
        self.said_goodbye = False
        limits = Limits(
            concurrent_streams=5, message_size=200, buffered_bytes=500, stream_window=300, connection_window=70_000
        )
        self.pair = CallPair(Chat(), limits=limits, watch=self._watch)

    @property
    def server(self) -> CallConnection:
        return self.pair.server

    def _watch(self, _: Ask, stream: Publisher) -> Callable[[], None]:
        self.subscribed += 1
        self.publishers.append(stream)
        stream.publish(b"first")

        def unsubscribe() -> None:
            self.unsubscribed += 1

        return unsubscribe

    def take(self, data: bytes, quota: int) -> None:
        self.server.receive(data)
        while True:
            self.server.advance(self.pair.now, quota)
            self.tasks += self.server.take_started()
            self.check()
            if not self.server.has_input:
                return

    def check(self) -> None:
        while self.server.has_output:
            for frame in frames_of(self.server.data_to_send(self.pair.now, 500)):
                self._check_frame(frame)
        assert self.server.streams <= 5
        assert (self.server.failure is not None) <= self.said_goodbye

    def _check_frame(self, frame: bytes) -> None:
        word, flags, stream_id = frames.FRAME_HEADER.unpack_from(frame)
        kind = word & 0xFF
        assert len(frame) == 9 + (word >> 8) <= 9 + 16_384
        assert not self.said_goodbye, "nothing comes after the last goodbye"
        if kind == FrameType.GOAWAY and frames.read_u32(frame, 13):
            self.said_goodbye = True
        if kind in (FrameType.DATA, FrameType.HEADERS, FrameType.WINDOW_UPDATE):
            assert stream_id not in self.over, "nothing comes after the end of a stream"
        if kind in (FrameType.DATA, FrameType.HEADERS) and flags & 1:
            self.over.add(stream_id)

    def meddle(self, choice: int) -> None:
        """What handlers and publishers may do at any time."""
        if self.publishers:
            publisher = self.publishers[choice % len(self.publishers)]
            publisher.end(Status.OK) if choice % 5 == 0 else publisher.publish(b"x" * (choice * 7))
        if self.tasks:
            task = self.tasks[choice % len(self.tasks)]
            task.take_message()
            task.send(b"y" * choice)
            if choice % 7 == 0:
                task.finish(Status.OK)
        if choice == 13:
            self.server.drain()
        if choice == 14:
            self.server.leave()
        self.pair.now += choice / 20
        self.pair.timers.expire(self.pair.now)

    def finish(self) -> None:
        broken = self.server.failure is not None
        self.server.close(self.pair.now)
        counts = self.pair.counts
        assert self.subscribed == self.unsubscribed
        assert counts.started_calls == len(counts.statuses) + counts.cancelled_calls
        assert self.server.streams == 0
        assert len(self.pair.timers) == 0
        assert self.pair.faults == []
        # Looks inside: nothing is kept, and no byte of the client's window is lost.
        assert not self.server._blocked  # type: ignore[attr-defined]
        assert self.server._buffered == 0  # type: ignore[attr-defined]
        assert broken or self.server._http2._window.held == 0  # type: ignore[attr-defined]


@given(_plans, st.lists(st.integers(0, 20), max_size=60), st.integers(1, 3))
@settings(deadline=None, max_examples=300)
def test_nothing_that_a_client_sends_gets_us_out_of_order(
    plans: list[tuple[str, int, bytes, bool]], choices: list[int], quota: int
) -> None:
    """Every call ends once and is counted once, nothing is sent that must not be, and nothing is kept or lost."""
    watched, talker = Watched(), Talker()
    steps = iter(choices)
    for what, which, body, end in plans:
        said = talker.say(what, which, body, end=end)
        cut = next(steps, 0)
        watched.take(said[:cut], quota)
        watched.take(said[cut:], quota)
        watched.meddle(next(steps, 1))
        watched.check()
    watched.finish()


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_bytes_that_are_no_protocol_end_the_connection(noise: bytes) -> None:
    """A stranger's first bytes get a goodbye, or we wait for the rest of a preface."""
    watched = Watched()
    watched.pair.server = CallConnection(watched.pair.shared, peer="stranger", wake=lambda: None)
    watched.take(noise, 1)

    if not frames.PREFACE.startswith(noise[:24]):
        assert watched.server.failure is not None
