"""The report on watches and leases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import attrs
import pytest

from controller.k8s.builtin import Pod
from controller.k8s.meta import ObjectKey
from controller.k8s.resource import ResourceType
from controller.runtime.clock import Clock as Clocks
from controller.runtime.diagnostics import Diagnostics, LeaseReport
from controller.runtime.freshness import Known, WatchRecord, WatchState

START = dt.datetime(2026, 5, 1, 12, 0, 0, 999_999, tzinfo=dt.UTC)


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def pods(wall: Callable[[], dt.datetime], **known: Known) -> WatchRecord:
    """A watch of pods that knows these, by name; its instants are seconds after `START`."""
    types = ResourceType(model=Pod, group="", version="v1", plural="pods", kind="Pod", namespaced=True)

    def monotonic() -> float:
        return (wall() - START).total_seconds()

    return WatchRecord(
        types, Clocks(monotonic, wall), known={ObjectKey("ns", name): item for name, item in known.items()}
    )


def item(uid: str = "u", version: str = "1", created: dt.datetime | None = START, generation: int = 1) -> Known:
    return Known(uid, version, generation, created)


class Clock:
    """Wall-clock time that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# runtime A14
def test_with_nothing_registered_there_are_two_times(clock: Clock) -> None:
    """Only when the process began and what time it is; neither watches nor leases."""
    diagnostics = Diagnostics(clock)
    clock.now = after(5)

    assert diagnostics.snapshot().report(resources=True) == {
        "initialTimestamp": "2026-05-01T12:00:00Z",
        "currentTimestamp": "2026-05-01T12:00:05Z",
    }


def test_a_new_watch_reports_zeros(clock: Clock) -> None:
    """Counters are always there; times, checksum and error only once there is one."""
    diagnostics = Diagnostics(clock)
    diagnostics.add_watch(pods(clock))

    assert diagnostics.snapshot().report(resources=False)["watches"] == [
        {
            "apiUrl": "/api/v1/pods",
            "labelSelector": "",
            "fieldSelector": "",
            "creationTimestamp": "2026-05-01T12:00:00Z",
            "state": "starting",
            "restarts": 0,
            "errors": 0,
            "resets": 0,
            "applies": 0,
            "deletes": 0,
        }
    ]


# runtime A17
def test_a_watch_reports_its_figures(clock: Clock) -> None:
    """Counters, the time of each last occurrence, the last error with its time."""
    diagnostics = Diagnostics(clock)
    record = pods(clock, web=item())
    diagnostics.add_watch(record)
    record.enter(WatchState.BACKING_OFF)
    for seconds in (0, 1):
        clock.now = after(seconds)
        record.failed("WatchError", f"reading failed {seconds}")
    record.resets, record.last_reset = 1, 2.0
    record.applies, record.last_apply = 2, 3.0
    record.deletes, record.last_delete = 1, 4.0
    record.bookmarks, record.last_bookmark = 1, 6.0
    record.restarts["short"] = 3
    record.resource_version = "17"
    clock.now = after(7)

    (watch,) = diagnostics.snapshot().report(resources=False)["watches"]

    assert watch == {
        "apiUrl": "/api/v1/pods",
        "labelSelector": "",
        "fieldSelector": "",
        "creationTimestamp": "2026-05-01T12:00:00Z",
        "state": "backing off",
        "resourceVersion": "17",
        "restarts": 3,
        "errors": 2,
        "lastError": {"message": "reading failed 1", "timestamp": "2026-05-01T12:00:01Z"},
        "resets": 1,
        "lastResetTimestamp": "2026-05-01T12:00:02Z",
        "applies": 2,
        "lastApplyTimestamp": "2026-05-01T12:00:03Z",
        "deletes": 1,
        "lastDeleteTimestamp": "2026-05-01T12:00:04Z",
        "lastEventTimestamp": "2026-05-01T12:00:04Z",
        "lastBookmarkTimestamp": "2026-05-01T12:00:06Z",
        "checksum": watch["checksum"],
    }


def test_resources_are_listed_on_demand(clock: Clock) -> None:
    """Each object in the order of creation, with null where a field is not known."""
    diagnostics = Diagnostics(clock)
    diagnostics.add_watch(pods(clock, new=item(created=after(9), generation=3), old=Known("u", "1", None, None)))

    snapshot = diagnostics.snapshot()

    assert snapshot.report(resources=True)["watches"][0]["resources"] == [
        {
            "creationTimestamp": None,
            "uid": "u",
            "name": "old",
            "namespace": "ns",
            "generation": None,
            "resourceVersion": "1",
        },
        {
            "creationTimestamp": "2026-05-01T12:00:09Z",
            "uid": "u",
            "name": "new",
            "namespace": "ns",
            "generation": 3,
            "resourceVersion": "1",
        },
    ]
    assert "resources" not in snapshot.report(resources=False)["watches"][0]


# runtime A16
def test_equal_contents_have_equal_checksums(clock: Clock) -> None:
    """The order of arrival and the generation do not matter; everything that identifies a version does."""

    def checksum_of(**known: Known) -> str:
        diagnostics = Diagnostics(clock)
        diagnostics.add_watch(pods(clock, **known))
        (watch,) = diagnostics.snapshot().report(resources=False)["watches"]
        return str(watch["checksum"])

    first = checksum_of(a=item("x"), b=item("y"), c=item("z", created=after(-5)))

    assert checksum_of(c=item("z", created=after(-5)), b=item("y"), a=item("x", generation=9)) == first
    assert checksum_of(a=item("x", version="2"), b=item("y"), c=item("z", created=after(-5))) != first
    assert checksum_of(a=item("w"), b=item("y"), c=item("z", created=after(-5))) != first
    assert checksum_of(a=item("x"), d=item("y"), c=item("z", created=after(-5))) != first
    assert checksum_of(a=item("x"), b=item("y"), c=item("z", created=after(-6))) != first


# runtime A18
def test_a_report_is_of_one_moment(clock: Clock) -> None:
    """What happens after the snapshot is not in it, even if the report is written later."""
    diagnostics = Diagnostics(clock)
    record = pods(clock, web=item())
    diagnostics.add_watch(record)

    snapshot = diagnostics.snapshot()
    record.known.clear()
    record.resets += 1

    (watch,) = snapshot.report(resources=True)["watches"]
    assert [resource["name"] for resource in watch["resources"]] == ["web"]
    assert watch["resets"] == 0


# runtime A19
def test_what_has_ended_is_not_reported(clock: Clock) -> None:
    """A watch or a lease is in the report until it is taken out."""
    diagnostics = Diagnostics(clock)
    remove_watch = diagnostics.add_watch(pods(clock))
    remove_lease = diagnostics.add_lease(lambda: LEASE)
    assert {"watches", "leases"} <= diagnostics.snapshot().report(resources=False).keys()

    remove_watch()
    remove_lease()

    assert not {"watches", "leases"} & diagnostics.snapshot().report(resources=False).keys()


LEASE = LeaseReport(
    name="policy-controller-write",
    namespace="linkerd",
    claimant="pod-0",
    field_manager="policy-controller",
    duration=30,
    renew_grace_period=1,
    created=START,
)


def test_a_lease_reports_its_figures(clock: Clock) -> None:
    """Who holds it until when, while somebody does."""
    diagnostics = Diagnostics(clock)
    diagnostics.add_lease(lambda: LEASE)
    diagnostics.add_lease(
        lambda: attrs.evolve(LEASE, updates=2, last_update=after(1), resource_version="8", current=("pod-1", after(31)))
    )

    unclaimed, claimed = diagnostics.snapshot().report(resources=False)["leases"]

    assert unclaimed == {
        "name": "policy-controller-write",
        "namespace": "linkerd",
        "claimant": "pod-0",
        "fieldManager": "policy-controller",
        "leaseDurationSeconds": 30.0,
        "renewGracePeriodSeconds": 1.0,
        "updates": 0,
        "creationTimestamp": "2026-05-01T12:00:00Z",
    }
    assert claimed == unclaimed | {
        "updates": 2,
        "lastUpdateTimestamp": "2026-05-01T12:00:01Z",
        "resourceVersion": "8",
        "current": {"holder": "pod-1", "expiry": "2026-05-01T12:00:31Z"},
    }
