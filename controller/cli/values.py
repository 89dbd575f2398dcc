"""The values of flags: text in, value or complaint out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

from cyclopts import Token

from controller.index.parse.cidr import parse_nets
from controller.index.parse.defaults import parse_default_policy
from controller.index.parse.ports import parse_port_set
from controller.k8s.duration import parse_duration
from controller.runtime.listen import SocketAddress
from controller.runtime.log_filter import LogFilter, LogFormat

T = TypeVar("T")

_IPV4 = re.compile(r"([0-9.]+):([0-9]{1,5})")
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]:([0-9]{1,5})")
_MILLISECONDS = re.compile(r"\+?[0-9]+")
_COUNT = re.compile(r"[1-9][0-9]{0,17}")
_U64 = 2**64


def converter(parse: Callable[[str], T]) -> Callable[[Any, Sequence[Token]], T]:
    """Make of a parser what cyclopts calls; it puts the flag's name before what a `ValueError` says."""

    def convert(_: Any, tokens: Sequence[Token]) -> T:
        return parse(tokens[0].value)

    return convert


def parse_address(text: str) -> SocketAddress:
    """Read an IP address and a port. Names of hosts are refused: a socket is bound to an address."""
    match = _IPV4.fullmatch(text) or _IPV6.fullmatch(text)
    if match is not None:
        try:
            address = SocketAddress(ip_address(match[1]), int(match[2]))
        except ValueError:
            pass
        else:
            if address.port < 1 << 16:
                return address
    raise ValueError(f"{text!r} is not an IP address and a port, such as 0.0.0.0:8080 or [::]:8080")


def parse_seconds(text: str) -> float:
    """Read a Go duration that is more than nothing."""
    duration = parse_duration(text)
    if not text or duration.negative or not duration.nanoseconds:
        raise ValueError(f"{text!r} is not a positive duration, such as 9s or 1m30s")
    return duration.nanoseconds / 1e9


def parse_seconds_or_zero(text: str) -> float:
    """Read a Go duration that may be nothing."""
    return 0.0 if text and not parse_duration(text).nanoseconds else parse_seconds(text)


def parse_count(text: str) -> int:
    """Read a whole number above zero."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number above 0")
    return int(text)


def parse_milliseconds(text: str) -> float:
    """Read a count of milliseconds; the result is in seconds."""
    if not _MILLISECONDS.fullmatch(text) or len(text) > 21 or int(text) >= _U64:
        raise ValueError(f"{text!r} is not a number of milliseconds")
    return int(text) / 1e3


to_address = converter(parse_address)
to_seconds = converter(parse_seconds)
to_seconds_or_zero = converter(parse_seconds_or_zero)
to_milliseconds = converter(parse_milliseconds)
to_count = converter(parse_count)
to_networks = converter(parse_nets)
to_ports = converter(parse_port_set)
to_default_policy = converter(parse_default_policy)
to_log_filter = converter(LogFilter.parse)
to_log_format = converter(LogFormat.parse)
