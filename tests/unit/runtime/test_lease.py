"""Claims to a Lease, as decisions without I/O."""

from __future__ import annotations

import datetime as dt

import pytest

from controller.runtime.errors import Absent, AlreadyExists, Conflicted, Forbidden, Throttled, Unavailable
from controller.runtime.lease import Acquire, Create, LeaseClaim, Read, Renew, Wait
from controller.runtime.lease_wire import LeaseParams, LeaseRecord

WALL = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FREE = LeaseRecord("1", None, None, 0.0, 0)
OURS = LeaseRecord("2", "me", WALL, 30.0, 1)
THEIRS = LeaseRecord("2", "them", WALL, 30.0, 1)


def claim(**more: object) -> LeaseClaim:
    params = LeaseParams(namespace="ns", name="lease", claimant="me", field_manager="m", **more)  # type: ignore[arg-type]
    return LeaseClaim(params, lambda: 0.5)


def test_a_free_lease_is_read_acquired_and_renewed_in_time() -> None:
    """A third of the duration after it was sent, give or take a tenth."""
    # runtime L1, L9
    made = claim()
    assert made.next_step(0.0) == Read()
    made.read(FREE, 1.0, WALL)
    assert made.next_step(1.0) == Acquire(FREE)
    made.written(OURS, 1.0)

    assert made.next_step(2.0) == Wait(11.0)
    assert made.next_step(11.0) == Renew(OURS)


@pytest.mark.parametrize(("duration", "margin"), [(30, 3.0), (60, 6.0), (5, 1.0)])
def test_a_claim_is_given_up_before_its_end(duration: int, margin: float) -> None:
    """By a tenth, or by a second where that is more; at that moment and not after it."""
    # runtime L6
    made = claim(duration=duration)
    made.written(OURS, 100.0)

    assert made.held_until() == 100 + duration - margin
    assert made.is_held(100 + duration - margin - 0.001)
    assert not made.is_held(100 + duration - margin)
    assert not claim().is_held(0.0)


def test_somebody_else_is_watched_until_its_time_is_over() -> None:
    """From when its record was seen first; a newer one starts the time again, the same one does not."""
    # runtime L8, L17
    made = claim()
    made.read(THEIRS, 10.0, WALL)
    assert made.next_step(10.0) == Wait(11.5)
    assert made.next_step(11.5) == Read()
    made.read(THEIRS, 11.5, WALL)
    made.next_step(11.5)
    made.read(THEIRS, 39.5, WALL)
    assert made.next_step(39.5) == Wait(40.0)
    made.read(THEIRS, 40.0, WALL)

    assert made.next_step(40.0) == Acquire(THEIRS)


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (Conflicted("moved"), Read()),
        (Unavailable("down"), Wait(0.5)),
        (Throttled("slow down", retry_after=7), Wait(7.0)),
        (Forbidden("no"), Wait(30.0)),
        (Absent("gone"), Create()),
        (AlreadyExists("there"), Read()),
    ],
)
def test_each_failure_has_its_remedy(error: Conflicted, step: object) -> None:
    """Read again, wait a little, as long as the server says or until an operator has looked, or make it."""
    # runtime L12, L15, L23
    made = claim()
    made.read(FREE, 0.0, WALL)
    made.failed(error, 0.0)

    assert made.next_step(0.0) == step


def test_a_failure_does_not_end_a_claim_before_its_time() -> None:
    """But the absence of the Lease does: nobody else can know that it was ours."""
    # runtime L15, L23
    made = claim()
    made.written(OURS, 0.0)
    made.failed(Unavailable("down"), 1.0)
    made.failed(Forbidden("no"), 2.0)
    before = made.is_held(26.0)
    made.failed(Absent("gone"), 3.0)

    assert (before, made.is_held(4.0)) == (True, False)
