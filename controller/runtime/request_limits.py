"""Requests that are too large or too slow are answered without reading on."""

from __future__ import annotations

import math

import attrs
import trio
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@attrs.frozen
class _Refused(Exception):
    """Raised into an application that reads a body which is not going to come."""

    status: int


def limit_requests(app: ASGIApp, *, header_size: int, body_size: int, body_seconds: float) -> ASGIApp:
    """Wrap an application: it sees no header and reads no body beyond these limits.

    A body's time runs from the end of the headers. The answer is 431, 413 or 408, unless the application has begun its
    own.
    """

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        body = _Body(receive, body_size, trio.current_time() + body_seconds)
        answer = _Answer(send)
        try:
            _check_headers(scope, header_size, body_size)
            await app(scope, body.receive, answer.send)
        except _Refused as refused:
            if not answer.begun:
                await Response(status_code=refused.status, headers={"connection": "close"})(scope, receive, send)

    return limited


def _check_headers(scope: Scope, header_size: int, body_size: int) -> None:
    # The parser's own limit is for headers that have not come to an end; those that came at once pass it.
    size = len(scope["raw_path"]) + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value) + len(": \r\n")
        if name == b"content-length" and int(value) > body_size:
            raise _Refused(413)
    if size > header_size:
        raise _Refused(431)


@attrs.define(eq=False)
class _Body:
    _receive: Receive
    _left: int
    _due: float

    async def receive(self) -> Message:
        with trio.CancelScope(deadline=self._due):
            message = await self._receive()
            self._left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                self._due = math.inf
            if self._left < 0:
                raise _Refused(413)
            return message
        raise _Refused(408)


@attrs.define(eq=False)
class _Answer:
    _send: Send
    begun: bool = False

    async def send(self, message: Message) -> None:
        self.begun = True
        await self._send(message)
