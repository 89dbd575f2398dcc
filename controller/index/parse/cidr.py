"""IP blocks with their exceptions."""

from __future__ import annotations

from controller.core.network import IPNet, NetworkMatch
from controller.index.parse.invalid import Invalid
from controller.k8s.cidr import parse_cidr, parse_network
from controller.k8s.policy import NetworkSpec


def parse_net(text: str) -> IPNet:
    """Read a block or an address, which stands for the block that holds only it."""
    try:
        return IPNet(*parse_network(text))
    except ValueError as error:
        raise Invalid(f"{text!r} is neither a CIDR nor an address") from error


def parse_nets(text: str) -> tuple[IPNet, ...]:
    """Read blocks between commas, without blanks and at least one: the form of command line flags."""
    try:
        return tuple([IPNet(*parse_cidr(item)) for item in text.split(",")])
    except ValueError as error:
        raise Invalid(f"{text!r} is not a list of CIDRs: {error}") from error


def parse_network_match(spec: NetworkSpec) -> NetworkMatch:
    """Read a block and its exceptions."""
    return NetworkMatch(parse_net(spec.cidr), tuple([parse_net(text) for text in spec.except_ or ()]))
