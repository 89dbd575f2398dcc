"""Services and EgressNetworks as destinations."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from controller.core.network import IPNet, NetworkMatch
from controller.core.outbound import (
    AppProtocol,
    ConsecutiveFailures,
    HttpRetry,
    LoadBiaser,
    Timeouts,
    TrafficPolicy,
    TrafficSettings,
    UnifiedFailures,
)
from controller.core.ports import NO_PORTS, PortSet
from controller.index.parse.annotation_values import SECOND
from controller.index.parse.destinations import (
    NO_SETTINGS,
    EgressNetworkForm,
    ServiceForm,
    parse_egress_network,
    parse_opaque_ports,
    parse_service,
)
from controller.index.parse.invalid import Invalid
from controller.index.parse.ports import parse_port_set
from controller.k8s.builtin import Service
from controller.k8s.policy import EgressNetwork
from tests.destinations import decode, egress_network, service

DEFAULT_OPAQUE = PortSet.of([(3306, 3306)])


def _service(**fields: Any) -> ServiceForm:
    resource = decode(service(**fields))
    assert isinstance(resource, Service)
    return parse_service(resource, DEFAULT_OPAQUE)


def _egress_network(**fields: Any) -> EgressNetworkForm:
    resource = decode(egress_network(**fields))
    assert isinstance(resource, EgressNetwork)
    return parse_egress_network(resource, DEFAULT_OPAQUE)


# outbound 25
def test_port_sets_are_numbers_and_ranges() -> None:
    """One bad item spoils the set; port names are not understood."""
    assert parse_port_set("") == NO_PORTS
    assert list(parse_port_set("1")) == [1]
    assert list(parse_port_set("1-3")) == [1, 2, 3]
    assert list(parse_port_set("4,1-2")) == [1, 2, 4]
    for text in ("0", "2-1", "2-", "65537", "http"):
        with pytest.raises(Invalid):
            parse_port_set(text)


# outbound 26
def test_opaque_ports_that_cannot_be_read_are_none_at_all() -> None:
    """Not even the cluster's defaults, which hold where nothing is said."""
    key = "config.linkerd.io/opaque-ports"
    assert parse_opaque_ports({}, DEFAULT_OPAQUE) == DEFAULT_OPAQUE
    assert parse_opaque_ports({key: "25,80"}, DEFAULT_OPAQUE) == PortSet.of([(25, 25), (80, 80)])
    assert parse_opaque_ports({key: "bogus"}, DEFAULT_OPAQUE) == NO_PORTS
    bogus = _service(annotations={key: "bogus"})
    assert bogus.traffic.at(3306) == NO_SETTINGS
    assert _service().traffic.at(3306).protocol is AppProtocol.OPAQUE


# outbound 189, 190
@pytest.mark.parametrize(
    ("ips", "expected"),
    [
        (["10.96.0.1"], ["10.96.0.1"]),
        (["10.96.0.1", "fd00::1"], ["10.96.0.1", "fd00::1"]),
        (["None"], []),
        ([], []),
        (["bogus", "10.96.0.1"], ["10.96.0.1"]),
        (["fe80::1%eth0"], []),
    ],
)
def test_a_service_has_the_addresses_it_lists(ips: list[str], expected: list[str]) -> None:
    """What is no address is none; there may be none at all."""
    assert _service(ips=ips).addresses == frozenset(map(ip_address, expected))


def test_a_service_without_ports_has_no_address() -> None:
    """There is nothing to connect to. `clusterIP` alone does not count either."""
    assert _service(ports=[]).addresses == frozenset()
    assert _service(ports=[0, 65536]).addresses == frozenset()
    bare = service()
    del bare["spec"]
    resource = decode(bare)
    assert isinstance(resource, Service)
    assert parse_service(resource, NO_PORTS).addresses == frozenset()


def test_the_ports_of_a_service_are_those_that_can_be() -> None:
    """Protocol, name and target are not looked at."""
    udp = {"port": 53, "protocol": "UDP", "name": "dns", "targetPort": "dns"}
    assert _service(ports=[80, 0, 65535, 65536, udp]).ports == {53, 80, 65535}


@pytest.mark.parametrize(
    ("app_protocol", "expected"),
    [
        ("http", AppProtocol.HTTP1),
        ("HTTP", AppProtocol.HTTP1),
        ("kubernetes.io/h2c", AppProtocol.HTTP2),
        ("Kubernetes.io/H2C", AppProtocol.HTTP2),
        ("linkerd.io/tcp", AppProtocol.OPAQUE),
        ("linkerd.io/opaque", AppProtocol.OPAQUE),
        ("XMPP", AppProtocol.UNKNOWN),
        ("https", AppProtocol.UNKNOWN),
        ("http2", AppProtocol.UNKNOWN),
        ("kubernetes.io/ws", AppProtocol.UNKNOWN),
        ("", AppProtocol.UNKNOWN),
        (None, None),
    ],
)
def test_an_app_protocol_says_what_a_port_speaks(app_protocol: str | None, expected: AppProtocol | None) -> None:
    """Case does not count; what nobody knows is something else than nothing."""
    port = {"port": 80} if app_protocol is None else {"port": 80, "appProtocol": app_protocol}
    assert _service(ports=[port]).traffic.at(80).protocol is expected


def test_of_two_ports_with_one_number_the_last_counts() -> None:
    """TCP and UDP, for instance."""
    ports = [{"port": 53, "appProtocol": "http"}, {"port": 53, "protocol": "UDP", "appProtocol": "linkerd.io/tcp"}]
    assert _service(ports=ports).traffic.at(53).protocol is AppProtocol.OPAQUE


# outbound 192
def test_an_app_protocol_counts_more_than_a_list_of_opaque_ports() -> None:
    """Whether the list is the cluster's or the Service's own."""
    ports = [{"port": 3306, "appProtocol": "http"}]
    assert _service(ports=ports).traffic.at(3306).protocol is AppProtocol.HTTP1
    listed = {"config.linkerd.io/opaque-ports": "3306,9999"}
    form = _service(ports=ports, annotations=listed)
    assert form.traffic.at(3306).protocol is AppProtocol.HTTP1
    assert form.traffic.at(9999).protocol is AppProtocol.OPAQUE  # though it is not declared


WRONG = {
    "balancer.linkerd.io/failure-accrual": "bogus",
    "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after": "bogus",
    "balancer.alpha.linkerd.io/penalize-failures": "bogus",
    "timeout.linkerd.io/request": "bogus",
    "retry.linkerd.io/http": "bogus",
    "retry.linkerd.io/grpc": "bogus",
}
RIGHT = {
    "balancer.linkerd.io/failure-accrual": "consecutive",
    "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after": "true",
    "balancer.alpha.linkerd.io/penalize-failures": "true",
    "timeout.linkerd.io/request": "1s",
    "retry.linkerd.io/http": "5xx",
    "retry.linkerd.io/grpc": "internal",
}
FIELDS = ("failure_accrual", "honor_retry_after", "load_biaser", "timeouts", "http_retry", "grpc_retry")


@pytest.mark.parametrize("wrong", range(len(FIELDS)), ids=FIELDS)
def test_a_wrong_annotation_spoils_its_own_category_only(wrong: int) -> None:
    """The rest of a Service's annotations still apply."""
    key = list(WRONG)[wrong]
    settings = _service(annotations={**RIGHT, key: WRONG[key]}).traffic.settings
    for i, field in enumerate(FIELDS):
        is_default = getattr(settings, field) == getattr(NO_SETTINGS, field)
        assert is_default == (i == wrong), field


def test_services_that_say_nothing_share_their_settings() -> None:
    """There are thousands of them."""
    assert _service(annotations={"app": "x"}).traffic.settings is NO_SETTINGS
    assert _service().traffic.settings is NO_SETTINGS


def test_an_egress_network_has_no_load_to_bias() -> None:
    """Everything else is as for a Service."""
    settings = _egress_network(annotations=RIGHT).traffic.settings
    assert settings.load_biaser is None
    assert isinstance(settings.failure_accrual, ConsecutiveFailures)
    assert settings.timeouts == Timeouts(request=SECOND)
    assert isinstance(settings.http_retry, HttpRetry)
    assert _service(annotations=RIGHT).traffic.settings.load_biaser == LoadBiaser(5 * SECOND, 300 * SECOND)


def test_every_opaque_port_of_an_egress_network_is_opaque() -> None:
    """It declares none."""
    form = _egress_network(annotations={"config.linkerd.io/opaque-ports": "25"})
    assert form.traffic.at(25) == TrafficSettings(protocol=AppProtocol.OPAQUE)
    assert form.traffic.at(3306) == NO_SETTINGS
    assert _egress_network().traffic.at(3306).protocol is AppProtocol.OPAQUE


# outbound 175
def test_the_networks_of_an_egress_network_are_blocks_with_exceptions() -> None:
    """An address stands for the block that holds only it; absent is something else than empty."""
    networks = [{"cidr": "10.1.0.0/24"}, {"cidr": "10.1.1.0/24", "except": ["10.1.1.0/28", "10.1.1.200"]}]
    form = _egress_network(policy="Deny", networks=networks)
    assert form.traffic_policy is TrafficPolicy.DENY
    assert form.networks == (
        NetworkMatch(IPNet(IPv4Address("10.1.0.0"), 24)),
        NetworkMatch(
            IPNet(IPv4Address("10.1.1.0"), 24),
            (IPNet(IPv4Address("10.1.1.0"), 28), IPNet(IPv4Address("10.1.1.200"), 32)),
        ),
    )
    assert _egress_network(networks=[]).networks == ()
    assert _egress_network().networks is None
    assert _egress_network(networks=[{"cidr": "fd00::/8"}]).networks == (NetworkMatch(IPNet(IPv6Address("fd00::"), 8)),)


def test_a_unified_circuit_breaker_can_stand_on_either() -> None:
    """Services and EgressNetworks read the same annotations."""
    annotations = {"balancer.linkerd.io/failure-accrual": "unified"}
    assert isinstance(_service(annotations=annotations).traffic.settings.failure_accrual, UnifiedFailures)
    assert isinstance(_egress_network(annotations=annotations).traffic.settings.failure_accrual, UnifiedFailures)
