"""The server on real sockets: many streams, slow and hostile clients, time, and how it stops."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import socket
import tracemalloc
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio
import trio.testing
from grpclib.const import Status

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.transport import GrpcServer, Limits, frames
from controller.grpc.transport.connection import ServedConnection
from controller.grpc.transport.frames import ErrorCode
from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat
from tests.shell.grpc_transport.clients import FrameClient, bare, connected, request
from tests.shell.grpc_transport.serving import NAME, Served, Things, encoded, listening, serving
from tests.unit.grpc_transport.pair import framed, head

KEEP_QUIET = Limits(keepalive_seconds=None, idle_seconds=None)


def watch(client: FrameClient, count: int, first: int = 0) -> bytes:
    return b"".join(request(1 + 2 * number) for number in range(first, first + count))


# Many streams.


async def test_five_thousand_streams_on_one_connection(autojump_clock: trio.testing.MockClock) -> None:
    """All are opened and answered, one publication reaches all of them, and closing unsubscribes every one."""
    async with serving() as served:
        async with bare(served.port) as client:
            await client.hello()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.stream.send_all, watch(client, 5000))
                await client.until(lambda: len(client.messages) == 5000)
            statistics = served.server.statistics()
            for stream in served.things.published:
                stream.publish(encoded(3))
            await client.until(lambda: all(len(messages) == 2 for messages in client.messages.values()))
        with trio.fail_after(10):
            while served.things.published:  # noqa: ASYNC110  # thousands of unsubscriptions, no event for the last
                await trio.sleep(0.01)

    assert (statistics.connections, statistics.streams, statistics.header_blocks_decoded) == (1, 5000, 1)
    assert {messages[-1] for messages in client.messages.values()} == {encoded(3)}
    assert served.things.ended == 5000


async def test_opening_many_streams_delays_nobody(mock_clock: trio.testing.MockClock) -> None:
    """While 100 clients open 50 streams each at once, and each opening costs time, other tasks run all along."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        last = trio.current_time()
        while True:
            await trio.lowlevel.checkpoint()
            now = trio.current_time()
            longest, last = max(longest, now - last), now

    async with serving() as served, trio.open_nursery() as nursery:
        served.things.cost = lambda: mock_clock.jump(0.0001)
        nursery.start_soon(beat)

        async def open_fifty() -> None:
            async with bare(served.port) as client:
                await client.hello()
                await client.stream.send_all(watch(client, 50))
                await client.until(lambda: len(client.messages) == 50)

        async with trio.open_nursery() as clients:
            for _ in range(100):
                clients.start_soon(open_fifty)
        nursery.cancel_scope.cancel()

    assert served.things.opened == 5000
    assert longest < 0.05


# Slow clients.


async def test_a_client_that_does_not_read_costs_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """Its memory does not grow with what is published, and another client gets everything."""
    async with serving(KEEP_QUIET) as served, bare(served.port) as stalled, bare(served.port) as reader:
        await stalled.hello()
        await stalled.stream.send_all(watch(stalled, 200))
        await reader.hello()
        await reader.stream.send_all(watch(reader, 1))
        await reader.until(lambda: reader.messages.get(1))
        while len(served.things.published) < 201:
            await trio.lowlevel.checkpoint()
        other = next(stream for stream in served.things.published if stream.peer.endswith(port_of(reader)))
        stuck = [stream for stream in served.things.published if stream is not other]

        async def publish(rounds: int) -> None:
            for number in range(rounds):
                for stream in stuck:
                    stream.publish(bytes(10_000))  # two megabytes each time
                other.publish(b"%d" % number)
                await reader.until(lambda number=number: reader.messages[1][-1] == b"%d" % number)

        await publish(20)  # the kernel's buffers are full now
        gc.collect()
        tracemalloc.start()
        await publish(3)
        before = tracemalloc.get_traced_memory()[0]
        await publish(50)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        for stream in stuck:
            stream.publish(b"last")
        await stalled.until(lambda: all(stalled.messages.get(1 + 2 * n, [b""])[-1] == b"last" for n in range(200)))

    assert grown < 500_000


def port_of(client: FrameClient) -> str:
    return ":" + str(client.stream.socket.getsockname()[1])


async def test_a_client_that_does_not_read_is_not_read_from(autojump_clock: trio.testing.MockClock) -> None:
    """Pings that nobody collects the answers of do not pile up: the client's own sending stops."""
    limits = attrs.evolve(KEEP_QUIET, pings_burst=10**9)
    async with serving(limits) as served, bare(served.port) as client:
        await client.hello()
        flood = frames.ping_frame(b"12345678", ack=False) * 10_000
        sent = 0
        with trio.move_on_after(0.5):
            while True:
                await client.stream.send_all(flood)
                sent += len(flood)
        assert sent < 30_000_000

        async with connected(served.port) as other:
            stream_id = other.ask("Get", "ab")
            await other.until(lambda: other.responses[stream_id].ended)


# Hostile clients.


async def test_a_stalled_attacker_is_cut_off_too(autojump_clock: trio.testing.MockClock) -> None:
    """A client that broke a rule and does not read why is not waited for."""
    async with serving(KEEP_QUIET) as served, bare(served.port) as client:
        served.things.first = bytes(8_000_000)  # more than the buffers of both sockets hold
        await client.hello()
        await client.stream.send_all(watch(client, 200) + frames.window_update_frame(0, 0))
        while served.things.opened < 200:
            await trio.lowlevel.checkpoint()
        start = trio.current_time()
        await _no_connections(served)
        assert trio.current_time() - start < 1.1
        assert served.things.ended == 200


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(request(number) + frames.reset_frame(number, 8) for number in range(1, 4001, 2)),
        frames.ping_frame(b"x" * 8, ack=False) * 5000,
        frames.settings_frame({}) * 500,
        frames.frame_header(0, frames.FrameType.HEADERS, 0, 1)
        + frames.frame_header(0, frames.FrameType.CONTINUATION, 0, 1) * 500,
    ],
    ids=["resets", "pings", "settings", "continuations"],
)
async def test_floods_end_the_connection_and_nothing_else(flood: bytes) -> None:
    """The attacker is told to calm down and cut off; another client's stream goes on."""
    async with serving() as served, connected(served.port) as other:
        stream_id = other.ask("Watch")
        await other.until(lambda: other.responses[stream_id].body)
        async with bare(served.port) as attacker:
            await attacker.hello()
            with trio.fail_after(5):
                try:
                    await attacker.stream.send_all(flood)
                    while await attacker.read():
                        pass
                except trio.BrokenResourceError:
                    pass
        served.things.published[0].publish(encoded(2))
        await other.until(lambda: len(other.responses[stream_id].messages) == 2)

        assert [code for _, code in attacker.goaways] == [ErrorCode.ENHANCE_YOUR_CALM]
        assert served.server.statistics().faults == {"ENHANCE_YOUR_CALM": 1}


async def test_connections_are_limited(autojump_clock: trio.testing.MockClock) -> None:
    """More than so many from one address, or in all, are closed at once; when one ends another may come."""
    async with serving(Limits(connections_per_peer=2)) as served:
        async with connected(served.port) as one, connected(served.port) as two:
            for client in (one, two):
                stream_id = client.ask("Get")
                await client.until(lambda client=client, stream_id=stream_id: client.responses[stream_id].ended)
            async with connected(served.port) as three:
                await three.until_closed()
            assert served.server.statistics().refused_connections == 1
        await _no_connections(served)
        assert not served.server._peers  # type: ignore[attr-defined]  # addresses are not remembered for ever
        async with connected(served.port) as four:
            stream_id = four.ask("Get")
            await four.until(lambda: four.responses[stream_id].ended)
    async with serving(Limits(connections=0)) as served, connected(served.port) as none:
        await none.until_closed()


async def _no_connections(served: Served) -> None:
    with trio.fail_after(5):
        while served.server.statistics().connections:  # noqa: ASYNC110  # statistics have no event
            await trio.sleep(0.01)


async def test_strangers_are_turned_away() -> None:
    """An HTTP/1.1 client gets bytes that are no HTTP/1.1, and the connection ends."""
    async with serving() as served, connected_silently(served.port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(5):
            async for _ in stream:
                pass


async def test_a_server_out_of_descriptors_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    """Accepting fails for a while; it is tried again at a bearable pace, and clients that waited are served."""

    class Exhausted(socket.socket):
        failures = 3
        tried: list[float] = []  # noqa: RUF012

        def accept(self) -> tuple[socket.socket, object]:
            self.tried.append(trio.current_time())
            if len(self.tried) <= self.failures:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    listener = Exhausted()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    server = GrpcServer([Things().service()], draw=lambda: 0.5)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        async with connected(listener.getsockname()[1]) as client:
            stream_id = client.ask("Get")
            await client.until(lambda: client.responses[stream_id].ended)
        nursery.cancel_scope.cancel()

    first, *_, last = Exhausted.tried[:4]
    assert last - first == pytest.approx(0.3)


async def test_a_broken_listener_is_not_hidden() -> None:
    """An error that no waiting cures ends `serve`."""

    class Broken(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(errno.EBADF, "Bad file descriptor")

    listener = Broken()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    server = GrpcServer([Things().service()], draw=lambda: 0.5)
    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, [listener])
            async with connected(listener.getsockname()[1]) as client:
                await client.until_closed()


# Time.


async def test_a_client_that_never_speaks_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    """Without a preface a connection lasts as long as a handshake may take."""
    async with serving(Limits(handshake_seconds=3.0)) as served, connected_silently(served.port) as stream:
        start = trio.current_time()
        async for _ in stream:  # our own preface
            pass

    assert trio.current_time() - start == pytest.approx(3.0, abs=0.02)


@contextlib.asynccontextmanager
async def connected_silently(port: int) -> AsyncGenerator[trio.SocketStream]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield stream


async def test_a_quiet_client_is_asked(autojump_clock: trio.testing.MockClock) -> None:
    """A client that answers pings is kept for ever; one that does not is cut off after the timeout."""
    limits = Limits(keepalive_seconds=60.0, keepalive_timeout=20.0, idle_seconds=None)
    async with serving(limits) as served, connected(served.port) as lively, bare(served.port) as dead:
        stream_id = lively.ask("Watch")
        await lively.until(lambda: lively.responses[stream_id].body)
        await dead.hello()
        await dead.stream.send_all(watch(dead, 1))
        await dead.until(lambda: dead.messages)
        start = trio.current_time()
        with trio.move_on_after(100.0):
            await lively.until(lambda: False)
        while await dead.read():
            pass
        assert dead.pings == 1
        with trio.move_on_after(1000.0):
            await lively.until(lambda: False)
        served.things.published[0].publish(encoded(2))
        await lively.until(lambda: len(lively.responses[stream_id].messages) == 2)
        assert served.things.ended == 1

    assert trio.current_time() - start >= 1100.0


async def test_an_idle_client_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """Without any stream a connection ends politely after a while; with one it stays."""
    limits = Limits(idle_seconds=30.0, keepalive_seconds=None)
    async with serving(limits) as served, connected(served.port) as busy, connected(served.port) as idle:
        stream_id = busy.ask("Watch")
        await busy.until(lambda: busy.responses[stream_id].body)
        once = idle.ask("Get")
        await idle.until(lambda: idle.responses[once].ended)
        start = trio.current_time()
        await idle.until_closed()
        assert idle.last_streams == [2**31 - 1, once]
        assert trio.current_time() - start == pytest.approx(30.0, abs=1.1)
        with trio.move_on_after(300.0):
            await busy.until(lambda: False)
        busy.h2.reset_stream(stream_id)
        await busy.until_closed()

    assert busy.last_streams == [2**31 - 1, stream_id]


async def test_old_streams_end_with_ok(autojump_clock: trio.testing.MockClock) -> None:
    """Streams end when their drawn age is reached, and the connection goes on."""
    limits = attrs.evolve(KEEP_QUIET, stream_age_seconds=600.0, stream_age_jitter=0.5)
    async with serving(limits) as served, connected(served.port) as client:
        first = client.ask("Watch")
        await client.until(lambda: client.responses[first].body)
        start = trio.current_time()
        await client.until(lambda: client.responses[first].ended)
        took = trio.current_time() - start
        again = client.ask("Watch")
        await client.until(lambda: client.responses[again].body)

    assert client.responses[first].status is Status.OK
    assert took == pytest.approx(450.0, abs=1.1)


# Stopping.


async def test_draining_lets_calls_finish(autojump_clock: trio.testing.MockClock) -> None:
    """Published streams end with OK, running calls get their answer, nobody new is let in, and `serve` returns."""
    async with serving(KEEP_QUIET) as served, connected(served.port) as client:
        published, running = client.ask("Watch"), client.ask("Call", "sleep5")
        await client.until(lambda: client.responses[published].body)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drain, served, 20.0)
            await client.until(lambda: client.responses[published].ended)
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", served.port)
            await client.until(lambda: client.responses[running].ended)
            await client.until_closed()
            took = trio.current_time() - start

    assert [client.responses[stream_id].status for stream_id in (published, running)] == [Status.OK, Status.OK]
    assert client.last_streams == [2**31 - 1, running]
    assert took == pytest.approx(5.0, abs=0.1)


async def _drain(served: Served, seconds: float) -> None:
    await served.server.drain(deadline=trio.current_time() + seconds)


async def test_draining_ends_at_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """A stream with a task ends at once; a unary call that has not ended by then is cut off, its handler cancelled."""
    output = io.StringIO()
    with configured(LogFilter.parse("warn"), LogFormat.PLAIN, output=output):
        async with serving(KEEP_QUIET) as served, connected(served.port) as client:
            client.ask("Call", "sleep1000")
            echo = client.open(head("Echo"), framed(Ask()), end=False)
            await client.until(lambda: client.responses[echo].body)
            start = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_drain, served, 7.0)
                await client.until(lambda: client.responses[echo].ended)
                assert trio.current_time() == start
                await client.until_closed()
            took = trio.current_time() - start

    assert took == pytest.approx(7.0, abs=0.1)
    assert "cutting off what did not end in time connections=1 streams=1" in output.getvalue()
    assert client.responses[echo].status is Status.UNAVAILABLE
    assert served.things.cancelled == ["echo", "sleep1000"]
    assert served.server.statistics().connections == 0


async def test_draining_without_clients_is_over_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing to wait for."""
    async with serving() as served:
        start = trio.current_time()
        output = io.StringIO()
        with configured(LogFilter.parse("warn"), LogFormat.PLAIN, output=output):
            await _drain(served, 60.0)

        assert trio.current_time() == start
        assert not output.getvalue()


async def test_a_client_that_ignores_the_goodbye_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    """Once its calls are over it has a moment to hang up, and no more."""
    async with serving(KEEP_QUIET) as served, bare(served.port) as client:
        await client.hello()
        await client.stream.send_all(watch(client, 1))
        await client.until(lambda: client.messages)
        start = trio.current_time()
        await _drain(served, 60.0)
        took = trio.current_time() - start
        await client.until(lambda: len(client.goaways) == 2)

    assert client.ended == {1}
    assert took == pytest.approx(2.0, abs=0.1)


async def test_draining_before_a_client_has_spoken(autojump_clock: trio.testing.MockClock) -> None:
    """A connection that was accepted a moment ago does not keep the server from ending."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    server = GrpcServer([Things().service()], draw=lambda: 0.5)
    with theirs:
        async with trio.open_nursery() as nursery:
            connection = ServedConnection(ours, server._shared, server._rounds, nursery, peer="somebody")  # type: ignore[attr-defined]
            connection.drain()  # before its task has run
            nursery.start_soon(server._keep_time)  # type: ignore[attr-defined]
            nursery.start_soon(server._rounds.run)  # type: ignore[attr-defined]
            await connection.run()
            nursery.cancel_scope.cancel()

    assert trio.current_time() < 3.0


async def test_cancelling_the_server_ends_everything() -> None:
    """No socket stays open and every stream is unsubscribed."""
    things = Things()
    listener = listening()
    server = GrpcServer([things.service()], draw=lambda: 0.5)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        async with connected(listener.getsockname()[1]) as client:
            stream_id = client.ask("Watch")
            await client.until(lambda: client.responses[stream_id].body)
            nursery.cancel_scope.cancel()

    assert (things.ended, server.statistics().connections, listener.fileno()) == (1, 0, -1)


async def test_a_fault_of_ours_ends_one_connection() -> None:
    """If serving a client fails in a way that nobody foresaw, the others do not notice."""

    class Faulty:
        def for_method(self, *_: object) -> Faulty:
            return self

        def started(self) -> None:
            raise RuntimeError("not foreseen")

    async with serving(hooks=Faulty()) as served:  # type: ignore[arg-type]
        async with connected(served.port) as client:
            client.ask("Get")
            await client.until_closed()
        async with connected(served.port) as other:
            other.h2.ping(b"12345678")
            await other.until(lambda: any(hasattr(event, "ping_data") for event in other.events))


async def test_the_server_knows_what_it_offers() -> None:
    """Full names, each once, sorted."""
    async with serving() as served:
        assert served.server.services == (NAME,)
