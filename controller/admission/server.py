"""Serves the webhook over HTTPS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from socket import socket
from typing import Any

import attrs
import trio
from prometheus_client import CollectorRegistry

from controller.admission.webhook import Webhook
from controller.runtime.certs import CertificateFiles
from controller.runtime.listen import SocketAddress


@attrs.frozen(eq=False)
class WebhookServer:
    """The webhook and where its certificate lies, not serving yet."""

    webhook: Webhook
    files: CertificateFiles
    registry: CollectorRegistry

    async def serve(
        self,
        sock: socket,
        *,
        wait_stopping: Callable[[], Awaitable[None]] = trio.sleep_forever,
        grace: float = 10.0,
        task_status: trio.TaskStatus[SocketAddress] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `wait_stopping` returns, then finish what has been asked. Takes over the socket.

        Raises `CertificateError` before it has started if there is no usable certificate.
        """
        with sock:
            serve_https = await trio.to_thread.run_sync(_load, self.registry)
            await serve_https(
                self.webhook, sock, self.files, wait_stopping=wait_stopping, grace=grace, task_status=task_status
            )


def _load(registry: CollectorRegistry) -> partial[Coroutine[Any, Any, None]]:
    # The HTTP machinery is slow to import; in a thread that delays nobody.
    from controller.runtime.https_server import HttpsMetrics, serve_https  # noqa: PLC0415

    return partial(serve_https, metrics=HttpsMetrics.register(registry))
