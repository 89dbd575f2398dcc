"""Rules for routes of all five kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias

from controller.admission.findings import Finding, check, each
from controller.admission.rules_matches import gateway_filter, grpc_filter, grpc_match, http_match, policy_filter
from controller.index.parse.durations import parse_go_duration
from controller.index.parse.parents import ParentKind, parse_kind
from controller.index.parse.retries import (
    IDLE_TIMEOUT,
    REQUEST_TIMEOUT,
    RESPONSE_TIMEOUT,
    RETRY_GRPC,
    RETRY_HTTP,
    RETRY_LIMIT,
    RETRY_TIMEOUT,
    parse_grpc_retry,
    parse_http_retry,
    parse_timeouts,
)
from controller.k8s import gateway
from controller.k8s.duration import GoDuration
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute

Route: TypeAlias = PolicyHTTPRoute | GatewayHTTPRoute | GRPCRoute | TLSRoute | TCPRoute
HttpRoute: TypeAlias = PolicyHTTPRoute | GatewayHTTPRoute

# Parents


def parents_of(route: Route) -> Iterator[tuple[str, ParentKind]]:
    """The Services and EgressNetworks that a route is for, and where it names them."""
    for i, ref in enumerate(route.spec.parent_refs or ()):
        kind = parse_kind(ref.group, ref.kind)
        if kind is not None:
            yield f"spec.parentRefs[{i}]", kind


def egress_parents_have_ports(route: Route) -> Iterator[Finding]:
    refs = route.spec.parent_refs or ()
    for i, ref in enumerate(refs):
        if parse_kind(ref.group, ref.kind) is ParentKind.EGRESS_NETWORK and ref.port is None:
            yield Finding(f"spec.parentRefs[{i}].port", f"must be set: EgressNetwork {ref.name} takes routes per port")


# Annotations, which count for clients only

_TIMEOUTS = dict.fromkeys((REQUEST_TIMEOUT, RESPONSE_TIMEOUT, IDLE_TIMEOUT), parse_timeouts)
_HTTP = {**dict.fromkeys((RETRY_LIMIT, RETRY_TIMEOUT, RETRY_HTTP), parse_http_retry), **_TIMEOUTS}
_GRPC = {**dict.fromkeys((RETRY_LIMIT, RETRY_TIMEOUT, RETRY_GRPC), parse_grpc_retry), **_TIMEOUTS}

_Parser: TypeAlias = Callable[[Mapping[str, str]], object]


def http_annotations_are_valid(route: HttpRoute) -> Iterator[Finding]:
    return _annotations(route, _HTTP)


def grpc_annotations_are_valid(route: GRPCRoute) -> Iterator[Finding]:
    return _annotations(route, _GRPC)


def _annotations(route: Route, parsers: Mapping[str, _Parser]) -> Iterator[Finding]:
    if not any(parents_of(route)):
        return
    for key, parse in parsers.items():
        if key in route.annotations:
            for finding in check("", parse, {key: route.annotations[key]}):
                yield Finding(f"metadata.annotations[{key}]", finding.message)


# Rules


def policy_rules_are_valid(route: PolicyHTTPRoute) -> Iterator[Finding]:
    return each("spec.rules", _policy_rule, route.spec.rules)


def _policy_rule(path: str, rule: gateway.PolicyHttpRouteRule) -> Iterator[Finding]:
    yield from each(f"{path}.matches", http_match, rule.matches)
    yield from each(f"{path}.filters", policy_filter, rule.filters)
    if rule.timeouts is not None:
        yield from _timeouts(f"{path}.timeouts", rule.timeouts)


def _timeouts(path: str, timeouts: gateway.PolicyHttpRouteTimeouts) -> Iterator[Finding]:
    parsed = dict[str, GoDuration]()
    for field, text in (("request", timeouts.request), ("backendRequest", timeouts.backend_request)):
        if text is not None:
            parsed[field] = parse_go_duration(text)
            if parsed[field].negative:
                yield Finding(f"{path}.{field}", f"{text!r} must not be negative")
    if len(parsed) == 2 and parsed["backendRequest"].nanoseconds > parsed["request"].nanoseconds:
        yield Finding(
            f"{path}.backendRequest", f"{timeouts.backend_request} is longer than timeouts.request, {timeouts.request}"
        )


def gateway_rules_are_valid(route: GatewayHTTPRoute) -> Iterator[Finding]:
    return each("spec.rules", _gateway_rule, route.spec.rules)


def _gateway_rule(path: str, rule: gateway.HttpRouteRule) -> Iterator[Finding]:
    yield from each(f"{path}.matches", http_match, rule.matches)
    yield from each(f"{path}.filters", gateway_filter, rule.filters)
    yield from each(f"{path}.backendRefs", _backend, rule.backend_refs)


def grpc_rules_are_valid(route: GRPCRoute) -> Iterator[Finding]:
    return each("spec.rules", _grpc_rule, route.spec.rules)


def _grpc_rule(path: str, rule: gateway.GrpcRouteRule) -> Iterator[Finding]:
    yield from each(f"{path}.matches", grpc_match, rule.matches)
    yield from each(f"{path}.filters", grpc_filter, rule.filters)
    yield from each(f"{path}.backendRefs", _backend, rule.backend_refs)


class _BackendRef(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str | None: ...
    @property
    def kind(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...


def _backend(path: str, ref: _BackendRef) -> Iterator[Finding]:
    """A Service needs a port. Here, unlike elsewhere, only its exact name makes a kind a Service."""
    if ref.group in (None, "", "core") and ref.kind in (None, "Service") and not ref.port:
        yield Finding(f"{path}.port", f"must be set: {ref.name} is a Service")


def has_one_rule(route: TLSRoute | TCPRoute) -> Iterator[Finding]:
    rules: Iterable[object] = route.spec.rules
    count = sum(1 for _ in rules)
    if count != 1:
        yield Finding("spec.rules", f"{type(route).__name__} needs to have one rule, not {count}")
