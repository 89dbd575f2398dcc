"""The admin server over real sockets, asked by a client that knows HTTP only as text."""

from __future__ import annotations

import datetime as dt
import errno
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.k8s.builtin import Pod
from controller.k8s.resource import ResourceType
from controller.runtime.admin import Admin, bind_admin, serve_admin
from controller.runtime.admin_app import AdminApp
from controller.runtime.clock import system_clock
from controller.runtime.freshness import WatchRecord
from controller.runtime.listen import BindError, SocketAddress, bound_address
from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat
from controller.runtime.metrics import OPENMETRICS, TEXT, new_registry
from controller.runtime.shutdown import graceful


@attrs.frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def parse(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunk(body)
    return Answer(int(first.split()[1]), headers, body)


def unchunk(data: bytes) -> bytes:
    size, _, rest = data.partition(b"\r\n")
    return rest[: int(size, 16)] + unchunk(rest[int(size, 16) + 2 :]) if int(size, 16) else b""


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


@attrs.frozen
class Server:
    address: SocketAddress
    admin: Admin

    async def connect(self, host: str = "127.0.0.1") -> trio.SocketStream:
        return await trio.open_tcp_stream(host, self.address.port)

    async def ask(self, path: str, method: str = "GET", *, host: str = "127.0.0.1", **headers: str) -> Answer:
        async with await self.connect(host) as stream:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            await stream.send_all(f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n".encode())
            return parse(await read_all(stream))


@asynccontextmanager
async def serving(admin: Admin | None = None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    admin = admin or Admin(CollectorRegistry())
    async with trio.open_nursery() as nursery:
        sock = bind_admin(SocketAddress.of(host, 0))
        address = await nursery.start(serve_admin, admin, sock)
        yield Server(address, admin)
        nursery.cancel_scope.cancel()


# runtime A1
async def test_live_is_alive() -> None:
    """`/live` answers GET and HEAD, depends on nothing, and refuses other methods with what it allows."""
    async with serving() as server:
        get, head, post = [await server.ask("/live", method) for method in ("GET", "HEAD", "POST")]

    assert (get.status, get.headers["content-type"], get.body) == (200, "text/plain", b"alive\n")
    assert (head.status, head.body) == (200, b"")
    assert head.headers.keys() == get.headers.keys()
    assert head.headers["content-length"] == get.headers["content-length"]
    assert (post.status, post.headers["allow"], post.body) == (405, "GET, HEAD", b"")


# runtime A2
async def test_ready_follows_the_switch() -> None:
    """500 before, 200 while on, 500 again; HEAD says the same without a body."""
    async with serving() as server:
        before = await server.ask("/ready")
        server.admin.readiness.set(True)
        on, head, put = [await server.ask("/ready", method) for method in ("GET", "HEAD", "PUT")]
        server.admin.readiness.set(False)
        after = await server.ask("/ready")

    assert (before.status, before.headers["content-type"], before.body) == (500, "text/plain", b"not ready\n")
    assert (on.status, on.headers["content-type"], on.body) == (200, "text/plain", b"ready\n")
    assert (head.status, head.body) == (200, b"")
    assert (put.status, put.headers["allow"], put.body) == (405, "GET, HEAD", b"")
    assert after == before


async def test_named_checks_say_what_is_missing() -> None:
    """Ready means that every check is content; each can be asked alone, and all of them at once."""
    missing: list[str] = ["waiting for servers"]
    async with serving() as server:
        server.admin.readiness.set(True)
        server.admin.readiness.add("watches", lambda: missing[0] if missing else None)
        failing = [await server.ask(path) for path in ("/ready", "/ready/watches", "/ready/running", "/ready?verbose")]
        missing.clear()
        fine = [await server.ask(path) for path in ("/ready", "/ready/watches", "/ready?verbose", "/ready/nothing")]

    assert [(answer.status, answer.body) for answer in failing] == [
        (500, b"not ready\n"),
        (500, b"not ready: waiting for servers\n"),
        (200, b"ready\n"),
        (500, b"[+]running ok\n[-]watches waiting for servers\nnot ready\n"),
    ]
    assert [(answer.status, answer.body) for answer in fine] == [
        (200, b"ready\n"),
        (200, b"ready\n"),
        (200, b"[+]running ok\n[+]watches ok\nready\n"),
        (404, b""),
    ]


# runtime A3
@pytest.mark.parametrize("path", ["/", "/ready/", "/LIVE", "/live/", "/metrics/x", "/debug/", "/debug/nothing", "/x?y"])
async def test_any_other_path_is_not_found(path: str) -> None:
    """Paths match exactly."""
    async with serving() as server:
        answer = await server.ask(path)

    assert (answer.status, answer.body) == (404, b"")


async def test_the_query_is_ignored() -> None:
    """A probe with a query is the same probe."""
    async with serving() as server:
        assert (await server.ask("/live?verbose=1")).body == b"alive\n"


# runtime A4
def test_a_busy_port_fails_at_once() -> None:
    """Binding says which server could not listen where, and why; port 0 tells the real port."""
    first = bind_admin(SocketAddress.of("127.0.0.1", 0))
    with first:
        address = bound_address(first)
        with pytest.raises(BindError) as caught:
            bind_admin(address)

    assert address.port != 0
    assert str(caught.value) == (
        f"binding the admin server to 127.0.0.1:{address.port}: Address already in use"
        " (is another process listening there?)"
    )


# runtime A5
async def test_an_early_client_waits_for_its_answer() -> None:
    """Between binding and serving a client can connect and ask."""
    sock = bind_admin(SocketAddress.of("127.0.0.1", 0))
    async with (
        trio.open_nursery() as nursery,
        await trio.open_tcp_stream("127.0.0.1", bound_address(sock).port) as stream,
    ):
        await stream.send_all(b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await nursery.start(serve_admin, Admin(CollectorRegistry()), sock)
        assert parse(await read_all(stream)).body == b"alive\n"
        nursery.cancel_scope.cancel()


# runtime A6
@pytest.mark.parametrize("sent", [b"", b"GET /live HTTP/1.1\r\nhos"])
async def test_a_client_that_says_too_little_is_closed(socket_clock: object, sent: bytes) -> None:
    """After two seconds; whoever asks properly meanwhile is answered."""
    async with serving() as server, await server.connect() as stalled:
        connected = trio.current_time()
        await stalled.send_all(sent)
        assert (await server.ask("/live")).status == 200
        await read_all(stalled)
        assert trio.current_time() - connected == pytest.approx(2, abs=0.01)


async def test_slow_drops_do_not_help(socket_clock: object) -> None:
    """The two seconds are for the whole header, not for each part of it."""
    async with serving() as server, await server.connect() as stalled, trio.open_nursery() as nursery:
        connected = trio.current_time()

        async def drip() -> None:
            while True:
                await stalled.send_all(b"x")
                await trio.sleep(0.3)  # never at the very moment of the close

        nursery.start_soon(drip)
        await read_all(stalled)
        assert trio.current_time() - connected == pytest.approx(2, abs=0.01)
        nursery.cancel_scope.cancel()


async def test_an_idle_connection_is_closed(socket_clock: object) -> None:
    """A connection may ask again within two seconds, and is closed after two idle ones."""
    async with serving() as server, await server.connect() as stream:
        for _ in range(3):
            await stream.send_all(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
            received = b""
            while not received.endswith(b"alive\n"):
                received += await stream.receive_some()
            await trio.sleep(1.5)
        asked = trio.current_time() - 1.5
        assert await read_all(stream) == b""
        assert trio.current_time() - asked == pytest.approx(2, abs=0.01)


# runtime A7
async def test_a_half_closed_client_gets_its_answer() -> None:
    """A client that closes its side after the request still hears the answer."""
    async with serving() as server:

        async def slow(_: Mapping[str, str]) -> str:
            await trio.sleep(0.05)
            return "done"

        server.admin.add_page("slow", slow)
        async with await server.connect() as stream:
            await stream.send_all(b"GET /debug/slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            await stream.send_eof()
            assert parse(await read_all(stream)).body == b'"done"\n'


# runtime A8
async def test_a_header_that_is_too_large_is_refused() -> None:
    """431, and the server goes on."""
    async with serving() as server:
        whole = await server.ask("/live", cookie="x" * 9000)
        async with await server.connect() as stream:
            await stream.send_all(b"GET /live HTTP/1.1\r\nhost: x\r\ncookie: " + b"x" * 9000)
            unfinished = parse(await read_all(stream))
        fitting = await server.ask("/live", cookie="x" * 7000)

    assert [whole.status, unfinished.status, fitting.status] == [431, 431, 200]


# runtime A9
async def test_metrics_come_in_the_form_that_is_asked_for() -> None:
    """OpenMetrics for whoever lists it, the older text otherwise; HEAD has no body, POST is refused."""
    async with serving(Admin(new_registry())) as server:
        new = await server.ask("/metrics", accept="application/openmetrics-text; version=1.0.0; charset=utf-8")
        old = await server.ask("/metrics", accept="text/plain")
        head = await server.ask("/metrics", "HEAD")
        post = await server.ask("/metrics", "POST")

    assert (new.status, new.headers["content-type"]) == (200, OPENMETRICS)
    assert new.body.endswith(b"# EOF\n")
    assert (old.status, old.headers["content-type"]) == (200, TEXT)
    assert b"process_resident_memory_bytes " in old.body
    assert (head.status, head.body) == (200, b"")
    assert (post.status, post.headers["allow"], post.body) == (405, "GET, HEAD", b"")


class Broken(Collector):
    def collect(self) -> list[Metric]:
        raise OSError("the disk is full")


# runtime A9, A11
async def test_a_collector_that_fails_costs_the_scrape_only() -> None:
    """500, a log line with the error, and the server answers on."""
    output = io.StringIO()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Broken())
    with configured(LogFilter.parse("info"), LogFormat.PLAIN, output=output):
        async with serving(Admin(registry)) as server:
            failed, after = await server.ask("/metrics"), await server.ask("/live")

    assert (failed.status, failed.body, after.status) == (500, b"", 200)
    assert "admin request failed path=/metrics" in output.getvalue()
    assert "the disk is full" in output.getvalue()


# runtime A10
async def test_a_page_in_a_thread_does_not_delay_others() -> None:
    """While a page is busy in a thread, probes are answered."""
    release = trio.Event()
    async with serving() as server, trio.open_nursery() as nursery:

        async def page(_: Mapping[str, str]) -> str:
            await trio.to_thread.run_sync(partial(trio.from_thread.run, release.wait))
            return "released"

        server.admin.add_page("slow", page)
        bodies = list[bytes]()

        async def ask_slow() -> None:
            bodies.append((await server.ask("/debug/slow")).body)

        nursery.start_soon(ask_slow)
        assert (await server.ask("/live")).status == 200
        assert bodies == []
        release.set()

    assert bodies == [b'"released"\n']


# runtime A12
@pytest.mark.parametrize("name", ["", "live/x", "index"])
def test_a_name_is_used_once_and_fits_a_path(name: str) -> None:
    """A page or a check whose name is taken or would not match is refused at once."""
    admin = Admin(CollectorRegistry())
    admin.add_page("index", dict)
    admin.readiness.add("index", lambda: None)

    with pytest.raises(ValueError, match="the name is taken or cannot be part of a path"):
        admin.add_page(name, dict)
    with pytest.raises(ValueError, match="the name is taken or cannot be part of a path"):
        admin.readiness.add(name, lambda: None)


@attrs.frozen
class Record:
    kind: str
    since: dt.datetime
    parts: tuple[int, ...]


async def test_pages_are_json() -> None:
    """A page gets the query and may return records; the list of pages is a page too."""
    async with serving() as server:
        record = Record("Pod", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), (1, 2))
        server.admin.add_page("freshness", lambda query: {"kind": query.get("kind"), "records": [record]})
        page, index, head = [
            await server.ask(path, method)
            for path, method in [("/debug/freshness?kind=Pod", "GET"), ("/debug", "GET"), ("/debug/freshness", "HEAD")]
        ]

    assert page.headers["content-type"] == "application/json"
    assert json.loads(page.body) == {
        "kind": "Pod",
        "records": [{"kind": "Pod", "since": "2026-01-02T03:04:05Z", "parts": [1, 2]}],
    }
    assert json.loads(index.body) == {"pages": ["/debug/freshness"]}
    assert (head.status, head.headers["allow"]) == (405, "GET")


# runtime A13
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_this_host_may_ask_for_diagnostics(host: str) -> None:
    """On a socket for both families, an IPv4 client with a mapped address is this host too."""
    async with serving(host="::") as server:
        answer = await server.ask("/kubert.json", host=host)

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


# runtime A13
@pytest.mark.parametrize(
    ("method", "peer", "status"),
    [
        ("GET", "10.0.0.9", 403),
        ("GET", "::ffff:10.0.0.9", 403),
        ("GET", "fd00::9", 403),
        ("GET", "127.0.0.2", 200),
        ("GET", "::ffff:127.0.0.1", 200),
        ("POST", "10.0.0.9", 405),
        ("HEAD", "127.0.0.1", 405),
    ],
)
@pytest.mark.parametrize("path", ["/kubert.json", "/debug", "/debug/freshness"])
async def test_others_may_not(path: str, method: str, peer: str, status: int) -> None:
    """The method is judged before the peer."""
    admin = Admin(CollectorRegistry())
    admin.add_page("freshness", dict)
    assert await status_of(admin, path, method, peer) == status


async def test_diagnostics_may_be_opened() -> None:
    """Whoever wants them open says so."""
    assert await status_of(Admin(CollectorRegistry(), open_diagnostics=True), "/debug", "GET", "10.0.0.9") == 200


# runtime A15
async def test_only_the_exact_query_lists_resources() -> None:
    """`?resources` and nothing else adds the objects of each watch."""
    admin = Admin(CollectorRegistry())
    types = ResourceType(model=Pod, group="", version="v1", plural="pods", kind="Pod", namespaced=True)
    admin.diagnostics.add_watch(WatchRecord(types, system_clock()))
    async with serving(admin) as server:
        with_resources = [
            "resources" in json.loads((await server.ask(f"/kubert.json{query}")).body)["watches"][0]
            for query in ("", "?resources", "?resources=1", "?a&resources", "?resources=")
        ]

    assert with_resources == [False, True, False, False, False]


async def status_of(admin: Admin, path: str, method: str, peer: str) -> int:
    statuses = list[int]()

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing reads a body here")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [], "client": (peer, 1)}
    await AdminApp(admin).router()(scope, receive, send)
    (status,) = statuses
    return status


# runtime A20
async def test_running_out_of_descriptors_is_survived(socket_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """When accepting fails for want of a descriptor the server waits and goes on."""
    refusals = 3

    async def accept(self: trio.SocketListener, real: Any = trio.SocketListener.accept) -> trio.SocketStream:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return await real(self)

    monkeypatch.setattr(trio.SocketListener, "accept", accept)
    output = io.StringIO()
    with configured(LogFilter.parse("error"), LogFormat.PLAIN, output=output):
        async with serving() as server:
            before = trio.current_time()
            answer = await server.ask("/live")

    assert answer.status == 200
    assert refusals == 0
    assert trio.current_time() - before >= 0.2
    assert "Too many open files" in output.getvalue()


# runtime A21, R2
async def test_probes_are_answered_until_the_drain_is_complete(socket_clock: object) -> None:
    """From the first signal on `/ready` fails; `/live` answers as long as anything else still runs."""
    admin = Admin(CollectorRegistry())
    seen = list[tuple[float, int, int]]()

    async def probe(server: Server) -> None:
        seen.append((trio.current_time(), (await server.ask("/live")).status, (await server.ask("/ready")).status))

    async with serving(admin) as server:
        admin.readiness.set(True)
        async with graceful(grace=25, on_leaving=partial(admin.readiness.set, False)) as shutdown:
            await probe(server)
            shutdown.begin("test")
            await probe(server)
            with shutdown.hold("streams"):
                await trio.sleep(10)
                await probe(server)

    assert [(live, ready) for _, live, ready in seen] == [(200, 200), (200, 500), (200, 500)]
    assert seen[-1][0] >= 10
