"""The gRPC server on Trio: listeners, connections, and how it stops."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
import trio

from controller.grpc.transport.calls import Shared
from controller.grpc.transport.connection import ServedConnection
from controller.grpc.transport.headers import HeaderMemo
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.rounds import Rounds
from controller.grpc.transport.services import NO_HOOKS, Hooks, Routes, Servable, Service
from controller.grpc.transport.timers import Timers
from controller.runtime.log import get_logger

_log = get_logger(__name__)

_ACCEPT_AT_ONCE = 32
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_RESOURCES_PAUSE = 0.1
_REFUSALS_PAUSE = 10.0  # between two lines in the log


@attrs.frozen
class ServerStatistics:
    connections: int
    streams: int
    accepted: int
    refused_connections: int
    refused_streams: int
    header_blocks_known: int
    header_blocks_decoded: int
    waiting: int  # connections that wait for a turn
    faults: Mapping[str, int]  # connections that we ended because of what the client did, per HTTP/2 error code


class GrpcServer:
    """Serves gRPC to many clients in one task tree.

    `draw` gives numbers between 0 and 1, for the spread of stream ages.
    """

    def __init__(
        self,
        offered: Iterable[Service | Servable],
        *,
        draw: Callable[[], float],
        limits: Limits | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self._limits = limits or Limits()
        self._sooner = trio.Event()
        self._shared = Shared(
            routes=Routes(offered, hooks),
            limits=self._limits,
            timers=Timers(self._on_sooner),
            memo=HeaderMemo(self._limits.header_list_size),
            draw=draw,
            report=_report,
        )
        self._rounds = Rounds()
        self._connections: set[ServedConnection] = set()
        self._peers: Counter[str] = Counter()
        self._accepting = trio.CancelScope()
        self._accepted = 0
        self._refused_connections = 0
        self._quiet_until = -math.inf  # for refusals
        self._refused_streams = 0
        self._faults: Counter[str] = Counter()
        self._ended = trio.Event()

    @property
    def services(self) -> tuple[str, ...]:
        return self._shared.routes.services

    def statistics(self) -> ServerStatistics:
        calls = [connection.calls for connection in self._connections]
        return ServerStatistics(
            connections=len(calls),
            streams=sum(call.streams for call in calls),
            accepted=self._accepted,
            refused_connections=self._refused_connections,
            refused_streams=self._refused_streams + sum(call.refused for call in calls),
            header_blocks_known=self._shared.memo.hits,
            header_blocks_decoded=self._shared.memo.misses,
            waiting=len(self._rounds),
            faults=dict(self._faults),
        )

    async def serve(
        self, listeners: Sequence[socket.socket], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve the clients of these listening, non-blocking sockets until `drain` is through.

        The sockets belong to this call: they are closed when draining begins, or when it ends. Cancelling it ends every
        call without a status.
        """
        try:
            async with trio.open_nursery() as machinery:
                machinery.start_soon(self._rounds.run)
                machinery.start_soon(self._keep_time)
                async with trio.open_nursery() as conversations:
                    task_status.started()
                    with self._accepting:
                        async with trio.open_nursery() as accepting:
                            for listener in listeners:
                                accepting.start_soon(self._accept, listener, conversations)
                    _close(listeners)
                machinery.cancel_scope.cancel()
        finally:
            _close(listeners)
            self._ended.set()

    async def drain(self, *, deadline: float) -> None:
        """Stop accepting, let calls end, published streams with OK, and wait for it; at the deadline cut off the rest.

        Returns when `serve` has ended. Cancelled: draining goes on, without a deadline.
        """
        self._accepting.cancel()
        for connection in tuple(self._connections):
            connection.drain()
        with trio.move_on_at(deadline):
            await self._ended.wait()
        if self._connections:
            held = self.statistics()
            _log.warning("cutting off what did not end in time", connections=held.connections, streams=held.streams)
        for connection in tuple(self._connections):
            connection.abort()
        await self._ended.wait()

    async def _accept(self, listener: socket.socket, conversations: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                for _ in range(_ACCEPT_AT_ONCE):
                    sock, address = listener.accept()
                    self._take(sock, _host(address[0]), address[1], conversations)
            except (BlockingIOError, ConnectionError):
                continue
            except OSError as error:
                if error.errno not in _NO_RESOURCES:
                    raise
                # Whoever wants to connect waits in the listener's queue. Trying again at once would only burn CPU.
                _log.warning("cannot accept connections", reason=str(error), connections=len(self._connections))
                await trio.sleep(_NO_RESOURCES_PAUSE)

    def _take(self, sock: socket.socket, host: str, port: int, conversations: trio.Nursery) -> None:
        limits = self._limits
        if len(self._connections) >= limits.connections or self._peers[host] >= limits.connections_per_peer:
            self._refuse(host)
            sock.close()
            return
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted += 1
        peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        connection = ServedConnection(sock, self._shared, self._rounds, conversations, peer=peer)
        self._connections.add(connection)
        self._peers[host] += 1
        conversations.start_soon(self._serve_connection, connection, host)

    def _refuse(self, host: str) -> None:
        self._refused_connections += 1
        now = trio.current_time()
        if now >= self._quiet_until:  # who floods us with connections shall not flood the log as well
            self._quiet_until = now + _REFUSALS_PAUSE
            _log.warning(
                "connections refused", peer=host, connections=len(self._connections), refused=self._refused_connections
            )

    async def _serve_connection(self, connection: ServedConnection, host: str) -> None:
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            self._refused_streams += connection.calls.refused
            if connection.calls.failure is not None:
                self._faults[connection.calls.failure.code.name] += 1
            self._peers[host] -= 1
            if not self._peers[host]:
                del self._peers[host]

    async def _keep_time(self) -> None:
        timers = self._shared.timers
        while True:
            self._sooner = trio.Event()
            with trio.move_on_at(timers.next_due()):
                await self._sooner.wait()
            timers.expire(trio.current_time())

    def _on_sooner(self) -> None:
        self._sooner.set()


def _close(listeners: Sequence[socket.socket]) -> None:
    for listener in listeners:
        if listener.fileno() >= 0:
            trio.lowlevel.notify_closing(listener)
            listener.close()


def _host(host: str) -> str:
    """An IPv4 client of an IPv6 listener is known by its IPv4 address."""
    return host.removeprefix("::ffff:") if "." in host else host


def _report(what: str, error: Exception) -> None:
    _log.error("handler failed", exc_info=error, method=what)
