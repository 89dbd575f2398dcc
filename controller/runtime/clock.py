"""The two clocks, as one argument: one to measure with, one to show to people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import attrs
import trio


@attrs.frozen
class Clock:
    """Instants are seconds on `monotonic`, which never jumps; `wall` is read only to show them."""

    monotonic: Callable[[], float]
    wall: Callable[[], dt.datetime]

    def shown(self, instant: float) -> dt.datetime:
        """Return the instant as people write it."""
        return self.wall() - dt.timedelta(seconds=self.monotonic() - instant)


def system_clock() -> Clock:
    """Return the clock of Trio's running loop and the machine's own."""
    return Clock(trio.current_time, lambda: dt.datetime.now(dt.UTC))
