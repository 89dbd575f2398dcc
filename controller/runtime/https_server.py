"""Serves an ASGI application over TLS, for callers like the API server's webhook client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from socket import socket

import attrs
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.types import ASGIApp

from controller.runtime.certs import CertificateFiles, Certificates
from controller.runtime.http_server import HttpLimits, Tls, serve_http
from controller.runtime.listen import SocketAddress

# The API server keeps a webhook's connection idle for 90 seconds; if we were to close it earlier, a review that is just
# being sent would fail. Its objects are at most 3 MiB, less than that is left for the envelope.
LIMITS = HttpLimits(
    header_timeout=5.0,
    keep_alive=120.0,
    header_size=16 * 1024,
    body_timeout=30.0,
    body_size=3 * 1024 * 1024 + 256 * 1024,
)


@attrs.define(eq=False)
class HttpsMetrics:
    """The `server_*` metrics of TLS."""

    _reloads: Counter
    _handshake_errors: Counter
    _not_after: Gauge

    @classmethod
    def register(cls, registry: CollectorRegistry) -> HttpsMetrics:
        return cls(
            Counter("server_tls_reload", "Changed certificates, used or not.", ["result"], registry=registry),
            Counter("server_tls_handshake_errors", "TLS handshakes that failed.", registry=registry),
            Gauge(
                "server_tls_cert_not_after",
                "When the certificate in use expires, since the Unix epoch.",
                unit="seconds",
                registry=registry,
            ),
        )

    def reloaded(self, good: bool) -> None:  # a callback with one thing to say
        self._reloads.labels("success" if good else "error").inc()

    def handshake_failed(self) -> None:
        self._handshake_errors.inc()

    def follow(self, certificates: Certificates) -> None:
        def expiry() -> float:
            return certificates.not_after.timestamp()

        self._not_after.set_function(expiry)


async def serve_https(
    app: ASGIApp,
    sock: socket,
    files: CertificateFiles,
    *,
    metrics: HttpsMetrics,
    limits: HttpLimits = LIMITS,
    wait_stopping: Callable[[], Awaitable[None]] = trio.sleep_forever,
    grace: float = 10.0,
    task_status: trio.TaskStatus[SocketAddress] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `wait_stopping` returns; then requests in progress have `grace` seconds to finish.

    Takes over the socket. Raises `CertificateError` before it has started if there is no usable certificate.
    """
    with sock:
        certificates = await Certificates.load(files, on_reload=metrics.reloaded)
        metrics.follow(certificates)
        await serve_http(
            app,
            sock,
            limits=limits,
            wait_stopping=wait_stopping,
            grace=grace,
            tls=Tls(context=certificates.context, on_handshake_error=metrics.handshake_failed),
            task_status=task_status,
        )
