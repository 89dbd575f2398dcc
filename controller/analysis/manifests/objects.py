"""Kubernetes objects as manifests spell them: only the fields that we set, in the order in which people read them.

Not the models of `controller.k8s`, which read what users write. A field that has its default is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

Labels: TypeAlias = Mapping[str, str]
JsonObject: TypeAlias = "dict[str, Any]"
IntOrString: TypeAlias = "int | str"


class Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A piece of an object."""


class Metadata(Part, frozen=True):
    name: str
    namespace: str | None = None
    labels: Labels = {}
    annotations: Labels = {}


class KubeObject(Part, frozen=True):
    """An object of its own."""

    API_VERSION: ClassVar[str] = "v1"

    metadata: Metadata

    def to_document(self) -> JsonObject:
        """The object as YAML or JSON spells it."""
        fields: JsonObject = msgspec.json.decode(msgspec.json.encode(self))
        return {"apiVersion": self.API_VERSION, "kind": type(self).__name__, **fields}


class LabelSelectorRequirement(Part, frozen=True):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(Part, frozen=True):
    match_labels: Labels = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


# Namespaces, accounts, rights


class Namespace(KubeObject, frozen=True):
    pass


class ServiceAccount(KubeObject, frozen=True):
    automount_service_account_token: bool | None = None


class PolicyRule(Part, frozen=True, kw_only=True):
    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    resource_names: tuple[str, ...] = ()
    verbs: tuple[str, ...]


class ClusterRole(KubeObject, frozen=True):
    API_VERSION = "rbac.authorization.k8s.io/v1"

    rules: tuple[PolicyRule, ...]


class Role(KubeObject, frozen=True):
    API_VERSION = "rbac.authorization.k8s.io/v1"

    rules: tuple[PolicyRule, ...]


class RoleRef(Part, frozen=True):
    api_group: str
    kind: Literal["ClusterRole", "Role"]
    name: str


class Subject(Part, frozen=True):
    kind: Literal["ServiceAccount"]
    name: str
    namespace: str


class ClusterRoleBinding(KubeObject, frozen=True):
    API_VERSION = "rbac.authorization.k8s.io/v1"

    role_ref: RoleRef
    subjects: tuple[Subject, ...]


class RoleBinding(KubeObject, frozen=True):
    API_VERSION = "rbac.authorization.k8s.io/v1"

    role_ref: RoleRef
    subjects: tuple[Subject, ...]


# The workload


class ContainerPort(Part, frozen=True):
    name: str
    container_port: int


class HttpGet(Part, frozen=True):
    path: str
    port: IntOrString


class Probe(Part, frozen=True):
    http_get: HttpGet
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int | None = None
    failure_threshold: int | None = None


class Resources(Part, frozen=True):
    requests: Labels = {}
    limits: Labels = {}


class SeccompProfile(Part, frozen=True):
    type: Literal["RuntimeDefault"]


class Capabilities(Part, frozen=True):
    drop: tuple[str, ...]


class ContainerSecurity(Part, frozen=True):
    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None
    read_only_root_filesystem: bool | None = None


class PodSecurity(Part, frozen=True):
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    seccomp_profile: SeccompProfile | None = None


class VolumeMount(Part, frozen=True):
    name: str
    mount_path: str
    read_only: bool | None = None


class SecretVolume(Part, frozen=True):
    secret_name: str


class Volume(Part, frozen=True):
    name: str
    secret: SecretVolume | None = None


class Container(Part, frozen=True):
    name: str
    image: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    resources: Resources | None = None
    security_context: ContainerSecurity | None = None
    volume_mounts: tuple[VolumeMount, ...] = ()


class PodAffinityTerm(Part, frozen=True):
    label_selector: LabelSelector
    topology_key: str


class PodAntiAffinity(Part, frozen=True):
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...]


class Affinity(Part, frozen=True):
    pod_anti_affinity: PodAntiAffinity


class TopologySpreadConstraint(Part, frozen=True):
    max_skew: int
    topology_key: str
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: LabelSelector


class PodSpec(Part, frozen=True, kw_only=True):
    service_account_name: str | None = None
    automount_service_account_token: bool | None = None
    security_context: PodSecurity | None = None
    node_selector: Labels = {}
    affinity: Affinity | None = None
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    termination_grace_period_seconds: int | None = None
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...] = ()


class PodMetadata(Part, frozen=True):
    labels: Labels = {}
    annotations: Labels = {}


class PodTemplate(Part, frozen=True, kw_only=True):
    metadata: PodMetadata | None = None
    spec: PodSpec


class RollingUpdate(Part, frozen=True):
    max_surge: IntOrString
    max_unavailable: IntOrString


class DeploymentStrategy(Part, frozen=True):
    type: Literal["RollingUpdate"]
    rolling_update: RollingUpdate


class DeploymentSpec(Part, frozen=True, kw_only=True):
    replicas: int | None = None
    selector: LabelSelector | None = None
    strategy: DeploymentStrategy | None = None
    template: PodTemplate


class Deployment(KubeObject, frozen=True):
    API_VERSION = "apps/v1"

    spec: DeploymentSpec


class PodDisruptionBudgetSpec(Part, frozen=True):
    max_unavailable: IntOrString
    selector: LabelSelector
    unhealthy_pod_eviction_policy: Literal["AlwaysAllow", "IfHealthyBudget"] | None = None


class PodDisruptionBudget(KubeObject, frozen=True):
    API_VERSION = "policy/v1"

    spec: PodDisruptionBudgetSpec


# How it is reached


class ServicePort(Part, frozen=True):
    name: str
    port: int
    target_port: IntOrString


class ServiceSpec(Part, frozen=True, kw_only=True):
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    selector: Labels
    ports: tuple[ServicePort, ...]


class Service(KubeObject, frozen=True):
    spec: ServiceSpec


class Secret(KubeObject, frozen=True):
    type: str
    data: Labels  # the values in base64


class WebhookService(Part, frozen=True):
    namespace: str
    name: str
    path: str


class WebhookClientConfig(Part, frozen=True, kw_only=True):
    ca_bundle: str | None = None  # PEM in base64
    service: WebhookService


class WebhookRule(Part, frozen=True):
    api_groups: tuple[str, ...]
    api_versions: tuple[str, ...]
    resources: tuple[str, ...]
    operations: tuple[Literal["CREATE", "UPDATE"], ...]


class ValidatingWebhook(Part, frozen=True):
    name: str
    client_config: WebhookClientConfig
    rules: tuple[WebhookRule, ...]
    namespace_selector: LabelSelector
    failure_policy: Literal["Fail", "Ignore"]
    side_effects: Literal["None"]
    admission_review_versions: tuple[str, ...]
    timeout_seconds: int


class ValidatingWebhookConfiguration(KubeObject, frozen=True):
    API_VERSION = "admissionregistration.k8s.io/v1"

    webhooks: tuple[ValidatingWebhook, ...]


# What Prometheus is to ask (the Prometheus operator's kind)


class PodMetricsEndpoint(Part, frozen=True):
    port: str
    path: str
    interval: str


class PodMonitorSpec(Part, frozen=True):
    selector: LabelSelector
    pod_metrics_endpoints: tuple[PodMetricsEndpoint, ...]


class PodMonitor(KubeObject, frozen=True):
    API_VERSION = "monitoring.coreos.com/v1"

    spec: PodMonitorSpec
