"""The admission webhook as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import attrs
import trio
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import Receive, Scope, Send

from controller.admission.findings import Finding
from controller.admission.judge import Verdict, judge
from controller.admission.review import Review
from controller.k8s.meta import Resource
from controller.runtime.log import get_logger

_log = get_logger(__name__)

_JSON = [(b"content-type", b"application/json")]
# What is judged in a thread, so that it does not hold up everybody else: a pattern may take 40 ms to compile, and a
# route may have thousands of them; a large body takes as long to read.
_HEAVY_PATTERNS = 4
_HEAVY_BODY = 64 * 1024
_HEAVY_AT_ONCE = 2

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)


@attrs.frozen(eq=False)
class AdmissionMetrics:
    """How many reviews there were, and how long each held up everything else."""

    _reviews: Counter
    _duration: Histogram

    @classmethod
    def register(cls, registry: CollectorRegistry) -> AdmissionMetrics:
        return cls(
            Counter(
                "admission_reviews", "Reviews by their verdict.", ["kind", "operation", "allowed"], registry=registry
            ),
            Histogram(
                "admission_review_duration",
                "From a review's last byte to its verdict.",
                unit="seconds",
                buckets=_BUCKETS,
                registry=registry,
            ),
        )

    def judged(self, verdict: Verdict, seconds: float) -> None:
        allowed = "true" if verdict.allowed else "false"
        self._reviews.labels(verdict.kind, verdict.operation, allowed).inc()
        self._duration.observe(seconds)


def _no_advice(_resource: Resource, _review: Review) -> Iterable[Finding]:
    return ()


@attrs.frozen(eq=False)
class Webhook:
    """Answers `POST /`, from memory alone; there is nothing else here."""

    metrics: AdmissionMetrics
    advise: Callable[[Resource, Review], Iterable[Finding]] = _no_advice
    clock: Callable[[], float] = time.perf_counter
    _heavy: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(_HEAVY_AT_ONCE), init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "POST" or scope["path"] != "/":
            await _respond(send, 404)
            return
        body = await _read(receive)
        if body is not None:
            await self._review(body, send)

    async def _review(self, body: bytes, send: Send) -> None:
        started = self.clock()
        try:
            verdict = await self._judge(body)
        except Exception:  # noqa: BLE001  # whatever it is, it must not let anything through
            _log.exception("review failed")
            await _respond(send, 500)
            return
        self.metrics.judged(verdict, self.clock() - started)
        _tell(verdict)
        await _respond(send, 200, verdict.answer)

    async def _judge(self, body: bytes) -> Verdict:
        if len(body) < _HEAVY_BODY and body.count(b"RegularExpression") < _HEAVY_PATTERNS:
            return judge(body, self.advise)
        return await trio.to_thread.run_sync(judge, body, self._advise_from_thread, limiter=self._heavy)

    def _advise_from_thread(self, resource: Resource, review: Review) -> Iterable[Finding]:
        # What is known of the cluster belongs to the loop.
        return trio.from_thread.run_sync(lambda: tuple(self.advise(resource, review)))


def _tell(verdict: Verdict) -> None:
    about = {
        "kind": verdict.kind,
        "operation": verdict.operation,
        "namespace": verdict.namespace,
        "object": verdict.name,
    }
    if verdict.denial is not None:
        _log.info("denied", reason=verdict.denial, **about)
    elif verdict.unread is not None:
        _log.warning("admitted unread: it cannot be followed", reason=verdict.unread, **about)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, `None` if the client has gone before its end."""
    parts = list[bytes]()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _respond(send: Send, status: int, body: bytes = b"") -> None:
    headers = [*(_JSON if body else ()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
