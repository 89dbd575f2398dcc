"""One client's connection on Trio: a socket, and the calls on it."""

from __future__ import annotations

import contextlib
import math
import socket

import trio

from controller.grpc.transport.calls import CallConnection, Shared
from controller.grpc.transport.rounds import Rounds
from controller.grpc.transport.streams import run_handler
from controller.runtime.log import get_logger

_log = get_logger(__name__)

_READ_SIZE = 64 * 1024
_WRITE_SIZE = 256 * 1024  # about so much is written at a time, and at most twice that is kept for a slow reader
_TURN_REQUESTS = 16  # new requests in one turn
_LINGER_SECONDS = 1.0  # how long a client that was told to go may take to hang up
_LEAVE_SECONDS = 1.0  # how long a client may take to notice that we are leaving


class ServedConnection:
    """A connection being served.

    There is one task, which reads. Writing needs none as long as the socket takes everything; a second task exists only
    while it does not. The reader waits meanwhile: a client that does not read is not read from either, so that nothing
    piles up for it, neither answers nor acknowledgements.
    """

    __slots__ = (
        "_asked",
        "_finishing",
        "_leave_at",
        "_received_at",
        "_resume",
        "_rounds",
        "_scope",
        "_shared",
        "_sock",
        "_spawn",
        "_unsent",
        "calls",
        "in_round",
        "tick",
    )

    def __init__(self, sock: socket.socket, shared: Shared, rounds: Rounds, spawn: trio.Nursery, *, peer: str) -> None:
        self._sock = sock
        self._shared = shared
        self._rounds = rounds
        self._spawn = spawn
        self._scope = trio.CancelScope()
        self._resume: trio.Event | None = None
        self._unsent: memoryview | None = None
        self._finishing = False
        self._received_at = trio.current_time()
        self._asked = False  # whether the client was asked for a sign of life and has given none
        self._leave_at: float | None = None
        self.in_round = False
        self.tick = 0
        self.calls = CallConnection(shared, peer=peer, wake=self._wake)

    def _wake(self) -> None:
        self._rounds.add(self)

    async def run(self) -> None:
        """Serve the client until either side hangs up. The socket is closed then, and every call has ended."""
        try:
            with self._scope:
                if self._leave_at is None:  # else it was told to leave before it could begin
                    self._shared.timers.schedule(self, self._received_at + self._shared.limits.handshake_seconds)
                self._rounds.try_now(self)  # our preface
                await self._read()
        finally:
            self._finishing = True  # it may wait for a turn yet
            self._unsent = None
            self._shared.timers.cancel(self)
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
            try:
                self.calls.close(trio.current_time())
            except Exception as error:  # noqa: BLE001  # a fault of ours ends this connection and no other
                _log.error("closing a connection failed", exc_info=error, peer=self.calls.peer)

    async def _read(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(_READ_SIZE)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            if self._finishing:
                continue
            self._received_at = trio.current_time()
            self._asked = False
            self.calls.receive(data)
            self._rounds.try_now(self)
            while self.in_round or self._unsent is not None:
                self._resume = trio.Event()
                await self._resume.wait()

    # Turns.

    def take_turn(self, now: float) -> bool:
        """Handle a bounded part of the input and write what is ready."""
        if self._finishing:
            return False
        try:
            self.calls.advance(now, _TURN_REQUESTS)
            for call in self.calls.take_started():
                self._spawn.start_soon(run_handler, call, self._shared.report)
            if self._unsent is None:
                self._write(now)
        except Exception as error:  # noqa: BLE001  # a fault of ours ends this connection and no other
            _log.error("serving a connection failed", exc_info=error, peer=self.calls.peer)
            self._scope.cancel()
            return False
        if self.calls.failure is not None and self._scope.deadline == math.inf:
            self._scope.deadline = now + _LINGER_SECONDS  # also if the client does not read what we think of it
        more = self.calls.has_input or (self._unsent is None and self.calls.has_output)
        if not more:
            self._resume_reader()
        return more

    def _resume_reader(self) -> None:
        if self._resume is not None and self._unsent is None:
            self._resume.set()
            self._resume = None

    def _write(self, now: float) -> None:
        data = self.calls.data_to_send(now, _WRITE_SIZE)
        if data:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._scope.cancel()
                return
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                self._spawn.start_soon(self._write_rest)
                return
        if self.calls.finished and not self.calls.has_output:
            self._finish(now)

    async def _write_rest(self) -> None:
        try:
            while self._unsent:
                await trio.lowlevel.wait_writable(self._sock)
                with contextlib.suppress(BlockingIOError):
                    self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except (OSError, trio.ClosedResourceError):
            self._scope.cancel()
            return
        self._unsent = None
        self._rounds.add(self)

    def _finish(self, now: float) -> None:
        """Say goodbye: nothing more is written, and what the client still sends is read and thrown away.

        Closing at once could destroy what is on its way: a socket that is closed with unread input resets the
        connection.
        """
        if self.calls.failure is not None:
            _log.info("connection ended", peer=self.calls.peer, reason=self.calls.failure.reason)
        self._finishing = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._scope.deadline = now + _LINGER_SECONDS
        self._resume_reader()

    # Time.

    def drain(self) -> None:
        """Begin to leave; the connection ends when its calls have."""
        if self._leave_at is None:
            self._leave_at = trio.current_time() + _LEAVE_SECONDS
            self._shared.timers.schedule(self, self._leave_at)
            self.calls.drain()
            self._rounds.add(self)

    def abort(self) -> None:
        """End now, whatever is going on."""
        self._scope.cancel()

    def due(self, now: float) -> None:
        """Look after a client that says nothing."""
        limits = self._shared.limits
        if not self.calls.greeted or self._asked:
            _log.info("client does not answer", peer=self.calls.peer)
            self._scope.cancel()
            return
        if self._leave_at is not None:
            self.calls.leave()
            self._rounds.add(self)
        quiet = now - self._received_at
        keepalive, idle = limits.keepalive_seconds or math.inf, limits.idle_seconds or math.inf
        if quiet >= idle and not self.calls.streams and self._leave_at is None:
            self.drain()
        elif quiet >= keepalive:
            self._asked = True
            self.calls.ping()
            self._rounds.add(self)
            self._shared.timers.schedule(self, now + limits.keepalive_timeout)
        else:
            # An idle time that is over is looked at again: the streams that kept the connection may end.
            wait = min(keepalive - quiet, idle - quiet if idle > quiet else idle)
            if wait < math.inf:
                self._shared.timers.schedule(self, now + wait)
