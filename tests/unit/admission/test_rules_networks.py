"""Rules for blocks of addresses: NetworkAuthentications and EgressNetworks."""

from __future__ import annotations

from typing import Any

import pytest

from .reviews import admitted, denial

HOLED = [{"cidr": "10.1.0.0/24"}, {"cidr": "10.1.1.0/24", "except": ["10.1.1.0/28"]}]

GOOD = [
    HOLED,  # status 166; for EgressNetwork status 136, outbound 175
    [{"cidr": "10.1.0.0/16", "except": ["10.1.1.1"]}],  # status 167
    [{"cidr": "fd00::/8", "except": ["fd00::/16", "fd01::1"]}],
    [{"cidr": "10.0.0.1/24", "except": ["10.0.0.9/25"]}],  # host bits do not count
    [{"cidr": "010.0.0.0/08", "except": None}],
]
BAD = [
    (
        [{"cidr": "10.1.1.0/24", "except": ["10.1.0.0/16"]}],
        "[0].except[0]",
        "leaves nothing of 10.1.1.0/24",
    ),  # status 168
    (
        [{"cidr": "10.1.1.0/24", "except": ["10.1.2.0/24"]}],
        "[0].except[0]",
        "is not inside of 10.1.1.0/24",
    ),  # status 169
    ([{"cidr": "10.1.1.0/24", "except": ["bogus"]}], "[0]", "'bogus' is neither"),  # status 170
    ([{"cidr": "10.1.1.0/24", "except": ["10.1.1.0/25", "fd00::/8"]}], "[0].except[1]", "is not inside"),
    ([{"cidr": "10.1.1.1", "except": ["10.1.1.1/32"]}], "[0].except[0]", "leaves nothing"),
    ([{"cidr": "fe80::1%eth0"}], "[0]", "'fe80::1%eth0' is neither"),
]


@pytest.mark.parametrize("networks", GOOD)
def test_blocks_may_have_exceptions_inside(networks: Any) -> None:  # inbound 85
    """An exception is a part of its block."""
    assert admitted("NetworkAuthentication", {"networks": networks})
    assert admitted("EgressNetwork", {"trafficPolicy": "Deny", "networks": networks})


@pytest.mark.parametrize(("networks", "where", "why"), BAD)
def test_blocks_may_not_have_other_exceptions(networks: Any, where: str, why: str) -> None:  # inbound 85
    """Not outside of it, not all of it, not something else."""
    for kind, spec in (("NetworkAuthentication", {}), ("EgressNetwork", {"trafficPolicy": "Allow"})):
        (finding,) = denial(kind, spec | {"networks": networks})

        assert finding.startswith(f"spec.networks{where}: ")
        assert why in finding


def test_there_must_be_a_network() -> None:  # status 137, status 171, inbound 85, outbound 176
    """An EgressNetwork without any is for everything outside of the cluster; an empty list is an oversight."""
    assert denial("NetworkAuthentication", {"networks": []}) == ["spec.networks: must have at least one network"]
    assert denial("NetworkAuthentication", {"networks": None})
    (finding,) = denial("EgressNetwork", {"trafficPolicy": "Allow", "networks": []})
    assert finding.startswith("spec.networks: must have at least one network (leave it out")
    assert admitted("EgressNetwork", {"trafficPolicy": "Allow"})
    assert admitted("EgressNetwork", {"trafficPolicy": "Allow", "networks": None})


def test_several_exceptions_are_found_at_once() -> None:
    """Each of them in each block."""
    networks = [{"cidr": "10.0.0.0/24", "except": ["10.0.1.0/24", "10.0.0.0/8"]}, {"cidr": "::1", "except": ["::2"]}]

    paths = [finding.partition(":")[0] for finding in denial("NetworkAuthentication", {"networks": networks})]
    assert paths == ["spec.networks[0].except[0]", "spec.networks[0].except[1]", "spec.networks[1].except[0]"]


def test_traffic_policies_are_spelled_exactly() -> None:
    """What may be written is said."""
    assert denial("EgressNetwork", {"trafficPolicy": "allow"}) == [
        "spec.trafficPolicy: 'allow' is not one of Allow, Deny"
    ]
