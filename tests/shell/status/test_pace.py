"""How fast statuses are written."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from controller.status.pace import BURST, LONGEST_HOLD, OBJECT_BURST, WRITES_PER_SECOND, Pace


async def test_a_burst_passes_and_then_so_many_a_second(autojump_clock: MockClock) -> None:
    """Two thousand at once; the next thousand take ten seconds."""
    pace = Pace[int](trio.current_time)
    for _ in range(int(BURST)):
        await pace.wait_turn()
    at_once = trio.current_time()
    for _ in range(int(10 * WRITES_PER_SECOND)):
        await pace.wait_turn()

    assert at_once == 0
    assert 9.9 < trio.current_time() < 10.1


async def test_an_object_has_a_pace_of_its_own(autojump_clock: MockClock) -> None:
    """One that was written too often waits, the others do not."""
    pace = Pace[str](trio.current_time)
    for _ in range(int(OBJECT_BURST)):
        assert pace.wait_of("a") == 0
        pace.wrote("a")

    assert (pace.wait_of("a"), pace.wait_of("b")) == (5, 0)
    await trio.sleep(5)
    assert pace.wait_of("a") == 0


async def test_being_told_to_wait_counts_for_everybody_and_has_a_limit(autojump_clock: MockClock) -> None:
    """Also for those who wait already; an hour becomes half a minute."""
    pace = Pace[str](trio.current_time)
    pace.hold(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pace.wait_turn)
        await trio.sleep(1)
        pace.hold(3600)
        pace.hold(2)

    assert trio.current_time() == 1 + LONGEST_HOLD


async def test_objects_that_are_quiet_again_are_forgotten(autojump_clock: MockClock) -> None:
    """What is remembered is what was written in the last minute."""
    pace = Pace[int](trio.current_time)
    most = 0
    for key in range(50_000):
        pace.wrote(key)
        await trio.sleep(0.05)
        most = max(most, pace.statistics())

    assert most <= 1_000
