"""The admin server's HTTP: which path answers what to whom."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv6Address, ip_address
from socket import socket
from typing import TypeAlias

import attrs
import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from controller.runtime.admin import Admin
from controller.runtime.http_server import HttpLimits, serve_http
from controller.runtime.listen import SocketAddress
from controller.runtime.log import get_logger
from controller.runtime.metrics import choose_form, render

_log = get_logger(__name__)

Respond: TypeAlias = Callable[[Request], Awaitable[Response]]

GET_OR_HEAD = ("GET", "HEAD")
GET_ONLY = ("GET",)

# kubert's figures. A connection that is idle, or slow to say what it wants, is closed after two seconds.
LIMITS = HttpLimits(header_timeout=2.0, keep_alive=2.0, header_size=8 * 1024, body_size=64 * 1024)


@attrs.frozen(eq=False)
class Endpoint:
    """An ASGI application for one path: the method decides first, then `respond`; a failure of that is a 500."""

    allow: tuple[str, ...]
    respond: Respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method not in self.allow:
            response = Response(status_code=405, headers={"allow": ", ".join(self.allow)})
        else:
            try:
                response = await self.respond(request)
            except Exception as error:  # noqa: BLE001  # whatever a collector or a page does wrong ends with its request
                _log.error("admin request failed", path=request.url.path, exc_info=error)
                response = Response(status_code=500)
        await response(scope, receive, send)


@attrs.frozen(eq=False)
class AdminApp:
    """Serves an `Admin`. Matching is on the exact path."""

    admin: Admin

    async def serve(self, sock: socket, *, task_status: trio.TaskStatus[SocketAddress]) -> None:
        await serve_http(self.router(), sock, limits=LIMITS, task_status=task_status)

    def router(self) -> Router:
        return Router(
            [
                Route("/live", Endpoint(GET_OR_HEAD, self.live)),
                Route("/ready", Endpoint(GET_OR_HEAD, self.ready)),
                Route("/ready/{name}", Endpoint(GET_OR_HEAD, self.check)),
                Route("/metrics", Endpoint(GET_OR_HEAD, self.metrics)),
                Route("/kubert.json", Endpoint(GET_ONLY, self._local(self.summary))),
                Route("/debug", Endpoint(GET_ONLY, self._local(self.index))),
                Route("/debug/{name}", Endpoint(GET_ONLY, self._local(self.page))),
            ],
            redirect_slashes=False,
            default=_not_found,
        )

    async def live(self, _: Request) -> Response:
        # Never depends on anything: a restart cures nothing that a check could find.
        return _text("alive\n")

    async def ready(self, request: Request) -> Response:
        status = 200 if self.admin.readiness.get() else 500
        if "verbose" in request.query_params:
            results = self.admin.readiness.results().items()
            lines = [f"[{'-' if reason else '+'}]{name} {reason or 'ok'}\n" for name, reason in results]
            return _text("".join(lines) + ("ready\n" if status == 200 else "not ready\n"), status)
        return _text("ready\n" if status == 200 else "not ready\n", status)

    async def check(self, request: Request) -> Response:
        results = self.admin.readiness.results()
        name: str = request.path_params["name"]
        if name not in results:
            return Response(status_code=404)
        reason = results[name]
        return _text("ready\n") if reason is None else _text(f"not ready: {reason}\n", 500)

    async def metrics(self, request: Request) -> Response:
        form = choose_form(request.headers.get("accept", ""))
        return Response(render(self.admin.registry, form), headers={"content-type": form})

    async def summary(self, request: Request) -> Response:
        # Tens of thousands of objects may have to be sorted and hashed, and streams must not wait for that.
        report = partial(self.admin.diagnostics.snapshot().report, resources=request.url.query == "resources")
        return await trio.to_thread.run_sync(lambda: _json(report()))

    async def index(self, _: Request) -> Response:
        return _json({"pages": [f"/debug/{name}" for name in sorted(self.admin.pages)]})

    async def page(self, request: Request) -> Response:
        page = self.admin.pages.get(request.path_params["name"])
        if page is None:
            return Response(status_code=404)
        content = page(dict(request.query_params))
        return _json(await content if inspect.isawaitable(content) else content)

    def _local(self, respond: Respond) -> Respond:
        """Let only this host ask, because what is told may be about anything in the cluster."""

        async def respond_locally(request: Request) -> Response:
            peer = request.client.host if request.client else ""
            if self.admin.open_diagnostics or _is_loopback(peer):
                return await respond(request)
            _log.info("diagnostics refused", path=request.url.path, peer=peer)
            return Response(status_code=403)

        return respond_locally


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=404)(scope, receive, send)


def _text(text: str, status: int = 200) -> Response:
    # Given as a header, because as a media type it would be given a charset.
    return Response(text, status, headers={"content-type": "text/plain"})


def _json(content: object) -> Response:
    text = msgspec.json.format(msgspec.json.encode(content, enc_hook=str), indent=2)
    return Response(text + b"\n", headers={"content-type": "application/json"})


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    # On a socket for both families an IPv4 client has a mapped address.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
