"""Sets of ports, as annotations and flags write them: `4143,8080-8090`."""

from __future__ import annotations

import re
from functools import lru_cache

from controller.core.ports import PortSet
from controller.index.parse.invalid import Invalid

_NUMBER = re.compile(r"\+?[0-9]+")


@lru_cache(maxsize=256)  # one annotation text stands on thousands of pods
def parse_port_set(text: str) -> PortSet:
    """Read numbers and ranges between commas; one bad item makes the whole text invalid."""
    return PortSet.of([_parse_range(item) for item in text.split(",") if item.strip()])


def _parse_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low = parse_port(first.strip())
    high = parse_port(last.strip()) if dash else low
    if low > high:
        raise Invalid(f"port range {text.strip()!r} ends before it begins")
    return low, high


def parse_port(text: str) -> int:
    """Read a port, 1 to 65535; a plus sign and leading zeros are let pass."""
    if not _NUMBER.fullmatch(text):
        raise Invalid(f"{text!r} is not a port")
    digits = text.lstrip("+0")
    # Python refuses to read thousands of digits, with an error of another kind.
    port = int(digits) if 0 < len(digits) <= 5 else 0
    if not 1 <= port <= 65_535:
        raise Invalid(f"{text!r} is not a port: ports are 1 to 65535")
    return port
