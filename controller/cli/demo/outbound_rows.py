"""What an outbound policy message says, in words; see `rows`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from controller.cli.demo.rows import Row, ip_text, match_text, metadata_text, rpc_text, seconds
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd import tls_route_pb2

Distribution: TypeAlias = (
    "pb.HttpRoute.Distribution | pb.GrpcRoute.Distribution | pb.OpaqueRoute.Distribution | pb.TlsRoute.Distribution"
)
RouteBackend: TypeAlias = (
    "pb.HttpRoute.RouteBackend | pb.GrpcRoute.RouteBackend | pb.OpaqueRoute.RouteBackend | pb.TlsRoute.RouteBackend"
)
Filter: TypeAlias = "pb.HttpRoute.Filter | pb.GrpcRoute.Filter | pb.OpaqueRoute.Filter | pb.TlsRoute.Filter"


def outbound_rows(policy: pb.OutboundPolicy) -> tuple[Row, ...]:
    """Return what to do with connections to a destination."""
    return tuple(_outbound(policy))


def _outbound(policy: pb.OutboundPolicy) -> Iterator[Row]:
    target = policy.metadata
    resource = target.resource
    yield Row("target", f"{metadata_text(target)}, port {resource.port}" if resource.kind else metadata_text(target))
    protocol = policy.protocol
    match protocol.WhichOneof("kind"):
        case "detect":
            detect = protocol.detect
            yield from _http("HTTP", detect.http1.routes)  # those for HTTP/2 are the same
            yield from _opaque("other TCP", detect.opaque.routes)
        case "http1":
            yield from _http("HTTP/1", protocol.http1.routes)
        case "http2":
            yield from _http("HTTP/2", protocol.http2.routes)
        case "opaque":
            yield from _opaque("TCP", protocol.opaque.routes)
        case "grpc":
            yield from _grpc(protocol.grpc.routes)
        case "tls":
            yield from _tls(protocol.tls.routes)
        case _:
            yield Row("protocol", "none that is known here")


def _http(what: str, routes: Iterable[pb.HttpRoute]) -> Iterator[Row]:
    for route in routes:
        for rule in route.rules:
            matches = ", ".join(map(match_text, rule.matches))
            yield Row(what, f"{matches} → {_fate(rule.filters, rule.backends)}", _decided(route))
            yield from _patience(rule, _decided(route))


def _grpc(routes: Iterable[pb.GrpcRoute]) -> Iterator[Row]:
    for route in routes:
        for rule in route.rules:
            matches = ", ".join(map(rpc_text, rule.matches))
            yield Row("gRPC", f"{matches} → {_fate(rule.filters, rule.backends)}", _decided(route))
            yield from _patience(rule, _decided(route))


def _patience(rule: pb.HttpRoute.Rule | pb.GrpcRoute.Rule, decided: str) -> Iterator[Row]:
    for what, name in (("request", "a request"), ("response", "a response"), ("idle", "silence")):
        if rule.timeouts.HasField(what):
            yield Row("  timeout", f"{seconds(getattr(rule.timeouts, what))} for {name}", decided)
    if rule.HasField("retry"):
        yield Row("  retries", f"{rule.retry.max_retries} at most", decided)


def _opaque(what: str, routes: Iterable[pb.OpaqueRoute]) -> Iterator[Row]:
    for route in routes:
        for rule in route.rules:
            yield Row(what, f"→ {_fate(rule.filters, rule.backends)}", _decided(route))


def _tls(routes: Iterable[pb.TlsRoute]) -> Iterator[Row]:
    for route in routes:
        names = ", ".join(map(_server_name, route.snis)) or "any name"
        for rule in route.rules:
            yield Row("TLS", f"{names} → {_fate(rule.filters, rule.backends)}", _decided(route))


def _server_name(match: tls_route_pb2.SniMatch) -> str:
    return match.exact or ".".join(["*", *reversed(match.suffix.reverse_labels)])


def _decided(route: pb.HttpRoute | pb.GrpcRoute | pb.OpaqueRoute | pb.TlsRoute) -> str:
    return f"default route {route.metadata.default}" if route.metadata.default else metadata_text(route.metadata)


def _fate(filters: Iterable[Filter], backends: Distribution) -> str:
    """Say what happens to a request or a connection."""
    refusals = [text for text in map(_refusal, filters) if text]
    return ", ".join(refusals) or _backends(backends)


def _refusal(filter_: Filter) -> str:
    match filter_.WhichOneof("kind"):
        case "forbidden":
            return "refused"
        case "failure_injector" if isinstance(filter_, pb.HttpRoute.Filter):
            return f"refused with {filter_.failure_injector.status}"
        case "failure_injector" | "invalid":
            return "fails"
        case _:
            return ""


def _backends(distribution: Distribution) -> str:
    match distribution.WhichOneof("kind"):
        case "first_available":
            return ", ".join(_backend(backend) for backend in distribution.first_available.backends)
        case "random_available":
            weighted = distribution.random_available.backends
            total = sum(one.weight for one in weighted)
            return ", ".join(f"{_share(one.weight, total)}{_backend(one.backend)}" for one in weighted)
        case _:
            return "nowhere"


def _share(weight: int, total: int) -> str:
    return "" if weight == total else f"{100 * weight / total:g} % to "


def _backend(route_backend: RouteBackend) -> str:
    refusals = [text for text in map(_refusal, route_backend.filters) if text]
    if refusals:
        return refusals[0]
    backend = route_backend.backend
    match backend.WhichOneof("kind"):
        case "forward":
            address = backend.forward.addr
            return f"{ip_text(address.ip)}:{address.port}"
        case _:
            resource = backend.metadata.resource
            return f"{resource.name}:{resource.port}"  # always a Service
