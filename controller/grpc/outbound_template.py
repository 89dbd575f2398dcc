"""The bytes of an EgressNetwork's policy for any address, made once.

Such a policy differs from address to address only in the address itself, at every place where traffic goes on to it,
and those places are of fixed length on the wire. So the policy is encoded for a stand-in, cut at the places where it
shows, and joined with the real address. Text of the users' that looks like the stand-in would be cut as well; that is
found out by encoding with another stand-in, which has to leave the same pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import assert_never

import attrs

from controller.core.network import IPAddress

_LOW_64_BITS = (1 << 64) - 1
_FIXED32 = b"\x0d"  # the tag of `ipv4` in an address
_FIRST, _LAST = b"\x09", b"\x11"  # the tags of the two halves of an `ipv6`
_STAND_INS: dict[int, tuple[IPAddress, IPAddress]] = {
    4: (IPv4Address(0xB7E15163), IPv4Address(0x9E3779B9)),
    6: (
        IPv6Address(0xB7E151628AED2A6ABF7158809CF4F3C7),
        IPv6Address(0x9E3779B97F4A7C15F39CC0605CEDC835),
    ),
}


@attrs.frozen
class WireTemplate:
    """What stands between the places for the address."""

    _pieces: tuple[bytes, ...]

    def fill(self, address: IPAddress) -> bytes:
        return address_bytes(address).join(self._pieces)


def make_template(encode: Callable[[IPAddress], bytes], version: int) -> WireTemplate | None:
    """Cut a policy up for addresses of an IP version; `None` for one that cannot be cut."""
    pieces, others = (encode(stand_in).split(address_bytes(stand_in)) for stand_in in _STAND_INS[version])
    return WireTemplate(tuple(pieces)) if pieces == others else None


def address_bytes(address: IPAddress) -> bytes:
    """An address on the wire. Halves of zero are spelled out here, which a proxy reads like ones left out."""
    number = int(address)
    match address:
        case IPv4Address():
            return _FIXED32 + number.to_bytes(4, "little")
        case IPv6Address():
            first, last = number >> 64, number & _LOW_64_BITS
            return _FIRST + first.to_bytes(8, "little") + _LAST + last.to_bytes(8, "little")
        case _:
            assert_never(address)
