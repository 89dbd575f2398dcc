"""What makes a Linkerd proxy refuse an outbound policy as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controller.grpc.gen.linkerd import outbound_pb2 as pb


def complaints(policy: pb.OutboundPolicy) -> Iterator[str]:
    """Everything that a proxy would find wrong; nothing for a policy that it takes."""
    yield from _metadata(policy, "policy")
    match policy.protocol.WhichOneof("kind"):
        case None:
            yield "no protocol"
        case "detect":
            yield from _detect(policy.protocol.detect)
        case kind:
            yield from _routes(getattr(policy.protocol, kind), kind)


def _detect(detect: pb.ProxyProtocol.Detect) -> Iterator[str]:
    for part in ("timeout", "opaque", "http1", "http2"):
        if not detect.HasField(part):
            yield f"detect without {part}"
    for kind in ("opaque", "http1", "http2"):
        yield from _routes(getattr(detect, kind), kind)


def _routes(protocol: Any, kind: str) -> Iterator[str]:
    if kind not in ("opaque", "tls") and protocol.HasField("failure_accrual"):
        yield from _accrual(protocol.failure_accrual)
    for route in protocol.routes:
        yield from _metadata(route, "route")
        for rule in route.rules:
            yield from _filters(rule.filters)
            yield from _backends(rule)


def _backends(rule: Any) -> Iterator[str]:
    match rule.backends.WhichOneof("kind"):
        case None:
            yield "a rule without a distribution"
        case "empty":
            return
        case "first_available":
            for backend in rule.backends.first_available.backends:
                yield from _backend(backend)
        case "random_available":
            for weighted in rule.backends.random_available.backends:
                yield from _backend(weighted.backend)


def _backend(route_backend: Any) -> Iterator[str]:
    yield from _filters(route_backend.filters)
    backend = route_backend.backend
    yield from _metadata(backend, "backend")
    if not backend.HasField("queue") or not backend.queue.HasField("failfast_timeout"):
        yield "a backend without a queue"
    if backend.HasField("balancer"):
        if backend.balancer.discovery.WhichOneof("kind") is None:
            yield "a balancer without discovery"
        if backend.balancer.WhichOneof("load") is None:
            yield "a balancer without a load estimator"


def _filters(filters: Any) -> Iterator[str]:
    if any(item.WhichOneof("kind") is None for item in filters):
        yield "a filter without a kind"


def _metadata(owner: Any, what: str) -> Iterator[str]:
    match owner.metadata.WhichOneof("kind"):
        case None:
            yield f"{what} without metadata"
        case "default":
            return
        case "resource":
            resource = owner.metadata.resource
            for part in ("group", "kind", "name", "namespace"):
                if not getattr(resource, part):
                    yield f"{what} whose {part} is empty"


def _accrual(accrual: pb.FailureAccrual) -> Iterator[str]:
    kind = accrual.WhichOneof("kind")
    if kind is None:
        yield "a circuit breaker without a kind"
        return
    breaker = getattr(accrual, kind)
    if not breaker.HasField("backoff"):
        yield "a circuit breaker without a backoff"
    shortest, longest = (breaker.backoff.min_backoff.ToNanoseconds(), breaker.backoff.max_backoff.ToNanoseconds())
    if shortest > longest or longest == 0 or not 0.0 <= breaker.backoff.jitter_ratio <= 100.0:
        yield "a backoff out of bounds"
    if kind == "unified":
        yield from _unified(accrual.unified)


def _unified(unified: pb.FailureAccrual.Unified) -> Iterator[str]:
    if not 0.0 <= unified.success_rate_threshold <= 1.0:
        yield "a threshold out of bounds"
    if unified.success_rate_threshold:
        if unified.decay.ToMilliseconds() < 10:
            yield "a window out of bounds"
        if unified.min_requests > 1_000_000:
            yield "too many requests"
