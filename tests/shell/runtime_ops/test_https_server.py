"""The HTTPS server over real sockets, and what of it holds for plain HTTP too."""

from __future__ import annotations

import gc
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import h2.config
import h2.connection
import h2.events
import pytest
import trio
import trio.testing
from cryptography import x509
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from controller.runtime.certs import CertificateError, CertificateFiles
from controller.runtime.http_server import HttpLimits, serve_http
from controller.runtime.https_server import LIMITS, HttpsMetrics, serve_https
from controller.runtime.listen import SocketAddress, bind

from .certificates import RSA, Folder, certificate, ec_key, pem


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the protocol and what it was sent; `/slow` takes three seconds for it, `/broken` fails."""
    request = Request(scope, receive)
    body = await request.body()
    if request.url.path == "/slow":
        await trio.sleep(3)
    if request.url.path == "/broken":
        raise ValueError("broken")
    answer: Response = JSONResponse({"http": scope["http_version"], "scheme": scope["scheme"], "size": len(body)})
    await answer(scope, receive, send)


@attrs.frozen
class Server:
    address: SocketAddress
    folder: Folder
    registry: CollectorRegistry
    stopping: trio.Event

    async def connect(self, *alpn: str, **options: Any) -> trio.SSLStream[trio.SocketStream]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
        for name, value in options.items():
            setattr(context, name, value)
        stream = await trio.open_tcp_stream("127.0.0.1", self.address.port)
        secure = trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secure

    async def certificate_name(self) -> str:
        async with await self.connect() as stream:
            leaf = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
            return str(leaf.subject.rfc4514_string())

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def serving(folder: Folder, *, limits: HttpLimits = LIMITS, grace: float = 10.0) -> AsyncIterator[Server]:
    registry = CollectorRegistry()
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_https,
            echo,
            bind(SocketAddress.of("127.0.0.1", 0), name="webhook"),
            CertificateFiles(folder.key, folder.certs),
            metrics=HttpsMetrics.register(registry),
            limits=limits,
            wait_stopping=stopping.wait,
            grace=grace,
        )
        address = await nursery.start(serve)
        yield Server(address, folder, registry, stopping)
        nursery.cancel_scope.cancel()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.put(pem(RSA), certificate(RSA))
    return folder


def request(path: str = "/", body: bytes = b"", *, size: int | None = None, close: bool = True) -> bytes:
    connection = "close" if close else "keep-alive"
    length = len(body) if size is None else size
    return (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\ncontent-length: {length}\r\n\r\n".encode()
        + body
    )


async def connect(address: SocketAddress) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", address.port)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def read_answer(stream: trio.abc.ReceiveStream) -> tuple[bytes, dict[str, Any]]:
    """One answer of a connection that stays open."""
    received = b""
    while not received.endswith(b"}"):
        received += await stream.receive_some()
    head, _, body = received.partition(b"\r\n\r\n")
    return head, json.loads(body)


def status(answer: bytes) -> int:
    return int(answer.split()[1])


# runtime S4
@pytest.mark.parametrize(("alpn", "chosen"), [((), None), (("http/1.1",), "http/1.1"), (("x", "http/1.1"), "http/1.1")])
async def test_http1_is_spoken_to_whoever_wants_it(folder: Folder, alpn: tuple[str, ...], chosen: str | None) -> None:
    """By ALPN, or without it."""
    async with serving(folder) as server, await server.connect(*alpn) as stream:
        assert stream.selected_alpn_protocol() == chosen
        await stream.send_all(request(body=b"12345"))
        answer = await read_all(stream)

    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"http": "1.1", "scheme": "https", "size": 5}


# runtime S4
async def test_http2_is_spoken_to_whoever_prefers_it(folder: Folder) -> None:
    """Offered both, the server takes h2; a connection that is slow to ask again stays."""
    async with serving(folder) as server, await server.connect("h2", "http/1.1") as stream:
        assert stream.selected_alpn_protocol() == "h2"
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        connection.initiate_connection()
        for number in (1, 3):
            headers = [(":method", "POST"), (":path", "/"), (":scheme", "https"), (":authority", "x")]
            connection.send_headers(number, headers)
            connection.send_data(number, b"123", end_stream=True)
            await stream.send_all(connection.data_to_send())
            body, ended = b"", False
            while not ended:
                for event in connection.receive_data(bytes(await stream.receive_some())):
                    body += event.data if isinstance(event, h2.events.DataReceived) else b""
                    ended |= isinstance(event, h2.events.StreamEnded)
                await stream.send_all(connection.data_to_send())
            assert json.loads(body) == {"http": "2", "scheme": "https", "size": 3}


# runtime S4
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_old_tls_is_refused(folder: Folder) -> None:
    """TLS 1.1 is not spoken, 1.2 is; the refusal is counted."""
    async with serving(folder) as server:
        await (await server.connect(maximum_version=ssl.TLSVersion.TLSv1_2)).aclose()
        with pytest.raises(trio.BrokenResourceError):
            await server.connect(minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1)
        await trio.testing.wait_all_tasks_blocked()
        assert server.sample("server_tls_handshake_errors_total") == 1


# runtime S3
async def test_a_rotated_certificate_serves_the_next_connection(folder: Folder) -> None:
    """After the swap of a Secret's link the next connection sees the new one; a broken one is not used."""
    names = list[str]()
    other = ec_key()
    async with serving(folder) as server, await server.connect() as old:
        names.append(await server.certificate_name())
        folder.put(pem(other), certificate(other, "two", days=5))
        names.append(await server.certificate_name())
        expiry = server.sample("server_tls_cert_not_after_seconds")
        folder.put(pem(RSA), certificate(other, "three"))
        names.append(await server.certificate_name())
        folder.put(pem(RSA), certificate(RSA, "four"))
        names.append(await server.certificate_name())
        await old.send_all(request())
        assert status(await read_all(old)) == 200
        counts = [server.sample("server_tls_reload_total", result=result) for result in ("success", "error")]
        assert (server.sample("server_tls_cert_not_after_seconds") or 0) > (expiry or 0) > 0

    assert names == ["CN=one", "CN=two", "CN=two", "CN=four"]
    assert counts == [2, 1]


async def test_without_a_certificate_it_does_not_start(folder: Folder) -> None:
    """The first pair has to be good, and the socket is given back."""
    folder.put(pem(RSA), b"")
    sock = bind(SocketAddress.of("127.0.0.1", 0), name="webhook")

    with pytest.raises(CertificateError, match="holds none"):
        await serve_https(
            echo,
            sock,
            CertificateFiles(folder.key, folder.certs),
            metrics=HttpsMetrics.register(CollectorRegistry()),
        )

    assert sock.fileno() == -1


# runtime S5
async def test_a_handshake_that_stalls_is_given_up(folder: Folder, socket_clock: object) -> None:
    """After ten seconds; others are served meanwhile."""
    async with serving(folder) as server, await connect(server.address) as stalled:
        await server.certificate_name()
        assert await read_all(stalled) == b""
        assert trio.current_time() == pytest.approx(10, abs=0.01)
        assert server.sample("server_tls_handshake_errors_total") == 1


# runtime S5
async def test_a_stalled_handshake_does_not_delay_the_end(folder: Folder, socket_clock: object) -> None:
    """It has no request to finish, so at the latest the grace period ends it."""
    async with serving(folder, grace=1) as server, await connect(server.address) as stalled:
        await trio.testing.wait_all_tasks_blocked()
        server.stopping.set()
        assert await read_all(stalled) == b""
        assert trio.current_time() == pytest.approx(1, abs=0.01)


# runtime S5
async def test_a_slow_header_is_cut_off(folder: Folder, socket_clock: object) -> None:
    """Five seconds from its first byte on, also when the connection had been idle for a minute before."""
    async with serving(folder) as server, await server.connect() as stream:
        await stream.send_all(request(close=False))
        await read_answer(stream)
        await trio.sleep(100)  # the API server keeps connections for 90 seconds
        await stream.send_all(request(close=False))
        await read_answer(stream)
        await trio.sleep(60)
        begun = trio.current_time()
        await stream.send_all(b"POST / HT")
        assert await read_all(stream) == b""
        assert trio.current_time() - begun == pytest.approx(5, abs=0.01)


async def test_an_idle_connection_is_closed_in_the_end(folder: Folder, socket_clock: object) -> None:
    """After two minutes: longer than the API server keeps one."""
    async with serving(folder) as server, await server.connect() as stream:
        await stream.send_all(request(close=False))
        await read_answer(stream)
        begun = trio.current_time()
        assert await read_all(stream) == b""
        assert trio.current_time() - begun == pytest.approx(120, abs=0.01)


# runtime S5
async def test_a_slow_body_is_answered(folder: Folder, socket_clock: object) -> None:
    """408 after thirty seconds, and the connection ends."""
    async with serving(folder) as server, await server.connect() as stream:
        await stream.send_all(request(body=b"123", size=10))
        answer = await read_all(stream)
        assert trio.current_time() == pytest.approx(30, abs=0.01)

    assert status(answer) == 408


# runtime S5
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_is_answered(folder: Folder, chunked: bool) -> None:
    """413 as soon as that is known: from the announced length, or when too much has come."""
    limits = attrs.evolve(LIMITS, body_size=1000)
    async with serving(folder, limits=limits) as server, await server.connect() as stream:
        if chunked:
            await stream.send_all(
                b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001
            )
        else:
            await stream.send_all(request(size=1001))
        answer = await read_all(stream)

    assert status(answer) == 413


async def test_the_largest_body_fits(folder: Folder) -> None:
    """What is allowed is read."""
    body = b"x" * LIMITS.body_size
    async with serving(folder) as server, await server.connect() as stream:
        await stream.send_all(request(body=body))
        answer = await read_all(stream)

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["size"] == len(body)


# runtime S6
async def test_an_application_that_fails_is_a_500(folder: Folder) -> None:
    """Never a dropped connection: the caller's failure policy decides."""
    async with serving(folder) as server, await server.connect() as stream:
        await stream.send_all(request("/broken"))
        answer = await read_all(stream)

    assert status(answer) == 500


# runtime S7
async def test_a_request_in_progress_finishes(folder: Folder, socket_clock: object) -> None:
    """After the stop: it is answered and its connection closes; idle ones close at once; new ones are refused."""
    async with serving(folder) as server, await server.connect() as busy, await server.connect() as idle:
        await idle.send_all(request(close=False))
        await read_answer(idle)
        await busy.send_all(request("/slow", close=False))
        await trio.sleep(1)
        server.stopping.set()
        assert await read_all(idle) == b""
        assert trio.current_time() == pytest.approx(1, abs=0.01)
        with pytest.raises(OSError, match="all attempts to connect"):
            await connect(server.address)
        answer = await read_all(busy)
        assert trio.current_time() == pytest.approx(3, abs=0.01)

    assert status(answer) == 200


# runtime S7
async def test_a_request_that_takes_too_long_is_cut(folder: Folder, socket_clock: object) -> None:
    """The grace period is for all of them."""
    async with serving(folder, grace=1) as server, await server.connect() as busy:
        await busy.send_all(request("/slow"))
        await trio.sleep(0.5)
        server.stopping.set()
        assert await read_all(busy) == b""
        assert trio.current_time() == pytest.approx(1.5, abs=0.01)


async def test_a_connection_that_its_client_closed_is_let_go(socket_clock: object) -> None:
    """At once, and not when it would have been idle for too long."""
    async with serving_plain(attrs.evolve(LIMITS, keep_alive=1000)) as address:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        async with await connect(address) as stream:
            await stream.send_all(request(close=False))
            await read_answer(stream)
        await trio.sleep(1)

        assert trio.lowlevel.current_statistics().tasks_living == before


# runtime S8
async def test_connections_leave_nothing_behind() -> None:
    """After a thousand connections there are as many tasks and objects as after ten."""
    async with serving_plain(HttpLimits()) as address:

        async def ask(times: int) -> None:
            for _ in range(times):
                async with await connect(address) as stream:
                    await stream.send_all(request())
                    assert status(await read_all(stream)) == 200
            await trio.testing.wait_all_tasks_blocked()

        def alive() -> tuple[int, int]:
            gc.collect()
            return trio.lowlevel.current_statistics().tasks_living, len(gc.get_objects()) // 1000

        await ask(10)
        before = alive()
        await ask(1000)

        assert alive() == before


async def test_connections_beyond_the_limit_wait() -> None:
    """They are served as soon as others have ended."""
    async with serving_plain(HttpLimits(connections=2)) as address, trio.open_nursery() as nursery:
        first, second = [await connect(address) for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked()
        async with await connect(address) as third:
            await third.send_all(request())
            await trio.testing.wait_all_tasks_blocked()
            answers = list[bytes]()

            async def read() -> None:
                answers.append(await read_all(third))

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert answers == []
            await first.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert [status(answer) for answer in answers] == [200]
        await second.aclose()


async def test_a_reader_that_stops_is_given_up(socket_clock: object) -> None:
    """An answer that nobody takes does not hold its connection, nor the end of the server."""

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"x" * 50_000_000)(scope, receive, send)

    async with serving_plain(HttpLimits(), endless) as address, await connect(address) as stream:
        await stream.send_all(request())
        await trio.sleep(31)
        assert len(await read_to_the_end(stream)) < 50_000_000


async def read_to_the_end(stream: trio.abc.ReceiveStream) -> bytes:
    received = bytearray()
    try:
        async for chunk in stream:
            received += chunk
    except trio.BrokenResourceError:
        pass
    return bytes(received)


@asynccontextmanager
async def serving_plain(limits: HttpLimits, app: Callable[..., Any] = echo) -> AsyncIterator[SocketAddress]:
    async with trio.open_nursery() as nursery:
        sock = bind(SocketAddress.of("127.0.0.1", 0), name="test")
        yield await nursery.start(partial(serve_http, app, sock, limits=limits))
        nursery.cancel_scope.cancel()
