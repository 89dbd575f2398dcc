"""Both ends of a connection in memory: ours, and h2's client as the referee."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs
import h2.config
import h2.connection
import h2.events
from google.protobuf.message import Message
from grpclib.const import Cardinality, Status

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from controller.grpc.transport import frames
from controller.grpc.transport.calls import CallConnection, Shared
from controller.grpc.transport.events import Event
from controller.grpc.transport.frames import FrameType
from controller.grpc.transport.headers import HeaderMemo
from controller.grpc.transport.http2 import Connection
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.services import NO_HOOKS, Hooks, Published, Publisher, Routes, Servable, Service, Unary
from controller.grpc.transport.timers import Timers

NAME = "test.Things"
AT_ONCE = 1 << 30


def framed(message: Message | bytes) -> bytes:
    """A message as it stands in a body."""
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return len(data).to_bytes(5, "big") + data


def frames_of(data: bytes) -> Iterator[bytes]:
    """Whole frames, one by one."""
    while data:
        size = frames.FRAME_HEADER_SIZE + int.from_bytes(data[:3], "big")
        yield data[:size]
        data = data[size:]


def head(method: str = "Get", **changes: str | None) -> list[tuple[str, str]]:
    """The fields that open a call; a change of `None` leaves one out. Names are written with `_` for `-` and `:`."""
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/{NAME}/{method}",
        ":authority": "policy:8090",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    for name, value in changes.items():
        plain = ":" + name[1:] if name.startswith("_") else name.replace("_", "-")
        fields[plain] = value
    return [(name, value) for name, value in fields.items() if value is not None]


@attrs.define
class Response:
    """What the client has seen of one stream."""

    head: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = attrs.field(factory=dict)
    ended: bool = False
    reset: int | None = None

    @property
    def messages(self) -> list[bytes]:
        """The messages in the body, which has to be made of whole ones."""
        found, rest = list[bytes](), self.body
        while rest:
            size = int.from_bytes(rest[:5], "big")
            assert len(rest) >= 5 + size, "a message is cut off"
            found.append(rest[5 : 5 + size])
            rest = rest[5 + size :]
        return found

    @property
    def status(self) -> Status | None:
        value = self.trailers.get("grpc-status", self.head.get("grpc-status"))
        return None if value is None else Status(int(value))


class Client:
    """h2's client, and what it has seen."""

    def __init__(self, *, validating: bool = True, acknowledging: bool = True) -> None:
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=validating,
            normalize_outbound_headers=validating,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.acknowledging = acknowledging
        self.responses: dict[int, Response] = {}
        self.events: list[h2.events.Event] = []
        self.goaways: list[int] = []
        self.last_streams: list[int] = []  # as polite goodbyes named them
        self.h2.initiate_connection()

    def open(self, fields: Sequence[tuple[str, str]] | None = None, body: bytes = b"", *, end: bool = True) -> int:
        """Send a request, as far as the window allows; returns its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        self.responses[stream_id] = Response()
        self.h2.send_headers(stream_id, fields or head(), end_stream=end and not body)
        pieces = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
        for piece in pieces:
            self.h2.send_data(stream_id, piece, end_stream=end and piece is pieces[-1])
        return stream_id

    def ask(self, method: str = "Get", name: str = "", **changes: str | None) -> int:
        """Send a whole call."""
        return self.open(head(method, **changes), framed(Ask(service=name)))

    def receive(self, data: bytes) -> None:
        for frame in frames_of(data):
            if frame[3] == FrameType.GOAWAY and frames.read_u32(frame, 13) == 0:
                # h2 takes any goodbye for the end of the connection; a polite one is not.
                self.last_streams.append(frames.read_u32(frame, 9))
                continue
            for event in self.h2.receive_data(frame):
                self.events.append(event)
                self._note(event)

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._response(event).head = dict(event.headers)
            case h2.events.DataReceived():
                self._response(event).body += event.data
                if self.acknowledging:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self._response(event).trailers = dict(event.headers)
            case h2.events.StreamEnded():
                self._response(event).ended = True
            case h2.events.StreamReset():
                self._response(event).reset = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaways.append(int(event.error_code or 0))
            case _:
                pass

    def _response(self, event: h2.events.Event) -> Response:
        return self.responses.setdefault(event.stream_id, Response())  # type: ignore[attr-defined]


class Http2Pair:
    """Our connection alone, with the client."""

    def __init__(self, limits: Limits | None = None, client: Client | None = None) -> None:
        self.limits = limits or Limits()
        self.server = Connection(self.limits, HeaderMemo(self.limits.header_list_size))
        self.client = client or Client()
        self.now = 0.0
        self.exchange()

    def feed(self, data: bytes) -> list[Event]:
        """Give bytes to our end; nothing goes back yet."""
        self.server.receive(data)
        found = self.server.next_events(self.now, AT_ONCE)
        while self.server.has_input:
            found += self.server.next_events(self.now, AT_ONCE)
        return found

    def exchange(self) -> list[Event]:
        """Let both ends talk until neither has anything to say. Returns what ours heard."""
        found: list[Event] = []
        while True:
            to_server = self.client.h2.data_to_send()
            found += self.feed(to_server)
            to_client = self.server.data_to_send()
            if not to_server and not to_client:
                return found
            self.client.receive(to_client)


@attrs.define(eq=False)
class Counts:
    """Hooks that remember."""

    started_calls: int = 0
    received_messages: int = 0
    sent_messages: int = 0
    statuses: list[Status] = attrs.field(factory=list)
    cancelled_calls: int = 0
    seconds: list[float] = attrs.field(factory=list)

    def for_method(self, _service: str, _method: str, _cardinality: Cardinality, /) -> Counts:
        return self

    def started(self) -> None:
        self.started_calls += 1

    def received(self) -> None:
        self.received_messages += 1

    def sent(self) -> None:
        self.sent_messages += 1

    def handled(self, status: Status, seconds: float) -> None:
        self.statuses.append(status)
        self.seconds.append(seconds)

    def cancelled(self, seconds: float) -> None:
        self.cancelled_calls += 1
        self.seconds.append(seconds)


@attrs.define(eq=False)
class Streams:
    """A service whose methods do what a test says."""

    get: Callable[[Ask], bytes | Answer] = lambda _: Answer(status=1)
    open: list[Publisher] = attrs.field(factory=list)
    first: bytes | None = b"first"
    unsubscribed: int = 0

    def watch(self, _: Ask, stream: Publisher) -> Callable[[], None]:
        self.open.append(stream)
        if self.first is not None:
            stream.publish(self.first)

        def unsubscribe() -> None:
            self.open.remove(stream)
            self.unsubscribed += 1

        return unsubscribe

    def offered(self) -> Service:
        return Service(
            NAME,
            unary={"Get": Unary(Ask, lambda ask: self.get(ask))},  # noqa: PLW0108  # a test may replace it later
            published={"Watch": Published(Ask, self.watch)},
        )


class CallPair:
    """Our calls on one connection, with the client."""

    def __init__(
        self,
        *services: Servable,
        limits: Limits | None = None,
        hooks: Hooks = NO_HOOKS,
        client: Client | None = None,
        watch: Callable[[Ask, Publisher], Callable[[], None]] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.streams = Streams()
        self.counts = Counts()
        offered = self.streams.offered()
        if watch is not None:
            offered = attrs.evolve(offered, published={"Watch": Published(Ask, watch)})
        self.timers = Timers(lambda: None)
        self.faults: list[tuple[str, Exception]] = []
        self.shared = Shared(
            routes=Routes([offered, *services], self.counts if hooks is NO_HOOKS else hooks),
            limits=self.limits,
            timers=self.timers,
            memo=HeaderMemo(self.limits.header_list_size),
            draw=lambda: 0.5,
            report=lambda what, error: self.faults.append((what, error)),
        )
        self.woken = 0
        self.server = CallConnection(self.shared, peer="10.0.0.1:4321", wake=self._wake)
        self.client = client or Client()
        self.now = 0.0
        self.exchange()

    def _wake(self) -> None:
        self.woken += 1

    def exchange(self) -> None:
        """Let both ends talk until neither has anything to say."""
        while True:
            to_server = self.client.h2.data_to_send()
            if to_server:
                self.server.receive(to_server)
            self.server.advance(self.now, AT_ONCE)
            while self.server.has_input:
                self.server.advance(self.now, AT_ONCE)
            to_client = self.server.data_to_send(self.now, AT_ONCE)
            if not to_server and not to_client:
                return
            self.client.receive(to_client)

    def call(self, method: str = "Get", name: str = "", **changes: str | None) -> Response:
        """Make a call, and return all that came of it at once."""
        stream_id = self.client.ask(method, name, **changes)
        self.exchange()
        return self.client.responses[stream_id]
