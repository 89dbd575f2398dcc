"""What the gRPC server counts, as Prometheus sees it."""

from __future__ import annotations

import pytest
from grpclib.const import Cardinality, Status
from prometheus_client import CollectorRegistry, generate_latest

from controller.grpc.metrics import GrpcMetrics, MethodMetrics

SERVICE = "io.linkerd.proxy.inbound.InboundServerPolicies"


@pytest.fixture
def metrics() -> GrpcMetrics:
    return GrpcMetrics({SERVICE})


@pytest.fixture
def registry(metrics: GrpcMetrics) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry


@pytest.fixture
def get(metrics: GrpcMetrics) -> MethodMetrics:
    return metrics.for_method(SERVICE, "GetPort", Cardinality.UNARY_UNARY)


@pytest.fixture
def watch(metrics: GrpcMetrics) -> MethodMetrics:
    return metrics.for_method(SERVICE, "WatchPort", Cardinality.UNARY_STREAM)


def value(registry: CollectorRegistry, name: str, method: str, **labels: str) -> float | None:
    kind = {"GetPort": "unary", "WatchPort": "server_stream"}[method]
    return registry.get_sample_value(
        f"grpc_server_{name}", {"grpc_service": SERVICE, "grpc_method": method, "grpc_type": kind, **labels}
    )


@pytest.mark.usefixtures("get", "watch")
def test_series_exist_before_the_first_call(registry: CollectorRegistry) -> None:
    """Both methods have their series, at zero, from the start; codes have none until a call."""
    # inbound 121
    for method in ("GetPort", "WatchPort"):
        for name in ("started_total", "msg_received_total", "msg_sent_total", "handling_seconds_count"):
            assert value(registry, name, method) == 0
        assert value(registry, "handled_total", method, grpc_code="OK") is None


@pytest.mark.usefixtures("get")
def test_calls_from_start_to_end(registry: CollectorRegistry, watch: MethodMetrics) -> None:
    """A call counts when it starts, with each message of its stream, and with its code when it ends."""
    # inbound 121
    watch.started()
    assert value(registry, "handled_total", "WatchPort", grpc_code="OK") == 0
    watch.received()
    watch.sent()
    watch.sent()
    watch.handled(Status.OK, 12.5)
    for code in (Status.NOT_FOUND, Status.INVALID_ARGUMENT):
        watch.started()
        watch.received()
        watch.handled(code, 0.001)

    assert value(registry, "started_total", "WatchPort") == 3
    assert value(registry, "msg_received_total", "WatchPort") == 3
    assert value(registry, "msg_sent_total", "WatchPort") == 2
    for code in ("OK", "NOT_FOUND", "INVALID_ARGUMENT"):
        assert value(registry, "handled_total", "WatchPort", grpc_code=code) == 1
    assert value(registry, "handling_seconds_sum", "WatchPort") == pytest.approx(12.502)
    assert value(registry, "started_total", "GetPort") == 0


def test_a_client_that_goes_away_ends_its_call_with_ok(registry: CollectorRegistry, watch: MethodMetrics) -> None:
    """A cancelled stream is a success that took as long as it took."""
    # inbound 121
    watch.started()
    watch.cancelled(400.0)

    assert value(registry, "handled_total", "WatchPort", grpc_code="OK") == 1
    assert value(registry, "handling_seconds_sum", "WatchPort") == 400.0


def test_answers_to_unary_calls_are_not_counted_as_sent(registry: CollectorRegistry, get: MethodMetrics) -> None:
    """Only messages of streams count as sent."""
    get.sent()

    assert value(registry, "msg_sent_total", "GetPort") == 0


def test_buckets_are_cumulative(registry: CollectorRegistry, get: MethodMetrics) -> None:
    """Each bucket counts the calls that took at most that long."""
    for seconds in (0.1, 0.5, 1.0, 2.0, 300.0, 4000.0):
        get.handled(Status.OK, seconds)

    bounds = ("0.1", "1.0", "300.0", "3600.0", "+Inf")
    assert [value(registry, "handling_seconds_bucket", "GetPort", le=bound) for bound in bounds] == [1, 3, 5, 5, 6]
    assert value(registry, "handling_seconds_count", "GetPort") == 6


def test_other_services_are_not_shown(metrics: GrpcMetrics, registry: CollectorRegistry) -> None:
    """Health checks and reflection are none of the policy's traffic."""
    health = metrics.for_method("grpc.health.v1.Health", "Check", Cardinality.UNARY_UNARY)

    health.started()
    health.handled(Status.OK, 0.0)

    assert "Health" not in generate_latest(registry).decode()


def test_the_registry_can_be_scraped(registry: CollectorRegistry, get: MethodMetrics) -> None:
    """The text that Prometheus reads has upstream's names."""
    get.started()

    text = generate_latest(registry).decode()

    labels = f'grpc_method="GetPort",grpc_service="{SERVICE}",grpc_type="unary"'
    assert f"grpc_server_started_total{{{labels}}} 1.0" in text.splitlines()
    assert "# TYPE grpc_server_handling_seconds histogram" in text.splitlines()
