"""Objects of the status tests: routes of every kind and what they name, with keyword defaults."""

from __future__ import annotations

import json
from typing import Any

from controller.core.cluster import ClusterConfig
from controller.index.parse.cidr import parse_nets
from controller.index.status.values import RouteStatus, StatusKey
from controller.k8s.events import Applied, Deleted
from controller.k8s.kinds import (
    EGRESS_NETWORKS,
    GATEWAY_HTTP_ROUTES,
    GRPC_ROUTES,
    HTTP_LOCAL_RATE_LIMIT_POLICIES,
    POLICY_HTTP_ROUTES,
    SERVERS,
    SERVICES,
    TCP_ROUTES,
    TLS_ROUTES,
)
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType

NS = "ns-0"
CLUSTER_NETWORKS = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8"
CONFIG = ClusterConfig(cluster_networks=parse_nets(CLUSTER_NETWORKS))
ROUTE_TYPES: dict[str, ResourceType[Any]] = {
    "policy": POLICY_HTTP_ROUTES,
    "gateway": GATEWAY_HTTP_ROUTES,
    "grpc": GRPC_ROUTES,
    "tls": TLS_ROUTES,
    "tcp": TCP_ROUTES,
}
NAMES: dict[str, Any] = {
    "server": SERVERS,
    "service": SERVICES,
    "egress": EGRESS_NETWORKS,
    "limit": HTTP_LOCAL_RATE_LIMIT_POLICIES,
    **ROUTE_TYPES,
}
Ref = dict[str, Any]
TIME = "2026-01-01T00:00:00Z"


def service_ref(name: str = "svc", port: int | None = 8080, **more: Any) -> Ref:
    return _ref({"group": "core", "kind": "Service", "name": name, "port": port, **more})


def egress_ref(name: str = "net", port: int | None = 8080, **more: Any) -> Ref:
    return _ref({"group": "policy.linkerd.io", "kind": "EgressNetwork", "name": name, "port": port, **more})


def server_ref(name: str = "srv", **more: Any) -> Ref:
    return {"group": "policy.linkerd.io", "kind": "Server", "name": name, **more}


def _ref(fields: Ref) -> Ref:
    return {name: value for name, value in fields.items() if value is not None}


def _object(
    kind: ResourceType[Any], name: str, *, created: str | None = None, version: str = "1", **body: Any
) -> Applied[Any]:
    metadata = {"name": name, "namespace": NS, "resourceVersion": version}
    metadata |= {"creationTimestamp": created} if created else {}
    return Applied(kind.decode(json.dumps({"metadata": metadata, **body}).encode()))


def route(
    kind: str,
    *parents: Ref,
    backends: tuple[Ref, ...] = (),
    name: str = "route",
    status: list[Ref] | None = None,
    version: str = "1",
) -> Applied[Any]:
    spec: dict[str, Any] = {"parentRefs": parents, "rules": [{"backendRefs": backends}]}
    if kind == "tls":
        spec["hostnames"] = ["example.com"]
    body = {"status": {"parents": status}} if status is not None else {}
    return _object(ROUTE_TYPES[kind], name, version=version, spec=spec, **body)


def server(name: str = "srv") -> Applied[Any]:
    return _object(SERVERS, name, spec={"podSelector": {}, "port": 80})


def service(name: str = "svc", **spec: Any) -> Applied[Any]:
    return _object(SERVICES, name, spec={"clusterIP": "1.2.3.4", **spec})


def condition(status: str = "True", reason: str = "Accepted", kind: str = "Accepted", message: str = "") -> Ref:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": TIME}


EXCEPT_ALL = [{"cidr": "0.0.0.0/0", "except": CLUSTER_NETWORKS.split(",")}]


def egress(name: str = "net", *, conditions: list[Ref] | None = None, networks: Any = EXCEPT_ALL) -> Applied[Any]:
    """An accepted EgressNetwork, unless told otherwise; `networks=None` leaves them out."""
    spec = {"trafficPolicy": "Allow"} | ({} if networks is None else {"networks": networks})
    shown = [condition()] if conditions is None else conditions
    return _object(EGRESS_NETWORKS, name, spec=spec, status={"conditions": shown})


def limit(name: str = "rl", target: Ref | None = None, created: str | None = None, status: Any = None) -> Applied[Any]:
    body = {"status": status} if status is not None else {}
    spec = {"targetRef": target or server_ref(), "total": {"requestsPerSecond": 10}}
    return _object(HTTP_LOCAL_RATE_LIMIT_POLICIES, name, created=created, spec=spec, **body)


def gone(kind: str, name: str) -> Deleted[Any]:
    model: type[Resource] = NAMES[kind].model
    return Deleted(model, ObjectKey(NS, name))


def key(kind: str, name: str) -> StatusKey:
    return StatusKey(NAMES[kind].model, ObjectKey(NS, name))


def verdicts(status: object) -> list[list[tuple[str, bool, str, str]]]:
    """Of each parent: type, status, reason and message of each condition."""
    assert isinstance(status, RouteStatus)
    return [[(c.type, c.status, c.reason, c.message) for c in parent.conditions] for parent in status.parents]
