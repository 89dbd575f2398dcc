"""Addresses and blocks of addresses."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from controller.k8s.cidr import parse_cidr, parse_network


@pytest.mark.parametrize(
    ("text", "address", "length"),
    [
        ("10.0.0.0/8", "10.0.0.0", 8),
        ("10.0.0.1/24", "10.0.0.1", 24),  # host bits stay: inbound 4.3
        ("010.000.0.09/08", "10.0.0.9", 8),  # inbound 21.1
        ("0.0.0.0/0", "0.0.0.0", 0),
        ("1.2.3.4/32", "1.2.3.4", 32),
        ("::/0", "::", 0),
        ("fd00::1/008", "fd00::1", 8),
        ("::ffff:1.2.3.4/128", "::ffff:1.2.3.4", 128),
        ("1.2.3.4", "1.2.3.4", 32),
        ("fd00::1", "fd00::1", 128),
    ],
)
def test_a_network_is_a_block_or_an_address(text: str, address: str, length: int) -> None:
    """An address stands for the block that holds only it; host bits and leading zeros of blocks are let pass."""
    assert parse_network(text) == (ip_address(address), length)


@pytest.mark.parametrize(
    "text",
    [
        "", "bogus", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/ 8", " 10.0.0.0/8", "10.0.0.0/8 ",
        "10.0.0.0/008", "0010.0.0.0/8", "10.0.0.256/8", "10.0.0/8", "10.0.0.0/255.0.0.0", "10.0.0.0/8/8", "10.0.0.0/-1",
        "fd00::/129", "fd00::/0008", "fd00::%eth0/64", "fd00::%1", "1234/64", "fd00:::/64", "g::/64", "::1::/64",
        "01.2.3.4", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4\n", "10.0.0.0/8\n", "١.2.3.4/8",
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused(text: str) -> None:
    """Whatever Python's own parser thinks of it."""
    with pytest.raises(ValueError):  # noqa: PT011  # some texts are refused by `ipaddress`
        parse_network(text)


def test_a_flag_takes_blocks_only() -> None:
    """An address without a length is no CIDR."""
    with pytest.raises(ValueError, match=r"'10\.0\.0\.1' is not a CIDR"):
        parse_cidr("10.0.0.1")
