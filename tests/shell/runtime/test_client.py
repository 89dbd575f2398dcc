"""Requests as they go over the wire, and what comes of the answers."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import socket
import struct
from pathlib import Path

import attrs
import httpx
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from prometheus_client import CollectorRegistry

from controller.runtime.client import KubeClient, Limits
from controller.runtime.client_metrics import ClientMetrics
from controller.runtime.clock import Clock
from controller.runtime.credentials import ClientCertificate, Fixed, TokenFile
from controller.runtime.endpoint import BadConfiguration, Endpoint, Impersonation, Pem, TlsSettings
from controller.runtime.errors import (
    Absent,
    Expired,
    Forbidden,
    KubernetesError,
    Refused,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from controller.runtime.exchange import Http
from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat
from tests.shell.runtime.loopback import Authority, Received, always, answer, serving
from tests.shell.runtime.scripted import virtual_clock

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def client_for(
    url: str, registry: CollectorRegistry | None = None, limits: Limits | None = None, **parts: object
) -> KubeClient:
    metrics = None if registry is None else ClientMetrics.register(registry, url)
    endpoint = Endpoint(server=url, **parts)  # type: ignore[arg-type]
    return KubeClient(endpoint, clock=virtual_clock(), metrics=metrics, limits=limits or Limits())


async def listed(client: KubeClient, path: str, params: dict[str, str]) -> bytes:
    async with client.list_page(path, params) as body:
        return await body.read()


async def test_a_plain_request() -> None:
    """A request says who we are and what we want, and gets its answer."""
    # runtime C21
    async with (
        serving(always(answer(b'{"ok":1}'))) as server,
        client_for(server.url, credentials=Fixed.token(" abc\n")) as client,
    ):
        assert await client.get("/version") == b'{"ok":1}'
    (received,) = server.received
    assert (received.method, received.target) == ("GET", "/version")
    assert received.header("authorization") == "Bearer abc"
    assert received.header("accept") == "application/json"
    assert (received.header("user-agent") or "").startswith("trellis (linux/")
    assert received.header("accept-encoding") == "gzip"


# runtime C11
@pytest.mark.parametrize(
    ("suffix", "target"),
    [("", "/api/v1/pods"), ("/", "/api/v1/pods"), ("/k8s/c-1", "/k8s/c-1/api/v1/pods"), ("/k8s/", "/k8s/api/v1/pods")],
)
async def test_a_server_with_a_path(suffix: str, target: str) -> None:
    """A path in the server's URL comes before every path."""
    async with serving(always(answer())) as server, client_for(server.url + suffix) as client:
        await listed(client, "/api/v1/pods", {})
        async with client.watch("/api/v1/pods", {"watch": "true"}, idle=5) as body:
            await body.receive()
    assert [received.target for received in server.received] == [target, f"{target}?watch=true"]


async def test_parameters_are_encoded() -> None:
    """Selectors and tokens arrive as they were meant."""
    # runtime C24
    async with serving(always(answer())) as server, client_for(server.url) as client:
        await listed(client, "/x", {"labelSelector": "a in (b,c),d=é&f", "continue": "ab+/="})
    query = httpx.URL(server.received[0].target).params
    assert dict(query) == {"labelSelector": "a in (b,c),d=é&f", "continue": "ab+/="}


async def test_impersonation() -> None:
    """Every request says in whose name it comes."""
    # runtime C14
    impersonation = Impersonation(
        user="jane", groups=("dev", "ops"), uid="7", extra=(("Scopes/X", "view"), ("Scopes/X", "edit"))
    )
    async with serving(always(answer())) as server, client_for(server.url, impersonation=impersonation) as client:
        await client.get("/x")
    (received,) = server.received
    assert received.header("impersonate-user") == "jane"
    assert received.all("impersonate-group") == ["dev", "ops"]
    assert received.header("impersonate-uid") == "7"
    assert received.all("impersonate-extra-scopes%2fx") == ["view", "edit"]


async def test_lists_are_compressed_and_watches_are_not() -> None:
    """A list may come compressed; a watch must not be delayed by a compressor."""
    # runtime C21
    packed = gzip.compress(b'{"items":[]}' * 1000)
    async with serving(always(answer(packed, headers="Content-Encoding: gzip\r\n"))) as server:
        async with client_for(server.url) as client:
            assert await listed(client, "/x", {}) == b'{"items":[]}' * 1000
            async with client.watch("/x", {}, idle=5) as body:
                assert await body.receive() == packed
        async with client_for(server.url, compression=False) as client:
            await listed(client, "/x", {})
    assert [received.header("accept-encoding") for received in server.received] == ["gzip", "identity", "identity"]


async def test_connections() -> None:
    """Ordinary requests share a connection; each watch has one of its own, which it takes along when it ends."""

    async def handle(received: Received, stream: trio.abc.Stream) -> bool:
        if "watch" in received.target:
            await stream.send_all(CHUNKED + chunk(b"one\n"))
            assert await stream.receive_some() == b""  # the client closes
            return False
        await stream.send_all(answer())
        return True

    async with serving(handle) as server, client_for(server.url) as client:
        for _ in range(3):
            await client.get("/x")
        assert server.connections == 1
        async with client.watch("/watch", {}, idle=5) as first, client.watch("/watch", {}, idle=5) as second:
            assert [await first.receive(), await second.receive()] == [b"one\n", b"one\n"]
            await client.get("/x")
            assert server.connections == 3
        await server.wait_connections(1)


# runtime C22
@pytest.mark.parametrize(
    ("response", "error", "text"),
    [
        (answer(b'{"kind":"Status","code":410,"reason":"Expired","message":"old"}', code=410), Expired, "old (410)"),
        (answer(b"<html>", code=403), Forbidden, "<html> (403)"),
        (answer(b"", code=404), Absent, "without a body (404)"),
        (answer(b"x" * 100_000, code=503), Unavailable, "xxx"),
        (answer(b"", code=302, headers="Location: /elsewhere\r\n"), Refused, "(302)"),
        (answer(b"", code=429, headers="Retry-After: 3\r\n"), Throttled, "(429)"),
    ],
)
async def test_answers_that_are_errors(response: bytes, error: type[KubernetesError], text: str) -> None:
    """The status decides before anything is read, for lists, watches and all else."""
    # runtime W17
    async with serving(always(response)) as server, client_for(server.url) as client:
        for ask in (listed(client, "/x", {}), client.send("GET", "/x")):
            with pytest.raises(error) as caught:
                await ask
            assert text in caught.value.message
        with pytest.raises(error):
            async with client.watch("/x", {}, idle=5):
                pytest.fail("an error is no stream")
        if error is Throttled:
            assert caught.value.retry_after == 3.0
        assert len(server.received) == 3, "redirects are not followed"


async def test_retry_after_a_date() -> None:
    """Retry-After may be a date, which counts from now."""
    response = answer(b"", code=503, headers="Retry-After: Thu, 01 Jan 2026 01:00:00 GMT\r\n")
    clock = Clock(trio.current_time, lambda: dt.datetime(2026, 1, 1, 0, 59, 30, tzinfo=dt.UTC))
    async with serving(always(response)) as server, KubeClient(Endpoint(server=server.url), clock=clock) as client:
        with pytest.raises(Unavailable) as caught:
            await client.get("/x")
    assert caught.value.retry_after == 30.0


async def test_refused_credentials_are_refreshed_once() -> None:
    """A request that is refused is sent again with fresh credentials, once."""

    async def handle(received: Received, stream: trio.abc.Stream) -> bool:
        good = received.header("authorization") == "Bearer second"
        await stream.send_all(answer() if good else answer(b"", code=401))
        return True

    @attrs.define
    class Renewed:
        tokens: list[str]

        async def authorization(self) -> str | None:
            return f"Bearer {self.tokens[0]}"

        async def refresh(self) -> None:
            self.tokens.pop(0)

        def certificate(self) -> ClientCertificate | None:
            return None

    async with serving(handle) as server:
        async with client_for(server.url, credentials=Renewed(["first", "second"])) as client:
            await client.get("/x")
        async with client_for(server.url, credentials=Renewed(["first", "worse", "second"])) as client:
            with pytest.raises(Unauthenticated):
                await client.get("/x")
    assert len(server.received) == 4


async def test_a_server_that_is_not_there() -> None:
    """A refused connection says so in plain words."""
    async with serving(always(answer())) as server:
        pass
    async with client_for(server.url) as client:
        with pytest.raises(Unavailable) as caught:
            await client.get("/x")
    assert caught.value.reason == "connect"
    assert "Connection refused" in caught.value.message


@pytest.mark.parametrize("aborts", [True, False], ids=["reset", "end"])
async def test_a_server_that_hangs_up_within_the_handshake(aborts: bool) -> None:
    """A dying server is out of reach; only one that we disagree with about TLS needs an operator."""

    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if aborts:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, hang_up, 0)
        port = listeners[0].socket.getsockname()[1]
        async with tls_client(f"https://127.0.0.1:{port}", TlsSettings(insecure=True)) as client:
            with pytest.raises(Unavailable) as asked:
                await client.get("/x")
            with pytest.raises(Unavailable) as watched:
                async with client.watch("/x", {}, idle=5):
                    pytest.fail("nobody answered")
        nursery.cancel_scope.cancel()

    for caught in (asked.value, watched.value):
        assert caught.reason == "connect"
        assert "did not complete" not in caught.message


async def test_bodies_that_break_off() -> None:
    """A list that breaks off is no list; a watch that breaks off says so after what it brought."""

    async def handle(received: Received, stream: trio.abc.Stream) -> bool:
        await stream.send_all(CHUNKED + chunk(b"one\n") + b"20\r\nhalf of")
        return False

    async with serving(handle) as server, client_for(server.url) as client:
        with pytest.raises(Unavailable) as caught:
            await listed(client, "/x", {})
        assert caught.value.reason == "lost"
        async with client.watch("/x", {}, idle=5) as body:
            got = await body.receive()
            with pytest.raises(Unavailable) as caught:
                while data := await body.receive():
                    got += data
        assert got.startswith(b"one\n")
        assert caught.value.reason == "lost"


async def test_a_watch_that_ends_well() -> None:
    """The end of a stream is no bytes, and stays so."""
    async with (
        serving(always(CHUNKED + chunk(b"one\n") + chunk(b"two\n") + b"0\r\n\r\n")) as server,
        client_for(server.url) as client,
        client.watch("/x", {}, idle=5) as body,
    ):
        got = b""
        while data := await body.receive():
            got += data
        assert got == b"one\ntwo\n"
        assert await body.receive() == b""


async def test_a_list_that_never_ends() -> None:
    """An answer that is longer than anything sensible is given up."""

    async def handle(_received: Received, stream: trio.abc.Stream) -> bool:
        await stream.send_all(CHUNKED)
        while True:
            await stream.send_all(chunk(b"x" * 100_000))

    async with serving(handle) as server, client_for(server.url, limits=Limits(body=1_000_000)) as client:
        with pytest.raises(Refused, match="too long"):
            await listed(client, "/x", {})


async def test_cancelled_in_the_middle_of_a_body() -> None:
    """A request that is given up takes its connection along, and harms no other."""
    # runtime C23

    async def handle(received: Received, stream: trio.abc.Stream) -> bool:
        if received.target == "/slow":
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            await trio.sleep_forever()
        await stream.send_all(answer())
        return True

    async with serving(handle) as server, client_for(server.url) as client:
        with trio.move_on_after(0.2) as scope:
            await client.get("/slow")
        assert scope.cancelled_caught
        assert await client.get("/fast") == b"{}"
        assert [received.connection for received in server.received] == [1, 2]


async def test_a_connection_that_the_server_closed_meanwhile() -> None:
    """A pooled connection that is closed while nobody uses it is replaced without anybody noticing."""
    # runtime C20
    closed = trio.Event()

    async def handle(_received: Received, stream: trio.abc.Stream) -> bool:
        await stream.send_all(answer())
        closed.set()
        return False

    async with serving(handle) as server, client_for(server.url) as client:
        await client.get("/x")
        await closed.wait()
        await server.wait_connections(0)
        assert await client.get("/x") == b"{}"
    assert server.connections == 2


# -- time limits, with a transport that waits as long as a test wants --


@attrs.define
class Slow(httpx.AsyncBaseTransport):
    """Waits before the headers, and before each part of the body."""

    headers: float
    body: float = 0.0

    async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
        await trio.sleep(self.headers)
        return httpx.Response(200, stream=SlowBody(self.body))


@attrs.define
class SlowBody(httpx.AsyncByteStream):
    seconds: float

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield b"{"
        await trio.sleep(self.seconds)
        yield b"}"


def slow_client(transport: Slow, registry: CollectorRegistry | None = None) -> KubeClient:
    return KubeClient(
        Endpoint(server="http://api"),
        clock=virtual_clock(),
        metrics=None if registry is None else ClientMetrics.register(registry, "http://api"),
        http=lambda: Http.over(transport),
    )


# runtime C16
async def test_headers_that_do_not_come(autojump_clock: trio.testing.MockClock) -> None:
    """An ordinary answer has to begin within nine seconds, and a watch within thirty; the error says which it was."""
    client = slow_client(Slow(1000.0))
    with pytest.raises(Unavailable, match=r"within 9 s \(the limit for the headers") as caught:
        await listed(client, "/x", {})
    assert (caught.value.reason, trio.current_time()) == ("timeout", 9.0)
    with pytest.raises(Unavailable, match="within 30 s"):
        async with client.watch("/x", {}, idle=1000):
            pass
    assert trio.current_time() == 39.0


# runtime C16
async def test_bodies_that_do_not_come(autojump_clock: trio.testing.MockClock) -> None:
    """A page has a minute, and any other request half of one, whatever its headers took."""
    client = slow_client(Slow(8.0, 1000.0))
    with pytest.raises(Unavailable, match=r"within 60 s \(the limit for a page") as caught:
        await listed(client, "/x", {})
    assert (caught.value.reason, trio.current_time()) == ("timeout", 60.0)
    with pytest.raises(Unavailable, match="within 30 s"):
        await client.get("/x")
    assert trio.current_time() == 90.0


async def test_a_slow_body_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """What comes in time comes whole."""
    assert await listed(slow_client(Slow(8.0, 50.0)), "/x", {}) == b"{}"


async def test_silence_on_a_watch() -> None:
    """A watch on which no byte comes for its idle time is dead."""
    # runtime W21

    async def handle(_received: Received, stream: trio.abc.Stream) -> bool:
        await stream.send_all(CHUNKED + chunk(b"one\n"))
        await trio.sleep_forever()
        return False

    async with (
        serving(handle) as server,
        client_for(server.url) as client,
        client.watch("/x", {}, idle=0.2) as body,
    ):
        assert await body.receive() == b"one\n"
        with pytest.raises(Unavailable) as caught:
            await body.receive()
    assert caught.value.reason == "idle"


# -- metrics --


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


async def test_metrics_of_an_exchange() -> None:
    """Requests, answers, frames and both durations are counted by method and outcome."""
    # runtime C18
    registry = CollectorRegistry()
    async with serving(always(CHUNKED + chunk(b"one\n") + chunk(b"two\n") + b"0\r\n\r\n")) as server:
        async with client_for(server.url, registry) as client:
            await client.get("/x")
            async with client.watch("/x", {}, idle=5) as body:
                await body.receive()  # and no more: the rest is abandoned
        url = {"cluster_url": server.url, "method": "GET"}
        assert value(registry, "kube_client_requests_total", **url) == 2.0
        assert value(registry, "kube_client_response_status_total", **url, status="200", error="") == 2.0
        assert value(registry, "kube_client_response_latency_seconds_count", **url) == 2.0
        assert value(registry, "kube_client_response_duration_seconds_count", **url) == 2.0
        assert value(registry, "kube_client_response_frames_total", **url, status="200", error="") >= 2.0


async def test_metrics_of_failures(autojump_clock: trio.testing.MockClock) -> None:
    """A failure has a latency and an error, but no status and no duration."""
    # runtime C16, C18
    registry = CollectorRegistry()
    client = slow_client(Slow(1000.0), registry)
    with pytest.raises(Unavailable):
        await listed(client, "/x", {})
    url = {"cluster_url": "http://api", "method": "GET"}
    assert value(registry, "kube_client_response_status_total", **url, status="", error="Timeout") == 1.0
    assert value(registry, "kube_client_response_latency_seconds_bucket", **url, le="3.0") == 0.0
    assert value(registry, "kube_client_response_latency_seconds_count", **url) == 1.0
    assert value(registry, "kube_client_response_duration_seconds_count", **url) == 0.0


# -- TLS --


def tls_client(server_url: str, settings: TlsSettings, **parts: object) -> KubeClient:
    return client_for(server_url, tls=settings, **parts)


async def refused(client: KubeClient) -> str:
    async with client:
        with pytest.raises(Unavailable) as caught:
            await client.get("/x")
    return caught.value.reason


async def test_the_server_is_recognised(tmp_path: Path) -> None:
    """Only a certificate of the given authority for the server's address will do, unless told otherwise."""
    # runtime C8, C9
    authority, other = Authority.make(), Authority.make("another")
    ours, theirs = Pem(data=authority.pem), Pem(data=other.pem)
    async with serving(always(answer()), authority.server_context(tmp_path, "127.0.0.1")) as server:
        async with tls_client(server.url, TlsSettings(authorities=ours)) as client:
            assert await client.get("/x") == b"{}"
            async with client.watch("/x", {}, idle=5) as body:
                assert await body.receive() == b"{}"
        assert server.server_names == [None, None], "an address is no server name"
        assert await refused(tls_client(server.url, TlsSettings(authorities=theirs))) == "tls"
        assert await refused(tls_client(server.url, TlsSettings())) == "tls"
        async with tls_client(server.url, TlsSettings(insecure=True)) as client:
            assert await client.get("/x") == b"{}"


async def test_a_server_by_another_name(tmp_path: Path) -> None:
    """The name that was given is asked for, and checked, in place of the URL's."""
    # runtime C8
    authority = Authority.make()
    ours = Pem(data=authority.pem)
    async with serving(always(answer()), authority.server_context(tmp_path, "api.internal")) as server:
        assert await refused(tls_client(server.url, TlsSettings(authorities=ours))) == "tls"
        async with tls_client(server.url, TlsSettings(authorities=ours, server_name="api.internal")) as client:
            assert await client.get("/x") == b"{}"
        assert server.server_names[-1] == "api.internal"
        wrong = TlsSettings(authorities=ours, server_name="other.internal")
        assert await refused(tls_client(server.url, wrong)) == "tls"


async def test_client_certificates(tmp_path: Path) -> None:
    """A certificate and key are shown to a server that wants one, from data, from files, and from a plugin."""
    authority, clients = Authority.make(), Authority.make("clients")
    certificate, key = clients.issue("jane")
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(key)
    ours = Pem(data=authority.pem)

    @attrs.define
    class FromPlugin:
        asked: bool = False

        async def authorization(self) -> str | None:
            self.asked = True
            return None

        async def refresh(self) -> None:
            return None

        def certificate(self) -> ClientCertificate | None:
            return given if self.asked else None

    given = ClientCertificate(certificate, key)
    context = authority.server_context(tmp_path, "127.0.0.1", client=clients)
    async with serving(always(answer()), context) as server:
        data = TlsSettings(authorities=ours, certificate=Pem(data=certificate), key=Pem(data=key))
        files = TlsSettings(
            authorities=ours, certificate=Pem(path=tmp_path / "c.pem"), key=Pem(path=tmp_path / "k.pem")
        )
        for client in (
            tls_client(server.url, data),
            tls_client(server.url, files),
            tls_client(server.url, TlsSettings(authorities=ours), credentials=FromPlugin()),
        ):
            async with client:
                assert await client.get("/x") == b"{}"
        async with tls_client(server.url, TlsSettings(authorities=ours)) as client:
            with pytest.raises(Unavailable):
                await client.get("/x")


async def test_certificates_that_change(tmp_path: Path) -> None:
    """Files are looked at again each minute; a broken one leaves what works."""
    old, new = Authority.make("old"), Authority.make("new")
    path = tmp_path / "ca.crt"
    path.write_bytes(old.pem)
    now = 0.0
    clock = attrs.evolve(virtual_clock(), monotonic=lambda: now)
    async with serving(always(answer()), new.server_context(tmp_path, "127.0.0.1")) as server:
        endpoint = Endpoint(server=server.url, tls=TlsSettings(authorities=Pem(path=path)))
        async with KubeClient(endpoint, clock=clock) as client:
            with pytest.raises(Unavailable):
                await client.get("/x")
            path.write_bytes(new.pem)
            now = 30.0
            with pytest.raises(Unavailable):
                await client.get("/x")
            now = 61.0
            assert await client.get("/x") == b"{}"
            path.write_bytes(b"nonsense")
            now = 122.0
            assert await client.get("/x") == b"{}"


async def test_requests_outlive_a_change_of_certificates(tmp_path: Path) -> None:
    """New certificates mean new connections; a request on an old one is finished first, and then that is closed."""
    go_on = trio.Event()

    async def handle(received: Received, stream: trio.abc.Stream) -> bool:
        if received.target == "/slow":
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
            await go_on.wait()
            await stream.send_all(b"lf")
        else:
            await stream.send_all(answer())
        return True

    authority, other = Authority.make(), Authority.make("another")
    path = tmp_path / "ca.crt"
    path.write_bytes(authority.pem)
    now = 0.0
    clock = attrs.evolve(virtual_clock(), monotonic=lambda: now)
    async with serving(handle, authority.server_context(tmp_path, "127.0.0.1")) as server:
        endpoint = Endpoint(server=server.url, tls=TlsSettings(authorities=Pem(path=path)))
        async with KubeClient(endpoint, clock=clock) as client, trio.open_nursery() as nursery:
            got: list[bytes] = []

            async def slow() -> None:
                got.append(await client.get("/slow"))

            nursery.start_soon(slow)
            await server.wait_connections(1)
            while not server.received:
                await trio.testing.wait_all_tasks_blocked(0.01)
            path.write_bytes(authority.pem + other.pem)
            now = 61.0
            assert await client.get("/x") == b"{}"
            assert server.connections == 2
            go_on.set()
            await server.wait_connections(1)
        assert got == [b"half"]


async def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    """What is wrong with a certificate is said when the client is made."""
    # runtime C7
    authority = Authority.make()
    certificate, _ = authority.issue("jane")
    locked = authority.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    for settings, text in [
        (TlsSettings(authorities=Pem(path=tmp_path / "nowhere")), "nowhere"),
        (TlsSettings(authorities=Pem(data=b"nonsense")), "preparing TLS"),
        (TlsSettings(certificate=Pem(data=certificate), key=Pem(data=locked)), "encrypted"),
        (TlsSettings(certificate=Pem(data=certificate), key=Pem(data=b"x")), "preparing TLS"),
    ]:
        with pytest.raises(BadConfiguration, match=text):
            tls_client("https://127.0.0.1:1", settings)


# -- proxies --


async def test_through_a_proxy(tmp_path: Path) -> None:
    """A proxy is asked for a tunnel, with the user and password of its URL."""
    # runtime C10
    authority = Authority.make()
    asked: list[Received] = []

    async with serving(always(answer()), authority.server_context(tmp_path, "127.0.0.1")) as server:

        async def tunnel(received: Received, stream: trio.abc.Stream) -> bool:
            asked.append(received)
            await stream.send_all(b"HTTP/1.1 200 Connected\r\n\r\n")
            far = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with far, trio.open_nursery() as nursery:

                async def pump(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
                    while data := await source.receive_some():
                        await target.send_all(data)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(pump, stream, far)
                nursery.start_soon(pump, far, stream)
            return False

        async with serving(tunnel) as proxy:
            url = f"http://jane:secret@127.0.0.1:{proxy.port}"
            settings = TlsSettings(authorities=Pem(data=authority.pem))
            async with tls_client(server.url, settings, proxy=url) as client:
                assert await client.get("/x") == b"{}"
                async with client.watch("/x", {}, idle=5) as body:
                    assert await body.receive() == b"{}"
    assert len(asked) == 2
    for received in asked:
        assert (received.method, received.target) == ("CONNECT", f"127.0.0.1:{server.port}")
        assert received.header("proxy-authorization") == "Basic amFuZTpzZWNyZXQ="


@pytest.mark.parametrize("proxy", ["ftp://p:1", "nonsense"])
async def test_proxies_that_cannot_be_used(proxy: str) -> None:
    """A proxy that makes no sense is said to when the client is made."""
    with pytest.raises(BadConfiguration, match="cannot be used"):
        client_for("http://127.0.0.1:1", proxy=proxy)


async def test_connecting_takes_too_long(autojump_clock: trio.testing.MockClock) -> None:
    """A library's own time limits are told like ours."""

    @attrs.define
    class Unreachable(httpx.AsyncBaseTransport):
        error: Exception

        async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
            raise self.error

    for error in (httpx.ConnectTimeout("x"), httpx.WriteTimeout("x")):
        http = Http.over(Unreachable(error))
        client = KubeClient(Endpoint(server="http://api"), clock=virtual_clock(), http=lambda http=http: http)  # type: ignore[misc]
        with pytest.raises(Unavailable) as caught:
            await client.get("/x")
        assert caught.value.reason == "timeout"


async def test_a_watch_with_headers_that_make_no_sense() -> None:
    """A body that cannot be told from what follows it is no body."""
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"
    async with serving(always(response)) as server, client_for(server.url) as client:
        with pytest.raises(Unavailable) as caught:
            async with client.watch("/x", {}, idle=5):
                pass
    assert caught.value.reason == "lost"


async def test_warnings_are_logged_once() -> None:
    """What the server warns of is said once, however often it does."""
    output = io.StringIO()
    with configured(LogFilter.parse("warn"), LogFormat.PLAIN, output=output):
        old = answer(headers='Warning: 299 - "old version"\r\n')
        async with serving(always(old)) as server, client_for(server.url) as client:
            await client.get("/x")
            await client.get("/x")
    assert output.getvalue().count("old version") == 1


async def test_a_token_file_with_a_real_server(tmp_path: Path) -> None:
    """The token that a file holds is what the server gets."""
    path = tmp_path / "token"
    path.write_text("from-file\n")
    async with serving(always(answer())) as server, client_for(server.url, credentials=TokenFile(path)) as client:
        await client.get("/x")
    assert server.received[0].header("authorization") == "Bearer from-file"
