"""Everything `trellis run` can be told, parsed and checked: what the composition root is built from."""

from __future__ import annotations

import math
from ipaddress import IPv4Address
from pathlib import Path

import attrs

from controller.core.cluster import ClusterConfig
from controller.grpc.transport.limits import Limits
from controller.runtime.listen import SocketAddress
from controller.runtime.log_filter import LogFilter, LogFormat

_ANY = IPv4Address("0.0.0.0")
DEFAULT_ADMIN_ADDRESS = SocketAddress(_ANY, 8080)
DEFAULT_GRPC_ADDRESS = SocketAddress(_ANY, 8090)
DEFAULT_WEBHOOK_ADDRESS = SocketAddress(_ANY, 443)
DEFAULT_GRPC_LIMITS = Limits()
DEFAULT_LOG_FILTER = LogFilter.parse("linkerd=info,warn")


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
    log_filter: LogFilter = DEFAULT_LOG_FILTER
    log_format: LogFormat = LogFormat.PLAIN
    admin_address: SocketAddress = DEFAULT_ADMIN_ADDRESS
    grpc_address: SocketAddress = DEFAULT_GRPC_ADDRESS
    webhook: WebhookConfig | None = None  # None: switched off
    policy_deployment_name: str = "linkerd-destination"
    hostname: str = ""
    patch_timeout: float = 5.0  # seconds
    grace_period: float = 25.0  # seconds; below the 30 s after which Kubernetes kills
    shutdown_delay: float = 0.0  # seconds between "not ready" and the first server that stops
    max_staleness: float = math.inf  # seconds of silence of the API server after which we are not ready
    grpc_limits: Limits = DEFAULT_GRPC_LIMITS
    open_diagnostics: bool = False  # whether other hosts may ask for /debug and /kubert.json
