"""The metrics of watched kinds, read from their records when somebody scrapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.runtime.freshness import WatchRecord, WatchState, WatchStatistics

_KIND = ("kind", "group", "version")
_LIST_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


class WatchMetrics(Collector):
    """Shows each record that it follows; costs nothing between scrapes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records: list[WatchRecord] = []
        self._list_seconds = Histogram(
            "kube_watch_list_duration_seconds",
            "Seconds from asking for the first page of a list until all of it has been handed on.",
            _KIND,
            buckets=_LIST_BUCKETS,
            registry=registry,
        )
        registry.register(self)

    def follow(self, record: WatchRecord) -> None:
        """Show this record from now on."""
        resource_type = record.resource_type
        self._records.append(record)
        record.observe_list = self._list_seconds.labels(
            resource_type.kind, resource_type.group, resource_type.version
        ).observe

    def statistics(self) -> tuple[WatchStatistics, ...]:
        """Return the statistics of every kind, in the order in which they were followed."""
        return tuple(record.statistics() for record in self._records)

    def collect(self) -> Iterable[Metric]:
        statistics = self.statistics()
        yield from _events(statistics)
        yield from _gauges(statistics)


def _kind(one: WatchStatistics) -> list[str]:
    return [one.kind, one.group, one.version]


def _events(statistics: Iterable[WatchStatistics]) -> Iterator[Metric]:
    events = CounterMetricFamily("kube_watch_events", "Changes and completed lists.", labels=("op", *_KIND))
    errors = CounterMetricFamily("kube_watch_errors", "Failures of lists and watches.", labels=(*_KIND, "error"))
    lists = CounterMetricFamily("kube_watch_lists", "Lists, by how they ended.", labels=(*_KIND, "result"))
    restarts = CounterMetricFamily(
        "kube_watch_restarts", "Watches that had to be opened again, by the reason.", labels=(*_KIND, "reason")
    )
    bookmarks = CounterMetricFamily("kube_watch_bookmarks", "Bookmarks.", labels=_KIND)
    failures = CounterMetricFamily("kube_watch_decode_failures", "Objects that could not be read.", labels=_KIND)
    for one in statistics:
        kind = _kind(one)
        for op, count in (("Apply", one.applies), ("Restart", one.resets), ("Delete", one.deletes)):
            events.add_metric([op, *kind], count)
        for family, counts in (
            (errors, one.errors_by_label),
            (lists, one.lists_by_result),
            (restarts, one.restarts_by_reason),
        ):
            for label, count in counts.items():
                family.add_metric([*kind, label], count)
        bookmarks.add_metric(kind, one.bookmarks)
        failures.add_metric(kind, one.decode_failures)
    yield from (events, errors, lists, restarts, bookmarks, failures)


def _gauges(statistics: Iterable[WatchStatistics]) -> Iterator[Metric]:
    objects = GaugeMetricFamily("kube_watch_objects", "Objects that are known.", labels=_KIND)
    quarantined = GaugeMetricFamily("kube_watch_quarantined", "Objects that cannot be read.", labels=_KIND)
    states = GaugeMetricFamily("kube_watch_state", "1 for what the watch is doing.", labels=(*_KIND, "state"))
    last_event = GaugeMetricFamily(
        "kube_watch_last_event_timestamp_seconds", "When the last change came, since 1970.", labels=_KIND
    )
    staleness = GaugeMetricFamily(
        "kube_watch_staleness_seconds", "Seconds since the server last showed that we are up to date.", labels=_KIND
    )
    for one in statistics:
        kind = _kind(one)
        objects.add_metric(kind, one.objects)
        quarantined.add_metric(kind, one.quarantined)
        for state in WatchState:
            states.add_metric([*kind, state.value.replace(" ", "_")], float(one.state is state))
        if one.last_event is not None:
            last_event.add_metric(kind, one.last_event.timestamp())
        if one.staleness is not None:
            staleness.add_metric(kind, one.staleness)
    yield from (objects, quarantined, states, last_event, staleness)
