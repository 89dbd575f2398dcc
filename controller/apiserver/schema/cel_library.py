"""Functions that Kubernetes adds to CEL, and those of CEL's own that the library gets wrong."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import paula  # pyright: ignore[reportMissingTypeStubs]  # it ships none
from cel.stdlib import STDLIB_FUNCTIONS

from controller.apiserver.shapes import is_list, is_object

_SUFFIXES: Mapping[str, Decimal | int] = {
    "": 1, "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": 10**3, "M": 10**6, "G": 10**9,
    "T": 10**12, "P": 10**15, "E": 10**18, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?")

# Values of the types that CEL itself does not have travel through an expression as maps with one of these keys.
_ADDRESS, _NETWORK, _URL, _NUMBER = "$address", "$network", "$url", "$quantity"


def parse_quantity(text: str) -> Decimal | None:
    """The number a Kubernetes quantity means; None if it is none."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, suffix, exponent = found.groups()
    if exponent:
        return Decimal(number) * Decimal(10) ** int(exponent)
    return Decimal(number) * _SUFFIXES[suffix or ""]


def _parsed(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.ip_address(text)
    if isinstance(found, ipaddress.IPv6Address) and (found.ipv4_mapped is not None or found.scope_id):
        raise ValueError(f"IP address {text!r} must not have a zone or be an IPv4-mapped one")
    return found


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in text:
        raise ValueError(f"network {text!r} has no prefix length")
    return ipaddress.ip_network(text, strict=False)


def _url(text: str) -> Any:
    parts = urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"URL {text!r} is not absolute")
    _ = parts.port
    return parts


def _to_quantity(text: str) -> dict[str, str]:
    if parse_quantity(text) is None:
        raise ValueError(f"quantity {text!r} is not one")
    return {_NUMBER: text}


def _number(value: Any) -> Decimal:
    found = parse_quantity(value[_NUMBER]) if is_object(value) else Decimal(value)
    if found is None:
        raise ValueError("not a quantity")
    return found


def _size(value: Any) -> int:
    return len(value)


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group() for match in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found.group() if found else ""


def _matches(text: str, pattern: str) -> bool:
    compiled = cast("Any", paula).Regex(pattern)
    return bool(compiled.is_match(text))


def _is_sorted(items: list[Any]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(items))


def _contains_address(network: Any, address: Any) -> bool:
    text = address[_ADDRESS] if is_object(address) else address
    return _address(text) in _network(network[_NETWORK])


def _contains_network(network: Any, other: Any) -> bool:
    inner, outer = _network(other[_NETWORK] if is_object(other) else other), _network(network[_NETWORK])
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # same version


def _index_of(value: Any, item: Any, *rest: Any) -> Any:
    if is_list(value):
        return value.index(item) if item in value else -1
    return STDLIB_FUNCTIONS["indexOf"](value, item, *rest)


def _last_index_of(value: Any, item: Any, *rest: Any) -> Any:
    if is_list(value):
        return len(value) - 1 - value[::-1].index(item) if item in value else -1
    return STDLIB_FUNCTIONS["lastIndexOf"](value, item, *rest)


def _format(text: str, values: list[Any]) -> str:
    """CEL's `format`, as far as messages use it."""
    waiting = iter(values)

    def shown(found: re.Match[str]) -> str:
        if found.group(2) == "%":
            return "%"
        value = next(waiting)
        digits = found.group(1)
        match found.group(2):
            case "f":
                return f"{float(value):{digits or '.6'}f}"
            case "e":
                return f"{float(value):{digits or '.6'}e}"
            case "b":
                return f"{int(value):b}"
            case "x":
                return f"{value:x}" if isinstance(value, int) else value.encode().hex()
            case "o":
                return f"{value:o}"
            case _:
                if isinstance(value, bool):
                    return str(value).lower()
                return str(value)

    return re.sub(r"%(\.\d+)?([sdfebxXo%])", shown, text)


# Functions of a text.
_OF_TEXT: Mapping[str, Callable[[str], Any]] = {
    "isIP": lambda text: _parsed(_address, text),
    "ip": lambda text: {_ADDRESS: str(_address(text))},
    "ip.isCanonical": lambda text: str(_address(text)) == text,
    "isCIDR": lambda text: _parsed(_network, text),
    "cidr": lambda text: {_NETWORK: text},
    "isURL": lambda text: _parsed(_url, text),
    "url": lambda text: {_URL: _url(text).geturl()},
    "isQuantity": lambda text: parse_quantity(text) is not None,
}

# Functions of an address, a network, a URL or a quantity.
_OF_VALUE: Mapping[str, Callable[[Mapping[str, str]], Any]] = {
    "family": lambda value: _address(value[_ADDRESS]).version,
    "isLoopback": lambda value: _address(value[_ADDRESS]).is_loopback,
    "isUnspecified": lambda value: _address(value[_ADDRESS]).is_unspecified,
    "isLinkLocalMulticast": lambda value: value[_ADDRESS].startswith(("224.0.0.", "ff02:")),
    "isLinkLocalUnicast": lambda value: _address(value[_ADDRESS]).is_link_local,
    "isGlobalUnicast": lambda value: not _address(value[_ADDRESS]).is_multicast,
    "prefixLength": lambda value: _network(value[_NETWORK]).prefixlen,
    "masked": lambda value: {_NETWORK: str(_network(value[_NETWORK]))},
    "getScheme": lambda value: urlsplit(value[_URL]).scheme,
    "getHost": lambda value: urlsplit(value[_URL]).netloc.rpartition("@")[2],
    "getHostname": lambda value: urlsplit(value[_URL]).hostname or "",
    "getPort": lambda value: str(urlsplit(value[_URL]).port or ""),
    "getEscapedPath": lambda value: urlsplit(value[_URL]).path,
    "getQuery": lambda value: parse_qs(urlsplit(value[_URL]).query, keep_blank_values=True),
    "asInteger": lambda value: int(_number(value)),
    "asApproximateFloat": lambda value: float(_number(value)),
    "isInteger": lambda value: _number(value) == int(_number(value)),
}

# Functions of two quantities.
_OF_TWO: Mapping[str, Callable[[Any, Any], Any]] = {
    "compareTo": lambda one, other: int(_number(one).compare(_number(other))),
    "isGreaterThan": lambda one, other: _number(one) > _number(other),
    "isLessThan": lambda one, other: _number(one) < _number(other),
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **STDLIB_FUNCTIONS,
    **_OF_TEXT,
    **_OF_VALUE,
    **_OF_TWO,
    "sizeOf": _size,
    "matchesPattern": _matches,
    "find": _find,
    "findAll": _find_all,
    "format": _format,
    "isSorted": _is_sorted,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "containsIP": _contains_address,
    "containsCIDR": _contains_network,
    "quantity": _to_quantity,
}
