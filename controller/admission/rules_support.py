"""What routes may say and Linkerd does not follow.

Routes of the Gateway API are for every implementation of it, so these things must be let in; and only those who attach
a route to something of Linkerd's are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from controller.admission.findings import Finding, check, each, warning
from controller.index.parse.annotation_values import parse_duration
from controller.index.parse.filters import parse_gateway_filter, parse_grpc_filter
from controller.index.parse.inbound_routes import AnyRoute, is_server, server_parents
from controller.index.parse.invalid import Invalid
from controller.index.parse.parents import parse_kind
from controller.index.parse.retries import REQUEST_TIMEOUT
from controller.k8s import gateway
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute

F = TypeVar("F")


def parents_can_be_followed(route: AnyRoute) -> Iterator[Finding]:
    """A Server takes routes of its own namespace, for its one port."""
    try:
        server_parents(route)
    except Invalid as invalid:
        yield warning(invalid.path, f"{invalid.reason}: until this is changed, no Server follows this route")


def _is_ours(parents: Iterable[gateway.ParentRef] | None) -> bool:
    return any(is_server(ref) or parse_kind(ref.group, ref.kind) is not None for ref in parents or ())


def policy_backend_filters_are_supported(route: PolicyHTTPRoute) -> Iterator[Finding]:
    for i, rule in enumerate(route.spec.rules or ()):
        yield from each(f"spec.rules[{i}].backendRefs", _http_backend, rule.backend_refs)


def http_filters_are_supported(route: GatewayHTTPRoute) -> Iterator[Finding]:
    if _is_ours(route.spec.parent_refs):
        for i, rule in enumerate(route.spec.rules or ()):
            yield from _filters(f"spec.rules[{i}].filters", parse_gateway_filter, rule.filters)
            yield from each(f"spec.rules[{i}].backendRefs", _http_backend, rule.backend_refs)


def grpc_filters_are_supported(route: GRPCRoute) -> Iterator[Finding]:
    if _is_ours(route.spec.parent_refs):
        for i, rule in enumerate(route.spec.rules or ()):
            yield from _filters(f"spec.rules[{i}].filters", parse_grpc_filter, rule.filters)
            yield from each(f"spec.rules[{i}].backendRefs", _grpc_backend, rule.backend_refs)


def _filters(path: str, parse: Callable[[F], object], filters: Iterable[F] | None) -> Iterator[Finding]:
    """Filters that a rule cannot have; what is wrong with those that it can have is for another rule."""
    for finding in _unsupported(path, parse, filters):
        yield warning(finding.path, f"{finding.message}: while the route has this filter, it is not followed")


def _unsupported(path: str, parse: Callable[[F], object], filters: Iterable[F] | None) -> Iterator[Finding]:
    return each(path, lambda at, item: check(at, parse, item), filters)


def _http_backend(path: str, ref: gateway.HttpBackendRef) -> Iterator[Finding]:
    return _backend(f"{path}.filters", parse_gateway_filter, ref.filters)


def _grpc_backend(path: str, ref: gateway.GrpcBackendRef) -> Iterator[Finding]:
    return _backend(f"{path}.filters", parse_grpc_filter, ref.filters)


def _backend(path: str, parse: Callable[[F], object], filters: Iterable[F] | None) -> Iterator[Finding]:
    for finding in _unsupported(path, parse, filters):
        yield warning(finding.path, f"{finding.message}: requests that go to this backend fail")


def timeouts_are_understood(route: GatewayHTTPRoute) -> Iterator[Finding]:
    """A rule's own timeout is read like an annotation's, and counts where there is none."""
    parents = route.spec.parent_refs or ()
    if REQUEST_TIMEOUT in route.annotations or not any(parse_kind(ref.group, ref.kind) for ref in parents):
        return
    for i, rule in enumerate(route.spec.rules or ()):
        if rule.timeouts is not None:
            for finding in check(f"spec.rules[{i}].timeouts.request", parse_duration, rule.timeouts.request):
                yield warning(finding.path, f"{finding.message}: there is no timeout")
