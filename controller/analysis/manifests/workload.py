"""The Deployment and its PodDisruptionBudget."""

from __future__ import annotations

from controller.analysis.manifests.installation import (
    ADMIN_PORT,
    ADMIN_PORT_NAME,
    GRPC_PORT,
    GRPC_PORT_NAME,
    NAME,
    WEBHOOK_PORT,
    WEBHOOK_PORT_NAME,
    CertificateInSecret,
    Installation,
    WebhookChoice,
)
from controller.analysis.manifests.objects import (
    Affinity,
    Capabilities,
    Container,
    ContainerPort,
    ContainerSecurity,
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    HttpGet,
    PodAffinityTerm,
    PodAntiAffinity,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodMetadata,
    PodSecurity,
    PodSpec,
    PodTemplate,
    Probe,
    Resources,
    RollingUpdate,
    SeccompProfile,
    SecretVolume,
    TopologySpreadConstraint,
    Volume,
    VolumeMount,
)
from controller.analysis.manifests.rights import LINKERD_DEPLOYMENT, lease_owner

TLS_FOLDER = "/var/run/linkerd/tls"
TLS_SECRET = f"{NAME}-webhook-tls"
USER = 2103  # as in Linkerd's chart

# After readiness is off, for as long proxies and API servers may still be sent here.
SHUTDOWN_DELAY, GRACE = 5, 25  # seconds; Kubernetes kills after 30

# Those that stand in every cluster with Linkerd, whose chart passes them too.
_OPAQUE_PORTS = "25,587,3306,4444,5432,6379,9300,11211"
_CLUSTER_NETWORKS = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8"
_PROBE_NETWORKS = "0.0.0.0/0,::/0"

_HOSTNAME, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def deployment(installation: Installation) -> Deployment:
    return Deployment(
        metadata=installation.metadata(),
        spec=DeploymentSpec(
            replicas=installation.replicas,
            selector=installation.selector,
            strategy=DeploymentStrategy(type="RollingUpdate", rolling_update=_rolling_update(installation)),
            template=PodTemplate(
                metadata=PodMetadata(labels=installation.labels, annotations={"linkerd.io/inject": "disabled"}),
                spec=_pod(installation),
            ),
        ),
    )


def disruption_budget(installation: Installation) -> PodDisruptionBudget:
    """Replicas leave one after the other; one that is not well stops no node from being drained."""
    return PodDisruptionBudget(
        metadata=installation.metadata(),
        spec=PodDisruptionBudgetSpec(
            max_unavailable=1, selector=installation.selector, unhealthy_pod_eviction_policy="AlwaysAllow"
        ),
    )


def run_arguments(installation: Installation) -> tuple[str, ...]:
    """The command line of the controller, as the Deployment has it."""
    anywhere = "[::]" if installation.ipv6 else "0.0.0.0"
    arguments = {
        "--admin-addr": f"{anywhere}:{ADMIN_PORT}",
        "--grpc-addr": f"{anywhere}:{GRPC_PORT}",
        "--control-plane-namespace": installation.control_plane_namespace,
        "--cluster-networks": _CLUSTER_NETWORKS,
        "--default-opaque-ports": _OPAQUE_PORTS,
        "--probe-networks": _PROBE_NETWORKS,
        "--shutdown-delay": f"{SHUTDOWN_DELAY}s",
        "--shutdown-grace-period": f"{GRACE}s",
    }
    if (owner := lease_owner(installation)) != LINKERD_DEPLOYMENT:
        arguments["--policy-deployment-name"] = owner
    if installation.webhook is not None:
        arguments["--server-addr"] = f"{anywhere}:{WEBHOOK_PORT}"
        arguments["--server-tls-key"] = f"{TLS_FOLDER}/tls.key"
        arguments["--server-tls-certs"] = f"{TLS_FOLDER}/tls.crt"
    chosen = {argument.partition("=")[0] for argument in installation.arguments}
    ours = [f"{name}={value}" for name, value in arguments.items() if name not in chosen]
    if installation.webhook is None:
        ours.append("--admission-controller-disabled")
    return ("run", *ours, *installation.arguments)


def _rolling_update(installation: Installation) -> RollingUpdate:
    """Never fewer replicas than asked for, unless every node may hold only one: then one has to leave first."""
    return RollingUpdate(max_surge=1, max_unavailable=1 if installation.spread == "required" else 0)


def _pod(installation: Installation) -> PodSpec:
    apart = PodAntiAffinity(
        required_during_scheduling_ignored_during_execution=(
            PodAffinityTerm(label_selector=installation.selector, topology_key=_HOSTNAME),
        )
    )
    return PodSpec(
        service_account_name=NAME,
        automount_service_account_token=True,
        security_context=PodSecurity(
            run_as_non_root=True,
            run_as_user=USER,
            run_as_group=USER,
            seccomp_profile=SeccompProfile(type="RuntimeDefault"),
        ),
        node_selector={"kubernetes.io/os": "linux"},
        affinity=Affinity(pod_anti_affinity=apart) if installation.spread == "required" else None,
        topology_spread_constraints=tuple(
            TopologySpreadConstraint(
                max_skew=1, topology_key=key, when_unsatisfiable="ScheduleAnyway", label_selector=installation.selector
            )
            for key in (_HOSTNAME, _ZONE)
        ),
        termination_grace_period_seconds=GRACE + 5,
        containers=(_container(installation),),
        volumes=() if installation.webhook is None else (_tls_volume(installation.webhook),),
    )


def _container(installation: Installation) -> Container:
    ports = [
        ContainerPort(name=GRPC_PORT_NAME, container_port=GRPC_PORT),
        ContainerPort(name=ADMIN_PORT_NAME, container_port=ADMIN_PORT),
    ]
    mounts = list[VolumeMount]()
    if installation.webhook is not None:
        ports.append(ContainerPort(name=WEBHOOK_PORT_NAME, container_port=WEBHOOK_PORT))
        mounts.append(VolumeMount(name="tls", mount_path=TLS_FOLDER, read_only=True))
    return Container(
        name="policy",
        image=installation.image,
        image_pull_policy="IfNotPresent",
        args=run_arguments(installation),
        ports=tuple(ports),
        liveness_probe=Probe(
            http_get=HttpGet(path="/live", port=ADMIN_PORT_NAME), initial_delay_seconds=10, timeout_seconds=3
        ),
        readiness_probe=Probe(
            http_get=HttpGet(path="/ready", port=ADMIN_PORT_NAME),
            period_seconds=5,
            timeout_seconds=1,
            failure_threshold=3,
        ),
        # No limit of CPU: throttling would make every proxy wait, and one thread can use one core at most.
        resources=Resources(
            requests={"cpu": "100m", "memory": installation.memory}, limits={"memory": installation.memory}
        ),
        security_context=ContainerSecurity(
            allow_privilege_escalation=False, capabilities=Capabilities(drop=("ALL",)), read_only_root_filesystem=True
        ),
        volume_mounts=tuple(mounts),
    )


def _tls_volume(webhook: WebhookChoice) -> Volume:
    match webhook.certificate:
        case CertificateInSecret(secret=name):
            pass
        case _:
            name = TLS_SECRET
    return Volume(name="tls", secret=SecretVolume(secret_name=name))
