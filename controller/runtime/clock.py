"""The two clocks, as one argument: one to measure with, one to show to people."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

import attrs
import trio


@attrs.frozen
class Clock:
    """Instants are seconds on `monotonic`, which never jumps; `wall` is read only to show them."""

    monotonic: Callable[[], float]
    wall: Callable[[], dt.datetime]
    # Seconds for which the machine was suspended so far: `monotonic` stood still meanwhile, other machines did not.
    suspended: Callable[[], float] = lambda: 0.0

    def shown(self, instant: float) -> dt.datetime:
        """Return the instant as people write it."""
        return self.wall() - dt.timedelta(seconds=self.monotonic() - instant)


def system_clock() -> Clock:
    """Return the clock of Trio's running loop and the machine's own."""
    return Clock(trio.current_time, lambda: dt.datetime.now(dt.UTC), _suspended)


def _suspended() -> float:
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux has it
    return 0.0 if boot is None else time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)
