"""The columns that `kubectl get` shows for built-in kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from controller.apiserver.jsonpath import age, age_column, name_column
from controller.apiserver.kinds import Column, dig
from controller.apiserver.schema.node import MISSING
from controller.apiserver.shapes import list_at, object_at
from controller.apiserver.status import Object

_NONE = "<none>"


def _get(*path: str, default: Any = _NONE) -> Callable[[Object, float], Any]:
    def value(object_: Object, _now: float) -> Any:
        found = dig(object_, *path)
        return default if found in (MISSING, None, "") else found

    return value


def _text(*path: str, default: Any = _NONE) -> Callable[[Object, float], str]:
    inner = _get(*path, default=default)
    return lambda value, now: str(inner(value, now))


def _column(name: str, value: Callable[[Object, float], Any], kind: str = "string", priority: int = 0) -> Column:
    return Column(name, value, type=kind, priority=priority, description=f"{name} of the object.")


def _wide(name: str, value: Callable[[Object, float], Any]) -> Column:
    return _column(name, value, priority=1)


def _pairs(*path: str) -> Callable[[Object, float], str]:
    def value(object_: Object, _now: float) -> str:
        found = dig(object_, *path)
        if found in (MISSING, None) or not found:
            return _NONE
        labels = found.get("matchLabels", found) if "matchExpressions" not in found else object_at(found, "matchLabels")
        shown = [f"{key}={inner}" for key, inner in sorted(labels.items())]
        shown += [_expression(entry) for entry in list_at(found, "matchExpressions")]
        return ",".join(shown) or _NONE

    return value


def _expression(entry: Object) -> str:
    values = f" ({','.join(sorted(list_at(entry, 'values')))})"
    match entry["operator"]:
        case "In":
            return f"{entry['key']} in{values}"
        case "NotIn":
            return f"{entry['key']} notin{values}"
        case "Exists":
            return str(entry["key"])
        case _:
            return f"!{entry['key']}"


def _count(*path: str) -> Callable[[Object, float], Any]:
    def value(object_: Object, _now: float) -> int:
        found = dig(object_, *path)
        return 0 if found in (MISSING, None) else len(found)

    return value


# Pods


def _statuses(pod: Object) -> list[Object]:
    return list(list_at(pod, "status", "containerStatuses")) if "containerStatuses" in pod.get("status", {}) else []


def _pod_ready(pod: Object, _now: float) -> str:
    statuses = _statuses(pod)
    return f"{sum(bool(entry.get('ready')) for entry in statuses)}/{len(list_at(pod, 'spec', 'containers'))}"


def _pod_status(pod: Object, _now: float) -> str:
    status = object_at(pod, "status")
    reason = str(status.get("reason") or status.get("phase", ""))
    for entry in reversed(_statuses(pod)):
        waiting, ended = dig(entry, "state", "waiting", "reason"), dig(entry, "state", "terminated", "reason")
        if waiting not in (MISSING, ""):
            reason = waiting
        elif ended not in (MISSING, ""):
            reason = ended
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return reason


def _pod_restarts(pod: Object, _now: float) -> str:
    return str(sum(entry.get("restartCount", 0) for entry in _statuses(pod)))


def _pod_gates(pod: Object, _now: float) -> str:
    gates = list_at(pod["spec"], "readinessGates")
    if not gates:
        return _NONE
    conditions = {entry.get("type"): entry.get("status") for entry in list_at(pod, "status", "conditions")}
    return f"{sum(conditions.get(gate['conditionType']) == 'True' for gate in gates)}/{len(gates)}"


# Services and endpoints


def _external(service: Object, _now: float) -> str:
    spec = service["spec"]
    given = list_at(spec, "externalIPs")
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            ingress = list_at(service, "status", "loadBalancer", "ingress")
            shown = [entry.get("ip") or entry.get("hostname", "") for entry in ingress]
            return ",".join(shown + given) or "<pending>"
        case _:
            return ",".join(given) or _NONE


def _ports(service: Object, _now: float) -> str:
    shown: list[str] = []
    for port in list_at(service["spec"], "ports"):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or _NONE


def _endpoints(endpoints: Object, _now: float) -> str:
    shown = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in list_at(endpoints, "subsets")
        for port in list_at(subset, "ports")
        for address in list_at(subset, "addresses")
    ]
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + more if shown else _NONE


def _slice_ports(piece: Object, _now: float) -> str:
    shown = [str(port.get("port", "*")) for port in list_at(piece, "ports")]
    return ",".join(shown) or "<unset>"


def _slice_endpoints(piece: Object, _now: float) -> str:
    shown = [address for endpoint in list_at(piece, "endpoints") for address in list_at(endpoint, "addresses")]
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + more if shown else "<unset>"


# Workloads


def _containers(field: str, *path: str) -> Callable[[Object, float], str]:
    def value(workload: Object, _now: float) -> str:
        found = dig(workload, *path, "containers")
        return ",".join(entry.get(field, "") for entry in found) if found not in (MISSING, None) else ""

    return value


def _status(name: str) -> Callable[[Object, float], Any]:
    return _get("status", name, default=0)


def _ready(ready: str) -> Callable[[Object, float], str]:
    def value(workload: Object, _now: float) -> str:
        return f"{object_at(workload, 'status').get(ready, 0)}/{workload['spec'].get('replicas', 0)}"

    return value


def _template(*, selector: bool = True, path: tuple[str, ...] = ("spec", "template", "spec")) -> tuple[Column, ...]:
    found = (_wide("Containers", _containers("name", *path)), _wide("Images", _containers("image", *path)))
    return (*found, _wide("Selector", _pairs("spec", "selector"))) if selector else found


def _job_status(job: Object, _now: float) -> str:
    status = object_at(job, "status")
    conditions = {entry["type"] for entry in list_at(status, "conditions") if entry.get("status") == "True"}
    for kind, shown in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if kind in conditions:
            return shown
    return "Terminating" if job["metadata"].get("deletionTimestamp") else "Running"


def _job_completions(job: Object, _now: float) -> str:
    succeeded = object_at(job, "status").get("succeeded", 0)
    wanted = job["spec"].get("completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallel = job["spec"].get("parallelism", 1)
    return f"{succeeded}/1 of {parallel}" if parallel > 1 else f"{succeeded}/1"


def _job_duration(job: Object, now: float) -> str:
    status = object_at(job, "status")
    if not status.get("startTime"):
        return ""
    return age(status["startTime"], now)


# Events, roles


def _event_object(event: Object, _now: float) -> str:
    about = object_at(event, "involvedObject")
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_seen(event: Object, now: float) -> str:
    moment = dig(event, "series", "lastObservedTime")
    return age(event.get("lastTimestamp") or event.get("eventTime") or "" if moment is MISSING else moment, now)


def _event_source(event: Object, _now: float) -> str:
    source = object_at(event, "source")
    shown = [source.get("component") or event.get("reportingComponent", ""), source.get("host", "")]
    return ", ".join(filter(None, shown))


def _subjects(kind: str) -> Callable[[Object, float], str]:
    def value(binding: Object, _now: float) -> str:
        found = [entry for entry in list_at(binding, "subjects") if entry.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{entry.get('namespace', '')}/{entry['name']}" for entry in found)
        return ", ".join(entry["name"] for entry in found)

    return value


def _role(binding: Object, _now: float) -> str:
    reference = object_at(binding, "roleRef")
    return f"{reference.get('kind')}/{reference.get('name')}"


def _created(value: Object, _now: float) -> str:
    return str(value["metadata"].get("creationTimestamp", ""))


def _node_status(node: Object, _now: float) -> str:
    conditions = {entry["type"]: entry.get("status") for entry in list_at(node, "status", "conditions")}
    shown = {"True": "Ready", "False": "NotReady"}.get(conditions.get("Ready", ""), "Unknown")
    return f"{shown},SchedulingDisabled" if dig(node, "spec", "unschedulable") is True else shown


def _node_roles(node: Object, _now: float) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = [key[len(prefix) :] for key in object_at(node["metadata"], "labels") if key.startswith(prefix)]
    return ",".join(sorted(roles)) or _NONE


def _node_address(kind: str) -> Callable[[Object, float], str]:
    def value(node: Object, _now: float) -> str:
        addresses = list_at(node, "status", "addresses")
        return next((entry["address"] for entry in addresses if entry["type"] == kind), _NONE)

    return value


def _node_info(name: str) -> Callable[[Object, float], str]:
    return _text("status", "nodeInfo", name, default="")


_NAME, _AGE = name_column(), age_column()
_BINDING = (
    _NAME, _column("Role", _role), _AGE, _wide("Users", _subjects("User")), _wide("Groups", _subjects("Group")),
    _wide("ServiceAccounts", _subjects("ServiceAccount")),
)  # fmt: skip
_WEBHOOKS = (_NAME, _column("Webhooks", _count("webhooks"), "integer"), _AGE)
_ROLE = (_NAME, _column("Created At", _created, "date"))
DEFAULT = (_NAME, _AGE)

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "pods": (
        _NAME, _column("Ready", _pod_ready), _column("Status", _pod_status), _column("Restarts", _pod_restarts), _AGE,
        _wide("IP", _text("status", "podIP")), _wide("Node", _text("spec", "nodeName")),
        _wide("Nominated Node", _text("status", "nominatedNodeName")), _wide("Readiness Gates", _pod_gates),
    ),
    "services": (
        _NAME, _column("Type", _text("spec", "type")), _column("Cluster-IP", _text("spec", "clusterIP")),
        _column("External-IP", _external), _column("Port(s)", _ports), _AGE,
        _wide("Selector", _pairs("spec", "selector")),
    ),
    "namespaces": (_NAME, _column("Status", _text("status", "phase", default="")), _AGE),
    "configmaps": (
        _NAME,
        _column("Data", lambda value, _: len(object_at(value, "data")) + len(object_at(value, "binaryData"))),
        _AGE,
    ),
    "secrets": (_NAME, _column("Type", _text("type", default="")), _column("Data", _count("data")), _AGE),
    "nodes": (
        _NAME, _column("Status", _node_status), _column("Roles", _node_roles), _AGE,
        _column("Version", _node_info("kubeletVersion")), _wide("Internal-IP", _node_address("InternalIP")),
        _wide("External-IP", _node_address("ExternalIP")), _wide("OS-Image", _node_info("osImage")),
        _wide("Kernel-Version", _node_info("kernelVersion")),
        _wide("Container-Runtime", _node_info("containerRuntimeVersion")),
    ),
    "events": (
        _column("Last Seen", _event_seen), _column("Type", _text("type", default="")),
        _column("Reason", _text("reason", default="")), _column("Object", _event_object),
        _wide("Subobject", _text("involvedObject", "fieldPath", default="")), _wide("Source", _event_source),
        _column("Message", lambda value, _: (value.get("message") or value.get("note") or "").strip()),
        _wide("First Seen", lambda value, now: age(value.get("firstTimestamp") or value.get("eventTime") or "", now)),
        _wide("Count", lambda value, _: value.get("count") or 1),
        Column("Name", lambda value, _: value["metadata"]["name"], format="name", priority=1, description="Name."),
    ),
    "endpoints": (_NAME, _column("Endpoints", _endpoints), _AGE),
    "endpointslices": (
        _NAME, _column("AddressType", _text("addressType", default="")), _column("Ports", _slice_ports),
        _column("Endpoints", _slice_endpoints), _AGE,
    ),
    "deployments": (
        _NAME, _column("Ready", _ready("readyReplicas")),
        _column("Up-to-date", lambda value, now: str(_status("updatedReplicas")(value, now))),
        _column("Available", lambda value, now: str(_status("availableReplicas")(value, now))), _AGE, *_template(),
    ),
    "replicasets": (
        _NAME, _column("Desired", _get("spec", "replicas", default=0), "integer"),
        _column("Current", _status("replicas"), "integer"), _column("Ready", _status("readyReplicas"), "integer"), _AGE,
        *_template(),
    ),
    "statefulsets": (_NAME, _column("Ready", _ready("readyReplicas")), _AGE, *_template(selector=False)),
    "daemonsets": (
        _NAME, _column("Desired", _status("desiredNumberScheduled"), "integer"),
        _column("Current", _status("currentNumberScheduled"), "integer"),
        _column("Ready", _status("numberReady"), "integer"),
        _column("Up-to-date", _status("updatedNumberScheduled"), "integer"),
        _column("Available", _status("numberAvailable"), "integer"),
        _column("Node Selector", _pairs("spec", "template", "spec", "nodeSelector")), _AGE, *_template(),
    ),
    "jobs": (
        _NAME, _column("Status", _job_status), _column("Completions", _job_completions),
        _column("Duration", _job_duration), _AGE, *_template(),
    ),
    "cronjobs": (
        _NAME,
        _column("Schedule", _text("spec", "schedule", default="")),
        _column("Timezone", _text("spec", "timeZone")),
        _column("Suspend", lambda value, _: str(bool(value["spec"].get("suspend"))), "boolean"),
        _column("Active", _count("status", "active"), "integer"),
        _column(
            "Last Schedule",
            lambda value, now: age(value["status"]["lastScheduleTime"], now)
            if object_at(value, "status").get("lastScheduleTime")
            else _NONE,
        ), _AGE, *_template(selector=False, path=("spec", "jobTemplate", "spec", "template", "spec")),
        _wide("Selector", lambda _, __: _NONE),
    ),
    "leases": (_NAME, _column("Holder", _text("spec", "holderIdentity", default="")), _AGE),
    "poddisruptionbudgets": (
        _NAME, _column("Min Available", _text("spec", "minAvailable", default="N/A")),
        _column("Max Unavailable", _text("spec", "maxUnavailable", default="N/A")),
        _column("Allowed Disruptions", _status("disruptionsAllowed"), "integer"), _AGE,
    ),
    "roles": _ROLE, "clusterroles": _ROLE, "rolebindings": _BINDING, "clusterrolebindings": _BINDING,
    "validatingwebhookconfigurations": _WEBHOOKS, "mutatingwebhookconfigurations": _WEBHOOKS,
    "customresourcedefinitions": _ROLE,
}  # fmt: skip
