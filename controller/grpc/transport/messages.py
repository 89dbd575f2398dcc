"""Messages of a gRPC request, out of its body: five bytes of prefix, then the message, across any frames."""

from __future__ import annotations

from collections.abc import Iterator

from grpclib.const import Status

PREFIX_SIZE = 5


class BadMessage(Exception):
    """A body that is not made of messages we take; the status says what to answer."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def prefix(size: int) -> bytes:
    """What comes before an uncompressed message."""
    return size.to_bytes(PREFIX_SIZE, "big")


def sole_message(body: bytes) -> bytes | None:
    """The message, if the body is exactly one that is not compressed: what nearly every request is."""
    if len(body) >= PREFIX_SIZE and int.from_bytes(body[:PREFIX_SIZE], "big") == len(body) - PREFIX_SIZE:
        return body[PREFIX_SIZE:]
    return None


class Deframer:
    """Cuts a body into messages as its bytes arrive."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def size(self) -> int:
        """How many bytes wait for the rest of their message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete now. Raises `BadMessage` as soon as a prefix announces one."""
        self._buffer += data
        at = 0
        buffer = self._buffer
        try:
            while len(buffer) - at >= PREFIX_SIZE:
                size = self._check(buffer[at], int.from_bytes(buffer[at + 1 : at + PREFIX_SIZE], "big"))
                if len(buffer) - at < PREFIX_SIZE + size:
                    break
                start = at + PREFIX_SIZE
                at = start + size
                yield bytes(buffer[start:at])
        finally:
            del buffer[:at]

    def _check(self, compressed: int, size: int) -> int:
        if compressed == 1:
            raise BadMessage(Status.UNIMPLEMENTED, "compressed messages are not supported")
        if compressed:
            raise BadMessage(Status.INTERNAL, f"a message with the compression flag {compressed}")
        if size > self._limit:
            raise BadMessage(Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes; at most {self._limit} are allowed")
        return size
