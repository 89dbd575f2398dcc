"""Resources as an API server would send them: every argument has a default, so a test shows only what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from controller.core.inbound import PortTarget, WorkloadKind
from controller.k8s.builtin import Pod
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute
from controller.k8s.meta import Resource
from controller.k8s.policy import (
    AuthorizationPolicy,
    HTTPLocalRateLimitPolicy,
    MeshTLSAuthentication,
    NetworkAuthentication,
    Server,
    ServerAuthorization,
)
from controller.k8s.workload import ExternalWorkload

Object = dict[str, Any]
R = TypeVar("R", bound=Resource)

POLICY = "policy.linkerd.io"
GATEWAY = "gateway.networking.k8s.io"
EVERYONE = ("0.0.0.0/0", "::/0")


def decode(model: type[R], obj: object) -> R:
    """The object as the watch of its kind would read it; raises `msgspec.ValidationError`."""
    return msgspec.json.decode(msgspec.json.encode(obj), type=model)


def _without_none(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value is not None}


def when(minute: int) -> str:
    """A creation time; a greater minute is later."""
    return f"2026-01-01T00:{minute:02}:00Z"


def meta(
    name: str,
    namespace: str = "ns-0",
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    created: int | None = None,
    uid: str | None = None,
) -> Object:
    return _without_none(
        name=name,
        namespace=namespace,
        labels=labels,
        annotations=annotations,
        uid=uid,
        creationTimestamp=None if created is None else when(created),
    )


def ref(kind: str, name: str, *, namespace: str | None = None, group: str | None = None) -> Object:
    """A reference to a resource; the group is guessed from the kind."""
    if group is None:
        group = "" if kind in ("Namespace", "ServiceAccount") else POLICY
    return _without_none(group=group or None, kind=kind, name=name, namespace=namespace)


# Workloads


def target(name: str = "pod-0", port: int = 8080, *, namespace: str = "ns-0") -> PortTarget:
    return PortTarget(WorkloadKind.POD, namespace, name, port)


def external_target(name: str = "wkld-1", port: int = 80, *, namespace: str = "ns-0") -> PortTarget:
    return PortTarget(WorkloadKind.EXTERNAL_WORKLOAD, namespace, name, port)


def container(*ports: Object, **probes: tuple[int | str, str | None]) -> Object:
    """A container; `live=(port, path)`, likewise `ready` and `startup`."""
    names = {"live": "livenessProbe", "ready": "readinessProbe", "startup": "startupProbe"}
    probed = {names[probe]: {"httpGet": _without_none(port=port, path=path)} for probe, (port, path) in probes.items()}
    return {"ports": list(ports), **probed}


def port(name: str | None, number: int, protocol: str | None = "TCP") -> Object:
    return _without_none(name=name, containerPort=number, protocol=protocol)


def pod(
    name: str = "pod-0",
    *containers: Object,
    namespace: str = "ns-0",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    init: Sequence[Object] = (),
    uid: str | None = None,
    status: Object | None = None,
) -> Pod:
    labels = {"app": "app-0"} if labels is None else labels
    annotations = {f"config.linkerd.io/{key}": value for key, value in (annotations or {}).items()}
    return decode(
        Pod,
        _without_none(
            metadata=meta(name, namespace, labels=labels, annotations=annotations, uid=uid),
            spec={"containers": list(containers) or [{"name": "main"}], "initContainers": list(init)},
            status=status,
        ),
    )


def external_workload(
    name: str = "wkld-1",
    *ports: tuple[str | None, int],
    namespace: str = "ns-0",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    protocol: str | None = None,
) -> ExternalWorkload:
    labels = {"app": "ext"} if labels is None else labels
    annotations = {f"config.linkerd.io/{key}": value for key, value in (annotations or {}).items()}
    wire = [_without_none(name=name, port=number, protocol=protocol) for name, number in ports or [("http", 80)]]
    tls = {"identity": "wkld-1.example", "serverName": "wkld-1.example"}
    return decode(
        ExternalWorkload,
        {
            "metadata": meta(name, namespace, labels=labels, annotations=annotations),
            "spec": {"meshTLS": tls, "workloadIPs": [{"ip": "192.0.2.0"}], "ports": wire},
        },
    )


# Servers


def selector(labels: Mapping[str, str] | None = None, *expressions: tuple[str, str, Sequence[str] | None]) -> Object:
    """A label selector; each expression is a key, an operator and its values."""
    wire = [_without_none(key=key, operator=operator, values=values) for key, operator, values in expressions]
    return _without_none(matchLabels=labels, matchExpressions=wire or None)


def server(
    name: str = "srv-8080",
    port: int | str = 8080,
    *,
    namespace: str = "ns-0",
    selects: Object | None = None,
    selects_external: Object | None = None,
    protocol: str | None = "HTTP/1",
    access: str | None = None,
    labels: Mapping[str, str] | None = None,
    created: int | None = 0,
) -> Server:
    if selects is None and selects_external is None:
        selects = selector({"app": "app-0"})
    return decode(
        Server,
        {
            "metadata": meta(name, namespace, labels=labels, created=created),
            "spec": _without_none(
                podSelector=selects,
                externalWorkloadSelector=selects_external,
                port=port,
                proxyProtocol=protocol,
                accessPolicy=access,
            ),
        },
    )


# Who may call


def network(cidr: str, *exceptions: str) -> Object:
    return {"cidr": cidr, "except": list(exceptions)} if exceptions else {"cidr": cidr}


def server_authorization(
    name: str = "authz-foo",
    *,
    namespace: str = "ns-0",
    server: str | None = None,
    selects: Object | None = None,
    networks: Sequence[Object] | None = None,
    unauthenticated: bool | None = None,
    mesh_tls: Object | None = None,
) -> ServerAuthorization:
    return decode(
        ServerAuthorization,
        {
            "metadata": meta(name, namespace),
            "spec": {
                "server": _without_none(name=server, selector=selects),
                "client": _without_none(networks=networks, unauthenticated=unauthenticated, meshTLS=mesh_tls),
            },
        },
    )


def authorization_policy(
    name: str = "authz-foo", target: Object | None = None, *refs: Object, namespace: str = "ns-0"
) -> AuthorizationPolicy:
    target = ref("Server", "srv-8080") if target is None else target
    spec = {"targetRef": target, "requiredAuthenticationRefs": list(refs)}
    return decode(AuthorizationPolicy, {"metadata": meta(name, namespace), "spec": spec})


def mesh_tls(
    name: str = "mtls-bar", *identities: str, namespace: str = "ns-0", refs: Sequence[Object] | None = None
) -> MeshTLSAuthentication:
    spec = _without_none(identities=list(identities) or None, identityRefs=refs)
    return decode(MeshTLSAuthentication, {"metadata": meta(name, namespace), "spec": spec})


def network_authentication(
    name: str = "net-foo", *networks: str | Object, namespace: str = "ns-0"
) -> NetworkAuthentication:
    wire = [network(net) if isinstance(net, str) else net for net in networks]
    return decode(NetworkAuthentication, {"metadata": meta(name, namespace), "spec": {"networks": wire}})


# Limits and routes


def condition(status: str = "True", kind: str = "Accepted") -> Object:
    return {"type": kind, "status": status, "lastTransitionTime": when(1), "reason": "", "message": ""}


def rate_limit(
    name: str = "ratelimit-0",
    server: str = "srv-8080",
    *,
    namespace: str = "ns-0",
    total: int | None = None,
    identity: int | None = None,
    overrides: Sequence[tuple[int, Sequence[Object]]] | None = None,
    target: Object | None = None,
    accepted: str | None = "True",
    created: int | None = 0,
) -> HTTPLocalRateLimitPolicy:
    def limit(number: int | None) -> Object | None:
        return None if number is None else {"requestsPerSecond": number}

    target = ref("Server", server) if target is None else target
    wire = None if overrides is None else [{"requestsPerSecond": n, "clientRefs": list(refs)} for n, refs in overrides]
    status = None if accepted is None else {"conditions": [condition(accepted)], "targetRef": target}
    return decode(
        HTTPLocalRateLimitPolicy,
        _without_none(
            metadata=meta(name, namespace, created=created),
            spec=_without_none(targetRef=target, total=limit(total), identity=limit(identity), overrides=wire),
            status=status,
        ),
    )


def parent(
    name: str = "srv-8080",
    *,
    group: str | None = POLICY,
    kind: str | None = "Server",
    namespace: str | None = None,
    port: int | None = None,
    section: str | None = None,
) -> Object:
    return _without_none(name=name, group=group, kind=kind, namespace=namespace, port=port, sectionName=section)


def parent_status(
    name: str = "srv-8080",
    status: str = "True",
    *,
    controller: str = "linkerd.io/policy-controller",
    kind: str | None = "Server",
    conditions: Sequence[Object] | None = None,
) -> Object:
    return {
        "controllerName": controller,
        "parentRef": _without_none(group=POLICY, kind=kind, name=name, namespace="ns-0"),
        "conditions": [condition(status)] if conditions is None else list(conditions),
    }


def _route(
    name: str,
    namespace: str,
    created: int | None,
    spec: Object,
    accepted_by: Sequence[str] | None,
    statuses: Sequence[Object] | None,
) -> Object:
    if statuses is None and accepted_by is not None:
        statuses = [parent_status(server) for server in accepted_by]
    status = None if statuses is None else {"parents": list(statuses)}
    return _without_none(metadata=meta(name, namespace, created=created), spec=spec, status=status)


def path(value: str | None, kind: str | None = "PathPrefix", **more: Any) -> Object:
    """A match of an HTTP route by path, and by whatever else is given."""
    return {"path": _without_none(type=kind, value=value), **more}


def rule(*matches: Object, filters: Sequence[Object] | None = None, **more: Any) -> Object:
    return _without_none(matches=list(matches), filters=filters, **more)


def http_route(
    name: str = "route-foo",
    *rules: Object,
    group: str = POLICY,
    namespace: str = "ns-0",
    parents: Sequence[Object] | None = None,
    accepted_by: Sequence[str] | None = ("srv-8080",),
    statuses: Sequence[Object] | None = None,
    hostnames: Sequence[str] | None = None,
    created: int | None = 0,
) -> PolicyHTTPRoute | GatewayHTTPRoute:
    parents = [parent(server) for server in accepted_by or ("srv-8080",)] if parents is None else parents
    spec = _without_none(parentRefs=parents, hostnames=hostnames, rules=list(rules or [rule(path("/foo"))]))
    model = PolicyHTTPRoute if group == POLICY else GatewayHTTPRoute
    return decode(model, _route(name, namespace, created, spec, accepted_by, statuses))


def grpc_route(
    name: str = "route-foo",
    *rules: Object,
    namespace: str = "ns-0",
    parents: Sequence[Object] | None = None,
    accepted_by: Sequence[str] | None = ("srv-8080",),
    statuses: Sequence[Object] | None = None,
    hostnames: Sequence[str] | None = None,
    created: int | None = 0,
) -> GRPCRoute:
    parents = [parent(server) for server in accepted_by or ("srv-8080",)] if parents is None else parents
    rules = rules or (rule({"method": {"service": "library.Books", "method": "Get"}}),)
    spec = _without_none(parentRefs=parents, hostnames=hostnames, rules=list(rules))
    return decode(GRPCRoute, _route(name, namespace, created, spec, accepted_by, statuses))
