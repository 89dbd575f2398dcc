"""A stream that only remembers."""

from __future__ import annotations

import attrs
from grpclib.const import Status


@attrs.define(eq=False)
class Stream:
    """What a proxy would have got on a watch: its latest message, or how it ended."""

    message: bytes | None = None
    ended: Status | None = None

    def publish(self, message: bytes) -> None:
        self.message = message

    def end(self, status: Status) -> None:
        self.ended = status
