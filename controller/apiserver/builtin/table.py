"""Every built-in kind that the server offers."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from controller.apiserver.builtin import custom_definitions, objects, pods, recorded, services, webhook_configurations
from controller.apiserver.builtin.columns import COLUMNS, DEFAULT
from controller.apiserver.kinds import Behaviour, Kind, Version
from controller.apiserver.status import Object


@attrs.frozen(kw_only=True)
class Row:
    """A built-in kind in short."""

    group: str = ""
    kind: str
    plural: str
    behaviour: Behaviour = Behaviour(has_generation=False)  # noqa: RUF009  # frozen
    short: str = ""
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    scale: bool = False
    deprecation: str = ""

    def to_kind(self) -> Kind:
        schema = recorded.schema_of(recorded.type_of(self.group, "v1", self.kind))
        scale: Object | None = {"specReplicasPath": ".spec.replicas"} if self.scale else None
        version = Version(
            "v1",
            schema,
            columns=COLUMNS.get(self.plural, DEFAULT),
            status=self.status,
            scale=scale,
            deprecation=self.deprecation,
        )
        return Kind(
            group=self.group,
            kind=self.kind,
            plural=self.plural,
            singular=self.kind.lower(),
            list_kind=f"{self.kind}List",
            namespaced=self.namespaced,
            versions={"v1": version},
            storage="v1",
            short_names=tuple(self.short.split()),
            categories=self.categories,
            behaviour=self.behaviour,
        )


_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_EXTENSIONS = ("api-extensions",)


def _workload(defaults: Callable[[Object], None], status: Callable[[Object], Object]) -> Behaviour:
    return Behaviour(defaults=defaults, initial_status=status, validate=objects.validate_workload)


def kinds(taken: Callable[[], set[str]]) -> list[Kind]:
    """All built-in kinds; `taken` says which service addresses and node ports are in use."""
    return [row.to_kind() for row in _rows(taken)]


def _rows(taken: Callable[[], set[str]]) -> list[Row]:
    return [*_core(taken), *_apps(), *_access(), *_others()]


def _core(taken: Callable[[], set[str]]) -> list[Row]:
    plain = Behaviour(has_generation=False)
    pod = Behaviour(
        defaults=pods.pod_defaults,
        prepare=pods.prepare,
        validate=pods.validate,
        fields=pods.fields,
        field_names=pods.FIELDS,
        initial_status=pods.initial_status,
        grace_period=pods.grace_period,
        returns_deleted=True,
        status_writes_metadata=True,
    )
    addresses = services.Addresses(taken)
    service = Behaviour(
        defaults=services.defaults,
        prepare=addresses.prepare,
        validate=addresses.validate,
        fields=services.fields,
        field_names=services.FIELDS,
        initial_status=services.initial_status,
        validate_status=services.validate_status,
        name_rule="label",
        has_generation=False,
        create_on_update=True,
        returns_deleted=True,
        status_writes_metadata=True,
    )
    namespace = Behaviour(
        defaults=objects.namespace_defaults,
        prepare=objects.prepare_namespace,
        fields=objects.namespace_fields,
        field_names=frozenset({"status.phase", "name"}),
        initial_status=objects.namespace_status,
        validate_status=objects.validate_namespace_status,
        name_rule="label",
        has_generation=False,
        no_deletecollection=True,
    )
    config_map = attrs.evolve(plain, validate=objects.validate_data)
    secret = Behaviour(
        defaults=objects.secret_defaults,
        validate=objects.validate_data,
        fields=objects.secret_fields,
        field_names=frozenset({"type"}),
        has_generation=False,
    )
    node = Behaviour(
        has_generation=False,
        status_on_create=True,
        status_writes_metadata=True,
        field_names=frozenset({"spec.unschedulable"}),
    )
    event = Behaviour(
        defaults=objects.event_defaults,
        validate=objects.validate_event,
        fields=objects.event_fields,
        field_names=objects.EVENT_FIELDS,
        has_generation=False,
        create_on_update=True,
    )
    return [
        Row(kind="Pod", plural="pods", short="po", categories=_ALL, status=True, behaviour=pod),
        Row(kind="Service", plural="services", short="svc", categories=_ALL, status=True, behaviour=service),
        Row(kind="Namespace", plural="namespaces", short="ns", namespaced=False, status=True, behaviour=namespace),
        Row(
            kind="ServiceAccount",
            plural="serviceaccounts",
            short="sa",
            behaviour=attrs.evolve(plain, returns_deleted=True),
        ),
        Row(kind="ConfigMap", plural="configmaps", short="cm", behaviour=config_map),
        Row(kind="Secret", plural="secrets", behaviour=secret),
        Row(kind="Node", plural="nodes", short="no", namespaced=False, status=True, behaviour=node),
        Row(kind="Event", plural="events", short="ev", behaviour=event),
        Row(
            kind="Endpoints",
            plural="endpoints",
            short="ep",
            behaviour=attrs.evolve(plain, create_on_update=True, defaults=objects.endpoints_defaults),
            deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ),
    ]


def _apps() -> list[Row]:
    deployment = _workload(objects.deployment_defaults, objects.empty_status)
    replica_set = _workload(objects.replica_set_defaults, objects.replica_status)
    stateful_set = _workload(objects.stateful_set_defaults, objects.stateful_status)
    daemon_set = _workload(objects.daemon_set_defaults, objects.daemon_status)
    job = Behaviour(
        defaults=objects.job_defaults,
        validate=objects.validate_job,
        prepare=objects.prepare_job,
        initial_status=objects.empty_status,
    )
    cron_job = Behaviour(defaults=objects.cron_job_defaults, initial_status=objects.empty_status)
    apps = [
        ("Deployment", "deployments", "deploy", deployment, True),
        ("ReplicaSet", "replicasets", "rs", replica_set, True),
        ("StatefulSet", "statefulsets", "sts", stateful_set, True),
        ("DaemonSet", "daemonsets", "ds", daemon_set, False),
    ]
    found = [
        Row(
            group="apps",
            kind=kind,
            plural=plural,
            short=short,
            behaviour=behaviour,
            categories=_ALL,
            status=True,
            scale=scale,
        )
        for kind, plural, short, behaviour, scale in apps
    ]
    batch = Row(group="batch", kind="Job", plural="jobs", categories=_ALL, status=True, behaviour=job)
    cron = Row(
        group="batch", kind="CronJob", plural="cronjobs", short="cj", categories=_ALL, status=True, behaviour=cron_job
    )
    return [*found, batch, cron]


def _access() -> list[Row]:
    role = Behaviour(
        validate=objects.validate_role,
        name_rule="segment",
        has_generation=False,
        create_on_update=True,
        nulls=("rules",),
    )
    binding = Behaviour(
        defaults=objects.role_ref_defaults,
        validate=objects.validate_binding,
        name_rule="segment",
        has_generation=False,
        create_on_update=True,
    )
    return [
        Row(group=_RBAC, kind="Role", plural="roles", behaviour=role),
        Row(group=_RBAC, kind="RoleBinding", plural="rolebindings", behaviour=binding),
        Row(group=_RBAC, kind="ClusterRole", plural="clusterroles", behaviour=role, namespaced=False),
        Row(group=_RBAC, kind="ClusterRoleBinding", plural="clusterrolebindings", behaviour=binding, namespaced=False),
    ]


def _others() -> list[Row]:
    lease = Behaviour(
        validate=objects.validate_lease, has_generation=False, create_on_update=True, unconditional_update=False
    )
    webhooks = Behaviour(
        defaults=webhook_configurations.webhook_defaults,
        validate=webhook_configurations.validate_webhooks,
        spec_paths=("webhooks",),
    )
    definition = Behaviour(
        defaults=custom_definitions.definition_defaults,
        validate=custom_definitions.validate_definition,
        initial_status=custom_definitions.definition_status,
        unconditional_update=False,
    )
    plain = Behaviour(has_generation=False)
    return [
        Row(group="coordination.k8s.io", kind="Lease", plural="leases", behaviour=lease),
        Row(
            group="discovery.k8s.io",
            kind="EndpointSlice",
            plural="endpointslices",
            behaviour=Behaviour(
                spec_paths=("endpoints", "ports", "addressType"),
                defaults=objects.slice_defaults,
                validate=objects.validate_slice,
                nulls=("endpoints", "ports"),
            ),
        ),
        Row(group="events.k8s.io", kind="Event", plural="events", short="ev", behaviour=plain),
        Row(
            group="policy",
            kind="PodDisruptionBudget",
            plural="poddisruptionbudgets",
            short="pdb",
            status=True,
            behaviour=Behaviour(initial_status=objects.empty_status),
        ),
        *(
            Row(
                group=_ADMISSION,
                kind=f"{name}WebhookConfiguration",
                plural=f"{name.lower()}webhookconfigurations",
                behaviour=webhooks,
                categories=_EXTENSIONS,
                namespaced=False,
            )
            for name in ("Validating", "Mutating")
        ),
        Row(
            group="apiextensions.k8s.io",
            kind="CustomResourceDefinition",
            plural="customresourcedefinitions",
            short="crd crds",
            behaviour=definition,
            categories=_EXTENSIONS,
            namespaced=False,
            status=True,
        ),
        Row(
            group="authorization.k8s.io",
            kind="SelfSubjectAccessReview",
            plural="selfsubjectaccessreviews",
            namespaced=False,
            behaviour=Behaviour(create_only=True, has_generation=False),
        ),
    ]
