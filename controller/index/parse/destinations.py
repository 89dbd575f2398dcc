"""Services and EgressNetworks as destinations of traffic.

Nothing about them is ever rejected: each category of annotations that is wrong counts as absent, and the rest stands.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import TypeVar

import attrs

from controller.core.network import IPAddress, NetworkMatch
from controller.core.outbound import NO_TIMEOUTS, AppProtocol, TrafficPolicy, TrafficSettings
from controller.core.ports import NO_PORTS, PortSet
from controller.index.parse.balancer import parse_failure_accrual, parse_honor_retry_after, parse_load_biaser
from controller.index.parse.cidr import parse_network_match
from controller.index.parse.invalid import Invalid, parse_each
from controller.index.parse.parents import MAX_PORT
from controller.index.parse.ports import parse_port_set
from controller.index.parse.retries import parse_grpc_retry, parse_http_retry, parse_timeouts
from controller.k8s.builtin import Service, ServicePort
from controller.k8s.cidr import parse_address
from controller.k8s.policy import EgressNetwork

T = TypeVar("T")
D = TypeVar("D")
V = TypeVar("V")

OPAQUE_PORTS = "config.linkerd.io/opaque-ports"
NO_SETTINGS = TrafficSettings()

_APP_PROTOCOLS = {
    "http": AppProtocol.HTTP1,
    "kubernetes.io/h2c": AppProtocol.HTTP2,
    "linkerd.io/tcp": AppProtocol.OPAQUE,
    "linkerd.io/opaque": AppProtocol.OPAQUE,
}


@attrs.frozen
class TrafficForm:
    """What annotations and ports say of a destination's traffic, for all of its ports at once."""

    settings: TrafficSettings = NO_SETTINGS
    opaque_ports: PortSet = NO_PORTS
    app_protocols: Mapping[int, AppProtocol] = attrs.field(factory=dict[int, AppProtocol])

    def at(self, port: int) -> TrafficSettings:
        """The settings of one port; what its author calls it counts more than a list of opaque ports."""
        protocol = self.app_protocols.get(port)
        if protocol is None and port in self.opaque_ports:
            protocol = AppProtocol.OPAQUE
        return self.settings if protocol is None else attrs.evolve(self.settings, protocol=protocol)


@attrs.frozen
class ServiceForm:
    """A Service: its addresses and ports, and what is said of its traffic."""

    created: dt.datetime | None
    addresses: frozenset[IPAddress]
    ports: frozenset[int]
    traffic: TrafficForm


@attrs.frozen
class EgressNetworkForm:
    """An EgressNetwork. `networks` is `None` where it means everything outside the cluster."""

    created: dt.datetime | None
    traffic_policy: TrafficPolicy
    networks: tuple[NetworkMatch, ...] | None
    traffic: TrafficForm


def parse_service(service: Service, default_opaque_ports: PortSet) -> ServiceForm:
    """Read a Service. One without an address can still be a backend, and be asked for by name."""
    spec = service.spec
    declared = [port for port in (spec.ports if spec else None) or () if 1 <= port.port <= MAX_PORT]
    return ServiceForm(
        created=service.metadata.creation_timestamp,
        addresses=frozenset(_addresses(spec.cluster_ips if spec else None)) if declared else frozenset(),
        ports=frozenset([port.port for port in declared]),
        traffic=TrafficForm(
            settings=_settings(service.annotations, with_load_biaser=True),
            opaque_ports=parse_opaque_ports(service.annotations, default_opaque_ports),
            app_protocols=_app_protocols(declared),
        ),
    )


def parse_egress_network(network: EgressNetwork, default_opaque_ports: PortSet) -> EgressNetworkForm:
    """Read an EgressNetwork. Its status does not count: it governs traffic also where it takes no routes."""
    networks = network.spec.networks
    return EgressNetworkForm(
        created=network.metadata.creation_timestamp,
        traffic_policy=TrafficPolicy(network.spec.traffic_policy),
        networks=None if networks is None else parse_each("spec.networks", parse_network_match, networks),
        traffic=TrafficForm(
            # Load is biased between endpoints, and behind an EgressNetwork there is one.
            settings=_settings(network.annotations, with_load_biaser=False),
            opaque_ports=parse_opaque_ports(network.annotations, default_opaque_ports),
        ),
    )


def parse_opaque_ports(annotations: Mapping[str, str], default: PortSet) -> PortSet:
    """Read the annotation; where it cannot be read no port is opaque, not even by default."""
    text = annotations.get(OPAQUE_PORTS)
    return default if text is None else _or_else(NO_PORTS, parse_port_set, text)


def _settings(annotations: Mapping[str, str], *, with_load_biaser: bool) -> TrafficSettings:
    if not annotations:
        return NO_SETTINGS
    settings = TrafficSettings(
        failure_accrual=_or_else(None, parse_failure_accrual, annotations),
        honor_retry_after=_or_else(False, parse_honor_retry_after, annotations),
        load_biaser=_or_else(None, parse_load_biaser, annotations) if with_load_biaser else None,
        timeouts=_or_else(NO_TIMEOUTS, parse_timeouts, annotations),
        http_retry=_or_else(None, parse_http_retry, annotations),
        grpc_retry=_or_else(None, parse_grpc_retry, annotations),
    )
    return NO_SETTINGS if settings == NO_SETTINGS else settings  # most are, and share one


def _or_else(default: D, parse: Callable[[T], V], value: T) -> D | V:
    try:
        return parse(value)
    except Invalid:
        return default


def _addresses(texts: tuple[str, ...] | None) -> list[IPAddress]:
    return [address for text in texts or () if (address := _parse_address(text)) is not None]


def _parse_address(text: str) -> IPAddress | None:
    """`None` also for the text "None", which headless Services have."""
    try:
        return parse_address(text)
    except ValueError:
        return None


def _app_protocols(ports: list[ServicePort]) -> dict[int, AppProtocol]:
    """The protocols that are named; of two for one port (TCP and UDP) the last counts."""
    return {
        port.port: _APP_PROTOCOLS.get(port.app_protocol.lower(), AppProtocol.UNKNOWN)
        for port in ports
        if port.app_protocol is not None
    }
