"""An answer: the value a proxy is told, shared by everyone who gets the same one."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

T_co = TypeVar("T_co", covariant=True)


@attrs.define(eq=False)
class Answer(Generic[T_co]):
    """A value with an identity: two readers that hold the same `Answer` were told the same.

    The index makes a new one only when the value differs from the last, so `is` is the cheap test for "nothing new".
    `wire` belongs to the layer that encodes: it fills it once, and every stream that serves this answer sends
    those bytes.
    """

    value: T_co
    wire: bytes | None = attrs.field(default=None, init=False, repr=False)
