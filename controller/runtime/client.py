"""Requests to the API server. The only module that knows which HTTP library sends them.

Ordinary requests share connections; each watch gets one of its own, so that one that is stuck or cancelled takes
nothing away from anybody. Two limits say how long an answer may take to begin: a short one for ordinary requests, and a
longer one for watches, whose headers some gateways hold back until the first event.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import platform
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import httpx
import trio

from controller.runtime.client_metrics import ClientMetrics
from controller.runtime.clock import Clock
from controller.runtime.endpoint import BadConfiguration, Endpoint
from controller.runtime.errors import (
    KubernetesError,
    Refused,
    Unauthenticated,
    Unavailable,
    from_status,
    parse_retry_after,
    parse_status,
)
from controller.runtime.log import get_logger
from controller.runtime.tls import TlsContexts

_log = get_logger(__name__)

HEADERS_SECONDS = 9.0
WATCH_HEADERS_SECONDS = 30.0
REQUEST_SECONDS = 30.0
LIST_SECONDS = 60.0  # per page; the server's own limit
CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0
MAX_BODY = 256 << 20
_ERROR_BODY = 64 << 10
_JSON: Final = "application/json"

_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, option), value)
        for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, option)
    ),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]


@attrs.frozen(kw_only=True)
class Limits:
    """How long things may take, in seconds, and how long they may be."""

    headers: float = HEADERS_SECONDS
    watch_headers: float = WATCH_HEADERS_SECONDS
    request: float = REQUEST_SECONDS
    page: float = LIST_SECONDS
    body: int = MAX_BODY  # bytes


@attrs.define(eq=False)
class Body:
    """The body of an answer, as it comes."""

    _chunks: AsyncIterator[bytes]
    _doing: str
    _count: Callable[[], None]
    _left: float  # bytes that it may still have

    async def receive(self) -> bytes:
        """Wait for some bytes and return them; none at the end."""
        try:
            with _named_by_remedy(self._doing, timeout="idle"):
                async for chunk in self._chunks:
                    self._count()
                    if chunk:
                        return self._within_limit(chunk)
        except Unavailable as error:
            if error.reason not in ("idle", "tls"):
                error.reason = "lost"
            raise
        return b""

    def _within_limit(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise Refused(f"{self._doing}: the answer is too long", reason="oversize")
        return chunk

    async def read(self) -> bytes:
        """Wait for the end and return everything."""
        parts: list[bytes] = []
        while chunk := await self.receive():
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@attrs.define(eq=False)
class _Shared:
    """Connections for ordinary requests, made with one TLS context."""

    context: ssl.SSLContext
    http: httpx.AsyncClient
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
        transport: Callable[[ssl.SSLContext], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._user_agent = f"{user_agent} ({platform.system().lower()}/{platform.machine()})"
        self._tls = TlsContexts(endpoint.tls, clock.monotonic)
        self._tls.current()
        _check_proxy(endpoint.proxy)
        self._transport = transport or self._new_transport
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
        doing = f"listing {path}"
        headers = {"Accept-Encoding": self._encoding()}
        async with self._shared_http() as http:
            with _deadline(self._limits.page, doing, "a page of a list"):
                async with self._exchange(http, "GET", path, params, doing=doing, headers=headers) as body:
                    yield body

    @contextlib.asynccontextmanager
    async def watch(self, path: str, params: Mapping[str, str], *, idle: float) -> AsyncGenerator[Body]:
        """Open a watch on a connection of its own."""
        async with (
            self._new_http(await self._context(), read=idle) as http,
            self._exchange(
                http,
                "GET",
                path,
                params,
                doing=f"watching {path}",
                # A compressed stream is delayed by what the compressor still keeps to itself.
                headers={"Accept-Encoding": "identity"},
                headers_limit=self._limits.watch_headers,
                raw=True,
            ) as body,
        ):
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
        doing = f"{method} {path}"
        headers = {"Accept-Encoding": self._encoding()}
        if body is not None:
            headers["Content-Type"] = content_type
        async with self._shared_http() as http:
            with _deadline(self._limits.request, doing, "a request"):
                async with self._exchange(
                    http, method, path, params or {}, doing=doing, headers=headers, content=body
                ) as answer:
                    read = await answer.read()
        return read

    # -- the exchange itself --

    @contextlib.asynccontextmanager
    async def _exchange(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        params: Mapping[str, str],
        *,
        doing: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        headers_limit: float | None = None,
        raw: bool = False,
    ) -> AsyncGenerator[Body]:
        """Send a request, wait for the headers, and lend the body; an answer that is an error is raised."""
        request = await self._build(http, method, path, params, headers, content)
        response = await self._await_headers(http, request, doing, headers_limit or self._limits.headers)
        begun = self._clock.monotonic()
        chunks = response.aiter_raw() if raw else response.aiter_bytes()
        left = math.inf if raw else self._limits.body
        body = Body(chunks, doing, self._frame_counter(method, response.status_code), left)
        try:
            if response.is_success:
                self._log_warnings(response)
                yield body
            else:
                await self._raise(response, body, doing)
        finally:
            await _finish(chunks)
            with contextlib.suppress(httpx.HTTPError):
                await response.aclose()
            if self._metrics is not None:
                self._metrics.ended(method, self._clock.monotonic() - begun)

    async def _build(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> httpx.Request:
        sent = [("Accept", _JSON), ("User-Agent", self._user_agent), *headers.items()]
        authorization = await self._endpoint.credentials.authorization()
        if authorization is not None:
            sent.append(("Authorization", authorization))
        if self._endpoint.impersonation is not None:
            sent.extend(self._endpoint.impersonation.headers())
        return http.build_request(
            method,
            self._base + path,
            params=params,
            headers=sent,
            content=content,
            extensions={"sni_hostname": self._endpoint.tls.server_name} if self._endpoint.tls.server_name else None,
        )

    async def _await_headers(
        self, http: httpx.AsyncClient, request: httpx.Request, doing: str, limit: float
    ) -> httpx.Response:
        method = request.method
        begun = self._clock.monotonic()
        if self._metrics is not None:
            self._metrics.sent(method)
        try:
            with _deadline(limit, doing, "the headers of a response"), _named_by_remedy(doing):
                response = await http.send(request, stream=True)
        except KubernetesError as error:
            if self._metrics is not None:
                self._metrics.failed(method, self._clock.monotonic() - begun, timeout=error.reason == "timeout")
            raise
        if self._metrics is not None:
            self._metrics.answered(method, self._clock.monotonic() - begun, response.status_code)
        return response

    async def _raise(self, response: httpx.Response, body: Body, doing: str) -> None:
        text = b""
        with contextlib.suppress(KubernetesError):  # the status says enough
            while len(text) < _ERROR_BODY and (chunk := await body.receive()):
                text += chunk
        status = parse_status(text, response.status_code)
        raise from_status(status, doing=doing, retry_after=self._retry_after(response))

    def _retry_after(self, response: httpx.Response) -> float | None:
        value = response.headers.get("Retry-After")
        if value is None:
            return None
        try:
            until = (parsedate_to_datetime(value) - self._clock.wall()).total_seconds()
        except (ValueError, TypeError):
            until = None
        return parse_retry_after(value, seconds_until=until)

    def _log_warnings(self, response: httpx.Response) -> None:
        for warning in response.headers.get_list("Warning"):
            if warning not in self._warnings and len(self._warnings) < 1_000:
                self._warnings.add(warning)
                _log.warning("the API server warns", text=warning)

    def _frame_counter(self, method: str, status: int) -> Callable[[], None]:
        return _count_nothing if self._metrics is None else self._metrics.frames(method, status).inc

    def _encoding(self) -> str:
        return "gzip" if self._endpoint.compression else "identity"

    # -- connections --

    async def _context(self) -> ssl.SSLContext:
        credentials = self._endpoint.credentials
        await credentials.authorization()  # a plugin may give us a certificate along with it, or nothing else
        return self._tls.current(credentials.certificate())

    @contextlib.asynccontextmanager
    async def _shared_http(self) -> AsyncGenerator[httpx.AsyncClient]:
        """Lend the connections that ordinary requests share. New certificates mean new ones; old ones end unused."""
        context = await self._context()
        if self._shared is None or self._shared.context is not context:
            old, self._shared = self._shared, _Shared(context, self._new_http(context, read=None))
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

    def _new_http(self, context: ssl.SSLContext, *, read: float | None) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport(context),
            timeout=httpx.Timeout(connect=CONNECT_SECONDS, read=read, write=WRITE_SECONDS, pool=None),
            trust_env=False,
            follow_redirects=False,
        )

    def _new_transport(self, context: ssl.SSLContext) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(
            verify=context, trust_env=False, proxy=self._endpoint.proxy, socket_options=_KEEPALIVE
        )


def _check_proxy(proxy: str | None) -> None:
    if proxy is None:
        return
    scheme = proxy.partition("://")[0]
    if scheme not in ("http", "https", "socks5", "socks5h"):
        raise BadConfiguration(f"a proxy of scheme {scheme!r} cannot be used")
    if scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise BadConfiguration("a SOCKS proxy is configured; install socksio to use it")


def _count_nothing() -> None:
    return None


async def _finish(chunks: AsyncIterator[bytes]) -> None:
    """Unwind a body that nobody wants to the end.

    The library's bodies are generators in generators; closing the outermost leaves the others to the garbage
    collector, which Trio rightly complains about. Cancelled, they unwind from within.
    """
    with trio.CancelScope() as scope, contextlib.suppress(httpx.HTTPError, httpx.StreamError):
        scope.cancel()
        async for _ in chunks:
            pass


@contextlib.contextmanager
def _deadline(seconds: float, doing: str, what: str) -> Generator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise Unavailable(f"{doing}: no answer within {seconds:g} s (the limit for {what})", reason="timeout")


@contextlib.contextmanager
def _named_by_remedy(doing: str, timeout: str = "timeout") -> Generator[None]:
    """Raise what the library raises as what a caller can do about it."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise Unavailable(f"{doing}: connecting took too long", reason="timeout") from error
    except httpx.TimeoutException as error:
        raise Unavailable(f"{doing}: nothing came for too long", reason=timeout) from error
    except (httpx.ConnectError, httpx.ProxyError) as error:
        reason = "tls" if _is_tls(error) else "connect"
        raise Unavailable(f"{doing}: {_explain(error)}", reason=reason) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise Unavailable(f"{doing}: {_explain(error)}", reason="lost") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_tls(error: BaseException) -> bool:
    return any(isinstance(cause, ssl.SSLError) for cause in _causes(error))


def _explain(error: BaseException) -> str:
    """Return the text of the innermost cause that has one: libraries wrap `Connection refused` in nothing."""
    texts = [str(cause) for cause in _causes(error) if str(cause)]
    return texts[-1] if texts else type(error).__name__
