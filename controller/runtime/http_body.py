"""The body of an HTTP/1.1 response, out of the bytes that follow its head.

A body ends in one of three ways: with a chunk of no length, after a length that was given, or with the connection.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

_MAX_LINE = 16 << 10  # of a chunk's size with its extensions, or of a trailer
_DIGITS = frozenset(b"0123456789abcdefABCDEF")


class BrokenBody(Exception):
    """The bytes are not a body, or not all of one."""


@attrs.define
class ChunkedBody:
    """A body in chunks. What is on the wire in several chunks comes out in one piece if it arrived together."""

    is_complete: bool = attrs.field(default=False, init=False)
    _buffer: bytes = attrs.field(default=b"", init=False)
    _left: int = attrs.field(default=0, init=False)  # bytes of the chunk under way, with the line end behind it
    _in_trailers: bool = attrs.field(default=False, init=False)

    def feed(self, data: bytes) -> bytes:
        """Take in bytes and return those of the body. Raises `BrokenBody`."""
        buffer = self._buffer + data if self._buffer else data
        parts: list[bytes] = []
        position, end = 0, len(buffer)
        while not self.is_complete and position < end:
            if self._left:
                taken = min(self._left, end - position)
                # The last two bytes of a chunk are its line end, and may be cut anywhere, too.
                content = min(taken, self._left - 2)
                if content > 0:
                    parts.append(buffer[position : position + content])
                self._left -= taken
                position += taken
                continue
            line_end = buffer.find(b"\n", position)
            if line_end < 0:
                break
            self._line(buffer[position:line_end].rstrip(b"\r"))
            position = line_end + 1
        self._buffer = buffer[position:]
        if not self._left and len(self._buffer) > _MAX_LINE:
            raise BrokenBody("a chunk without a size")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _line(self, line: bytes) -> None:
        if self._in_trailers:
            self.is_complete = not line
            return
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 16 or not _DIGITS.issuperset(digits):
            raise BrokenBody(f"not the size of a chunk: {line[:40]!r}")
        size = int(digits, 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def end(self) -> None:
        """Take note that nothing more will come. Raises `BrokenBody` if something should."""
        if not self.is_complete:
            raise BrokenBody("the connection ended within a chunked body")


@attrs.define
class CountedBody:
    """A body of a length that is known from the start."""

    _left: int

    @property
    def is_complete(self) -> bool:
        return not self._left

    def feed(self, data: bytes) -> bytes:
        """Take in bytes and return those of the body."""
        body = data[: self._left]
        self._left -= len(body)
        return body

    def end(self) -> None:
        """Take note that nothing more will come. Raises `BrokenBody` if something should."""
        if self._left:
            raise BrokenBody(f"the connection ended {self._left} bytes too early")


@attrs.define
class OpenBody:
    """A body that lasts as long as its connection."""

    is_complete: bool = attrs.field(default=False, init=False)

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        """Take note that nothing more will come."""
        self.is_complete = True


HttpBody = ChunkedBody | CountedBody | OpenBody


def body_of(headers: Mapping[str, str]) -> HttpBody:
    """Return what reads the body that these headers announce. Raises `BrokenBody`."""
    encoding = headers.get("transfer-encoding", "").strip().lower()
    if encoding:
        if encoding != "chunked":
            raise BrokenBody(f"a transfer encoding that was not asked for: {encoding[:40]!r}")
        return ChunkedBody()
    length = headers.get("content-length", "").strip()
    if not length:
        return OpenBody()
    if not (length.isascii() and length.isdigit()):
        raise BrokenBody(f"not a length: {length[:40]!r}")
    return CountedBody(int(length))
