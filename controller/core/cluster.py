"""What the controller is told about its cluster: the settings that shape answers."""

from __future__ import annotations

import datetime as dt
import enum
from ipaddress import IPv4Address

import attrs

from controller.core.network import IPNet
from controller.core.ports import NO_PORTS, PortSet


class DefaultPolicy(enum.Enum):
    """What holds for a port that no Server selects; also a Server's `accessPolicy`."""

    ALL_AUTHENTICATED = "all-authenticated"
    ALL_UNAUTHENTICATED = "all-unauthenticated"
    CLUSTER_AUTHENTICATED = "cluster-authenticated"
    CLUSTER_UNAUTHENTICATED = "cluster-unauthenticated"
    DENY = "deny"
    AUDIT = "audit"


DEFAULT_CLUSTER_NETWORKS: tuple[IPNet, ...] = (
    IPNet(IPv4Address("10.0.0.0"), 8),
    IPNet(IPv4Address("100.64.0.0"), 10),
    IPNet(IPv4Address("172.16.0.0"), 12),
    IPNet(IPv4Address("192.168.0.0"), 16),
)


@attrs.frozen(kw_only=True)
class ClusterConfig:
    """The cluster's names, networks and defaults."""

    control_plane_namespace: str = "linkerd"
    identity_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    cluster_networks: tuple[IPNet, ...] = DEFAULT_CLUSTER_NETWORKS
    default_policy: DefaultPolicy = DefaultPolicy.ALL_UNAUTHENTICATED
    probe_networks: tuple[IPNet, ...] = ()  # empty: no probe routes
    detect_timeout: dt.timedelta = dt.timedelta(seconds=10)
    default_opaque_ports: PortSet = NO_PORTS
    allow_l5d_request_headers: bool = False
    global_egress_network_namespace: str = "linkerd-egress"
