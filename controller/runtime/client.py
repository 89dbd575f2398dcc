"""Requests to the API server, as the user that we are, within limits, and counted.

Ordinary requests share connections; each watch gets one of its own, so that one that is stuck or cancelled takes
nothing away from anybody. Two limits say how long an answer may take to begin: a short one for ordinary requests, and a
longer one for watches, whose headers some gateways hold back until the first event.
"""

from __future__ import annotations

import contextlib
import platform
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import trio

from controller.runtime.client_metrics import ClientMetrics
from controller.runtime.clock import Clock
from controller.runtime.endpoint import Endpoint
from controller.runtime.errors import (
    KubernetesError,
    Unauthenticated,
    Unavailable,
    from_status,
    parse_retry_after,
    parse_status,
)
from controller.runtime.exchange import Body, Http, Response, check_proxy
from controller.runtime.log import get_logger
from controller.runtime.tls import TlsContexts
from controller.runtime.watch_body import WatchBody

_log = get_logger(__name__)

HEADERS_SECONDS = 9.0
WATCH_HEADERS_SECONDS = 30.0
REQUEST_SECONDS = 30.0
LIST_SECONDS = 60.0  # per page; the server's own limit
MAX_BODY = 256 << 20
_ERROR_BODY = 64 << 10
_ERROR_SECONDS = 5.0  # for what an error has to say on a connection for a watch
_WARNINGS = 1_000  # distinct texts that are remembered
_JSON: Final = "application/json"


@attrs.frozen(kw_only=True)
class Limits:
    """How long things may take, in seconds, and how long they may be."""

    headers: float = HEADERS_SECONDS
    watch_headers: float = WATCH_HEADERS_SECONDS
    request: float = REQUEST_SECONDS
    page: float = LIST_SECONDS
    body: int = MAX_BODY  # bytes


@attrs.frozen(kw_only=True)
class _Request:
    """What is asked for; `doing` says it in errors."""

    method: str
    path: str
    doing: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes | None = None
    headers_limit: float


@attrs.define(eq=False)
class _Shared:
    """Connections for ordinary requests, made with one TLS context."""

    context: ssl.SSLContext
    http: Http
    users: int = 0
    retired: bool = False

    async def retire(self) -> None:
        """Close now, or when the last user has finished."""
        self.retired = True
        if not self.users:
            await self.http.aclose()


class KubeClient:
    """Talks to one API server as one user. Raises `BadConfiguration` at once if it never could."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        metrics: ClientMetrics | None = None,
        limits: Limits = Limits(),
        user_agent: str = "trellis",
        http: Callable[[], Http] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._user_agent = f"{user_agent} ({platform.system().lower()}/{platform.machine()})"
        self._tls = TlsContexts(endpoint.tls, clock.monotonic)
        self._tls.current()
        check_proxy(endpoint.proxy)
        self._http = http  # what tests talk through instead
        self._base = endpoint.server.rstrip("/")
        self._shared: _Shared | None = None
        self._warnings: set[str] = set()

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the shared connections."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.http.aclose()

    @property
    def namespace(self) -> str:
        """The namespace of the context or the pod."""
        return self._endpoint.namespace

    # -- following a kind --

    @contextlib.asynccontextmanager
    async def list_page(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[Body]:
        """Ask for a page of a list, and lend its body, which has to be read within the time for a page."""
        request = self._ordinary("GET", path, f"listing {path}", params)
        async with self._shared_http() as http:
            with _deadline(self._limits.page, request.doing, "a page of a list"):
                async with self._exchange(http, request) as body:
                    yield body

    @contextlib.asynccontextmanager
    async def watch(self, path: str, params: Mapping[str, str], *, idle: float) -> AsyncGenerator[Body | WatchBody]:
        """Open a watch on a connection of its own."""
        request = _Request(
            method="GET",
            path=path,
            doing=f"watching {path}",
            params=params,
            # A compressed stream is delayed by what the compressor still keeps to itself.
            headers={"Accept-Encoding": "identity"},
            headers_limit=self._limits.watch_headers,
        )
        async with (
            contextlib.aclosing(self._new_http(await self._context(), for_watch=True)) as http,
            self._opened(http, request) as response,
            contextlib.aclosing(response.stream(idle, self._frames(request, response))) as body,
        ):
            await self._check(request, response, body)
            yield body

    async def refresh_credentials(self) -> None:
        """Forget the credentials that the server has just refused."""
        await self._endpoint.credentials.refresh()

    # -- single requests --

    async def get(self, path: str) -> bytes:
        """Ask for something, with fresh credentials if the first are refused."""
        try:
            return await self.send("GET", path)
        except Unauthenticated:
            await self.refresh_credentials()
            return await self.send("GET", path)

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = _JSON,
    ) -> bytes:
        """Send a request once, and return the body of the answer."""
        request = self._ordinary(method, path, f"{method} {path}", params or {}, body, content_type)
        async with self._shared_http() as http:
            with _deadline(self._limits.request, request.doing, "a request"):
                async with self._exchange(http, request) as answer:
                    read = await answer.read()
        return read

    def _ordinary(
        self,
        method: str,
        path: str,
        doing: str,
        params: Mapping[str, str],
        content: bytes | None = None,
        content_type: str = _JSON,
    ) -> _Request:
        headers = {"Accept-Encoding": "gzip" if self._endpoint.compression else "identity"}
        if content is not None:
            headers["Content-Type"] = content_type
        return _Request(
            method=method,
            path=path,
            doing=doing,
            params=params,
            headers=headers,
            content=content,
            headers_limit=self._limits.headers,
        )

    # -- the exchange itself --

    @contextlib.asynccontextmanager
    async def _exchange(self, http: Http, request: _Request) -> AsyncGenerator[Body]:
        """Send a request and lend the body of its answer; an answer that is an error is raised."""
        async with (
            self._opened(http, request) as response,
            contextlib.aclosing(response.body(self._limits.body, self._frames(request, response))) as body,
        ):
            await self._check(request, response, body)
            yield body

    @contextlib.asynccontextmanager
    async def _opened(self, http: Http, request: _Request) -> AsyncGenerator[Response]:
        """Send a request and wait for the headers."""
        response = await self._await_headers(http, request)
        begun = self._clock.monotonic()
        try:
            yield response
        finally:
            await response.aclose()
            if self._metrics is not None:
                self._metrics.ended(request.method, self._clock.monotonic() - begun)

    async def _await_headers(self, http: Http, request: _Request) -> Response:
        headers = await self._headers(request)
        begun = self._clock.monotonic()
        if self._metrics is not None:
            self._metrics.sent(request.method)
        try:
            with _deadline(request.headers_limit, request.doing, "the headers of a response"):
                response = await http.open(
                    request.method,
                    self._base + request.path,
                    params=request.params,
                    headers=headers,
                    content=request.content,
                    server_name=self._endpoint.tls.server_name,
                    doing=request.doing,
                )
        except KubernetesError as error:
            if self._metrics is not None:
                timeout = error.reason == "timeout"
                self._metrics.failed(request.method, self._clock.monotonic() - begun, timeout=timeout)
            raise
        if self._metrics is not None:
            self._metrics.answered(request.method, self._clock.monotonic() - begun, response.status)
        return response

    async def _headers(self, request: _Request) -> list[tuple[str, str]]:
        headers = [("Accept", _JSON), ("User-Agent", self._user_agent), *request.headers.items()]
        authorization = await self._endpoint.credentials.authorization()
        if authorization is not None:
            headers.append(("Authorization", authorization))
        if self._endpoint.impersonation is not None:
            headers.extend(self._endpoint.impersonation.headers())
        return headers

    async def _check(self, request: _Request, response: Response, body: Body | WatchBody) -> None:
        """Raise an answer that is an error."""
        if response.is_success:
            self._log_warnings(response)
            return
        text = b""
        # The status says enough, if the rest does not come.
        with contextlib.suppress(KubernetesError), trio.move_on_after(_ERROR_SECONDS):
            while len(text) < _ERROR_BODY and (chunk := await body.receive()):
                text += chunk
        status = parse_status(text, response.status)
        raise from_status(status, doing=request.doing, retry_after=self._retry_after(response))

    def _retry_after(self, response: Response) -> float | None:
        value = response.header("Retry-After")
        if value is None:
            return None
        try:
            until = (parsedate_to_datetime(value) - self._clock.wall()).total_seconds()
        except (ValueError, TypeError):
            until = None
        return parse_retry_after(value, seconds_until=until)

    def _log_warnings(self, response: Response) -> None:
        for warning in response.headers("Warning"):
            if warning not in self._warnings and len(self._warnings) < _WARNINGS:
                self._warnings.add(warning)
                _log.warning("the API server warns", text=warning)

    def _frames(self, request: _Request, response: Response) -> Callable[[], None]:
        if self._metrics is None:
            return _count_nothing
        return self._metrics.frames(request.method, response.status).inc

    # -- connections --

    async def _context(self) -> ssl.SSLContext:
        credentials = self._endpoint.credentials
        await credentials.authorization()  # a plugin may give us a certificate along with it, or nothing else
        return self._tls.current(credentials.certificate())

    @contextlib.asynccontextmanager
    async def _shared_http(self) -> AsyncGenerator[Http]:
        """Lend the connections that ordinary requests share. New certificates mean new ones; old ones end unused."""
        context = await self._context()
        if self._shared is None or self._shared.context is not context:
            old, self._shared = self._shared, _Shared(context, self._new_http(context))
            if old is not None:
                await old.retire()
        shared = self._shared
        shared.users += 1
        try:
            yield shared.http
        finally:
            shared.users -= 1
            if shared.retired and not shared.users:
                await shared.http.aclose()

    def _new_http(self, context: ssl.SSLContext, *, for_watch: bool = False) -> Http:
        if self._http is not None:
            return self._http()
        make = Http.for_watch if for_watch else Http.pooled
        return make(context, self._endpoint.proxy)


def _count_nothing() -> None:
    return None


@contextlib.contextmanager
def _deadline(seconds: float, doing: str, what: str) -> Generator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise Unavailable(f"{doing}: no answer within {seconds:g} s (the limit for {what})", reason="timeout")
