"""String formats of OpenAPI, as far as the API server checks them in custom resources."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from urllib.parse import urlsplit

_DATE_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION = re.compile(
    r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*"
)
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
# Whatever is no Go duration is searched for numbers with units in words, and one that fits is enough.
_PHRASE = re.compile(r"(\d+)\s*([A-Za-zµ]+)")
_UNITS = frozenset({"ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"})
_UNIT_PREFIXES = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week")
_HOSTNAME = re.compile(
    r"(?=.{1,255}$)[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,62}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,62}[a-zA-Z0-9])?)*\.?"
)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}(?:(?:[:-][0-9a-f]{2}){2})?", re.IGNORECASE)


def _date_time(text: str) -> bool:
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return False
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    try:
        dt.datetime(year or 4, month, day, hour, minute, min(second, 59), tzinfo=dt.UTC)
    except ValueError:
        return False
    return second <= 59


def _date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _duration(text: str) -> bool:
    if text in ("0", "+0", "-0"):
        return True
    if _DURATION.fullmatch(text) and _fits(text):
        return True
    found = False
    for number, unit in _PHRASE.findall(text):
        if int(number) >= 1 << 63:
            return False
        unit = unit.lower()
        found = found or unit in _UNITS or unit.startswith(_UNIT_PREFIXES)
    return found


def _fits(text: str) -> bool:
    total = sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text))
    return total < 1 << 63


def _address(version: int) -> Callable[[str], bool]:
    def is_address(text: str) -> bool:
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None
        return found.version == version and not mapped

    return is_address


def _network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return False
    return True


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _date_time,
    "datetime": _date_time,
    "date": _date,
    "duration": _duration,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "cidr": _network,
    "uri": _uri,
    "byte": _base64,
    "email": _matches(_EMAIL),
    "hostname": _matches(_HOSTNAME),
    "mac": _matches(_MAC),
    "uuid": _matches(_UUID),
    "password": lambda _: True,
}
