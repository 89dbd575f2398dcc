"""Kubernetes objects as users write them. A test shows only what it is about; the rest has defaults."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]

POLICY = "policy.linkerd.io"
GATEWAY = "gateway.networking.k8s.io"
CREATED = "2024-05-06T07:08:09Z"


def named(kind: str, version: str, name: str, *, namespace: str = "ns", **rest: Any) -> Manifest:
    """An object; `labels`, `annotations` and `creationTimestamp` go into its metadata."""
    metadata: Manifest = {"name": name, "namespace": namespace}
    metadata |= {key: rest.pop(key) for key in ("labels", "annotations", "creationTimestamp") if key in rest}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def pod(name: str = "web", *, port: int = 4191, probes: tuple[str, ...] = (), **metadata: Any) -> Manifest:
    """A pod in the mesh with one container that has probes on its port, and no name for it."""
    container: Manifest = {"name": "app", "image": "app", "ports": [{"containerPort": port}]}
    for kind, path in zip(("livenessProbe", "readinessProbe"), probes, strict=False):
        container[kind] = {"httpGet": {"path": path, "port": port}}
    labels = {"linkerd.io/control-plane-ns": "linkerd", **metadata.pop("labels", {})}
    return named("Pod", "v1", name, labels=labels, **metadata, spec={"containers": [container]})


def external_workload(name: str = "wkld-1", *, ports: dict[str, int] | None = None, **metadata: Any) -> Manifest:
    spec = {
        "meshTLS": {"identity": "spiffe://cluster.local/ext", "serverName": "ext.cluster.local"},
        "ports": [{"name": name, "port": port} for name, port in (ports or {"http": 80}).items()],
        "workloadIPs": [{"ip": "192.0.2.1"}],
    }
    return named("ExternalWorkload", "workload.linkerd.io/v1beta1", name, **metadata, spec=spec)


def server(name: str, *, port: int | str = 4191, protocol: str = "HTTP/1", **rest: Any) -> Manifest:
    """A Server that selects every pod of its namespace, unless `selects` says otherwise."""
    spec = {"port": port, "proxyProtocol": protocol, **rest.pop("selects", {"podSelector": {}})}
    if "access_policy" in rest:
        spec["accessPolicy"] = rest.pop("access_policy")
    return named("Server", f"{POLICY}/v1beta3", name, **rest, spec=spec)


def server_authorization(name: str, server_name: str, *, client: Manifest, **metadata: Any) -> Manifest:
    spec = {"server": {"name": server_name}, "client": client}
    return named("ServerAuthorization", f"{POLICY}/v1beta1", name, **metadata, spec=spec)


def authorization_policy(name: str, target: Manifest, *required: Manifest, **metadata: Any) -> Manifest:
    spec = {"targetRef": target, "requiredAuthenticationRefs": list(required)}
    return named("AuthorizationPolicy", f"{POLICY}/v1alpha1", name, **metadata, spec=spec)


def network_authentication(name: str, *cidrs: str, **metadata: Any) -> Manifest:
    spec = {"networks": [{"cidr": cidr} for cidr in cidrs or ("0.0.0.0/0", "::/0")]}
    return named("NetworkAuthentication", f"{POLICY}/v1alpha1", name, **metadata, spec=spec)


def rate_limit(name: str, server_name: str, **spec: Any) -> Manifest:
    target = {"group": POLICY, "kind": "Server", "name": server_name}
    return named("HTTPLocalRateLimitPolicy", f"{POLICY}/v1alpha1", name, spec={"targetRef": target, **spec})


def http_route(name: str, server_name: str, path: str, **metadata: Any) -> Manifest:
    """A route of the policy group for GET on one path of a Server."""
    spec = {
        "parentRefs": [server_ref(server_name)],
        "rules": [{"matches": [{"path": {"type": "Exact", "value": path}, "method": "GET"}]}],
    }
    return named("HTTPRoute", f"{POLICY}/v1beta3", name, **metadata, spec=spec)


def server_ref(name: str, *, kind: str = "Server") -> Manifest:
    return {"group": POLICY, "kind": kind, "name": name}


def route_ref(name: str, *, kind: str = "HTTPRoute") -> Manifest:
    return {"group": POLICY, "kind": kind, "name": name}


def network_ref(name: str) -> Manifest:
    return {"group": POLICY, "kind": "NetworkAuthentication", "name": name}


def service_account_ref(name: str) -> Manifest:
    return {"kind": "ServiceAccount", "name": name}


def accepted(route: Manifest) -> Manifest:
    """The route after the controller has accepted it for each of its parents."""
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": CREATED,
    }
    parents = [
        {"controllerName": "linkerd.io/policy-controller", "parentRef": parent, "conditions": [condition]}
        for parent in route["spec"]["parentRefs"]
    ]
    return {**route, "status": {"parents": parents}}


def accepted_limit(limit: Manifest) -> Manifest:
    return {**limit, "status": {"conditions": [_accepted("")], "targetRef": limit["spec"]["targetRef"]}}


def _accepted(reason: str) -> Manifest:
    return {"type": "Accepted", "status": "True", "reason": reason, "message": "", "lastTransitionTime": CREATED}
