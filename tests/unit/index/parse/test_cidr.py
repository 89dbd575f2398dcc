"""Blocks of addresses with their exceptions."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from controller.core.network import IPNet, NetworkMatch
from controller.index.parse.cidr import parse_net, parse_nets, parse_network_match
from controller.index.parse.invalid import Invalid
from controller.k8s.policy import NetworkSpec


def test_a_network_keeps_the_order_of_its_exceptions() -> None:
    """Blocks and addresses, with host bits."""
    spec = NetworkSpec("10.0.0.1/8", ("10.2.0.0/16", "10.1.2.3"))

    assert parse_network_match(spec) == NetworkMatch(
        IPNet(ip_address("10.0.0.1"), 8), (IPNet(ip_address("10.2.0.0"), 16), IPNet(ip_address("10.1.2.3"), 32))
    )
    assert parse_network_match(NetworkSpec("::1")) == NetworkMatch(IPNet(ip_address("::1"), 128))


def test_a_flag_lists_blocks() -> None:
    """Between commas; host bits stay."""
    assert parse_nets("10.0.0.1/8,fd00::/8") == (IPNet(ip_address("10.0.0.1"), 8), IPNet(ip_address("fd00::"), 8))


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1", "10.0.0.0/8,", "10.0.0.0/8, ::/0", "10.0.0.0/33", "::/129", "bogus/8"]
)
def test_a_flag_lists_nothing_else(text: str) -> None:
    """No blanks, no empty items, no addresses without a length."""
    with pytest.raises(Invalid, match="CIDR"):
        parse_nets(text)


@pytest.mark.parametrize("text", ["bogus", "", "10.0.0.0/33", "010.0.0.1", "fe80::1%eth0"])
def test_what_is_no_network_is_invalid(text: str) -> None:
    """Neither a block nor an address."""
    with pytest.raises(Invalid, match="neither a CIDR nor an address"):
        parse_net(text)
