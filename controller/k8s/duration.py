"""Durations in the syntax of Go (`1h30m`, `5.5s`), as Linkerd reads them.

Some of it is not Go's: terms may have a `+`, the empty text is zero, and a bare `0` after other terms makes the whole
zero. Values are exact to the nanosecond; a fraction of one is rounded to the nearest.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)([^\W\d_]+)")
# Upstream counts seconds in 64 bits and crashes beyond; here it is an error like any other.
_MAX_NANOSECONDS = (1 << 64) * 1_000_000_000 - 1
# Digits enough for that, and for every fraction that can still round differently.
_EXACT = Context(prec=1_000)


class GoDuration(NamedTuple):
    """A length of time with a sign of its own: `-0` is negative."""

    nanoseconds: int
    negative: bool = False

    @property
    def timedelta(self) -> dt.timedelta:
        """The length without its sign, rounded to microseconds."""
        return dt.timedelta(microseconds=round(self.nanoseconds / 1_000))


def parse_duration(text: str) -> GoDuration:
    """Read a duration. Raises `ValueError` that says what is wrong."""
    total = 0
    rest = text.lstrip("+").lstrip("-")
    while rest:
        if rest == "0":
            total = 0
            break
        term = _TERM.match(rest)
        if term is None:
            raise ValueError(f"duration {text!r}: expected a number and a unit at {rest!r}")
        unit = _NANOSECONDS.get(term[2])
        if unit is None:
            raise ValueError(f"duration {text!r}: unknown unit {term[2]!r}")
        total += int(_EXACT.multiply(Decimal(term[1]), Decimal(unit)).to_integral_value(ROUND_HALF_EVEN))
        if total > _MAX_NANOSECONDS:
            raise ValueError(f"duration {text!r} is too long")
        rest = rest[term.end() :]
    return GoDuration(total, text.startswith("-"))
