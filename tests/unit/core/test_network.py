"""Blocks of addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from controller.core.network import IPNet


def test_a_block_keeps_its_host_bits() -> None:
    """What was written is shown; what it stands for has the bits cleared."""
    net = IPNet(IPv4Address("10.0.0.1"), 24)

    assert str(net) == "10.0.0.1/24"
    assert net.network == ip_network("10.0.0.0/24")
    assert net != IPNet(IPv4Address("10.0.0.0"), 24)


def test_a_block_holds_addresses_of_its_family() -> None:
    """Every address of the block, and none of the other family."""
    net = IPNet(IPv4Address("10.0.0.1"), 24)

    assert net.contains(IPv4Address("10.0.0.255"))
    assert not net.contains(IPv4Address("10.0.1.0"))
    assert not net.contains(IPv6Address("::ffff:10.0.0.1"))
    assert IPNet(IPv6Address("::"), 0).contains(IPv6Address("fd00::1"))
