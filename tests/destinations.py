"""Services, EgressNetworks and routes as users write them, and the events that tell of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from controller.k8s.events import Applied, Deleted, Event
from controller.k8s.kinds import WATCHED
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType

Object = dict[str, Any]

CORE, POLICY, GATEWAY = "", "policy.linkerd.io", "gateway.networking.k8s.io"
LONG_AGO = "2020-01-01T00:00:00Z"
TYPES: dict[tuple[str, str], ResourceType[Resource]] = {
    (kind.resource.group, kind.resource.kind): kind.resource for kind in WATCHED
}

# The five kinds of routes, by the letters that scenarios use.
ROUTES: dict[str, tuple[str, str]] = {
    "G": (GATEWAY, "HTTPRoute"),
    "L": (POLICY, "HTTPRoute"),
    "R": (GATEWAY, "GRPCRoute"),
    "T": (GATEWAY, "TLSRoute"),
    "C": (GATEWAY, "TCPRoute"),
}


def manifest(group: str, kind: str, name: str, namespace: str, spec: Object, **metadata: Any) -> Object:
    kept = {key: value for key, value in metadata.items() if value is not None}
    version = TYPES[group, kind].api_version
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **kept},
        "spec": spec,
    }


def service(
    name: str = "my-svc",
    namespace: str = "ns",
    *,
    ips: Sequence[str] = ("10.96.0.1",),
    ports: Sequence[int | Object] = (4191, 9999),
    annotations: dict[str, str] | None = None,
    created: str | None = LONG_AGO,
) -> Object:
    listed = [{"port": port} if isinstance(port, int) else port for port in ports]
    spec = {"clusterIP": (list(ips) or ["None"])[0], "clusterIPs": list(ips), "ports": listed, "type": "ClusterIP"}
    return manifest(CORE, "Service", name, namespace, spec, annotations=annotations, creationTimestamp=created)


def egress_network(
    name: str = "my-egress",
    namespace: str = "ns",
    *,
    policy: str = "Allow",
    networks: Sequence[Object] | None = None,
    annotations: dict[str, str] | None = None,
    created: str | None = LONG_AGO,
    status: Object | None = None,
) -> Object:
    spec: Object = {"trafficPolicy": policy}
    if networks is not None:
        spec["networks"] = list(networks)
    made = manifest(POLICY, "EgressNetwork", name, namespace, spec, annotations=annotations, creationTimestamp=created)
    return made if status is None else {**made, "status": status}


def service_ref(name: str = "my-svc", **more: Any) -> Object:
    """A reference to a Service, as parent or backend; `None` leaves a field out."""
    return _without_none({"group": "core", "kind": "Service", "name": name, **more})


def egress_ref(name: str = "my-egress", **more: Any) -> Object:
    """A reference to an EgressNetwork, as parent or backend; `None` leaves a field out."""
    return _without_none({"group": POLICY, "kind": "EgressNetwork", "name": name, **more})


def _without_none(fields: Object) -> Object:
    return {key: value for key, value in fields.items() if value is not None}


def route(
    letter: str,
    name: str = "foo-route",
    namespace: str = "ns",
    *,
    parents: Sequence[Object] = (),
    rules: Sequence[Object] | None = None,
    backends: Sequence[Object] | None = None,
    hostnames: Sequence[str] | None = None,
    annotations: dict[str, str] | None = None,
    created: str | None = LONG_AGO,
    accepted: Sequence[Object] | None = None,
    controller: str = "linkerd.io/policy-controller",
) -> Object:
    """A route of a kind. Unless said otherwise it has one rule, and its status accepts every parent."""
    group, kind = ROUTES[letter]
    if rules is None:
        rules = [rule(letter, backends or ())]
    spec: Object = {"parentRefs": list(parents), "rules": list(rules)}
    if letter == "T":
        spec["hostnames"] = list(hostnames or ())
    elif hostnames is not None:
        spec["hostnames"] = list(hostnames)
    made = manifest(group, kind, name, namespace, spec, annotations=annotations, creationTimestamp=created)
    entries = parents if accepted is None else accepted
    made["status"] = {"parents": [status_entry(parent, controller=controller) for parent in entries]}
    return made


def rule(letter: str, backends: Sequence[Object] = (), **more: Any) -> Object:
    """A rule as the API server would store it, with what it defaults."""
    made: Object = {"backendRefs": list(backends)} if backends or letter in "TC" else {}
    if letter in "GL":
        made["matches"] = [{"path": {"type": "PathPrefix", "value": "/"}}]
    return {**made, **more}


def status_entry(
    parent: Object, *, accepted: str | None = "True", controller: str = "linkerd.io/policy-controller", **others: str
) -> Object:
    """What a controller says about a route and a parent."""
    conditions = {"Accepted": accepted, **others}
    return {
        "parentRef": parent,
        "controllerName": controller,
        "conditions": [
            {"type": name, "status": status, "lastTransitionTime": LONG_AGO, "reason": "", "message": ""}
            for name, status in conditions.items()
            if status is not None
        ],
    }


def decode(obj: Object) -> Resource:
    group, _, _ = obj["apiVersion"].rpartition("/")
    return TYPES[group, obj["kind"]].decode(json.dumps(obj).encode())


def applied(obj: Object) -> Event:
    return Applied(decode(obj))


def deleted(obj: Object) -> Event:
    group, _, _ = obj["apiVersion"].rpartition("/")
    metadata = obj["metadata"]
    return Deleted(TYPES[group, obj["kind"]].model, ObjectKey(metadata["namespace"], metadata["name"]))
