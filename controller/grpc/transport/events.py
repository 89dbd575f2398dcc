"""What happens on an HTTP/2 connection, as told to the layer above."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from controller.grpc.transport.frames import ErrorCode
    from controller.grpc.transport.sending import Stream


class RequestReceived(msgspec.Struct, gc=False):
    """A stream was opened; its fields are in `stream.head`. `ended`: no data will follow."""

    stream: Stream
    ended: bool


class DataReceived(msgspec.Struct, gc=False):
    """Bytes of a request's body, or its end. Whoever has used them calls `release`."""

    stream: Stream
    data: bytes
    ended: bool


class StreamEnded(msgspec.Struct, gc=False):
    """A stream ended before its response did: the client gave it up, or broke a rule (`by_client` false)."""

    stream: Stream
    code: int
    by_client: bool


class WindowOpened(msgspec.Struct, gc=False):
    """There is room to send again: on one stream, or (`None`) perhaps on any."""

    stream: Stream | None


class PingAcknowledged(msgspec.Struct, gc=False):
    payload: bytes


class ClientLeaving(msgspec.Struct, gc=False):
    """The client sent GOAWAY: it will open no more streams, and what is open goes on."""

    code: int
    debug: bytes


class ConnectionFailed(msgspec.Struct, gc=False):
    """The connection is over: a rule was broken or a limit passed. GOAWAY is among the data to send."""

    code: ErrorCode
    reason: str


Event: TypeAlias = (
    "RequestReceived | DataReceived | StreamEnded | WindowOpened | PingAcknowledged | ClientLeaving | ConnectionFailed"
)
