"""Rules that a client has broken: what is over because of it, a stream or the connection."""

from __future__ import annotations

from controller.grpc.transport.frames import ErrorCode


class StreamFault(Exception):
    """One stream is over, and the connection goes on."""

    def __init__(self, stream_id: int, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.stream_id = stream_id
        self.code = code


class ConnectionFault(Exception):
    """The connection is over: its state cannot be trusted any more, or the client asks too much."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
