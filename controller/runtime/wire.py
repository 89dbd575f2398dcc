"""Connections whose response bodies we read ourselves.

A watch is a trickle of small chunks, each of which would pass through the generators, locks and buffers of the HTTP
library, and each TLS record through a turn of the loop: several times what it costs to read the event in it. So the
library gets what it is good at (connecting, proxies, TLS settings, the request, the head of the response), and the
bytes after the head are kept for whoever asks for them here, as many at a time as have arrived.

These are the library's own interfaces for networks; it calls them, we implement them on Trio.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Generator, Iterable
from typing import Any, Protocol

import attrs
import httpcore
import trio

_READ = 64 << 10
_HEAD_END = re.compile(rb"\n\r?\n")
_OVERLAP = 2  # bytes of the end of a head that may have come with an earlier read


class ByteStream(Protocol):
    """A connection, with or without TLS."""

    async def receive_some(self) -> bytes:
        """Wait for bytes; none means that the other side has closed."""
        ...

    async def send_all(self, data: bytes) -> None: ...

    async def aclose(self) -> None: ...


@attrs.define(eq=False)
class TcpStream:
    """A connection as it is."""

    _stream: trio.SocketStream

    async def receive_some(self) -> bytes:
        return bytes(await self._stream.receive_some(_READ))

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def aclose(self) -> None:
        await self._stream.aclose()


@attrs.define(eq=False)
class TlsStream:
    """TLS over another stream. Whatever records have arrived are read as one."""

    _transport: ByteStream
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    ssl_object: ssl.SSLObject

    @classmethod
    async def connect(cls, transport: ByteStream, context: ssl.SSLContext, server_name: str | None) -> TlsStream:
        """Shake hands. Raises `ssl.SSLError`."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        stream = cls(transport, incoming, outgoing, context.wrap_bio(incoming, outgoing, server_hostname=server_name))
        # Nothing is awaited while an exception is handled: what fails then would look as if that were its cause.
        refusal: ssl.SSLError | None = None
        done = False
        while not done:
            try:
                stream.ssl_object.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                refusal = error
            if refusal is not None:
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream._flush()  # tells the other side why
                raise refusal
            await stream._flush()
            if not done:
                await stream._more()
        return stream

    async def receive_some(self) -> bytes:
        while True:
            data, closed = self._decrypted()
            await self._flush()
            if data or closed:
                return data
            await self._more()

    async def send_all(self, data: bytes) -> None:
        self.ssl_object.write(data)
        await self._flush()

    async def aclose(self) -> None:
        # Without saying goodbye: whoever closes a watch has no use for an answer to that.
        await self._transport.aclose()

    def _decrypted(self) -> tuple[bytes, bool]:
        """Return what the records that have arrived hold, and whether they say that no more will come."""
        parts: list[bytes] = []
        closed = False
        try:
            while part := self.ssl_object.read(_READ):
                parts.append(part)
            closed = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            closed = True  # whether that is too early, the body knows
        except ssl.SSLError:
            if not parts:
                raise
        return (parts[0] if len(parts) == 1 else b"".join(parts)), closed

    async def _more(self) -> None:
        data = await self._transport.receive_some()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._transport.send_all(data)


class HeadStream(httpcore.AsyncNetworkStream):
    """What the library reads from: heads, and nothing behind them."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._kept = b""
        self._tail = b""  # the end of what the library has got of the head

    async def receive(self) -> bytes:
        """Return bytes that come after the head; none means that the other side has closed."""
        if self._kept:
            kept, self._kept = self._kept, b""
            return kept
        return await self._stream.receive_some()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # the library's
        with _translated(httpcore.ReadTimeout, httpcore.ReadError, timeout):
            data = await self.receive()
        seen = self._tail + data
        head_end = _HEAD_END.search(seen)
        length = len(data) if head_end is None else head_end.end() - len(self._tail)
        if length > max_bytes:
            head_end, length = None, max_bytes
        head, self._kept = data[:length], data[length:]
        self._tail = b"" if head_end is not None else (self._tail + head)[-_OVERLAP:]
        return head

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # the library's
        with _translated(httpcore.WriteTimeout, httpcore.WriteError, timeout):
            await self._stream.send_all(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's
    ) -> HeadStream:
        try:
            with _translated(httpcore.ConnectTimeout, httpcore.ConnectError, timeout):
                return HeadStream(await TlsStream.connect(self._stream, ssl_context, server_hostname))
        except BaseException:
            await trio.aclose_forcefully(_Closing(self._stream))
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object" and isinstance(self._stream, TlsStream):
            return self._stream.ssl_object
        return None


class TrioNetwork(httpcore.AsyncNetworkBackend):
    """Makes such connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> HeadStream:
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError, timeout):
            stream = await trio.open_tcp_stream(host, port, local_address=local_address)
        for option in socket_options or ():
            stream.setsockopt(*option)
        return HeadStream(TcpStream(stream))

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


@attrs.define(eq=False)
class _Closing(trio.abc.AsyncResource):
    _stream: ByteStream

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextlib.contextmanager
def _translated(too_slow: type[Exception], broken: type[Exception], timeout: float | None) -> Generator[None]:
    """Raise what Trio raises as what the library expects of a network."""
    try:
        with trio.fail_after(timeout) if timeout is not None else contextlib.nullcontext():
            yield
    except trio.TooSlowError as error:
        raise too_slow(str(error)) from error
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:  # an ssl.SSLError is an OSError
        raise broken(str(error)) from error
