"""What the gRPC server counts, in the words of upstream's dashboards.

A broadcast counts thousands of messages in one go, so counting is an addition to an attribute, and Prometheus's own
objects (with a lock in each) are made only when somebody scrapes.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from enum import Enum

import attrs
from grpclib.const import Status
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

# A call ends at once or lasts as long as its proxy.
_BUCKETS = (0.1, 1.0, 300.0, 3600.0)
_LABELS = ("grpc_service", "grpc_method", "grpc_type")


class CallType(Enum):
    UNARY = "unary"
    SERVER_STREAM = "server_stream"


@attrs.define(eq=False)
class MethodMetrics:
    """The counts of one method. Whoever serves it calls `started` and `handled` once a call, `sent` once a message."""

    _service: str
    _method: str
    _type: CallType
    _started: int = attrs.field(default=0, init=False)
    _sent: int = attrs.field(default=0, init=False)
    _handled: dict[Status, int] = attrs.field(factory=dict[Status, int], init=False)
    _durations: list[int] = attrs.field(factory=lambda: [0] * (len(_BUCKETS) + 1), init=False)
    _seconds: float = attrs.field(default=0.0, init=False)

    def started(self) -> None:
        """A call has arrived, with its one request."""
        self._started += 1
        self._handled.setdefault(Status.OK, 0)  # so that rates of success have a zero to start from

    def sent(self) -> None:
        """A message of a stream has been sent. Answers of unary calls do not count."""
        self._sent += 1

    def handled(self, status: Status, seconds: float) -> None:
        """A call has ended. A client that went away ended it with OK."""
        self._handled[status] = self._handled.get(status, 0) + 1
        self._durations[bisect.bisect_left(_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def collect_into(self, families: Families) -> None:
        labels = (self._service, self._method, self._type.value)
        families.started.add_metric(labels, self._started)
        families.received.add_metric(labels, self._started)
        families.sent.add_metric(labels, self._sent)
        for status, count in self._handled.items():
            families.handled.add_metric((*labels, status.name), count)
        families.handling.add_metric(labels, self._cumulative(), self._seconds)

    def _cumulative(self) -> list[tuple[str, float]]:
        """Per upper bound how many calls took at most that long."""
        counts = list[tuple[str, float]]()
        total = 0
        for bound, count in zip((*_BUCKETS, float("inf")), self._durations, strict=True):
            total += count
            counts.append(("+Inf" if bound == float("inf") else str(bound), total))
        return counts


@attrs.frozen
class Families:
    """The series of one scrape."""

    started: CounterMetricFamily
    received: CounterMetricFamily
    sent: CounterMetricFamily
    handled: CounterMetricFamily
    handling: HistogramMetricFamily


@attrs.define(eq=False)
class GrpcMetrics(Collector):
    """The counts of every policy method, there from the start."""

    _methods: Mapping[str, MethodMetrics]

    @classmethod
    def registered(cls, registry: CollectorRegistry, methods: Mapping[str, CallType]) -> GrpcMetrics:
        """Count these methods (by path, `/SERVICE/METHOD`), and show the counts to whoever scrapes the registry."""
        counts = dict[str, MethodMetrics]()
        for path, kind in methods.items():
            _, service, method = path.split("/")
            counts[path] = MethodMetrics(service, method, kind)
        metrics = cls(counts)
        registry.register(metrics)
        return metrics

    def method(self, path: str) -> MethodMetrics | None:
        """The counts of a method; `None` for one that is not counted (health, reflection)."""
        return self._methods.get(path)

    def collect(self) -> Iterator[Metric]:
        families = Families(
            CounterMetricFamily("grpc_server_started", "Calls that have begun.", labels=_LABELS),
            CounterMetricFamily("grpc_server_msg_received", "Messages received from clients.", labels=_LABELS),
            CounterMetricFamily("grpc_server_msg_sent", "Messages sent on streams.", labels=_LABELS),
            CounterMetricFamily("grpc_server_handled", "Calls that have ended.", labels=(*_LABELS, "grpc_code")),
            HistogramMetricFamily("grpc_server_handling_seconds", "How long calls have lasted.", labels=_LABELS),
        )
        for method in self._methods.values():
            method.collect_into(families)
        yield from attrs.astuple(families, recurse=False)

    describe = collect
