"""What a call costs the gRPC transport: without sockets beside the h2 library, and with sockets in CPU of the process.

The h2 side does only what HTTP/2 demands: it knows neither methods nor messages, deadlines nor limits.
"""

from __future__ import annotations

import gc
import resource
import selectors
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

import h2.config
import h2.connection
import h2.events
import trio

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.transport import NO_HOOKS, GrpcServer, Limits, Published, Publisher, Service, Unary, frames
from controller.grpc.transport.calls import CallConnection, Shared
from controller.grpc.transport.frames import FrameType, Setting
from controller.grpc.transport.headers import HeaderMemo
from controller.grpc.transport.services import Routes
from controller.grpc.transport.timers import Timers

CONNECTIONS, STREAMS = 100, 50  # streams per connection
TOTAL = CONNECTIONS * STREAMS
ANSWER = b"\x0a\xfe\x07" + bytes(1021)  # a kilobyte
CALLS = 20_000
HELLO = (
    frames.PREFACE
    + frames.settings_frame({Setting.INITIAL_WINDOW_SIZE: 1 << 20})
    + frames.window_update_frame(0, 1 << 30)
)


def request(stream_id: int, method: bytes) -> bytes:
    """A call as proxies send it: a header block that repeats, and one small message."""
    path = b"/bench.Policy/" + method
    block = b"\x83\x86\x04" + bytes((len(path),)) + path + b"\x01\x0bpolicy:8090\x0f\x10\x10application/grpc"
    block += b"\x00\x02te\x08trailers"
    message = Ask(service='{"ns":"emojivoto","pod":"web-5f86686c4d-mdwr9"}').SerializeToString()
    body = len(message).to_bytes(5, "big") + message
    head = frames.frame_header(len(block), FrameType.HEADERS, frames.END_HEADERS, stream_id)
    return head + block + frames.frame_header(len(body), FrameType.DATA, frames.END_STREAM, stream_id) + body


def requests(method: bytes, count: int) -> bytes:
    return b"".join(request(1 + 2 * number, method) for number in range(count))


class Policy:
    """A service that answers with a kilobyte."""

    def __init__(self) -> None:
        self.open: dict[Publisher, None] = {}

    def watch(self, _: Ask, stream: Publisher) -> Callable[[], None]:
        self.open[stream] = None
        stream.publish(ANSWER)
        return lambda: self.open.pop(stream)

    def offered(self) -> Service:
        return Service(
            "bench.Policy",
            unary={"Get": Unary(Ask, lambda _: ANSWER)},
            published={"Watch": Published(Ask, self.watch)},
        )


# Without sockets.


def shared(policy: Policy) -> Shared:
    limits = Limits(new_streams_burst=1_000_000)
    return Shared(
        routes=Routes([policy.offered()], NO_HOOKS),
        limits=limits,
        timers=Timers(lambda: None),
        memo=HeaderMemo(limits.header_list_size),
        draw=lambda: 0.5,
        report=lambda _, error: sys.exit(f"a handler failed: {error!r}"),
    )


def talk(connection: CallConnection, data: bytes) -> int:
    """Feed bytes as a socket would bring them; returns how many came back."""
    sent = 0
    for at in range(0, len(data), 65_536):
        connection.receive(data[at : at + 65_536])
        connection.advance(1.0, 16)
        sent += len(connection.data_to_send(1.0, 262_144))
        while connection.has_input or connection.has_output:
            connection.advance(1.0, 16)
            sent += len(connection.data_to_send(1.0, 262_144))
    return sent


def timed(action: Callable[[], object]) -> float:
    gc.collect()
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1e6


def ours() -> dict[str, float]:
    policy = Policy()
    common = shared(policy)
    connections = [CallConnection(common, peer="bench", wake=lambda: None) for _ in range(CONNECTIONS)]
    for connection in connections:
        talk(connection, HELLO)
    opening, calling = requests(b"Watch", STREAMS), requests(b"Get", 1000)
    found = {"open": timed(lambda: [talk(connection, opening) for connection in connections]) / TOTAL}

    def broadcast() -> None:
        for _ in range(10):
            for stream in policy.open:
                stream.publish(ANSWER)
            for connection in connections:
                while connection.has_output:
                    connection.data_to_send(2.0, 262_144)

    found["broadcast"] = timed(broadcast) / TOTAL / 10
    callers = [CallConnection(common, peer="bench", wake=lambda: None) for _ in range(5)]
    for connection in callers:
        talk(connection, HELLO)
    found["unary"] = timed(lambda: [talk(connection, calling) for connection in callers]) / 5000
    return found


def library() -> dict[str, float]:
    """The same frames through h2."""

    def made() -> h2.connection.H2Connection:
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_inbound_headers=False, validate_outbound_headers=False
        )
        connection = h2.connection.H2Connection(config)
        connection.update_settings({3: 10_000})
        connection.initiate_connection()
        connection.receive_data(HELLO + frames.SETTINGS_ACK)
        connection.data_to_send()
        return connection

    def answer(connection: h2.connection.H2Connection, data: bytes, *, end: bool) -> None:
        for at in range(0, len(data), 65_536):
            for event in connection.receive_data(data[at : at + 65_536]):
                if isinstance(event, h2.events.DataReceived) and event.stream_id is not None:
                    connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                    connection.send_headers(
                        event.stream_id, [(b":status", b"200"), (b"content-type", b"application/grpc")]
                    )
                    connection.send_data(event.stream_id, len(ANSWER).to_bytes(5, "big") + ANSWER)
                    if end:
                        connection.send_headers(event.stream_id, [(b"grpc-status", b"0")], end_stream=True)
            connection.data_to_send()

    connections = [made() for _ in range(CONNECTIONS)]
    opening, calling = requests(b"Watch", STREAMS), requests(b"Get", 1000)
    found = {"open": timed(lambda: [answer(c, opening, end=False) for c in connections]) / TOTAL}

    def broadcast() -> None:
        body = len(ANSWER).to_bytes(5, "big") + ANSWER
        for connection in connections:
            for number in range(STREAMS):
                connection.send_data(1 + 2 * number, body)
            connection.data_to_send()

    found["broadcast"] = timed(broadcast) / TOTAL
    caller = made()
    found["unary"] = timed(lambda: answer(caller, calling, end=True)) / 1000
    return found


def stream_bytes() -> float:
    """Memory that a published stream costs, its owner's share included."""
    policy = Policy()
    connection = CallConnection(shared(policy), peer="bench", wake=lambda: None)
    talk(connection, HELLO + requests(b"Watch", 100))
    more = requests(b"Watch", 5100)[len(requests(b"Watch", 100)) :]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    talk(connection, more)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / 5000


# With sockets: the client is a process of its own.


def client(port: int, mode: str) -> None:
    """Open the streams, or make the calls; says each time that all have been answered once more."""
    chosen = selectors.DefaultSelector()
    count = CONNECTIONS if mode == "watch" else 20
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(HELLO + (requests(b"Watch", STREAMS) if mode == "watch" else requests(b"Get", 5)))
        chosen.register(sock, selectors.EVENT_READ, [b"", 11])
    answered = 0
    goal = TOTAL if mode == "watch" else CALLS
    while True:
        for key, _ in chosen.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            data = sock.recv(1 << 18)
            if not data:
                return
            done = take(key.data, data, FrameType.DATA if mode == "watch" else FrameType.HEADERS)
            answered += done
            if mode == "call" and done:
                first = key.data[1]
                key.data[1] += 2 * done
                sock.sendall(b"".join(request(first + 2 * n, b"Get") for n in range(done)))
            if answered >= goal:
                answered -= goal
                print("all", flush=True)


def take(state: list[object], data: bytes, kind: int) -> int:
    """Count messages, or ends of calls, in what arrived."""
    buffer = state[0] + data  # type: ignore[operator]
    at, done = 0, 0
    while len(buffer) - at >= 9:
        word, flags, _ = frames.FRAME_HEADER.unpack_from(buffer, at)
        if len(buffer) - at < 9 + (word >> 8):
            break
        done += word & 0xFF == kind and (kind == FrameType.DATA or bool(flags & frames.END_STREAM))
        at += 9 + (word >> 8)
    state[0] = buffer[at:]
    return done


class Clock:
    """CPU and longest stall of this process between two looks."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._cpu = time.process_time()

    def cpu(self) -> float:
        used, self._cpu = time.process_time() - self._cpu, time.process_time()
        return used * 1e6

    async def watch_stalls(self) -> None:
        while True:
            last = time.perf_counter()
            await trio.sleep(0.005)
            self.longest = max(self.longest, time.perf_counter() - last - 0.005)


async def served() -> dict[str, float]:
    policy, found, clock = Policy(), dict[str, float](), Clock()
    server = GrpcServer([policy.offered()], draw=lambda: 0.5)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        before = resident()
        nursery.start_soon(clock.watch_stalls)
        async with Talker(port, "watch") as talker:
            await talker.all_answered()
            found["socket open"] = clock.cpu() / TOTAL
            found["stall"] = clock.longest * 1e3
            found["resident"] = (resident() - before) / TOTAL
            for _ in range(10):
                for stream in policy.open:
                    stream.publish(ANSWER)
                await talker.all_answered()
            found["socket broadcast"] = clock.cpu() / TOTAL / 10
        async with Talker(port, "call") as talker:
            await talker.all_answered()
            clock.cpu()
            await talker.all_answered()
            found["socket unary"] = clock.cpu() / CALLS
        nursery.cancel_scope.cancel()
    return found


class Talker:
    """The client's process."""

    def __init__(self, port: int, mode: str) -> None:
        self._command = [sys.executable, "-m", "tests.bench.transport", str(port), mode]

    async def __aenter__(self) -> Talker:
        self._process = await trio.lowlevel.open_process(self._command, stdout=subprocess.PIPE)
        return self

    async def all_answered(self) -> None:
        assert self._process.stdout is not None
        with trio.fail_after(60):
            if not await self._process.stdout.receive_some(4):
                sys.exit("the client has ended")

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()


def resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123  # one line, in a measurement
        return int(file.read().split()[1]) * resource.getpagesize()


def rows() -> Iterator[str]:
    mine, theirs, over = ours(), library(), trio.run(served)
    yield f"  {'without sockets':44}{'ours':>10}{'h2':>10}{'ratio':>8}"
    for key, text in {
        "open": "stream opened and answered, µs",
        "broadcast": f"1 KB to each of {TOTAL} streams, µs",
        "unary": "unary call, µs",
    }.items():
        yield f"  {text:44}{mine[key]:10.2f}{theirs[key]:10.2f}{mine[key] / theirs[key]:8.3f}"
    yield f"  {'memory of a published stream, bytes':44}{stream_bytes():10.0f}"
    yield f"  with sockets, {CONNECTIONS} connections with {STREAMS} streams each; calls: 20 connections, 5 in flight"
    yield f"  {'stream opened and answered, CPU µs':44}{over['socket open']:10.2f}"
    yield f"  {'longest stall of the loop meanwhile, ms':44}{over['stall']:10.1f}"
    yield f"  {'resident memory of each, connection included':44}{over['resident']:10.0f}"
    yield f"  {f'1 KB to each of {TOTAL} streams, CPU µs':44}{over['socket broadcast']:10.2f}"
    yield f"  {'unary call, CPU µs':44}{over['socket unary']:10.2f}"


def main(words: list[str]) -> None:
    if words:
        client(int(words[0]), words[1])
        return
    for row in rows():
        print(row)


if __name__ == "__main__":
    main(sys.argv[1:])
