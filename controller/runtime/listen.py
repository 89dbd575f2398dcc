"""Where to listen: an address, and the socket bound to it."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs

_BACKLOG = 1024


@attrs.frozen
class SocketAddress:
    """An IP address and a port. Port 0 lets the system choose."""

    host: IPv4Address | IPv6Address
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> SocketAddress:
        return cls(ip_address(host), port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"


class BindError(Exception):
    """An address that could not be listened on."""


def bind(address: SocketAddress, *, name: str) -> socket.socket:
    """Return a listening, non-blocking socket. Clients may connect from now on, and wait until somebody accepts.

    `[::]` takes IPv4 clients too, as it does in upstream: the chart listens there on every cluster.
    """
    family = socket.AF_INET6 if address.host.version == 6 else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise BindError(f"binding the {name} server to {address}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((str(address.host), address.port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        hint = " (is another process listening there?)" if error.errno == errno.EADDRINUSE else ""
        raise BindError(f"binding the {name} server to {address}: {error.strerror}{hint}") from error
    return sock


def bound_address(sock: socket.socket) -> SocketAddress:
    """Return where the socket really listens: the chosen port when port 0 was asked for."""
    host, port = sock.getsockname()[:2]
    return SocketAddress.of(host, port)
