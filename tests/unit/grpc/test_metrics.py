"""What the gRPC server counts, as Prometheus sees it."""

from __future__ import annotations

import pytest
from grpclib.const import Status
from prometheus_client import CollectorRegistry, generate_latest

from controller.grpc.metrics import CallType, GrpcMetrics, MethodMetrics

SERVICE = "io.linkerd.proxy.inbound.InboundServerPolicies"
GET, WATCH = f"/{SERVICE}/GetPort", f"/{SERVICE}/WatchPort"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> GrpcMetrics:
    return GrpcMetrics.registered(registry, {GET: CallType.UNARY, WATCH: CallType.SERVER_STREAM})


def counted(metrics: GrpcMetrics, path: str) -> MethodMetrics:
    method = metrics.method(path)
    assert method is not None
    return method


def value(registry: CollectorRegistry, name: str, method: str, **labels: str) -> float | None:
    kind = {"GetPort": "unary", "WatchPort": "server_stream"}[method]
    return registry.get_sample_value(
        f"grpc_server_{name}", {"grpc_service": SERVICE, "grpc_method": method, "grpc_type": kind, **labels}
    )


def test_series_exist_before_the_first_call(registry: CollectorRegistry, metrics: GrpcMetrics) -> None:
    """Both methods have their series, at zero, from the start; codes have none until a call."""
    # inbound 121
    for method in ("GetPort", "WatchPort"):
        for name in ("started_total", "msg_received_total", "msg_sent_total", "handling_seconds_count"):
            assert value(registry, name, method) == 0
        assert value(registry, "handled_total", method, grpc_code="OK") is None


def test_a_call_from_start_to_end(registry: CollectorRegistry, metrics: GrpcMetrics) -> None:
    """A call counts when it starts, with each message of its stream, and with its code when it ends."""
    # inbound 121
    watch = counted(metrics, WATCH)

    watch.started()
    assert value(registry, "handled_total", "WatchPort", grpc_code="OK") == 0
    watch.sent()
    watch.sent()
    watch.handled(Status.OK, 12.5)
    watch.started()
    watch.handled(Status.NOT_FOUND, 0.001)
    watch.started()
    watch.handled(Status.INVALID_ARGUMENT, 0.0)

    assert value(registry, "started_total", "WatchPort") == 3
    assert value(registry, "msg_received_total", "WatchPort") == 3
    assert value(registry, "msg_sent_total", "WatchPort") == 2
    for code in ("OK", "NOT_FOUND", "INVALID_ARGUMENT"):
        assert value(registry, "handled_total", "WatchPort", grpc_code=code) == 1
    assert value(registry, "handling_seconds_sum", "WatchPort") == pytest.approx(12.501)
    assert value(registry, "started_total", "GetPort") == 0


def test_buckets_are_cumulative(registry: CollectorRegistry, metrics: GrpcMetrics) -> None:
    """Each bucket counts the calls that took at most that long."""
    get = counted(metrics, GET)
    for seconds in (0.1, 0.5, 1.0, 2.0, 300.0, 4000.0):
        get.handled(Status.OK, seconds)

    bounds = ("0.1", "1.0", "300.0", "3600.0", "+Inf")
    assert [value(registry, "handling_seconds_bucket", "GetPort", le=bound) for bound in bounds] == [1, 3, 5, 5, 6]
    assert value(registry, "handling_seconds_count", "GetPort") == 6


def test_other_methods_are_not_counted(metrics: GrpcMetrics) -> None:
    """Health checks and reflection are none of the policy's traffic."""
    assert metrics.method("/grpc.health.v1.Health/Check") is None


def test_the_registry_can_be_scraped(registry: CollectorRegistry, metrics: GrpcMetrics) -> None:
    """The text that Prometheus reads has upstream's names."""
    counted(metrics, GET).started()

    text = generate_latest(registry).decode()

    labels = f'grpc_method="GetPort",grpc_service="{SERVICE}",grpc_type="unary"'
    assert f"grpc_server_started_total{{{labels}}} 1.0" in text.splitlines()
    assert "# TYPE grpc_server_handling_seconds histogram" in text.splitlines()
