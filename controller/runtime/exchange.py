"""Requests and responses on the wire. The only module that knows which HTTP library sends them.

Everything that the library raises is raised here as what a caller can do about it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs
import httpcore
import httpx
import trio

from controller.runtime.endpoint import BadConfiguration
from controller.runtime.errors import Refused, Unavailable
from controller.runtime.http_body import BrokenBody, body_of
from controller.runtime.watch_body import WatchBody
from controller.runtime.wire import HeadStream, TrioNetwork

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0

_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, option), value)
        for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, option)
    ),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]


@attrs.define(eq=False)
class Body:
    """The body of an answer, as it comes."""

    _chunks: AsyncIterator[bytes]
    _doing: str
    _count: Callable[[], None]
    _left: int  # bytes that it may still have

    async def receive(self) -> bytes:
        """Wait for some bytes and return them; none at the end."""
        try:
            async for chunk in self._chunks:
                self._count()
                if chunk:
                    return self._within_limit(chunk)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Unavailable(f"{self._doing}: {_explain(error)}", reason="lost") from error
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

    async def aclose(self) -> None:
        """Unwind what nobody wants to the end.

        The library's bodies are generators in generators; closing the outermost leaves the others to the garbage
        collector, of which Trio rightly complains. Cancelled, they unwind from within.
        """
        with trio.CancelScope() as scope, contextlib.suppress(httpx.HTTPError, httpx.StreamError):
            scope.cancel()
            async for _ in self._chunks:
                pass


class _WatchTransport(httpx.AsyncBaseTransport):
    """Sends a request and returns the head of the response; what follows is read from its `network_stream`."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        extensions: Any = response.extensions  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Unread(response),
            extensions=extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Unread(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def aclose(self) -> None:
        await self._response.aclose()


@attrs.define(eq=False)
class Response:
    """An answer whose headers have come."""

    _response: httpx.Response
    _doing: str

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def is_success(self) -> bool:
        return self._response.is_success

    def header(self, name: str) -> str | None:
        values = self._response.headers.get_list(name)
        return values[0] if values else None

    def headers(self, name: str) -> list[str]:
        return self._response.headers.get_list(name)

    def body(self, limit: int, count: Callable[[], None]) -> Body:
        """Return the body, of no more than so many bytes; `count` is called for each piece of it."""
        return Body(self._response.aiter_bytes(), self._doing, count, limit)

    def stream(self, idle: float, count: Callable[[], None]) -> WatchBody | Body:
        """Return the body of a watch, on which no more than `idle` seconds may pass without a byte."""
        stream = self._response.extensions.get("network_stream")
        if not isinstance(stream, HeadStream):  # a test's own transport
            return self.body(1 << 62, count)
        try:
            return WatchBody(stream, body_of(self._response.headers), self._doing, idle, count)
        except BrokenBody as error:
            raise Unavailable(f"{self._doing}: {error}", reason="lost") from error

    async def aclose(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            await self._response.aclose()


@attrs.define(eq=False)
class Http:
    """Connections, and requests on them."""

    _client: httpx.AsyncClient

    @classmethod
    def pooled(cls, context: ssl.SSLContext, proxy: str | None) -> Http:
        """Make connections that many requests may use in turn."""
        return cls.over(
            httpx.AsyncHTTPTransport(verify=context, trust_env=False, proxy=proxy, socket_options=_KEEPALIVE)
        )

    @classmethod
    def for_watch(cls, context: ssl.SSLContext, proxy: str | None) -> Http:
        """Make one connection, for a response that lasts."""
        return cls.over(
            _WatchTransport(
                httpcore.AsyncConnectionPool(
                    ssl_context=context,
                    proxy=_proxy(proxy),
                    network_backend=TrioNetwork(),
                    socket_options=_KEEPALIVE,
                )
            )
        )

    @classmethod
    def over(cls, transport: httpx.AsyncBaseTransport) -> Http:
        return cls(
            httpx.AsyncClient(
                transport=transport,
                # How long an answer may take is the caller's business.
                timeout=httpx.Timeout(connect=CONNECT_SECONDS, read=None, write=WRITE_SECONDS, pool=None),
                trust_env=False,
                follow_redirects=False,
            )
        )

    async def open(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str],
        headers: Sequence[tuple[str, str]],
        content: bytes | None,
        server_name: str | None,
        doing: str,
    ) -> Response:
        """Send a request, and wait for the headers of the answer."""
        extensions = {"sni_hostname": server_name} if server_name else None
        with named_by_remedy(doing):
            request = self._client.build_request(
                method, url, params=params, headers=headers, content=content, extensions=extensions
            )
            return Response(await self._client.send(request, stream=True), doing)

    async def aclose(self) -> None:
        await self._client.aclose()


def check_proxy(proxy: str | None) -> None:
    if proxy is None:
        return
    scheme = proxy.partition("://")[0]
    if scheme not in ("http", "https", "socks5", "socks5h"):
        raise BadConfiguration(f"a proxy of scheme {scheme!r} cannot be used")
    if scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise BadConfiguration("a SOCKS proxy is configured; install socksio to use it")


def _proxy(url: str | None) -> httpcore.Proxy | None:
    if url is None:
        return None
    parsed = httpx.Proxy(url)  # which knows how user and password are written
    return httpcore.Proxy(str(parsed.url), auth=parsed.raw_auth, headers=parsed.headers.raw)


@contextlib.contextmanager
def named_by_remedy(doing: str) -> Generator[None]:
    """Raise what the library raises as what a caller can do about it."""
    try:
        yield
    except (httpx.ConnectTimeout, httpcore.ConnectTimeout) as error:
        raise Unavailable(f"{doing}: connecting took too long", reason="timeout") from error
    except (httpx.TimeoutException, httpcore.TimeoutException) as error:
        raise Unavailable(f"{doing}: nothing came for too long", reason="timeout") from error
    except (httpx.ConnectError, httpx.ProxyError, httpcore.ConnectError, httpcore.ProxyError) as error:
        reason = "tls" if _is_tls(error) else "connect"
        raise Unavailable(f"{doing}: {_explain(error)}", reason=reason) from error
    except (httpx.HTTPError, httpx.StreamError, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise Unavailable(f"{doing}: {_explain(error)}", reason="lost") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):  # one for each address; they rarely differ
            cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[-1]
        else:
            cause = cause.__cause__ or cause.__context__


def _is_tls(error: BaseException) -> bool:
    """Say whether the other side and we disagree about TLS. One that hangs up, as a dying server does, says nothing."""
    return any(isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) for cause in _causes(error))


def _explain(error: BaseException) -> str:
    """Return the text of the innermost cause that has one: libraries wrap `Connection refused` in nothing."""
    texts = [str(cause) for cause in _causes(error) if str(cause)]
    return texts[-1] if texts else type(error).__name__
