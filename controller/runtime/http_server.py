"""Serves an ASGI application on a bound socket: connections, their limits, and their end.

HTTP itself is anycorn's: each connection is one of its `TCPServer`s. Accepting is ours, because a server that has run
out of file descriptors must wait and go on, and because each connection may be given another certificate. Between the
two stands `_Connection`, a stream that keeps the time limits for which anycorn has no setting.

anycorn is slow to import; whoever needs this before the process is ready imports it in a thread.
"""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from socket import socket
from typing import Any, TypeAlias, cast

import anycorn
import anyio
import anyio.abc
import attrs
import trio
from anycorn.app_wrappers import ASGIWrapper
from anycorn.tcp_server import TCPServer
from anycorn.typing import ASGIFramework
from anycorn.worker_context import WorkerContext
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute
from starlette.types import ASGIApp, Receive, Scope, Send

from controller.runtime.listen import SocketAddress, bound_address
from controller.runtime.log import get_logger
from controller.runtime.request_limits import limit_requests

_log = get_logger(__name__)

ByteStream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@attrs.frozen(kw_only=True)
class HttpLimits:
    """How long and how large. Times are in seconds, sizes in bytes."""

    header_timeout: float = 2.0  # from a request's first byte, or the connection's start, to the end of its headers
    keep_alive: float = 2.0  # idle between requests
    header_size: int = 8 * 1024
    body_timeout: float = 30.0  # from the end of the headers
    body_size: int = 3 * 1024 * 1024
    send_timeout: float = 30.0  # until the peer has taken what is sent at once
    handshake_timeout: float = 10.0
    connections: int = 1024  # further ones wait in the kernel's backlog


@attrs.frozen(kw_only=True)
class Tls:
    """Where a new connection gets its context from, and who counts those that fail to use it."""

    context: Callable[[], Awaitable[ssl.SSLContext]]
    on_handshake_error: Callable[[], None] = lambda: None


async def serve_http(
    app: ASGIApp,
    sock: socket,
    *,
    limits: HttpLimits,
    wait_stopping: Callable[[], Awaitable[None]] = trio.sleep_forever,
    grace: float = 10.0,
    tls: Tls | None = None,
    task_status: trio.TaskStatus[SocketAddress] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `wait_stopping` returns; then requests in progress have `grace` seconds to finish.

    Takes over the socket and closes it. Cancelling cuts everything off.
    """
    limited = limit_requests(
        app, header_size=limits.header_size, body_size=limits.body_size, body_seconds=limits.body_timeout
    )
    server = _Server(limited, limits, tls)
    listener = _PatientListener(trio.SocketListener(trio.socket.from_stdlib_socket(sock)), limits.connections)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accept = partial(trio.serve_listeners, handler_nursery=connections)
            accepting.start_soon(accept, partial(listener.handle, server.handle), [listener])
            task_status.started(bound_address(sock))
            await wait_stopping()
            accepting.cancel_scope.cancel()
        await server.finish()
        connections.cancel_scope.deadline = trio.current_time() + grace


class _PatientListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts only as many connections as may be open at once."""

    def __init__(self, listener: trio.SocketListener, connections: int) -> None:
        self._listener = listener
        self._places = trio.Semaphore(connections)

    async def accept(self) -> trio.SocketStream:
        await self._places.acquire()
        try:
            return await self._listener.accept()
        except BaseException:
            self._places.release()
            raise

    async def handle(self, handler: Callable[[trio.SocketStream], Awaitable[None]], stream: trio.SocketStream) -> None:
        """Handle an accepted connection, and give its place back."""
        try:
            await handler(stream)
        finally:
            self._places.release()

    async def aclose(self) -> None:
        await self._listener.aclose()


class _Server:
    """What the connections of one socket share."""

    def __init__(self, app: ASGIApp, limits: HttpLimits, tls: Tls | None) -> None:
        self._app = app
        self._limits = limits
        self._tls = tls
        self._config = _anycorn_config(limits)
        self._context = WorkerContext(None)

    async def finish(self) -> None:
        """Have idle connections closed now, and busy ones after the request they are in."""
        await self._context.terminated.set()

    async def handle(self, transport: trio.SocketStream) -> None:
        stream = transport if self._tls is None else await self._shake_hands(transport, self._tls)
        if stream is not None:
            connection = _Connection(stream, transport, self._limits)
            app = cast("ASGIFramework", partial(connection.run_app, self._app))
            with connection.scope:
                await TCPServer(ASGIWrapper(app), self._config, self._context, {}, connection).run()

    async def _shake_hands(self, transport: trio.SocketStream, tls: Tls) -> ByteStream | None:
        try:
            with trio.fail_after(self._limits.handshake_timeout):
                stream = trio.SSLStream(transport, await tls.context(), server_side=True, https_compatible=True)
                await stream.do_handshake()
        except (trio.TooSlowError, trio.BrokenResourceError, OSError) as error:
            tls.on_handshake_error()
            _log.debug("TLS handshake failed", error=error.__cause__ or error)
            await trio.aclose_forcefully(transport)
            return None
        return stream


class _Connection(anyio.abc.SocketStream):
    """A stream as anycorn wants it, with deadlines.

    It knows whether a request is being handled, because the application is called through it. While none is, what is
    received is the beginning of the next one, and its headers have to be complete in time.

    When nothing more is going to come and no request is being handled, `scope` is cancelled: anycorn would wait for
    its keep-alive timer before it lets go of the connection.
    """

    def __init__(self, stream: ByteStream, transport: trio.SocketStream, limits: HttpLimits) -> None:
        self._stream = stream
        self._transport = transport
        self._limits = limits
        self.scope = trio.CancelScope()
        self._requests = 0
        self._ended = False  # whether nothing more is going to be received
        self._headers_due = trio.current_time() + limits.header_timeout
        self._receiving = trio.CancelScope()

    @property
    def _raw_socket(self) -> socket:
        return cast("socket", self._transport.socket)  # for its addresses, which Trio's has too

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        attributes: dict[Any, Callable[[], Any]] = {SocketAttribute.raw_socket: lambda: self._raw_socket}
        if isinstance(self._stream, trio.SSLStream):
            stream = self._stream
            attributes[TLSAttribute.alpn_protocol] = stream.selected_alpn_protocol
            attributes[TLSAttribute.tls_version] = stream.version
        return attributes

    async def run_app(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        self._requests += 1
        self._expect_headers_by(math.inf)
        try:
            await app(scope, receive, send)
        finally:
            self._requests -= 1
            self._let_go_if_idle()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        with trio.CancelScope(deadline=self._headers_due) as self._receiving:
            return await self._receive(max_bytes)
        self._end()
        raise TimeoutError

    async def _receive(self, max_bytes: int) -> bytes:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.ClosedResourceError as error:
            self._end()
            raise anyio.ClosedResourceError from error
        except trio.BrokenResourceError as error:
            self._end()
            raise anyio.BrokenResourceError from error
        if data:
            if not self._requests and self._headers_due == math.inf and not self._is_http2:
                self._headers_due = trio.current_time() + self._limits.header_timeout
            return bytes(data)
        # A client may close its side after a request, and still wait for the answer.
        self._end()
        raise anyio.EndOfStream

    def _end(self) -> None:
        """Nothing more is going to be received."""
        self._ended = True
        self._let_go_if_idle()

    def _let_go_if_idle(self) -> None:
        if self._ended and not self._requests:
            self.scope.cancel()

    @property
    def _is_http2(self) -> bool:
        # Its frames need not be part of a request, so only the first request is waited for.
        return isinstance(self._stream, trio.SSLStream) and self._stream.selected_alpn_protocol() == "h2"

    def _expect_headers_by(self, due: float) -> None:
        self._headers_due = self._receiving.deadline = due

    async def send(self, item: bytes) -> None:
        # anycorn shields what it sends from cancellation, so a peer that reads nothing is given up here.
        try:
            with trio.fail_after(self._limits.send_timeout):
                await self._stream.send_all(item)
        except trio.ClosedResourceError as error:
            raise anyio.ClosedResourceError from error
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        if isinstance(self._stream, trio.SocketStream):
            try:
                await self._stream.send_eof()
            except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
                raise anyio.ClosedResourceError from error

    async def aclose(self) -> None:
        with trio.move_on_after(self._limits.send_timeout):
            await self._stream.aclose()


def _anycorn_config(limits: HttpLimits) -> anycorn.Config:
    config = anycorn.Config()
    config.errorlog = logging.getLogger(__name__)
    config.h11_max_incomplete_size = limits.header_size
    config.h2_max_header_list_size = limits.header_size
    config.keep_alive_timeout = limits.keep_alive
    config.keep_alive_max_requests = 1_000_000
    config.include_server_header = False
    return config
