"""The flags of `trellis run`: upstream's names and defaults, and what of them goes together."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Group, Parameter

from controller.app_config import (
    DEFAULT_ADMIN_ADDRESS,
    DEFAULT_GRPC_ADDRESS,
    DEFAULT_LOG_FILTER,
    DEFAULT_WEBHOOK_ADDRESS,
    ClusterAccess,
    RunConfig,
    WebhookConfig,
)
from controller.cli import values
from controller.cli.flag import Usage, flag
from controller.cli.limit_flags import NO_LIMIT_FLAGS, LimitFlags
from controller.core.cluster import DEFAULT_CLUSTER_NETWORKS, ClusterConfig, DefaultPolicy
from controller.core.network import IPNet
from controller.core.ports import PortSet
from controller.runtime.listen import SocketAddress
from controller.runtime.log_filter import LogFilter, LogFormat

_LOG = Group("Logging", sort_key=0)
_API = Group("Kubernetes API", sort_key=1)
_LISTEN = Group("Listening", sort_key=2)
_CLUSTER = Group("Cluster", sort_key=3)
_PROCESS = Group("Process", sort_key=4)


def _networks(networks: tuple[IPNet, ...]) -> str:
    return ",".join(map(str, networks))


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RunFlags:
    """What the command line says, each flag by itself."""

    log_level: Annotated[
        LogFilter,
        flag(
            "What to log: level, or target=level, comma separated.",
            _LOG,
            values.to_log_filter,
            "linkerd=info,warn",
            env_var="LINKERD_POLICY_CONTROLLER_LOG",
        ),
    ] = DEFAULT_LOG_FILTER
    log_format: Annotated[LogFormat, flag("plain or json.", _LOG, values.to_log_format, "plain")] = LogFormat.PLAIN

    cluster: Annotated[str | None, flag("Name of the kubeconfig's cluster.", _API)] = None
    context: Annotated[str | None, flag("Name of the kubeconfig's context.", _API)] = None
    user: Annotated[str | None, flag("Name of the kubeconfig's user.", _API)] = None
    kubeconfig: Annotated[Path | None, flag("Path of the kubeconfig.", _API)] = None
    as_: Annotated[str | None, flag("User to impersonate.", _API, name="--as")] = None
    as_group: Annotated[tuple[str, ...], flag("Group to impersonate; may be repeated.", _API, show_default=False)] = ()
    kube_api_response_headers_timeout: Annotated[
        float, flag("Time for the API server to begin an answer.", _API, values.to_seconds, "9s")
    ] = 9.0

    admin_addr: Annotated[
        SocketAddress, flag("Probes, metrics and diagnostics.", _LISTEN, values.to_address, "0.0.0.0:8080")
    ] = DEFAULT_ADMIN_ADDRESS
    grpc_addr: Annotated[
        SocketAddress, flag("The policy API, for proxies.", _LISTEN, values.to_address, "0.0.0.0:8090")
    ] = DEFAULT_GRPC_ADDRESS
    server_addr: Annotated[SocketAddress, flag("The admission webhook.", _LISTEN, values.to_address, "0.0.0.0:443")] = (
        DEFAULT_WEBHOOK_ADDRESS
    )
    server_tls_key: Annotated[Path | None, flag("PEM file with the webhook's private key.", _LISTEN)] = None
    server_tls_certs: Annotated[Path | None, flag("PEM file with the webhook's certificates.", _LISTEN)] = None
    admission_controller_disabled: Annotated[bool, flag("Serve no webhook.", _LISTEN)] = False

    cluster_networks: Annotated[
        tuple[IPNet, ...],
        flag(
            "Blocks that are inside the cluster, comma separated.",
            _CLUSTER,
            values.to_networks,
            _networks(DEFAULT_CLUSTER_NETWORKS),
        ),
    ] = DEFAULT_CLUSTER_NETWORKS
    identity_domain: Annotated[str, flag("Trust domain of the mesh's identities.", _CLUSTER)] = "cluster.local"
    cluster_domain: Annotated[str, flag("DNS domain of the cluster.", _CLUSTER)] = "cluster.local"
    default_policy: Annotated[
        DefaultPolicy,
        flag("For ports that no Server selects.", _CLUSTER, values.to_default_policy, "all-unauthenticated"),
    ] = DefaultPolicy.ALL_UNAUTHENTICATED
    policy_deployment_name: Annotated[str, flag("Deployment that owns the Lease.", _CLUSTER)] = "linkerd-destination"
    control_plane_namespace: Annotated[str, flag("Namespace of the control plane.", _CLUSTER)] = "linkerd"
    probe_networks: Annotated[
        tuple[IPNet, ...],
        flag("Blocks that probes come from, comma separated.", _CLUSTER, values.to_networks, "none"),
    ] = ()
    default_opaque_ports: Annotated[
        PortSet | None,
        flag("Ports that carry opaque traffic: 25,3306,8000-8100. Required.", _CLUSTER, values.to_ports, "none"),
    ] = None
    patch_timeout_ms: Annotated[
        float, flag("Time for the patch of a status.", _CLUSTER, values.to_milliseconds, "5000")
    ] = 5.0
    allow_l5d_request_headers: Annotated[bool, flag("Let requests override policy by header.", _CLUSTER)] = False
    global_egress_network_namespace: Annotated[str, flag("Namespace whose EgressNetworks are for all.", _CLUSTER)] = (
        "linkerd-egress"
    )

    shutdown_grace_period: Annotated[
        float, flag("Time for everything to end after the first signal.", _PROCESS, values.to_seconds, "25s")
    ] = 25.0
    shutdown_delay: Annotated[
        float, flag("Time to go on serving after readiness is off.", _PROCESS, values.to_seconds_or_zero, "0s")
    ] = 0.0
    max_staleness: Annotated[
        float | None,
        flag("Not ready when the API server has been silent for so long.", _PROCESS, values.to_seconds, "never"),
    ] = None
    open_diagnostics: Annotated[bool, flag("Let other hosts ask for /debug and /kubert.json.", _PROCESS)] = False


def to_run_config(flags: RunFlags, environ: Mapping[str, str], limits: LimitFlags = NO_LIMIT_FLAGS) -> RunConfig:
    """Check what goes together, and return the configuration. Raises `Usage`."""
    if flags.default_opaque_ports is None:
        raise Usage("--default-opaque-ports must be set; it may be empty, Linkerd's chart has 25,587,3306,4444,5432,…")
    if flags.as_group and flags.as_ is None:
        raise Usage("--as-group needs --as: the API server takes no groups without a user")
    if flags.shutdown_delay >= flags.shutdown_grace_period:
        raise Usage("--shutdown-delay must be shorter than --shutdown-grace-period, of which it is a part")
    webhook = _webhook(flags)
    _check_distinct(flags, webhook)
    return RunConfig(
        cluster=ClusterConfig(
            control_plane_namespace=flags.control_plane_namespace,
            identity_domain=flags.identity_domain,
            cluster_domain=flags.cluster_domain,
            cluster_networks=flags.cluster_networks,
            default_policy=flags.default_policy,
            probe_networks=flags.probe_networks,
            default_opaque_ports=flags.default_opaque_ports,
            allow_l5d_request_headers=flags.allow_l5d_request_headers,
            global_egress_network_namespace=flags.global_egress_network_namespace,
        ),
        access=ClusterAccess(
            kubeconfig=flags.kubeconfig,
            context=flags.context,
            cluster=flags.cluster,
            user=flags.user,
            as_user=flags.as_,
            as_groups=flags.as_group,
            response_headers_timeout=flags.kube_api_response_headers_timeout,
        ),
        log_filter=flags.log_level,
        log_format=flags.log_format,
        admin_address=flags.admin_addr,
        grpc_address=flags.grpc_addr,
        webhook=webhook,
        policy_deployment_name=flags.policy_deployment_name,
        # Kubernetes gives a container its pod's name in HOSTNAME; a shell often does not export it.
        hostname=environ.get("HOSTNAME") or socket.gethostname(),
        patch_timeout=flags.patch_timeout_ms,
        grace_period=flags.shutdown_grace_period,
        shutdown_delay=flags.shutdown_delay,
        max_staleness=math.inf if flags.max_staleness is None else flags.max_staleness,
        open_diagnostics=flags.open_diagnostics,
        grpc_limits=limits.to_limits(),
    )


def _webhook(flags: RunFlags) -> WebhookConfig | None:
    if flags.admission_controller_disabled:
        return None
    hint = "(or --admission-controller-disabled)"
    if flags.server_tls_key is None:
        raise Usage(f"--server-tls-key must be set {hint}")
    if flags.server_tls_certs is None:
        raise Usage(f"--server-tls-certs must be set {hint}")
    return WebhookConfig(address=flags.server_addr, tls_key=flags.server_tls_key, tls_certs=flags.server_tls_certs)


def _check_distinct(flags: RunFlags, webhook: WebhookConfig | None) -> None:
    taken = dict[SocketAddress, str]()
    addresses = [("--admin-addr", flags.admin_addr), ("--grpc-addr", flags.grpc_addr)]
    if webhook is not None:
        addresses.append(("--server-addr", webhook.address))
    for name, address in addresses:
        if address.port and address in taken:
            raise Usage(f"{taken[address]} and {name} are both {address}")
        taken[address] = name
