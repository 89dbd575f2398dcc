"""What is done with each kind of resource: a row per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from controller.core.cluster import ClusterConfig
from controller.index.inbound.namespace import Namespace
from controller.index.inbound.resources import Resources
from controller.index.inbound.workloads import Workload, Workloads
from controller.index.parse.authentications import parse_mesh_tls_authentication, parse_network_authentication
from controller.index.parse.authorizations import RouteTarget, parse_authorization_policy, parse_server_authorization
from controller.index.parse.inbound_routes import NO_ROUTE, AnyRoute, RouteForm, parse_inbound_route, server_parents
from controller.index.parse.rate_limits import parse_rate_limit
from controller.index.parse.servers import parse_server
from controller.k8s.builtin import Pod
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.policy import (
    AuthorizationPolicy,
    HTTPLocalRateLimitPolicy,
    MeshTLSAuthentication,
    NetworkAuthentication,
    Server,
    ServerAuthorization,
)
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP
from controller.k8s.workload import ExternalWorkload

R = TypeVar("R", bound=Resource)
F = TypeVar("F")


@attrs.frozen
class Kind(Generic[R, F]):
    """How a resource is read, and where what was read belongs; `None` takes it away from there."""

    parse: Callable[[Resources, R], F]
    put: Callable[[Resources, ObjectKey, F | None], None]


def _workload(
    parse: Callable[[Resources, R], Workload], workloads_of: Callable[[Namespace], Workloads]
) -> Kind[R, Workload]:
    def put(resources: Resources, key: ObjectKey, workload: Workload | None) -> None:
        workloads = workloads_of(resources.touch(key.namespace))
        if workload is None:
            workloads.remove(key.name)
        else:
            workloads.put(key.name, workload)

    return Kind(parse, put)


def _part(parse: Callable[[R, ClusterConfig], F], put: Callable[[Namespace, str, F | None], None]) -> Kind[R, F]:
    return Kind(
        lambda resources, resource: parse(resource, resources.cluster),
        lambda resources, key, form: put(resources.touch(key.namespace), key.name, form),
    )


def _route(group: str, kind: str) -> Kind[AnyRoute, RouteForm]:
    def target_of(key: ObjectKey) -> RouteTarget:
        return RouteTarget.of(group, kind, key.name)

    def parse(resources: Resources, route: AnyRoute) -> RouteForm:
        if not server_parents(route):
            # Most routes are for clients. Unless this one was for a Server before, its rules do not matter.
            namespace = resources.namespaces.get(route.metadata.namespace)
            before = None if namespace is None else namespace.parts.routes.get(target_of(route.key))
            if before is None or before is NO_ROUTE:
                return NO_ROUTE
        return parse_inbound_route(route)

    def put(resources: Resources, key: ObjectKey, form: RouteForm | None) -> None:
        resources.touch(key.namespace).put_route(target_of(key), form)

    return Kind(parse, put)


ROWS: Mapping[type[Resource], Kind[Any, Any]] = {
    Pod: _workload(lambda resources, pod: resources.shapes.pod(pod), lambda namespace: namespace.pods),
    ExternalWorkload: _workload(
        lambda resources, workload: resources.shapes.external_workload(workload),
        lambda namespace: namespace.external_workloads,
    ),
    Server: _part(parse_server, Namespace.put_server),
    ServerAuthorization: _part(parse_server_authorization, Namespace.put_server_authorization),
    AuthorizationPolicy: _part(parse_authorization_policy, Namespace.put_authorization_policy),
    HTTPLocalRateLimitPolicy: _part(parse_rate_limit, Namespace.put_rate_limit),
    PolicyHTTPRoute: _route(POLICY_GROUP, "HTTPRoute"),
    GatewayHTTPRoute: _route(GATEWAY_GROUP, "HTTPRoute"),
    GRPCRoute: _route(GATEWAY_GROUP, "GRPCRoute"),
    MeshTLSAuthentication: Kind(
        lambda resources, resource: parse_mesh_tls_authentication(resource, resources.cluster),
        lambda resources, key, form: resources.touch_policies(resources.authentications.put_mesh_tls(key, form)),
    ),
    NetworkAuthentication: Kind(
        lambda resources, resource: parse_network_authentication(resource, resources.cluster),
        lambda resources, key, form: resources.touch_policies(resources.authentications.put_networks(key, form)),
    ),
}
