"""Which EgressNetwork governs an address."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from controller.core.network import IPNet
from controller.core.ports import NO_PORTS
from controller.index.outbound.egress import EgressNetworkTable
from controller.index.parse.cidr import parse_net
from controller.index.parse.destinations import parse_egress_network
from controller.k8s.meta import ObjectKey
from controller.k8s.policy import EgressNetwork
from tests.destinations import Object, decode, egress_network

GLOBAL = "linkerd-external"
HERE = "192.168.0.4"
OLDEST, NEWEST = "2001-01-01T00:00:00Z", "2021-01-01T00:00:00Z"


def table(*objects: Object, cluster: tuple[IPNet, ...] = ()) -> EgressNetworkTable:
    made = EgressNetworkTable.create(GLOBAL, cluster)
    for obj in objects:
        resource = decode(obj)
        assert isinstance(resource, EgressNetwork)
        made.put(resource.key, parse_egress_network(resource, NO_PORTS))
    return made


def network(name: str, namespace: str, *cidrs: str | Object, created: str | None = None) -> Object:
    blocks = [{"cidr": cidr} if isinstance(cidr, str) else cidr for cidr in cidrs]
    return egress_network(name, namespace, networks=blocks, created=created)


def found(made: EgressNetworkTable, address: str = HERE, source: str = "ns") -> str | None:
    key = made.at(ip_address(address), source)
    return None if key is None else f"{key.namespace}/{key.name}"


# outbound 86
def test_the_smaller_network_wins() -> None:
    """Host bits do not count."""
    made = table(network("net-1", GLOBAL, "192.168.0.1/16"), network("net-2", GLOBAL, "192.168.0.1/24"))
    assert found(made) == f"{GLOBAL}/net-2"


# outbound 87
def test_the_callers_own_networks_come_first() -> None:
    """Whatever their size."""
    made = table(network("net-1", "ns-1", "192.168.0.1/16"), network("net-2", GLOBAL, "192.168.0.1/24"))
    assert found(made, source="ns-1") == "ns-1/net-1"
    assert found(made, source="ns-2") == f"{GLOBAL}/net-2"


# outbound 88
def test_networks_of_other_namespaces_do_not_count() -> None:
    """Only the global namespace's serve everybody."""
    assert found(table(network("net-1", "other-ns", "192.168.0.1/16")), source="ns-1") is None


# outbound 89
def test_of_equal_networks_the_oldest_wins() -> None:
    """Whatever its name."""
    made = table(
        network("net-1", GLOBAL, "192.168.0.1/16", created=NEWEST),
        network("net-2", GLOBAL, "192.168.0.1/16", created=OLDEST),
    )
    assert found(made) == f"{GLOBAL}/net-2"


# outbound 90
def test_of_equally_old_networks_the_first_by_name_wins() -> None:
    """However they arrived."""
    for names in (("a", "b"), ("b", "a")):
        made = table(*(network(name, GLOBAL, "192.168.0.1/16") for name in names))
        assert found(made) == f"{GLOBAL}/a"


# outbound 91
def test_an_exception_takes_an_address_out() -> None:
    """Then another network may have it, though it is larger."""
    spared = {"cidr": "192.168.0.1/16", "except": ["192.168.0.4"]}
    made = table(network("b", GLOBAL, spared), network("d", GLOBAL, "192.168.0.1/16"))
    assert found(made) == f"{GLOBAL}/d"
    assert found(made, "192.168.0.5") == f"{GLOBAL}/b"


# outbound 92
def test_networks_of_ones_own_hide_the_global_ones() -> None:
    """Also where they do not cover the address, until the last one is gone."""
    own = network("own", "ns", "1.1.1.1/32")
    made = table(own, network("global", GLOBAL, "0.0.0.0/0"))
    assert found(made) is None
    made.put(ObjectKey("ns", "own"), None)
    assert found(made) == f"{GLOBAL}/global"


# outbound 93
def test_a_network_of_no_age_counts_as_the_oldest() -> None:
    """Before any that has one."""
    made = table(network("a", GLOBAL, "192.168.0.0/16", created=OLDEST), network("b", GLOBAL, "192.168.0.0/16"))
    assert found(made) == f"{GLOBAL}/b"


# outbound 94
def test_a_network_without_blocks_never_matches() -> None:
    """And still hides the global ones."""
    made = table(network("none", "ns"), network("global", GLOBAL, "0.0.0.0/0"))
    assert found(made) is None


# outbound 95
def test_sizes_of_large_blocks_are_exact() -> None:
    """Upstream's wrap at 64 bits, and age would decide."""
    wide = network("wide", GLOBAL, "2001:db8::/48", created=OLDEST)
    made = table(wide, network("narrow", GLOBAL, "2001:db8::/64", created=NEWEST))
    assert found(made, "2001:db8::1") == f"{GLOBAL}/narrow"
    assert found(made, "2001:db8:0:1::1") == f"{GLOBAL}/wide"


def test_the_smallest_block_that_contains_the_address_is_the_networks_size_there() -> None:
    """Others of its blocks do not count."""
    made = table(
        network("many", GLOBAL, "192.168.0.0/16", "192.168.0.4/32", "8.0.0.0/8"),
        network("one", GLOBAL, "192.168.0.0/30"),
        network("mid", GLOBAL, "192.168.0.0/24"),
    )
    assert found(made) == f"{GLOBAL}/many"
    assert found(made, "192.168.0.3") == f"{GLOBAL}/one"
    assert found(made, "192.168.0.9") == f"{GLOBAL}/mid"
    assert found(made, "192.168.9.9") == f"{GLOBAL}/many"


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ({"cidr": "192.168.0.0/24", "except": ["192.168.0.128/25"]}, {"cidr": "192.168.0.0/24"}),
        ({"cidr": "192.168.0.4/31"}, {"cidr": "192.168.0.4/30"}),  # two hosts each: age decides
        ({"cidr": "192.168.0.4/32"}, {"cidr": "192.168.0.4/31"}),
        ({"cidr": "192.168.0.4"}, {"cidr": "192.168.0.4/31"}),
        ({"cidr": "192.168.0.0/16", "except": ["192.168.1.0/24"]}, {"cidr": "192.168.0.0/16"}),
    ],
)
def test_exceptions_make_a_block_smaller(smaller: Object, larger: Object) -> None:
    """Sizes count hosts: a block's first and last address are none, but for the two smallest kinds."""
    made = table(network("larger", GLOBAL, larger, created=NEWEST), network("smaller", GLOBAL, smaller, created=OLDEST))
    assert found(made) == f"{GLOBAL}/smaller"


def test_two_blocks_of_equal_hosts_are_equal() -> None:
    """A /31 and a /30 have two each."""
    made = table(
        network("thirty", GLOBAL, "192.168.0.4/30", created=OLDEST),
        network("thirty-one", GLOBAL, "192.168.0.4/31", created=NEWEST),
    )
    assert found(made) == f"{GLOBAL}/thirty"


def test_ip_versions_do_not_mix() -> None:
    """An IPv4 address in IPv6 clothes is an IPv6 address."""
    made = table(network("four", GLOBAL, "0.0.0.0/0"))
    assert found(made, "::ffff:192.168.0.4") is None
    made = table(network("six", GLOBAL, "::/0"))
    assert found(made) is None
    assert found(made, "::ffff:192.168.0.4") == f"{GLOBAL}/six"


def test_a_network_that_names_no_blocks_is_everything_outside() -> None:
    """Of both IP versions; the cluster's own networks are not."""
    cluster = (parse_net("10.0.0.0/8"), parse_net("fd00::/8"))
    made = table(egress_network("all", GLOBAL), cluster=cluster)
    assert found(made, "1.1.1.1") == found(made, "2001:db8::1") == f"{GLOBAL}/all"
    assert found(made, "10.1.1.1") is None
    assert found(made, "fd12::1") is None
    assert len(made) == 1


def test_a_default_network_is_as_large_as_what_is_left() -> None:
    """The reference value for the usual cluster networks: 4 272 881 670 hosts."""
    cluster = tuple(map(parse_net, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")))
    made = table(egress_network("all", "ns"), cluster=cluster)
    (block,) = [block for block in made._sorted_blocks("ns") if block.version == 4]
    assert block.size == 4_272_881_670


def test_a_network_changes_and_goes() -> None:
    """What was sorted is sorted anew; what never was is no loss."""
    made = table(network("a", "ns", "192.168.0.0/16"))
    assert found(made) == "ns/a"
    changed = decode(network("a", "ns", "1.1.1.1"))
    assert isinstance(changed, EgressNetwork)
    made.put(changed.key, parse_egress_network(changed, NO_PORTS))
    assert found(made) is None
    made.put(ObjectKey("ns", "a"), None)
    made.put(ObjectKey("ns", "a"), None)
    assert found(made, "1.1.1.1") is None
    assert made.get(ObjectKey("ns", "a")) is None


def test_the_last_of_a_namespaces_networks_hides_the_global_ones_still() -> None:
    """Only when all are gone do those count."""
    own = [network("a", "ns", "1.1.1.1/32"), network("b", "ns", "1.1.1.2/32")]
    made = table(*own, network("global", GLOBAL, "0.0.0.0/0"))
    made.put(ObjectKey("ns", "a"), None)
    assert found(made) is None
    assert found(made, "1.1.1.2") == "ns/b"
