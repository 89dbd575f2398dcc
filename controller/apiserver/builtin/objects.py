"""The smaller built-in kinds: namespaces, workloads, roles, leases and events."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

from controller.apiserver import causes, names
from controller.apiserver.builtin import pods
from controller.apiserver.kinds import dig
from controller.apiserver.schema.node import MISSING
from controller.apiserver.shapes import list_at, object_at
from controller.apiserver.status import Cause, Object

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")

# Namespaces


def prepare_namespace(namespace: Object, old: Object | None) -> None:
    meta = namespace["metadata"]
    if old is None:
        finalizers = namespace.setdefault("spec", {}).setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")
    else:
        namespace["spec"] = old.get("spec", {})
    meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta.get("name", "")


def namespace_defaults(namespace: Object) -> None:
    meta = namespace["metadata"]
    if meta.get("name"):
        meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta.get("name", "")


def namespace_status(_namespace: Object) -> Object:
    return {"phase": "Active"}


def validate_namespace_status(namespace: Object, _old: Object | None) -> Sequence[Cause]:
    """A namespace is Terminating if and only if it is being deleted."""
    phase, deleted = object_at(namespace, "status").get("phase"), namespace["metadata"].get("deletionTimestamp")
    if phase == "Terminating" and not deleted:
        text = "may only be 'Active' if `deletionTimestamp` is empty"
        return [causes.invalid_value("status.Phase", phase, text)]
    if phase == "Active" and deleted:
        text = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        return [causes.invalid_value("status.Phase", phase, text)]
    return []


def endpoints_defaults(endpoints: Object) -> None:
    for subset in list_at(endpoints, "subsets"):
        for port in list_at(subset, "ports"):
            port.setdefault("protocol", "TCP")


def slice_defaults(piece: Object) -> None:
    for port in list_at(piece, "ports"):
        port.setdefault("protocol", "TCP")
        port.setdefault("name", "")


def validate_slice(piece: Object, old: Object | None) -> Sequence[Cause]:
    return list(_check_slice(piece, old))


def _check_slice(piece: Object, old: Object | None) -> Iterator[Cause]:
    form = piece.get("addressType", "")
    if not form:
        yield causes.required("addressType")
    elif form not in _ADDRESS_TYPES:
        yield causes.not_supported("addressType", form, _ADDRESS_TYPES)
    if old is not None and form != old.get("addressType"):
        yield causes.immutable("addressType", form)
    for index, endpoint in enumerate(list_at(piece, "endpoints")):
        where = f"endpoints[{index}].addresses"
        addresses = list_at(endpoint, "addresses")
        if not addresses:
            yield causes.required(where, "must contain at least 1 address")
        for number, address in enumerate(addresses):
            if form in ("IPv4", "IPv6") and not names.is_address(address):
                text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                yield causes.invalid_value(f"{where}[{number}]", address, text)
            elif form in ("IPv4", "IPv6") and (":" in address) is (form == "IPv4"):
                yield causes.invalid_value(f"{where}[{number}]", address, f"must be an {form} address")


def namespace_fields(namespace: Object) -> dict[str, str]:
    return {"status.phase": object_at(namespace, "status").get("phase", "")}


# Workloads


def deployment_defaults(workload: Object) -> None:
    spec = workload.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    pods.template_defaults(spec.setdefault("template", {}))
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def replica_set_defaults(workload: Object) -> None:
    spec = workload.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    pods.template_defaults(spec.setdefault("template", {}))


def stateful_set_defaults(workload: Object) -> None:
    spec = workload.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    pods.template_defaults(spec.setdefault("template", {}))
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})


def daemon_set_defaults(workload: Object) -> None:
    spec = workload.setdefault("spec", {})
    pods.template_defaults(spec.setdefault("template", {}))
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def job_defaults(job: Object) -> None:
    _job_spec_defaults(job.setdefault("spec", {}))


def _job_spec_defaults(spec: Object) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
    pods.template_defaults(spec.setdefault("template", {}))


def prepare_job(job: Object, old: Object | None) -> None:
    """A new job selects its pods by its own identity."""
    if old is not None or job["spec"].get("manualSelector"):
        return
    uid, name = job["metadata"]["uid"], job["metadata"].get("name", "")
    labels = job["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
    labels |= {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    job["spec"].setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
    if not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)


def validate_job(job: Object, _old: Object | None) -> Sequence[Cause]:
    field, policies = "spec.template.spec", ("OnFailure", "Never")
    template = object_at(job, "spec", "template", "spec")
    found = list(pods.check_spec(template, field))
    policy = template.get("restartPolicy", "")
    if policy in ("", "Always"):
        found.append(causes.required(f"{field}.restartPolicy", 'valid values: "OnFailure", "Never"'))
    elif policy not in policies:
        found.append(causes.not_supported(f"{field}.restartPolicy", policy, policies))
    return found


def cron_job_defaults(job: Object) -> None:
    spec = job.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    inner = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
    pods.template_defaults(inner.setdefault("template", {}))


def empty_status(_value: Object) -> Object:
    return {}


def replica_status(_value: Object) -> Object:
    return {"replicas": 0}


def stateful_status(_value: Object) -> Object:
    return {"replicas": 0, "availableReplicas": 0}


def daemon_status(_value: Object) -> Object:
    return {"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0}


def validate_workload(workload: Object, old: Object | None) -> Sequence[Cause]:
    return list(_check_workload(workload, old))


def _check_workload(workload: Object, old: Object | None) -> Iterator[Cause]:
    spec = workload["spec"]
    selector = spec.get("selector")
    if selector is None:
        yield causes.required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield causes.invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
    if spec.get("replicas", 0) < 0:
        yield causes.invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    labels = dig(spec, "template", "metadata", "labels")
    found = object_at(spec, "template", "metadata", "labels")
    wanted = object_at(selector, "matchLabels")
    if selector is None or any(found.get(name) != value for name, value in wanted.items()):
        shown: Any = {} if labels is MISSING else labels
        yield causes.invalid_value(
            "spec.template.metadata.labels", shown, "`selector` does not match template `labels`"
        )
    yield from pods.check_spec(spec["template"]["spec"], "spec.template.spec", policies=("Always",))
    if old is not None and spec.get("selector") != old["spec"].get("selector"):
        yield causes.immutable("spec.selector", spec.get("selector"))


# Configuration


def secret_defaults(secret: Object) -> None:
    """A secret is opaque if it does not say otherwise, and its plain strings become data."""
    secret.setdefault("type", "Opaque")
    texts = object_at(secret, "stringData")
    secret.pop("stringData", None)
    for key, text in texts.items():
        secret.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def validate_data(value: Object, old: Object | None) -> Sequence[Cause]:
    """Config maps and secrets: their keys, and that an immutable one stays as it is."""
    found: list[Cause] = []
    for field in ("data", "binaryData"):
        for key in object_at(value, field):
            if not re.fullmatch(r"[-._a-zA-Z0-9]+", key) or len(key) > 253 or key in (".", ".."):
                text = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                )
                found.append(causes.invalid_value(f"{field}[{key}]", key, text))
    if old is not None and old.get("immutable"):
        if not value.get("immutable"):
            found.append(causes.forbidden_field("immutable", "field is immutable when `immutable` is set"))
        found.extend(
            causes.forbidden_field(field, "field is immutable when `immutable` is set")
            for field in ("data", "binaryData")
            if value.get(field) != old.get(field)
        )
    if old is not None and "type" in old and value.get("type") != old["type"]:
        found.append(causes.immutable("type", value.get("type")))
    return found


# Roles


def role_ref_defaults(binding: Object) -> None:
    reference = binding.setdefault("roleRef", {})
    if not reference.get("apiGroup"):
        reference["apiGroup"] = "rbac.authorization.k8s.io"
    for subject in list_at(binding, "subjects"):
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = "rbac.authorization.k8s.io"


def validate_binding(binding: Object, old: Object | None) -> Sequence[Cause]:
    reference = object_at(binding, "roleRef")
    found: list[Cause] = []
    allowed = ("Role", "ClusterRole") if binding["kind"] == "RoleBinding" else ("ClusterRole",)
    if reference.get("kind") not in allowed:
        found.append(causes.not_supported("roleRef.kind", reference.get("kind", ""), allowed))
    if not reference.get("name"):
        found.append(causes.required("roleRef.name"))
    for index, subject in enumerate(list_at(binding, "subjects")):
        found += _check_subject(subject, f"subjects[{index}]", namespaced=binding["kind"] == "RoleBinding")
    if old is not None and reference != old.get("roleRef"):
        found.append(causes.invalid_value("roleRef", reference, "cannot change roleRef"))
    return found


def _check_subject(subject: Object, field: str, *, namespaced: bool) -> Iterator[Cause]:
    kind, group, name = subject.get("kind", ""), subject.get("apiGroup", ""), subject.get("name", "")
    if not name:
        yield causes.required(f"{field}.name")
    match kind:
        case "ServiceAccount":
            for text in names.subdomain(name) if name else ():
                yield causes.invalid_value(f"{field}.name", name, text)
            if group:
                yield causes.not_supported(f"{field}.apiGroup", group, ("",))
            if not namespaced and not subject.get("namespace"):
                yield causes.required(f"{field}.namespace")
        case "User" | "Group":
            if group != "rbac.authorization.k8s.io":
                yield causes.not_supported(f"{field}.apiGroup", group, ("rbac.authorization.k8s.io",))
        case _:
            yield causes.not_supported(f"{field}.kind", kind, ("ServiceAccount", "User", "Group"))


def validate_role(role: Object, _old: Object | None) -> Sequence[Cause]:
    found: list[Cause] = []
    for index, rule in enumerate(list_at(role, "rules")):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            found.append(causes.required(f"{where}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            text = "resource rules must supply at least one api group"
            found.append(causes.required(f"{where}.apiGroups", text))
        if not rule.get("resources"):
            text = "resource rules must supply at least one resource"
            found.append(causes.required(f"{where}.resources", text))
    return found


# Leases, events, endpoints


def validate_lease(lease: Object, _old: Object | None) -> Sequence[Cause]:
    spec = object_at(lease, "spec")
    found: list[Cause] = []
    if "leaseDurationSeconds" in spec and spec["leaseDurationSeconds"] <= 0:
        found.append(
            causes.invalid_value("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
        )
    if spec.get("leaseTransitions", 0) < 0:
        text = "must be greater than or equal to 0"
        found.append(causes.invalid_value("spec.leaseTransitions", spec["leaseTransitions"], text))
    if spec.get("holderIdentity") == "":
        found.append(causes.invalid_value("spec.holderIdentity", "", "must not be empty"))
    return found


def event_defaults(event: Object) -> None:
    for field in ("eventTime", "firstTimestamp", "lastTimestamp"):
        event.setdefault(field, None)


def event_fields(event: Object) -> dict[str, str]:
    found = {f"involvedObject.{name}": "" for name in _REFERENCE}
    found |= {f"involvedObject.{name}": str(value) for name, value in object_at(event, "involvedObject").items()}
    source = object_at(event, "source")
    found |= {"reason": event.get("reason", ""), "type": event.get("type", "")}
    found["reportingComponent"] = event.get("reportingComponent", "")
    found["source"] = source.get("component") or event.get("reportingComponent", "")
    return found


_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
EVENT_FIELDS = frozenset(
    {*(f"involvedObject.{name}" for name in _REFERENCE), "reason", "type", "source", "reportingComponent"}
)


def validate_event(event: Object, _old: Object | None) -> Sequence[Cause]:
    """An event lives where the object lives that it is about."""
    about = object_at(event, "involvedObject").get("namespace", "")
    namespace = event["metadata"].get("namespace", "")
    if about and about != namespace:
        return [causes.invalid_value("involvedObject.namespace", about, "does not match event.namespace")]
    if not about and namespace not in ("", "default"):
        return [causes.invalid_value("involvedObject.namespace", about, "does not match event.namespace")]
    return []


def secret_fields(secret: Object) -> dict[str, str]:
    return {"type": secret.get("type", "")}
