"""Integers as the API's types bound them, and as JSON readers of that API tell them from other numbers."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

import msgspec

Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Uint32: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]

_TEXT_OR_NEGATIVE_ZERO = re.compile(rb'"(?:[^"\\]|\\.)*"|(?<![0-9eE.])-0(?![0-9eE.])')


def without_negative_zeros(raw: bytes) -> bytes:
    """The same JSON with `-0` spelled `-0.0`.

    To Rust and Go `-0` is no integer, to msgspec it is. An API server never sends it, but a review may hold it.
    """
    if b"-0" not in raw:
        return raw
    return _TEXT_OR_NEGATIVE_ZERO.sub(lambda match: b"-0.0" if match[0] == b"-0" else match[0], raw)
