"""Pods, and the pod templates of workloads: defaults, and the rules that manifests break most."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from controller.apiserver import causes, names
from controller.apiserver.shapes import is_object, list_at, object_at
from controller.apiserver.status import Cause, Object

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?/)?"
    rf"{_COMPONENT}(?:/{_COMPONENT})*(?::(?P<tag>\w[\w.-]{{0,127}}))?(?P<digest>@[A-Za-z0-9_+.-]+:[0-9a-fA-F]{{32,}})?"
)
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9](-?[a-z0-9])*")
_POLICIES = ("Always", "Never", "OnFailure")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def pod_defaults(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    spec_defaults(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in [*list_at(spec, "containers"), *list_at(spec, "initContainers")]:
        resources = container["resources"]
        if limits := resources.get("limits"):
            resources["requests"] = {**limits, **object_at(resources, "requests")}
    if spec.get("hostNetwork"):
        for container in list_at(spec, "containers"):
            for port in list_at(container, "ports"):
                port.setdefault("hostPort", port["containerPort"])


def template_defaults(template: Object) -> None:
    spec_defaults(template.setdefault("spec", {}))


def spec_defaults(spec: Object) -> None:
    """What a pod's spec means where it says nothing."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for group in _CONTAINERS:
        for container in list_at(spec, group):
            _container_defaults(container)
    for volume in list_at(spec, "volumes"):
        _volume_defaults(volume)


def _container_defaults(container: Object) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = container.get("image", "")
    parts = _IMAGE.fullmatch(image)
    latest = parts is not None and (parts["tag"] or ("" if parts["digest"] else "latest")) == "latest"
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    for port in list_at(container, "ports"):
        port.setdefault("protocol", "TCP")
    for env in list_at(container, "env"):
        if reference := object_at(env, "valueFrom").get("fieldRef"):
            reference.setdefault("apiVersion", "v1")
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(kind)) is not None:
            _probe_defaults(probe)
    for hook in object_at(container, "lifecycle").values():
        if is_object(hook) and (get := hook.get("httpGet")) is not None:
            _http_get_defaults(get)


def _probe_defaults(probe: Object) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe.setdefault(field, value)
    if (get := probe.get("httpGet")) is not None:
        _http_get_defaults(get)
    if (grpc := probe.get("grpc")) is not None:
        grpc.setdefault("service", "")


def _http_get_defaults(get: Object) -> None:
    get.setdefault("path", "/")
    get.setdefault("scheme", "HTTP")


def _volume_defaults(volume: Object) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if (inner := volume.get(source)) is not None:
            inner.setdefault("defaultMode", 0o644)
    if (path := volume.get("hostPath")) is not None:
        path.setdefault("type", "")
    for source in list_at(volume, "projected", "sources"):
        if (token := source.get("serviceAccountToken")) is not None:
            token.setdefault("expirationSeconds", 3600)
        for item in list_at(source, "downwardAPI", "items"):
            if reference := item.get("fieldRef"):
                reference.setdefault("apiVersion", "v1")
    for item in list_at(volume, "downwardAPI", "items"):
        if reference := item.get("fieldRef"):
            reference.setdefault("apiVersion", "v1")


def prepare(pod: Object, _old: Object | None) -> None:
    """What admission adds to every pod that lacks it."""
    spec = pod["spec"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec["tolerations"] = list_at(spec, "tolerations")
    for key in _TOLERATED:
        if not any(entry.get("key") == key and entry.get("effect") in ("NoExecute", None) for entry in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def quality(pod: Object) -> str:
    """The pod's quality of service class."""
    containers = [entry for group in ("containers", "initContainers") for entry in list_at(pod["spec"], group)]
    wanted = [
        {name for name in object_at(entry, "resources", kind) if name in ("cpu", "memory")}
        for entry in containers
        for kind in ("requests", "limits")
    ]
    if not any(wanted):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= object_at(entry, "resources", "limits").keys()
        and entry["resources"].get("requests") == entry["resources"]["limits"]
        for entry in containers
    )
    return "Guaranteed" if guaranteed else "Burstable"


def initial_status(pod: Object) -> Object:
    return {"phase": "Pending", "qosClass": quality(pod)}


def fields(pod: Object) -> dict[str, str]:
    """What field selectors of pods see."""
    spec, status = object_at(pod, "spec"), object_at(pod, "status")
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
        "status.phase": status.get("phase", ""),
        "status.podIP": status.get("podIP", ""),
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


FIELDS = frozenset(
    [
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ]
)


def grace_period(pod: Object) -> int:
    """How long a deletion waits: a pod that runs nowhere, or has ended, goes at once."""
    ended = object_at(pod, "status").get("phase") in ("Succeeded", "Failed")
    if ended or not pod["spec"].get("nodeName"):
        return 0
    return int(pod["spec"].get("terminationGracePeriodSeconds", 30))


def validate(pod: Object, old: Object | None) -> Sequence[Cause]:
    found = list(check_spec(pod["spec"], "spec"))
    if old is not None:
        found += _check_update(pod, old)
    return found


def check_spec(spec: Object, field: str, *, policies: Sequence[str] = _POLICIES) -> Iterator[Cause]:
    """What is wrong with a pod's spec."""
    taken: set[str] = set()
    containers = list_at(spec, "containers")
    if not containers:
        yield causes.required(f"{field}.containers")
    volumes = {volume.get("name") for volume in list_at(spec, "volumes")}
    yield from _check_volumes(spec, field)
    for group in ("containers", "initContainers"):
        for index, container in enumerate(list_at(spec, group)):
            yield from _check_container(container, f"{field}.{group}[{index}]", taken, volumes)
    if spec.get("restartPolicy") not in policies:
        yield causes.not_supported(f"{field}.restartPolicy", spec.get("restartPolicy", ""), policies)
    if account := spec.get("serviceAccountName"):
        for text in names.subdomain(account):
            yield causes.invalid_value(f"{field}.serviceAccountName", account, text)
    if node := spec.get("nodeName"):
        for text in names.subdomain(node):
            yield causes.invalid_value(f"{field}.nodeName", node, text)
    yield from names.check_labels(object_at(spec, "nodeSelector"), f"{field}.nodeSelector")


def _check_volumes(spec: Object, field: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, volume in enumerate(list_at(spec, "volumes")):
        where, name = f"{field}.volumes[{index}].name", volume.get("name", "")
        if not name:
            yield causes.required(where)
        else:
            for text in names.label(name):
                yield causes.invalid_value(where, name, text)
            if name in seen:
                yield causes.duplicate(where, name)
            seen.add(name)


def _check_container(container: Object, field: str, taken: set[str], volumes: set[Any]) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield causes.required(f"{field}.name")
    else:
        for text in names.label(name):
            yield causes.invalid_value(f"{field}.name", name, text)
        if name in taken:
            yield causes.duplicate(f"{field}.name", name)
        taken.add(name)
    if not container.get("image"):
        yield causes.required(f"{field}.image")
    if container.get("imagePullPolicy") not in ("Always", "IfNotPresent", "Never"):
        yield causes.not_supported(
            f"{field}.imagePullPolicy", container.get("imagePullPolicy"), ("Always", "IfNotPresent", "Never")
        )
    yield from _check_ports(list_at(container, "ports"), f"{field}.ports")
    yield from _check_environment(container, field)
    yield from _check_mounts(container, field, volumes)
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(kind)) is not None:
            yield from _check_probe(probe, f"{field}.{kind}")


def _check_environment(container: Object, field: str) -> Iterator[Cause]:
    for index, env in enumerate(list_at(container, "env")):
        if not env.get("name"):
            yield causes.required(f"{field}.env[{index}].name")
        if env.get("value") and env.get("valueFrom"):
            yield causes.invalid_value(
                f"{field}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty"
            )


def _check_mounts(container: Object, field: str, volumes: set[Any]) -> Iterator[Cause]:
    for index, mount in enumerate(list_at(container, "volumeMounts")):
        where = f"{field}.volumeMounts[{index}]"
        if not mount.get("name"):
            yield causes.required(f"{where}.name")
        elif mount["name"] not in volumes:
            yield Cause("FieldValueNotFound", f"Not found: {causes.quoted(mount['name'])}", f"{where}.name")
        if not mount.get("mountPath"):
            yield causes.required(f"{where}.mountPath")


def _check_ports(ports: Sequence[Object], field: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{field}[{index}]"
        if name := port.get("name"):
            for text in port_name(name):
                yield causes.invalid_value(f"{where}.name", name, text)
            if name in seen:
                yield causes.duplicate(f"{where}.name", name)
            seen.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            yield causes.required(f"{where}.containerPort")
        elif text := port_number(number):
            yield causes.invalid_value(f"{where}.containerPort", number, text)
        if port.get("hostPort") and (text := port_number(port["hostPort"])):
            yield causes.invalid_value(f"{where}.hostPort", port["hostPort"], text)
        if port.get("protocol") not in _PROTOCOLS:
            yield causes.not_supported(f"{where}.protocol", port.get("protocol", ""), _PROTOCOLS)


def _check_probe(probe: Object, field: str) -> Iterator[Cause]:
    handlers = [kind for kind in ("exec", "httpGet", "tcpSocket", "grpc") if probe.get(kind) is not None]
    if not handlers:
        yield causes.required(field, "must specify a handler type")
    for kind in handlers:
        if kind == "exec":
            if not probe["exec"].get("command"):
                yield causes.required(f"{field}.exec.command")
            continue
        port = probe[kind].get("port", 0)
        if isinstance(port, int) and (text := port_number(port)):
            yield causes.invalid_value(f"{field}.{kind}.port", port, text)
        elif isinstance(port, str):
            for text in port_name(port):
                yield causes.invalid_value(f"{field}.{kind}.port", port, text)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if probe.get(name, 0) < 0:
            yield causes.invalid_value(f"{field}.{name}", probe[name], "must be greater than or equal to 0")


def port_number(number: int) -> str:
    """What is wrong with the number of a port; nothing if it is one."""
    return "" if 1 <= number <= 65535 else "must be between 1 and 65535, inclusive"


def port_name(name: str) -> Iterator[str]:
    """What is wrong with the name of a port."""
    if len(name) > 15:
        yield "must be no more than 15 characters"
    if not re.fullmatch(r"[-a-z0-9]+", name):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search(r"[a-z]", name):
        yield "must contain at least one letter (a-z)"
    if "--" in name:
        yield "must not contain consecutive hyphens"
    if name and (name[0] == "-" or name[-1] == "-"):
        yield "must not begin or end with a hyphen"


def _check_update(pod: Object, old: Object) -> Iterator[Cause]:
    """A pod's spec is fixed, but for its images, its deadlines and more tolerations."""
    for group, what in (("containers", "containers"), ("initContainers", "init containers")):
        containers = list_at(pod, "spec", group)
        if len(containers) != len(list_at(old, "spec", group)):
            yield causes.forbidden_field(f"spec.{group}", f"pod updates may not add or remove {what}")
            return
        for index, container in enumerate(containers):
            if not container.get("image"):
                yield causes.required(f"spec.{group}[{index}].image")
    if _fixed(pod["spec"]) != _fixed(old["spec"]):
        text = (
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        )
        yield causes.forbidden_field("spec", text)


def _fixed(spec: Object) -> Object:
    found = {name: value for name, value in spec.items() if name not in ("activeDeadlineSeconds", "tolerations")}
    for group in ("containers", "initContainers"):
        if found.get(group):
            found[group] = [{**container, "image": ""} for container in found[group]]
    return found
