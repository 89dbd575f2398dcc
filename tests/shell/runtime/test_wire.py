"""What the HTTP library gets of a connection, and what is kept for us."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpcore
import pytest
import trio
import trio.testing

from controller.runtime.endpoint import Pem, TlsSettings
from controller.runtime.errors import Unavailable
from controller.runtime.http_body import ChunkedBody, OpenBody
from controller.runtime.watch_body import WatchBody
from controller.runtime.wire import HeadStream, TcpStream, TlsStream, TrioNetwork
from tests.shell.runtime.loopback import Authority, Received, always, answer, serving
from tests.shell.runtime.test_client import CHUNKED, chunk, client_for

HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"


@attrs.define
class Scripted:
    """Brings some pieces, one for each read, and then says that the other side has closed."""

    pieces: list[bytes]
    closed: bool = False

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.pieces.pop(0) if self.pieces else b""

    async def send_all(self, data: bytes) -> None:
        raise AssertionError(data)

    async def aclose(self) -> None:
        self.closed = True


async def heads(*pieces: bytes, size: int = 1000) -> tuple[bytes, bytes]:
    """Read like the library, until a head is complete; return the head and what is left for us."""
    stream = HeadStream(Scripted([piece for piece in pieces if piece]))
    head = b""
    while b"\n\r\n" not in head and b"\n\n" not in head:
        got = await stream.read(size)
        assert len(got) <= size
        head += got
    rest = b""
    while data := await stream.receive():
        rest += data
    return head, rest


# runtime W19
@pytest.mark.parametrize("position", range(len(HEAD) + 5))
async def test_a_head_cut_anywhere(position: int) -> None:
    """The library gets exactly the head, and we get exactly what follows, wherever the reads are cut."""
    wire = HEAD + b"\r\n\r\nbody"
    assert await heads(wire[:position], wire[position:]) == (HEAD, b"\r\n\r\nbody")
    assert await heads(*(wire[at : at + 1] for at in range(len(wire)))) == (HEAD, b"\r\n\r\nbody")


async def test_heads_in_small_reads() -> None:
    """A library that reads little at a time gets no more than it asked for."""
    assert await heads(HEAD + b"body", size=3) == (HEAD, b"body")


async def test_bare_line_ends() -> None:
    """Heads whose lines end without carriage returns are heads."""
    assert await heads(b"HTTP/1.1 200 OK\nA: b\n\n\nbody") == (b"HTTP/1.1 200 OK\nA: b\n\n", b"\nbody")


async def test_one_head_after_another() -> None:
    """An interim answer is a head of its own."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    stream = HeadStream(Scripted([interim + HEAD + b"body"]))
    assert await stream.read(1000) == interim
    assert await stream.read(1000) == HEAD
    assert await stream.receive() == b"body"


# -- bodies of watches --


def watch_body(*pieces: bytes, idle: float = 10.0) -> tuple[WatchBody, list[None]]:
    counted: list[None] = []
    stream = HeadStream(Scripted(list(pieces)))
    return WatchBody(stream, ChunkedBody(), "watching x", idle, lambda: counted.append(None)), counted


async def test_what_arrived_together_comes_together() -> None:
    """Chunks of one read are one piece, and an end within it is the end."""
    body, counted = watch_body(chunk(b"a\n") + chunk(b"b\n"), chunk(b"c\n") + b"0\r\n\r\n", b"never read")
    assert [await body.receive() for _ in range(4)] == [b"a\nb\n", b"c\n", b"", b""]
    assert len(counted) == 2


@pytest.mark.parametrize("pieces", [[b"5\r\nab"], [chunk(b"ab\n")], [b"nonsense\r\n"]])
async def test_bodies_that_break_off(pieces: list[bytes]) -> None:
    """A body that is not complete, or makes no sense, is a lost connection."""
    # runtime W20
    body, _ = watch_body(*pieces)
    with pytest.raises(Unavailable) as caught:
        while await body.receive():
            pass
    assert caught.value.reason == "lost"


async def test_idle_time_counts_from_the_last_byte(autojump_clock: trio.testing.MockClock) -> None:
    """Any byte shows that the connection lives, even one that brings nothing."""
    # runtime W21

    @attrs.define
    class Slow(Scripted):
        async def receive_some(self) -> bytes:
            await trio.sleep(8.0 if self.pieces else 1000.0)
            return await super().receive_some()

    stream = HeadStream(Slow([b"3", b"\r\na", b"b\n\r", b"\n"]))
    body = WatchBody(stream, ChunkedBody(), "watching x", 10.0, lambda: None)
    assert await body.receive() == b"a"
    assert await body.receive() == b"b\n"
    with pytest.raises(Unavailable) as caught:
        await body.receive()
    assert (caught.value.reason, trio.current_time()) == ("idle", 32.0 + 10.0)


async def test_a_body_without_length() -> None:
    """Where only the end of the connection ends a body, that is a good end."""
    body = WatchBody(HeadStream(Scripted([b"a\n"])), OpenBody(), "watching x", 10.0, lambda: None)
    assert [await body.receive() for _ in range(2)] == [b"a\n", b""]


# -- TLS --


@asynccontextmanager
async def tls_pair(folder: Path) -> AsyncIterator[tuple[TlsStream, trio.SSLStream[trio.SocketStream]]]:
    """Our stream, and Trio's own on the other side of it."""
    authority = Authority.make()
    context = ssl.create_default_context(cadata=authority.pem.decode())
    theirs: list[trio.SSLStream[trio.SocketStream]] = []
    done = trio.Event()

    async def accept(stream: trio.SocketStream) -> None:
        wrapped = trio.SSLStream(
            stream, authority.server_context(folder, "127.0.0.1"), server_side=True, https_compatible=True
        )
        await wrapped.do_handshake()
        theirs.append(wrapped)
        await done.wait()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, accept, 0)
        transport = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
        ours = await TlsStream.connect(TcpStream(transport), context, "127.0.0.1")
        await trio.testing.wait_all_tasks_blocked()
        try:
            yield ours, theirs[0]
        finally:
            await ours.aclose()
            nursery.cancel_scope.cancel()


async def test_both_ways(tmp_path: Path) -> None:
    """Megabytes go through in both directions, whole."""
    data = bytes(range(256)) * 20_000
    async with tls_pair(tmp_path) as (ours, theirs):
        received = b""

        async def pull() -> None:
            nonlocal received
            while len(received) < len(data):
                received += await theirs.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pull)
            await ours.send_all(data)
        assert received == data
        received = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.send_all, data)
            while len(received) < len(data):
                received += await ours.receive_some()
        assert received == data


async def test_records_that_arrived_together_are_read_together(tmp_path: Path) -> None:
    """Many small records are one read, and cost one turn of the loop."""
    async with tls_pair(tmp_path) as (ours, theirs):
        for number in range(200):
            await theirs.send_all(b"%03d" % number)
        received, reads = b"", 0
        while len(received) < 600:
            received += await ours.receive_some()
            reads += 1
        assert received == b"".join(b"%03d" % number for number in range(200))
        assert reads < 50


@pytest.mark.parametrize("goodbye", [True, False])
async def test_the_other_side_closes(tmp_path: Path, goodbye: bool) -> None:
    """A connection ends, with a goodbye or without; what came before it is not lost."""
    async with tls_pair(tmp_path) as (ours, theirs):
        await theirs.send_all(b"last words")
        if goodbye:
            with trio.move_on_after(1), pytest.raises(trio.BrokenResourceError):
                await theirs.unwrap()
                raise trio.BrokenResourceError
        await theirs.transport_stream.aclose()
        received = [await ours.receive_some() for _ in range(3)]
        assert received == [b"last words", b"", b""]


async def test_nonsense_instead_of_records(tmp_path: Path) -> None:
    """What is no TLS is a failure, and not an end."""
    async with tls_pair(tmp_path) as (ours, theirs):
        await theirs.transport_stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n" * 10)
        with pytest.raises(ssl.SSLError):
            await ours.receive_some()


# -- through the library --


async def test_a_watch_with_tls(tmp_path: Path) -> None:
    """A watch over TLS brings its events, and a lost connection is said to be one."""
    authority = Authority.make()

    async def handle(_received: Received, stream: trio.abc.Stream) -> bool:
        await stream.send_all(CHUNKED + chunk(b"one\n"))
        await stream.send_all(chunk(b"two\n") + b"5\r\nthr")
        return False

    settings = TlsSettings(authorities=Pem(data=authority.pem))
    context = authority.server_context(tmp_path, "127.0.0.1")
    async with serving(handle, context) as server, client_for(server.url, tls=settings) as client:
        async with client.watch("/x", {}, idle=5) as body:
            assert isinstance(body, WatchBody)
            got = b""
            with pytest.raises(Unavailable) as caught:
                while data := await body.receive():
                    got += data
        assert got == b"one\ntwo\nthr"
        assert caught.value.reason == "lost"


async def test_nobody_there() -> None:
    """A refused connection and a handshake that fails are what the library expects them to be."""
    async with serving(always(answer())) as server:
        stream = await TrioNetwork().connect_tcp("127.0.0.1", server.port, timeout=5)
        await stream.write(b"GET / HTTP/1.1\r\n\r\n", timeout=5)
        with pytest.raises(httpcore.ConnectError) as caught:
            await stream.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=5)
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        await server.wait_connections(0)
    with pytest.raises(httpcore.ConnectError):
        await TrioNetwork().connect_tcp("127.0.0.1", server.port, timeout=5)


async def test_time_limits(autojump_clock: trio.testing.MockClock) -> None:
    """The library's time limits hold."""

    class Silent(Scripted):
        async def receive_some(self) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        async def send_all(self, _data: bytes) -> None:
            await trio.sleep_forever()

    with pytest.raises(httpcore.ReadTimeout):
        await HeadStream(Silent([])).read(10, timeout=3)
    with pytest.raises(httpcore.WriteTimeout):
        await HeadStream(Silent([])).write(b"x", timeout=4)
    silent = Silent([])
    with pytest.raises((httpcore.ConnectTimeout, httpcore.ConnectError)):
        await HeadStream(silent).start_tls(ssl.create_default_context(), "x", timeout=5)
    assert silent.closed
    assert trio.current_time() == 12.0
