"""The body of a watch, read from its connection without the HTTP library in between."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from controller.runtime.errors import Unavailable
from controller.runtime.http_body import BrokenBody, HttpBody
from controller.runtime.wire import HeadStream


@attrs.define(eq=False)
class WatchBody:
    """What a watch brings, in pieces as large as what has arrived."""

    _stream: HeadStream
    _body: HttpBody
    _doing: str
    _idle: float  # seconds without a byte, after which the connection is dead
    _count: Callable[[], None]

    async def receive(self) -> bytes:
        """Wait for some bytes and return them; none at the end."""
        while not self._body.is_complete:
            data = await self._read()
            try:
                piece = self._body.feed(data) if data else self._body.end()
            except BrokenBody as error:
                raise Unavailable(f"{self._doing}: {error}", reason="lost") from error
            if piece:
                return piece
        return b""

    async def _read(self) -> bytes:
        with trio.move_on_after(self._idle):
            try:
                data = await self._stream.receive()
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:  # TLS alerts are OSErrors
                raise Unavailable(f"{self._doing}: {error}", reason="lost") from error
            self._count()
            return data
        raise Unavailable(f"{self._doing}: nothing came for {self._idle:g} s", reason="idle")

    async def aclose(self) -> None:
        """Nothing of it has to be put away; the connection is closed with the response."""
