"""The report on watches and leases."""

from __future__ import annotations

import datetime as dt
import hashlib
import random

import attrs
import pytest

from controller.runtime.diagnostics import Diagnostics, Json, LeaseReport, checksum

START = dt.datetime(2026, 5, 1, 12, 0, 0, 999_999, tzinfo=dt.UTC)


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


@attrs.frozen
class Item:
    name: str
    namespace: str = "ns"
    uid: str = "u"
    resource_version: str = "1"
    generation: int | None = None
    created: dt.datetime | None = START


@attrs.frozen
class Watch:
    api_url: str = "/api/v1/pods"
    label_selector: str = ""
    field_selector: str = ""
    created: dt.datetime = START
    state: str = "watching"
    resource_version: str | None = None
    restarts: int = 0
    errors: int = 0
    last_error: tuple[str, dt.datetime] | None = None
    resets: int = 0
    last_reset: dt.datetime | None = None
    applies: int = 0
    last_apply: dt.datetime | None = None
    deletes: int = 0
    last_delete: dt.datetime | None = None
    last_event: dt.datetime | None = None
    last_bookmark: dt.datetime | None = None
    objects: tuple[Item, ...] = ()


class Clock:
    """Wall-clock time that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def summary(diagnostics: Diagnostics, *, resources: bool = False) -> Json:
    return diagnostics.summary(resources=resources)


# runtime A14
def test_with_nothing_registered_there_are_two_times(clock: Clock) -> None:
    """Only when the process began and what time it is; neither watches nor leases."""
    diagnostics = Diagnostics(clock)
    clock.now = after(5)

    assert summary(diagnostics) == {
        "initialTimestamp": "2026-05-01T12:00:00Z",
        "currentTimestamp": "2026-05-01T12:00:05Z",
    }


# runtime A17
def test_a_watch_reports_its_figures(clock: Clock) -> None:
    """Counters always, times after the first occurrence, the last error with its time."""
    diagnostics = Diagnostics(clock)
    diagnostics.add_watch(Watch)
    diagnostics.add_watch(
        lambda: Watch(
            api_url="/apis/policy.linkerd.io/v1beta3/servers",
            label_selector="a=b",
            state="backing off",
            resource_version="17",
            restarts=3,
            errors=1,
            last_error=("list failed: 503", after(1)),
            resets=1,
            last_reset=after(2),
            applies=2,
            last_apply=after(3),
            deletes=1,
            last_delete=after(4),
            last_event=after(4),
            last_bookmark=after(6),
            objects=(Item("web"),),
        )
    )

    fresh, used = summary(diagnostics)["watches"]

    assert fresh == {
        "apiUrl": "/api/v1/pods",
        "labelSelector": "",
        "fieldSelector": "",
        "creationTimestamp": "2026-05-01T12:00:00Z",
        "state": "watching",
        "restarts": 0,
        "errors": 0,
        "resets": 0,
        "applies": 0,
        "deletes": 0,
    }
    assert used == {
        "apiUrl": "/apis/policy.linkerd.io/v1beta3/servers",
        "labelSelector": "a=b",
        "fieldSelector": "",
        "creationTimestamp": "2026-05-01T12:00:00Z",
        "state": "backing off",
        "resourceVersion": "17",
        "restarts": 3,
        "errors": 1,
        "lastError": {"message": "list failed: 503", "timestamp": "2026-05-01T12:00:01Z"},
        "resets": 1,
        "lastResetTimestamp": "2026-05-01T12:00:02Z",
        "applies": 2,
        "lastApplyTimestamp": "2026-05-01T12:00:03Z",
        "deletes": 1,
        "lastDeleteTimestamp": "2026-05-01T12:00:04Z",
        "lastEventTimestamp": "2026-05-01T12:00:04Z",
        "lastBookmarkTimestamp": "2026-05-01T12:00:06Z",
        "checksum": checksum([Item("web")]),
    }


def test_resources_are_listed_on_demand(clock: Clock) -> None:
    """Each object in the order of creation, with null where a field is not known."""
    diagnostics = Diagnostics(clock)
    diagnostics.add_watch(
        lambda: Watch(objects=(Item("new", generation=3, created=after(9)), Item("old", namespace="", created=None)))
    )

    (watch,) = summary(diagnostics, resources=True)["watches"]

    assert watch["resources"] == [
        {
            "creationTimestamp": None,
            "uid": "u",
            "name": "old",
            "namespace": "",
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
    assert "resources" not in summary(diagnostics)["watches"][0]


# runtime A16
def test_equal_contents_have_equal_checksums() -> None:
    """Neither order nor generation matters; everything that identifies a version does."""
    items = [Item(name, uid=uid) for name in "abc" for uid in "xy"]
    shuffled = random.Random(1).sample(items, len(items))
    first = items[0]

    assert checksum(items) == checksum(shuffled)
    assert checksum(items) == checksum([attrs.evolve(first, generation=9), *items[1:]])
    for change in ({"resource_version": "2"}, {"uid": "z"}, {"name": "d"}, {"namespace": "m"}, {"created": after(7)}):
        assert checksum(items) != checksum([attrs.evolve(first, **change), *items[1:]])


def test_the_checksum_is_what_is_documented() -> None:
    """Another implementation can compute it from the description."""
    line = b"2026-05-01T12:00:00Z\0ns\0web\0u\x001\0\n"

    assert checksum([Item("web")]) == "sha256:" + hashlib.sha256(line).hexdigest()


# runtime A19
def test_what_has_ended_is_not_reported(clock: Clock) -> None:
    """A watch or a lease is in the report until it is taken out."""
    diagnostics = Diagnostics(clock)
    remove_watch = diagnostics.add_watch(Watch)
    remove_lease = diagnostics.add_lease(lambda: LEASE)
    assert {"watches", "leases"} <= summary(diagnostics).keys()

    remove_watch()
    remove_lease()

    assert not {"watches", "leases"} & summary(diagnostics).keys()


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

    unclaimed, claimed = summary(diagnostics)["leases"]

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
