"""The webhook as an application: requests in, responses out, and what is counted and logged."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry

from controller.admission.findings import Finding, warning
from controller.admission.review import Review
from controller.admission.webhook import AdmissionMetrics, Webhook
from controller.k8s.meta import Resource
from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat

from .reviews import GATEWAY, review

SERVER = {"podSelector": {}, "port": 80}


@attrs.define
class Client:
    """Calls the application, and keeps what it sends."""

    webhook: Webhook
    sent: list[Any] = attrs.field(factory=list[Any])

    async def request(self, *parts: bytes, method: str = "POST", path: str = "/", gone: bool = False) -> None:
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        messages.append({"type": "http.disconnect"} if gone else {"type": "http.request"})

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            self.sent.append(message)

        await self.webhook({"type": "http", "method": method, "path": path}, receive, send)

    @property
    def status(self) -> int:
        found: int = self.sent[0]["status"]
        return found

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        found: bytes = self.sent[1]["body"]
        return found


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def client(registry: CollectorRegistry) -> Client:
    times = iter(range(100))  # each look at the clock is a second after the one before
    return Client(Webhook(AdmissionMetrics.register(registry), clock=lambda: float(next(times))))


@pytest.fixture
def logs() -> Iterator[Callable[[], list[Any]]]:
    """What has been logged so far."""
    output = io.StringIO()
    with configured(LogFilter.parse("info"), LogFormat.JSON, output=output):
        yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]


def body(kind: str = "Server", spec: Any = SERVER, **more: Any) -> bytes:
    return json.dumps(review(kind, spec, **more)).encode()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("PUT", "/"), ("HEAD", "/"), ("POST", "/validate"), ("POST", "//")]
)
async def test_there_is_nothing_else(client: Client, method: str, path: str) -> None:  # status 319
    """No body is read, and none is sent."""
    await client.request(method=method, path=path, gone=True)

    assert (client.status, client.body, client.headers) == (404, b"", {b"content-length": b"0"})


async def test_a_review_is_answered(client: Client, registry: CollectorRegistry) -> None:
    """The body may come in parts; the verdict is counted and its duration is measured."""
    whole = body()

    await client.request(whole[:10], whole[10:])

    assert client.status == 200
    assert client.headers[b"content-type"] == b"application/json"
    assert client.headers[b"content-length"] == str(len(client.body)).encode()
    assert json.loads(client.body)["response"]["allowed"] is True
    labels = {"kind": "Server.policy.linkerd.io", "operation": "CREATE", "allowed": "true"}
    assert registry.get_sample_value("admission_reviews_total", labels) == 1
    assert registry.get_sample_value("admission_review_duration_seconds_sum") == 1


@pytest.mark.parametrize(
    ("sent", "labels", "event"),
    [
        (
            body(spec=SERVER | {"accessPolicy": "bogus"}),
            {"kind": "Server.policy.linkerd.io", "operation": "CREATE", "allowed": "false"},
            ("INFO", "denied"),
        ),
        (b"junk", {"kind": "unknown", "operation": "unknown", "allowed": "false"}, ("INFO", "denied")),
        (
            body("TCPRoute", {}, operation="UPDATE"),
            {"kind": f"TCPRoute.{GATEWAY}", "operation": "UPDATE", "allowed": "true"},
            ("WARN", "admitted unread: it cannot be followed"),
        ),
    ],
)
async def test_verdicts_are_counted_and_some_are_logged(
    client: Client,
    registry: CollectorRegistry,
    logs: Callable[[], list[Any]],
    sent: bytes,
    labels: dict[str, str],
    event: tuple[str, str],
) -> None:
    """Denials, and what nobody here can read."""
    await client.request(sent)

    assert client.status == 200
    assert registry.get_sample_value("admission_reviews_total", labels) == 1
    (entry,) = logs()
    assert (entry["level"], entry["fields"]["message"]) == event
    assert entry["fields"]["reason"]


async def test_what_is_admitted_is_not_logged(client: Client, logs: Callable[[], list[Any]]) -> None:
    """There is a lot of it."""
    await client.request(body())

    assert logs() == []


async def test_a_client_that_has_gone_is_not_answered(client: Client, registry: CollectorRegistry) -> None:
    """Half a review is none."""
    await client.request(body()[:50], gone=True)

    assert client.sent == []
    assert registry.get_sample_value("admission_review_duration_seconds_count") == 0


async def test_a_failure_of_ours_lets_nothing_through(
    registry: CollectorRegistry, logs: Callable[[], list[Any]]
) -> None:
    """The failure policy decides; the log says what happened."""

    def fail(_resource: Resource, _review: Review) -> Iterable[Finding]:
        raise ZeroDivisionError

    client = Client(Webhook(AdmissionMetrics.register(registry), fail))
    await client.request(body())

    assert (client.status, client.body) == (500, b"")
    (entry,) = logs()
    assert (entry["level"], entry["fields"]["message"]) == ("ERROR", "review failed")


async def test_advice_is_passed_on(registry: CollectorRegistry) -> None:
    """As warnings."""
    client = Client(Webhook(AdmissionMetrics.register(registry), lambda *_: [warning("spec", "odd")]))

    await client.request(body())

    assert json.loads(client.body)["response"]["warnings"] == ["spec: odd"]


HEAVY = {"rules": [{"matches": [{"path": {"type": "RegularExpression", "value": f"/{i}"}} for i in range(5)]}]}


@pytest.mark.parametrize(
    ("sent", "aside"),
    [
        (body("HTTPRoute", HEAVY), True),
        (body(spec=SERVER | {"pad": "x" * 65536}), True),
        (body("HTTPRoute", {"rules": [{"matches": HEAVY["rules"][0]["matches"][:2]}]}), False),
    ],
)
async def test_what_takes_long_is_judged_aside(registry: CollectorRegistry, sent: bytes, aside: bool) -> None:
    """Other tasks go on meanwhile. The cluster is asked in the loop, whose it is."""
    asked_in = list[int]()

    def advise(_resource: Resource, _review: Review) -> Iterable[Finding]:
        asked_in.append(threading.get_ident())
        yield warning("spec", "odd")

    client = Client(Webhook(AdmissionMetrics.register(registry), advise))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.request, sent)
        turns = 0
        while not client.sent:
            turns += 1
            await trio.lowlevel.checkpoint()

    assert asked_in == [threading.get_ident()]
    assert json.loads(client.body)["response"]["warnings"] == ["spec: odd"]
    assert (turns > 2) is aside


async def test_the_life_of_the_server_is_no_request(client: Client) -> None:
    """An application is also asked about start and end; this one has nothing to say."""

    async def never(*_: object) -> Any:
        raise AssertionError

    await client.webhook({"type": "lifespan"}, never, never)
