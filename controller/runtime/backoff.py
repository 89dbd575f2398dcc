"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable

import attrs

INITIAL = 0.8  # seconds, as client-go's reflector
CAP = 30.0  # seconds


@attrs.define
class Backoff:
    """Delays that double up to a cap, each scaled by chance.

    Chance is an argument: `jitter()` returns a number in [0, 1). Each delay is scaled to between half and one and a
    half, so that many watches that failed together do not come back together.
    """

    jitter: Callable[[], float]
    initial: float = INITIAL
    cap: float = CAP
    _next: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.initial

    def next(self) -> float:
        """Return the next delay in seconds."""
        delay, self._next = self._next, min(self._next * 2, self.cap)
        return delay * (0.5 + self.jitter())

    def longest(self) -> float:
        """Return a delay at the cap: for what will not be cured soon."""
        self._next = self.cap
        return self.next()

    def reset(self) -> None:
        """Begin anew. Only real progress is a reason: not a new attempt, and not a connection that opened."""
        self._next = self.initial
