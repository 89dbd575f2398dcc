"""A small HTTP server on loopback, which does to a client what a test wants done."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs
import h11
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@attrs.frozen
class Received:
    """A request as it came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]


# Answers one request on the bare stream; what it returns says whether the connection stays open.
Handler = Callable[[Received, trio.abc.Stream], Awaitable[bool]]


def answer(body: bytes = b"{}", *, code: int = 200, headers: str = "") -> bytes:
    """A whole response."""
    return f"HTTP/1.1 {code} x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def always(response: bytes) -> Handler:
    async def handle(_received: Received, stream: trio.abc.Stream) -> bool:
        await stream.send_all(response)
        return True

    return handle


@attrs.define
class Loopback:
    """A server that runs for as long as a block lasts."""

    url: str
    port: int
    received: list[Received] = attrs.field(factory=list)
    connections: int = 0
    open_connections: int = 0
    server_names: list[str | None] = attrs.field(factory=list)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def count(self, difference: int) -> None:
        self.open_connections += difference
        self._changed.unpark_all()

    async def wait_connections(self, number: int) -> None:
        """Wait until so many connections are open."""
        with trio.fail_after(5):
            while self.open_connections != number:
                await self._changed.park()


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        server = Loopback(f"{'http' if tls is None else 'https'}://127.0.0.1:{port}", port)
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: server.server_names.append(name)

        async def connected(stream: trio.SocketStream) -> None:
            server.connections += 1
            server.count(1)
            try:
                wrapped = (
                    stream if tls is None else trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
                )
                async with wrapped:
                    await _converse(server, server.connections, wrapped, handler)
            except (trio.BrokenResourceError, h11.ProtocolError):
                pass  # the client has gone, or was not to our taste
            finally:
                server.count(-1)

        nursery.start_soon(trio.serve_listeners, connected, listeners)
        yield server
        nursery.cancel_scope.cancel()


async def _converse(server: Loopback, number: int, stream: trio.abc.Stream, handler: Handler) -> None:
    while True:
        connection = h11.Connection(h11.SERVER)
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = await stream.receive_some()
                if not data:
                    return
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
        if head is None:
            return
        headers = tuple((key.decode(), value.decode()) for key, value in head.headers)
        received = Received(head.method.decode(), head.target.decode(), headers, body, number)
        server.received.append(received)
        if not await handler(received, stream):
            return


@attrs.frozen
class Authority:
    """A certificate authority of our own, and what it signs."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str = "test authority") -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, key, name, key, is_authority=True)
        return cls(key, certificate)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *names: str) -> tuple[bytes, bytes]:
        """Return a certificate for these names or addresses, and its key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        certificate = _sign(names[0], key, str(issuer), self.key, names=names)
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def server_context(self, folder: Path, *names: str, client: Authority | None = None) -> ssl.SSLContext:
        """A server's context with a certificate for these names; with `client`, one that wants a certificate too."""
        certificate, key = self.issue(*names)
        path = folder / f"{names[0].replace(':', '_')}.pem"
        path.write_bytes(certificate + key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        if client is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=client.pem.decode())
        return context


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...] = (),
    is_authority: bool = False,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(each) for each in names]), False)
    return builder.sign(issuer_key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
