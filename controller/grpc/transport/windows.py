"""How much a client may still send us before we allow more."""

from __future__ import annotations


class ReceiveWindow:
    """The receiving side of flow control, for one stream or for the connection.

    `available + held + owed == size`, always: bytes that arrive are *held* by somebody who has not used them yet, then
    *owed* to the client, and given back in one WINDOW_UPDATE when it is worth a frame.
    """

    __slots__ = ("available", "held", "owed", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.available = size
        self.held = 0
        self.owed = 0

    def take(self, count: int) -> bool:
        """Note that bytes arrived; false if the client had no right to send them."""
        if count > self.available:
            return False
        self.available -= count
        self.held += count
        return True

    def release(self, count: int) -> int:
        """Note that bytes were used. Returns what to allow the client now: often nothing, to save frames."""
        self.held -= count
        self.owed += count
        if self.owed * 2 < self.size:
            return 0
        increment, self.owed = self.owed, 0
        self.available += increment
        return increment
