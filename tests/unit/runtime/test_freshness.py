"""Statistics say what a record was told, in the time that people read."""

from __future__ import annotations

import datetime as dt

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from controller.k8s.meta import ObjectKey
from controller.runtime.clock import Clock
from controller.runtime.freshness import Known, KnownResource, WatchRecord, WatchState, checksum
from controller.runtime.metrics import TEXT, render
from controller.runtime.outage import Outage
from controller.runtime.watch_metrics import WatchMetrics
from tests.unit.runtime.support import WIDGETS

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.clock = Clock(lambda: self.now, lambda: START + dt.timedelta(seconds=self.now - 1000.0))


def known(created: dt.datetime | None = None, *, uid: str = "u", version: str = "1") -> Known:
    return Known(uid, version, 1, created)


def test_a_new_record() -> None:
    """Before anything has happened, nothing is claimed."""
    statistics = WatchRecord(WIDGETS, Hands().clock).statistics()
    assert (statistics.state, statistics.synced, statistics.staleness) == (WatchState.STARTING, False, None)
    assert statistics.created == statistics.state_since == START
    assert (statistics.last_error, statistics.last_event, statistics.last_reset) == (None, None, None)
    assert statistics.api_url == "/apis/example.com/v1/widgets"


def test_times_are_shown_as_they_were() -> None:
    """Instants come out on the wall clock, however much later they are asked for."""
    hands = Hands()
    record = WatchRecord(WIDGETS, hands.clock)
    hands.now += 10
    record.enter(WatchState.WATCHING)
    record.last_apply = record.last_contact = hands.now
    hands.now += 5
    record.enter(WatchState.WATCHING)
    record.last_delete = hands.now
    record.failed("WatchFailed", "cut")
    hands.now += 100
    statistics = record.statistics()
    assert statistics.state_since == START + dt.timedelta(seconds=10)
    assert statistics.last_event == START + dt.timedelta(seconds=15)
    assert statistics.staleness == 105.0
    assert statistics.last_error is not None
    assert (statistics.last_error.message, statistics.last_error.at) == ("cut", START + dt.timedelta(seconds=15))
    assert statistics.errors == 1


def test_an_absent_kind_is_not_stale() -> None:
    """Where there is nothing, nothing is missed."""
    record = WatchRecord(WIDGETS, Hands().clock)
    record.last_contact = 1000.0
    record.enter(WatchState.ABSENT)
    assert record.statistics().staleness is None


def test_resources_and_checksum_do_not_depend_on_history() -> None:
    """Two replicas that know the same say the same, whatever order they learned it in."""
    time = dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    objects = {
        ObjectKey("b", "x"): known(START, uid="1"),
        ObjectKey("a", "x"): known(time, uid="2"),
        ObjectKey("a", "y"): known(START - dt.timedelta(seconds=1), uid="3"),
        ObjectKey("", "z"): known(uid="4"),
    }
    records = [WatchRecord(WIDGETS, Hands().clock) for _ in range(2)]
    records[0].known.update(objects)
    records[1].known.update(reversed(objects.items()))
    resources = records[0].resources()
    assert [resource.known.uid for resource in resources] == ["4", "3", "2", "1"]
    assert resources == records[1].resources()
    assert checksum(resources) == checksum(records[1].resources())


def test_the_checksum_is_what_its_definition_says() -> None:
    """Anybody can compute it: names and versions, in lines with NULs."""
    # printf '2026-01-01T00:00:00Z\x00ns\x00a\x007\x00u\x00\n' | sha256sum
    resource = KnownResource(ObjectKey("ns", "a"), known(START, version="7"))
    assert checksum([resource]) == "sha256:286891fe4d6b0b9bd1493db8a775526cf1ec1e9cec03d9d06c8454ad26cc6f29"
    assert checksum([]) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_metrics() -> None:
    """A scrape shows what the record says at that moment."""
    # runtime 1.8: names and labels
    registry = CollectorRegistry(auto_describe=False)
    metrics = WatchMetrics(registry)
    record = WatchRecord(WIDGETS, Hands().clock)
    metrics.follow(record)
    record.applies, record.resets, record.deletes, record.bookmarks = 5, 1, 2, 3
    record.failed("WatchError", "x")
    record.restarts["lost"] += 1
    record.lists["completed"] += 1
    record.enter(WatchState.BACKING_OFF)
    record.observe_list(0.2)
    record.last_apply = 1000.0
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(render(registry, TEXT).decode())
        for sample in family.samples
    }
    kind = {"kind": "Widget", "group": "example.com", "version": "v1"}
    for name, labels, value in [
        ("kube_watch_events_total", {"op": "Apply"}, 5.0),
        ("kube_watch_events_total", {"op": "Restart"}, 1.0),
        ("kube_watch_events_total", {"op": "Delete"}, 2.0),
        ("kube_watch_errors_total", {"error": "WatchError"}, 1.0),
        ("kube_watch_restarts_total", {"reason": "lost"}, 1.0),
        ("kube_watch_lists_total", {"result": "completed"}, 1.0),
        ("kube_watch_bookmarks_total", {}, 3.0),
        ("kube_watch_objects", {}, 0.0),
        ("kube_watch_state", {"state": "backing_off"}, 1.0),
        ("kube_watch_state", {"state": "watching"}, 0.0),
        ("kube_watch_list_duration_seconds_count", {}, 1.0),
        ("kube_watch_last_event_timestamp_seconds", {}, START.timestamp()),
    ]:
        assert samples[name, frozenset((kind | labels).items())] == value


def test_an_outage_is_loud_once() -> None:
    """The first failure is a warning, repeats are not, and five minutes later one is again."""
    outage = Outage()
    assert outage.failed("refused", 0.0)
    assert [outage.failed("refused", now) for now in (1.0, 150.0, 299.0)] == [False, False, False]
    assert outage.failed("refused", 300.0)
    assert not outage.failed("refused", 301.0)


def test_another_failure_is_news() -> None:
    """A failure that is different is a warning, but going back and forth is not."""
    outage = Outage()
    outage.failed("refused", 0.0)
    assert outage.failed("timeout", 1.0)
    assert not outage.failed("refused", 2.0)


def test_the_end_of_an_outage() -> None:
    """An outage ends once, and says how long it was; the next is loud again."""
    outage = Outage()
    assert outage.ended(0.0) is None
    outage.failed("refused", 10.0)
    outage.failed("refused", 20.0)
    assert outage.is_on
    assert outage.ended(70.0) == 60.0
    assert outage.ended(71.0) is None
    assert outage.failed("refused", 72.0)
