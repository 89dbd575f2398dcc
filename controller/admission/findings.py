"""What is wrong with a resource, or surprising about it, and where."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import attrs

from controller.index.parse.invalid import Invalid

T = TypeVar("T")


class Severity(enum.Enum):
    DENY = "deny"  # the resource must not be stored
    WARN = "warn"  # it may be, but does something that its author may not expect


@attrs.frozen
class Finding:
    """One thing that a person should know about a resource. The path is the field's, as users write it."""

    path: str
    message: str
    severity: Severity = Severity.DENY

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def warning(path: str, message: str) -> Finding:
    return Finding(path, message, Severity.WARN)


def check(path: str, parse: Callable[[T], object], value: T | None) -> Iterator[Finding]:
    """What a parser has against a value; an absent one is fine."""
    if value is None:
        return
    try:
        parse(value)
    except Invalid as invalid:
        outer = invalid.under(path)
        yield Finding(outer.path, outer.reason)


def check_each(path: str, parse: Callable[[T], object], values: Iterable[T] | None) -> Iterator[Finding]:
    """What a parser has against each of some values."""
    return each(path, lambda at, value: check(at, parse, value), values)


def each(path: str, find: Callable[[str, T], Iterable[Finding]], values: Iterable[T] | None) -> Iterator[Finding]:
    """What there is to find in each part of a list; an absent list is empty."""
    for i, value in enumerate(values or ()):
        yield from find(f"{path}[{i}]", value)
