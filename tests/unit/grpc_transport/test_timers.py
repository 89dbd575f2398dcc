"""The calendar of what is due."""

from __future__ import annotations

import math

import attrs
from hypothesis import given
from hypothesis import strategies as st

from controller.grpc.transport.timers import Timers


@attrs.define(eq=False)
class Entry:
    told: list[float] = attrs.field(factory=list)
    tick: int = 0

    def due(self, now: float) -> None:
        self.told.append(now)


class Calendar:
    def __init__(self) -> None:
        self.sooner = 0
        self.timers = Timers(self._on_sooner)

    def _on_sooner(self) -> None:
        self.sooner += 1


def test_entries_are_told_once_when_their_time_has_come() -> None:
    """Not before, not twice, and the next time to look is known."""
    timers = Calendar().timers
    first, second = Entry(), Entry()
    timers.schedule(first, 1.0)
    timers.schedule(second, 2.5, coarse=True)

    assert timers.next_due() == 1.0
    timers.expire(0.99)
    timers.expire(1.0)
    assert (first.told, second.told) == ([1.0], [])
    assert timers.next_due() == 3.0
    timers.expire(9.0)
    assert (first.told, second.told) == ([1.0], [9.0])
    assert timers.next_due() == math.inf


def test_only_a_new_first_entry_is_news() -> None:
    """Whoever waits for the next time is told when that became earlier, and only then."""
    calendar = Calendar()

    calendar.timers.schedule(Entry(), 5.0)
    calendar.timers.schedule(Entry(), 5.0)
    calendar.timers.schedule(Entry(), 6.0)
    assert calendar.sooner == 1
    calendar.timers.schedule(Entry(), 4.0)
    assert calendar.sooner == 2


def test_entries_that_come_and_go_leave_nothing() -> None:
    """Scheduling and cancelling for ever keeps no entry, and no more steps than there are times."""
    timers = Calendar().timers
    for _ in range(1000):
        entry = Entry()
        timers.schedule(entry, 3600.0, coarse=True)
        timers.cancel(entry)

    assert len(timers) == 0
    assert timers.next_due() == math.inf


def test_one_entry_may_cancel_another_that_is_due_too() -> None:
    """A cancelled entry is not told, even if its time came in the same moment."""
    timers = Calendar().timers
    told = list[str]()

    @attrs.define(eq=False)
    class Rival:
        name: str
        other: Rival | None = None
        tick: int = 0

        def due(self, _: float) -> None:
            told.append(self.name)
            assert self.other is not None
            timers.cancel(self.other)

    one, two = Rival("one"), Rival("two")
    one.other, two.other = two, one
    timers.schedule(one, 1.0)
    timers.schedule(two, 1.0)
    timers.expire(1.0)

    assert len(told) == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.floats(0.01, 50), st.floats(0, 3))))
def test_any_history_tells_each_entry_at_its_last_time(steps: list[tuple[int, float | None, float]]) -> None:
    """Whatever is scheduled, rescheduled and cancelled: an entry is told once, not early, less than a step late."""
    timers = Calendar().timers
    entries = [Entry() for _ in range(10)]
    expected: dict[int, float] = {}
    now = 1.0
    for index, delay, pause in steps:
        if delay is None:
            timers.cancel(entries[index])
            expected.pop(index, None)
        else:
            timers.schedule(entries[index], now + delay)
            expected[index] = now + delay
        now += pause
        before = [len(entry.told) for entry in entries]
        timers.expire(now)
        told = {i for i, entry in enumerate(entries) if len(entry.told) > before[i]}
        assert {i for i, when in expected.items() if when <= now - 0.011} <= told
        assert told <= {i for i, when in expected.items() if when <= now + 1e-9}
        assert all(len(entries[i].told) == before[i] + 1 for i in told)
        for i in told:
            del expected[i]
    assert len(timers) == len(expected)
