"""The text form of addresses and blocks of addresses, as the policy kinds write them.

Python's `ipaddress` reads other texts than Linkerd does: it refuses leading zeros in blocks, takes zone identifiers,
and takes `10.0.0.0/255.0.0.0`. So the form is checked here, and `ipaddress` only makes the value.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

_IPV4_BLOCK = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})/([0-9]{1,2})")
_IPV6_BLOCK = re.compile(r"([0-9A-Fa-f:.]+)/([0-9]{1,3})")


def parse_cidr(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Read `address/length`; host bits stay. Raises `ValueError`."""
    if match := _IPV4_BLOCK.fullmatch(text):
        *octets, length = map(int, match.groups())
        if max(octets) <= 255 and length <= 32:
            return IPv4Address(bytes(octets)), length
    elif match := _IPV6_BLOCK.fullmatch(text):
        address, length = match[1], int(match[2])
        if ":" in address and length <= 128:
            return IPv6Address(address), length
    raise ValueError(f"{text!r} is not a CIDR")


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Read one address, without zone. Raises `ValueError`."""
    if ":" not in text:
        return IPv4Address(text)
    if "%" in text:
        raise ValueError(f"{text!r} has a zone")
    return IPv6Address(text)


def parse_network(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Read a block or one address, which stands for the block that holds only it. Raises `ValueError`."""
    if "/" in text:
        return parse_cidr(text)
    address = parse_address(text)
    return address, address.max_prefixlen
