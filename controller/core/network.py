"""Which addresses: IP networks with exceptions."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

import attrs

IPAddress: TypeAlias = IPv4Address | IPv6Address


@attrs.frozen(order=False)
class IPNet:
    """An address and a prefix length. Host bits are kept as written: `10.0.0.1/24` stays itself."""

    address: IPAddress
    prefix: int

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """The block with its host bits cleared."""
        return ip_network((self.address, self.prefix), strict=False)

    def contains(self, address: IPAddress) -> bool:
        """Whether `address` lies in the block; never across families."""
        return address.version == self.address.version and address in self.network

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


@attrs.frozen
class NetworkMatch:
    """A block of addresses without some smaller ones."""

    net: IPNet
    except_: tuple[IPNet, ...] = ()


ALL_NETWORKS: tuple[NetworkMatch, ...] = (
    NetworkMatch(IPNet(IPv4Address(0), 0)),
    NetworkMatch(IPNet(IPv6Address(0), 0)),
)
