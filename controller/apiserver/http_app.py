"""HTTP around the API: bodies, headers, compression, watches, waiting, and faults with a door for who commands them."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec
import trio
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from controller.apiserver import stream
from controller.apiserver.api import Api
from controller.apiserver.effects import Effect, WaitForRevision
from controller.apiserver.faults import Fault, Faults, parse_fault
from controller.apiserver.requests import Request, Response, parse_place, parse_query, refuse
from controller.apiserver.status import GroupResource, Refused, bad_request, expired, internal, throttled
from controller.apiserver.watching import Watch
from controller.apiserver.webhook_client import WebhookClient
from controller.runtime.log import get_logger

log = get_logger(__name__)

_PATIENCE = 3.0  # how long a request waits for a revision that does not exist yet
_COMPRESS_FROM = 128 * 1024
_LIMIT = 3 * 1024 * 1024
_UNLIMITED = (1800.0, 3600.0)  # how long a watch lasts that names no timeout

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class Cut(Exception):
    """The connection is to be dropped without an end."""


class HttpApp:
    """The ASGI application."""

    def __init__(
        self,
        api: Api,
        faults: Faults,
        webhooks: WebhookClient,
        *,
        jitter: Callable[[], float],
        bookmark_interval: float,
    ) -> None:
        self._api = api
        self._faults = faults
        self._webhooks = webhooks
        self._jitter = jitter
        self._bookmark_interval = bookmark_interval
        routes = [
            Route("/-/faults", self._command_faults, methods=["GET", "POST", "DELETE"]),
            Route("/-/compact", self._command_compact, methods=["POST"]),
        ]
        self._commands = Starlette(routes=routes)

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Requests to the API are many, so they pass by the router."""
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):  # there is nothing to prepare
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/-/"):
            await self._commands(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    # --- the door for commands

    async def _command_faults(self, request: HttpRequest) -> HttpResponse:
        match request.method:
            case "DELETE":
                self._faults.clear()
            case "POST":
                try:
                    self._faults.add(**parse_fault(msgspec.json.decode(await request.body())))
                except (ValueError, TypeError, msgspec.DecodeError) as error:
                    return JSONResponse({"error": str(error)}, status_code=400)
            case _:
                pass
        return JSONResponse([fault.to_object() for fault in self._faults])

    async def _command_compact(self, _request: HttpRequest) -> HttpResponse:
        self._api.store.compact()
        return JSONResponse({"compacted": self._api.store.compacted})

    # --- requests

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _read(scope, receive)
        if isinstance(request, Response):
            await _respond(request, {}, send)
            return
        verb, resource = classify(request)
        faults = self._faults.take(verb, resource)
        try:
            answer = await self._with_faults(request, faults)
            if isinstance(answer, Watch):
                await self._stream(answer, receive, send)
            else:
                await _respond(answer, request.headers, send, faults)
        except Cut:
            return  # an answer without an end makes the server drop the connection

    async def _with_faults(self, request: Request, faults: list[Fault]) -> Response | Watch:
        at: int | None = None
        for fault in faults:
            match fault.effect:
                case "delay":
                    await trio.sleep(fault.seconds)
                case "stall":
                    await stream.stall(self._faults, fault.seconds)
                case "gone":
                    return refuse(expired("The resourceVersion for the provided list is too old."))
                case "throttle":
                    return refuse(throttled(int(fault.seconds) or 1))
                case "error":
                    return refuse(Refused(fault.code, "InternalError", "Internal error occurred: on command"))
                case "stale":
                    at = max(self._api.store.revision - fault.lag, self._api.store.compacted, 1)
                case _:
                    pass
        return await self._run(request, at)

    async def _run(self, request: Request, at: int | None) -> Response | Watch:
        steps = self._api.handle(request, at=at)
        try:
            effect = next(steps)
            while True:
                effect = steps.send(await self._carry_out(effect))
        except StopIteration as stop:
            answer: Response | Watch = stop.value
            return answer
        except Exception as error:
            log.exception("request failed", method=request.method, path=request.path)
            return refuse(internal(f"{type(error).__name__}: {error}"))

    async def _carry_out(self, effect: Effect) -> Any:
        if isinstance(effect, WaitForRevision):
            return await self._wait_for(effect.revision)
        return await self._webhooks.call(effect)

    async def _wait_for(self, revision: int) -> None:
        reached = trio.Event()

        def look() -> None:
            if self._api.store.revision >= revision:
                reached.set()

        unsubscribe = self._api.store.subscribe(None, look)
        try:
            with trio.move_on_after(_PATIENCE):
                await reached.wait()
        finally:
            unsubscribe()

    async def _stream(self, watch: Watch, receive: Receive, send: Send) -> None:
        timeout = float(watch.options.timeout or 0)
        if timeout <= 0:
            low, high = _UNLIMITED
            timeout = low + (high - low) * self._jitter()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
        if deprecation := watch.view.endpoint.version.deprecation:
            headers.append((b"warning", warning(deprecation)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
            finished = await stream.pump(
                watch, write, faults=self._faults, duration=timeout, bookmark_interval=self._bookmark_interval
            )
            nursery.cancel_scope.cancel()
        if finished:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cancel_on_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def classify(request: Request) -> tuple[str, GroupResource]:
    """The verb and the kind of a request, as faults name them."""
    place = parse_place(request.path)
    if place is None:
        return "other", GroupResource("", request.path.strip("/"))
    resource = GroupResource(place.group, place.plural)
    if request.method in ("GET", "HEAD"):
        watching = "/watch/" in request.path or (request.flag("watch") and not place.name)
        verb = "watch" if watching else "get" if place.name else "list"
    elif request.method == "DELETE":
        verb = "delete" if place.name else "deletecollection"
    else:
        verb = _VERBS.get(request.method, request.method.lower())
    return verb, resource


async def _read(scope: Scope, receive: Receive) -> Request | Response:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        if len(body) > _LIMIT:
            return refuse(Refused(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"))
        if not message.get("more_body", False):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if headers.get("content-encoding") == "gzip":
        try:
            body = _decompress(body)
        except zlib.error as error:
            return refuse(bad_request(f"the body cannot be decompressed: {error}"))
    return Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1").partition("?")[0],
        query=parse_query(scope["query_string"].decode("latin-1")),
        headers=headers,
        body=body,
    )


def warning(text: str) -> bytes:
    """A Warning header as the API server writes them."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'.encode("latin-1", errors="replace")


async def _respond(
    answer: Response, asked: Mapping[str, str], send: Send, faults: list[Fault] | tuple[()] = ()
) -> None:
    body = answer.body
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"cache-control", b"no-cache, private"),
        *((name.lower().encode(), value.encode()) for name, value in answer.headers.items()),
        *((b"warning", warning(text)) for text in answer.warnings),
    ]
    effects = {fault.effect for fault in faults}
    if "garbage" in effects:
        body = body[: len(body) // 2] + b"\x00<garbage>" + body[len(body) // 2 :]
    if len(body) >= _COMPRESS_FROM and "gzip" in asked.get("accept-encoding", ""):
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        body = await trio.to_thread.run_sync(compress, body)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if "cut" in effects:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        raise Cut
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _decompress(body: bytes) -> bytes:
    worker = zlib.decompressobj(31)
    found = worker.decompress(body, _LIMIT)
    if not worker.eof:
        raise zlib.error("it is too large, or has no end")
    return found


def compress(body: bytes) -> bytes:
    """Gzip, quickly rather than well."""
    worker = zlib.compressobj(1, zlib.DEFLATED, 31)
    return worker.compress(body) + worker.flush()
