"""Durations in the syntax of Go, where a resource is judged after it was decoded."""

from __future__ import annotations

from controller.index.parse.invalid import Invalid
from controller.k8s import duration
from controller.k8s.duration import GoDuration


def parse_go_duration(text: str) -> GoDuration:
    """Read `1h30m`, `5.5s`, `0`."""
    try:
        return duration.parse_duration(text)
    except ValueError as error:
        raise Invalid(str(error)) from error
