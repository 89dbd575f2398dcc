"""The values that annotations may have: truth, numbers, durations.

What Rust's own parsers take is not what Python's take (`1_000`, `١`, a separator called U+001F), and a value that two
controllers read differently is worse than one that both refuse. So forms are spelled out here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import TypeVar

from controller.core.outbound import Nanoseconds
from controller.index.parse.invalid import Invalid, parse_field

T = TypeVar("T")

U16_MAX = 2**16 - 1
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
MILLISECOND: Nanoseconds = 1_000_000
SECOND: Nanoseconds = 1_000_000_000

# Unicode's White_Space; `str.strip` takes four separators more.
_BLANKS = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_INTEGER = re.compile(r"\+?[0-9]+")
_FLOAT = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE
)
_LAST_DIGIT = re.compile(r"(.*[0-9])([^0-9]*)", re.DOTALL)
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_value(annotations: Mapping[str, str], key: str, parse: Callable[[str], T], default: T) -> T:
    """Read the annotation `key`; an error names the key."""
    text = annotations.get(key)
    return default if text is None else parse_field(key, parse, text)


def trim(text: str) -> str:
    return text.strip(_BLANKS)


def parse_bool(text: str) -> bool:
    token = trim(text)
    if token in _TRUE:
        return True
    if token in _FALSE:
        return False
    raise Invalid(f"'{text}' is neither true nor false")


def parse_uint(text: str, largest: int) -> int:
    """Read decimal digits, with a plus sign or not."""
    if not _INTEGER.fullmatch(text):
        raise Invalid(f"'{text}' is not a whole number")
    digits = text.lstrip("+0")
    # Python refuses to read thousands of digits, with an error of another kind.
    if len(digits) > len(str(largest)) or (number := int(digits or "0")) > largest:
        raise Invalid(f"'{text}' is more than {largest}")
    return number


def parse_float(text: str) -> float:
    """Read a number of 64 bits; it may be infinite or no number at all."""
    token = trim(text)
    if not _FLOAT.fullmatch(token):
        raise Invalid(f"'{text}' is not a number")
    return float(token)


def parse_float32(text: str) -> float:
    """Read a number and round it to the 32 bits in which it travels."""
    number = parse_float(text)
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return rounded


def parse_duration(text: str) -> Nanoseconds:
    """Read one whole number with one unit: `10s`, `500ms`, `1d`; `0` needs none. Not Go's syntax."""
    token = trim(text)
    if token.startswith("-"):
        raise Invalid(f"duration '{text}' cannot be negative")
    parts = _LAST_DIGIT.fullmatch(token)
    if parts is None:
        raise Invalid(f"'{text}' is not a duration")
    magnitude, unit = parts.groups()
    if "." in magnitude:
        raise Invalid(f"duration '{text}': fractional values not supported")
    number = parse_uint(magnitude, U64_MAX)
    if not unit and number == 0:
        return 0
    if not unit:
        raise Invalid(f"duration '{text}': missing duration unit; did you mean '{magnitude}s' or '{magnitude}ms'?")
    if unit not in _MILLISECONDS:
        raise Invalid(f"duration '{text}': invalid duration unit '{unit}'")
    milliseconds = number * _MILLISECONDS[unit]
    if milliseconds > U64_MAX:
        raise Invalid(f"duration '{text}' overflows")
    return milliseconds * MILLISECOND
