"""What a policy says, for tests to read: the routes of whatever protocol it has, their backends and filters."""

from __future__ import annotations

from typing import Any, TypeAlias

from controller.grpc.gen.linkerd import outbound_pb2 as pb

Route: TypeAlias = Any  # of four kinds, alike
Backend: TypeAlias = Any  # likewise


def routes(policy: pb.OutboundPolicy) -> list[Route]:
    """The routes that count. Where the proxy finds out the protocol, both kinds of HTTP have the same."""
    protocol = policy.protocol
    match protocol.WhichOneof("kind"):
        case "detect":
            assert protocol.detect.timeout.seconds == 10
            assert list(protocol.detect.http1.routes) == list(protocol.detect.http2.routes)
            assert protocol.detect.http1.failure_accrual == protocol.detect.http2.failure_accrual
            return list(protocol.detect.http1.routes)
        case "http1":
            return list(protocol.http1.routes)
        case "http2":
            return list(protocol.http2.routes)
        case "grpc":
            return list(protocol.grpc.routes)
        case "tls":
            return list(protocol.tls.routes)
        case "opaque":
            return list(protocol.opaque.routes)
        case kind:
            raise AssertionError(kind)


def kind(policy: pb.OutboundPolicy) -> str:
    found = policy.protocol.WhichOneof("kind")
    assert found is not None
    return found


def names(policy: pb.OutboundPolicy) -> list[str]:
    """The names of the routes, in order; `(NAME)` for those that the controller made up."""
    return [name(route.metadata) for route in routes(policy)]


def name(metadata: Any) -> str:
    if metadata.WhichOneof("kind") == "default":
        return f"({metadata.default})"
    return str(metadata.resource.name)


def first_rule(policy: pb.OutboundPolicy) -> Any:
    return routes(policy)[0].rules[0]


def distribution(rule: Any) -> list[tuple[int | None, Any]]:
    """Weights and backends; no weight where all goes to the first."""
    match rule.backends.WhichOneof("kind"):
        case "first_available":
            return [(None, backend) for backend in rule.backends.first_available.backends]
        case "random_available":
            return [(item.weight, item.backend) for item in rule.backends.random_available.backends]
        case "empty":
            return []
        case None:
            raise AssertionError("a rule without a distribution, which proxies refuse")
        case kind:
            raise AssertionError(kind)


def only_backend(policy: pb.OutboundPolicy) -> Any:
    """The one backend of the first rule of the first route."""
    ((_, backend),) = distribution(first_rule(policy))
    return backend


def destination(backend: Any) -> str:
    """Where a backend sends traffic; empty where it fails it."""
    match backend.backend.WhichOneof("kind"):
        case "balancer":
            return str(backend.backend.balancer.discovery.dst.path)
        case "forward":
            address = backend.backend.forward.addr
            return f"{to_text(address.ip)}:{address.port}"
        case None:
            return ""
        case kind:
            raise AssertionError(kind)


def to_text(ip: Any) -> str:
    from ipaddress import IPv4Address, IPv6Address

    if ip.WhichOneof("ip") == "ipv4":
        return str(IPv4Address(ip.ipv4))
    return f"[{IPv6Address(ip.ipv6.first << 64 | ip.ipv6.last)}]"


def failure(backend: Any) -> tuple[int | None, str]:
    """How a backend fails what it gets: the status or code, and the message."""
    assert backend.backend.WhichOneof("kind") is None
    (item,) = backend.filters
    match item.WhichOneof("kind"):
        case "failure_injector":
            injector = item.failure_injector
            assert not injector.HasField("ratio")
            return getattr(injector, "status", None) or getattr(injector, "code", None), injector.message
        case "invalid":
            return None, item.invalid.message
        case kind:
            raise AssertionError(kind)


def resource(metadata: Any) -> tuple[str, str, str, int]:
    """Kind, namespace, name and port of what metadata names."""
    assert metadata.WhichOneof("kind") == "resource"
    found = metadata.resource
    assert not found.section
    group = {"Service": "core", "EgressNetwork": "policy.linkerd.io"}.get(found.kind)
    assert group is None or found.group == group
    return found.kind, found.namespace, found.name, found.port
