"""Everything `trellis run` can be told, parsed and checked: what the composition root is built from."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address
from pathlib import Path

import attrs

from controller.core.cluster import ClusterConfig
from controller.runtime.listen import SocketAddress

_ANY = IPv4Address("0.0.0.0")


class LogFormat(enum.Enum):
    PLAIN = "plain"
    JSON = "json"


@attrs.frozen(kw_only=True)
class ClusterAccess:
    """How to reach the API server. Nothing said means: kubeconfig if there is one, else the pod's own account."""

    kubeconfig: Path | None = None
    context: str | None = None
    cluster: str | None = None
    user: str | None = None
    as_user: str | None = None
    as_groups: tuple[str, ...] = ()
    response_headers_timeout: float = 9.0  # seconds


@attrs.frozen(kw_only=True)
class WebhookConfig:
    """Where the admission webhook listens, and its certificate."""

    address: SocketAddress
    tls_key: Path
    tls_certs: Path


@attrs.frozen(kw_only=True)
class RunConfig:
    """One controller process."""

    cluster: ClusterConfig
    access: ClusterAccess = ClusterAccess()
    log_filter: str = "linkerd=info,warn"
    log_format: LogFormat = LogFormat.PLAIN
    admin_address: SocketAddress = SocketAddress(_ANY, 8080)
    grpc_address: SocketAddress = SocketAddress(_ANY, 8090)
    webhook: WebhookConfig | None = None  # None: switched off
    policy_deployment_name: str = "linkerd-destination"
    hostname: str = ""
    patch_timeout: float = 5.0  # seconds
    grace_period: float = 25.0  # seconds; below the 30 s after which Kubernetes kills
    shutdown_delay: float = 0.0  # seconds between "not ready" and the first server that stops
