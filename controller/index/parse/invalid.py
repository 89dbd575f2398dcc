"""What is wrong with a resource that could be decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
V = TypeVar("V")


class Invalid(ValueError):
    """A part of a resource that has no meaning, and where it is.

    The part that finds it names no more of the path than it knows; each caller puts its own piece in front.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path

    def under(self, path: str) -> Invalid:
        """The same, seen from one level further out."""
        inner = self.path
        dot = "." if inner and not inner.startswith("[") else ""
        return Invalid(self.reason, f"{path}{dot}{inner}")


def parse_field(path: str, parse: Callable[[T], V], value: T) -> V:
    """Parse a part, and say where it was if it is invalid."""
    try:
        return parse(value)
    except Invalid as invalid:
        raise invalid.under(path) from invalid.__cause__


def parse_each(path: str, parse: Callable[[T], V], values: Iterable[T] | None) -> tuple[V, ...]:
    """Parse every part of a list, in order; an absent list is empty."""
    if values is None:
        return ()
    return tuple([parse_field(f"{path}[{i}]", parse, value) for i, value in enumerate(values)])
