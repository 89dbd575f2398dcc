"""How busy work queues are, under the names that client-go has made known."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


@attrs.frozen
class WorkQueueStatistics:
    """`waiting` counts the keys whose turn is now or later, `in_flight` those being worked on."""

    waiting: int
    in_flight: int
    adds: int
    retries: int
    longest_seconds: float  # of the work in flight
    unfinished_seconds: float  # of all work in flight together


@attrs.frozen(eq=False)
class WorkQueueMetrics:
    """The `workqueue_*` metrics of one queue."""

    adds: Counter
    retries: Counter
    queue_duration: Histogram
    work_duration: Histogram
    _depth: Gauge
    _unfinished: Gauge
    _longest: Gauge

    @classmethod
    def register(cls, registry: CollectorRegistry, name: str) -> WorkQueueMetrics:
        def counter(metric: str, text: str) -> Counter:
            return Counter(f"workqueue_{metric}", text, ("name",), registry=registry).labels(name)

        def gauge(metric: str, text: str) -> Gauge:
            return Gauge(f"workqueue_{metric}", text, ("name",), registry=registry).labels(name)

        def histogram(metric: str, text: str) -> Histogram:
            made = Histogram(f"workqueue_{metric}", text, ("name",), buckets=_BUCKETS, registry=registry)
            return made.labels(name)

        return cls(
            counter("adds", "Keys that were added."),
            counter("retries", "Keys that were given another turn after a failure."),
            histogram("queue_duration_seconds", "Seconds between a key's time and its turn."),
            histogram("work_duration_seconds", "Seconds that turns took."),
            gauge("depth", "Keys that wait."),
            gauge("unfinished_work_seconds", "Seconds that all turns under way have taken so far."),
            gauge("longest_running_processor_seconds", "Seconds that the longest of them has taken so far."),
        )

    def follow(self, statistics: Callable[[], WorkQueueStatistics]) -> None:
        """Show the queue as it is whenever somebody asks."""
        self._depth.set_function(lambda: statistics().waiting)
        self._unfinished.set_function(lambda: statistics().unfinished_seconds)
        self._longest.set_function(lambda: statistics().longest_seconds)
