"""Lines out of chunks that know nothing of lines."""

from __future__ import annotations

import attrs

MAX_LINE = 64 << 20


class LineTooLong(Exception):
    """A line grew beyond the cap."""


@attrs.define
class LineSplitter:
    """Collects chunks and returns complete lines, without their ends and without blank ones.

    What is left when the connection ends is a partial line, and is worth nothing: it is simply dropped with the
    splitter. A long line that arrives in many chunks is joined once, so its cost is linear.
    """

    cap: int = MAX_LINE
    _parts: list[bytes] = attrs.field(factory=list[bytes], init=False)
    _size: int = attrs.field(default=0, init=False)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take in a chunk and return the lines that it completes; raise `LineTooLong` beyond the cap."""
        end = chunk.rfind(b"\n")
        if end < 0:
            self._keep(chunk)
            return []
        complete = chunk[:end]
        if self._parts:
            self._parts.append(complete)
            complete = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
        if end + 1 < len(chunk):
            self._keep(chunk[end + 1 :])
        lines = [line for line in complete.split(b"\n") if line and not line.isspace()]
        if len(complete) > self.cap:
            self._check(max(map(len, lines), default=0))
        return lines

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        self._check(self._size)

    def _check(self, size: int) -> None:
        if size > self.cap:
            raise LineTooLong(f"a line of more than {self.cap} bytes")
