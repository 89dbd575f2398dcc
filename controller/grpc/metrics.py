"""What the gRPC server counts, in the words of upstream's dashboards.

A broadcast counts thousands of messages in one go, so counting is an addition to an attribute, and Prometheus's own
objects (with a lock in each) are made only when somebody scrapes.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator

import attrs
from grpclib.const import Cardinality, Status
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

# A call ends at once or lasts as long as its proxy.
_BUCKETS = (0.1, 1.0, 300.0, 3600.0)
_LABELS = ("grpc_service", "grpc_method", "grpc_type")


_TYPES = {
    Cardinality.UNARY_UNARY: "unary",
    Cardinality.UNARY_STREAM: "server_stream",
    Cardinality.STREAM_UNARY: "client_stream",
    Cardinality.STREAM_STREAM: "bidi_stream",
}
_STREAMS = frozenset({Cardinality.UNARY_STREAM, Cardinality.STREAM_STREAM})


@attrs.define(eq=False)
class MethodMetrics:
    """The counts of one method, told by whoever serves it."""

    _service: str
    _method: str
    _cardinality: Cardinality
    _started: int = attrs.field(default=0, init=False)
    _received: int = attrs.field(default=0, init=False)
    _sent: int = attrs.field(default=0, init=False)
    _handled: dict[Status, int] = attrs.field(factory=dict[Status, int], init=False)
    _durations: list[int] = attrs.field(factory=lambda: [0] * (len(_BUCKETS) + 1), init=False)
    _seconds: float = attrs.field(default=0.0, init=False)

    def started(self) -> None:
        self._started += 1
        self._handled.setdefault(Status.OK, 0)  # so that rates of success have a zero to start from

    def received(self) -> None:
        self._received += 1

    def sent(self) -> None:
        """A message has been sent. Upstream counts those of streams only, and dashboards are made for that."""
        if self._cardinality in _STREAMS:
            self._sent += 1

    def handled(self, status: Status, seconds: float) -> None:
        self._handled[status] = self._handled.get(status, 0) + 1
        self._durations[bisect.bisect_left(_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def cancelled(self, seconds: float) -> None:
        """A client that goes away ends its call as it pleases: with OK."""
        self.handled(Status.OK, seconds)

    def collect_into(self, families: Families) -> None:
        labels = (self._service, self._method, _TYPES[self._cardinality])
        families.started.add_metric(labels, self._started)
        families.received.add_metric(labels, self._received)
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
    """The counts of the methods of some services: what a server tells and Prometheus asks."""

    _services: Collection[str]
    _methods: list[MethodMetrics] = attrs.field(factory=list[MethodMetrics], init=False)

    def for_method(self, service: str, method: str, cardinality: Cardinality) -> MethodMetrics:
        """Whom to tell about the calls of a method. Other services (health, reflection) are heard and not shown."""
        metrics = MethodMetrics(service, method, cardinality)
        if service in self._services:
            self._methods.append(metrics)
        return metrics

    def collect(self) -> Iterator[Metric]:
        families = Families(
            CounterMetricFamily("grpc_server_started", "Calls that have begun.", labels=_LABELS),
            CounterMetricFamily("grpc_server_msg_received", "Messages received from clients.", labels=_LABELS),
            CounterMetricFamily("grpc_server_msg_sent", "Messages sent on streams.", labels=_LABELS),
            CounterMetricFamily("grpc_server_handled", "Calls that have ended.", labels=(*_LABELS, "grpc_code")),
            HistogramMetricFamily("grpc_server_handling_seconds", "How long calls have lasted.", labels=_LABELS),
        )
        for method in self._methods:
            method.collect_into(families)
        yield from attrs.astuple(families, recurse=False)

    describe = collect
