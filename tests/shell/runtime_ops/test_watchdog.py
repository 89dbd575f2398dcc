"""Catching what holds the loop up. The loop is held up for real here: no clock of Trio's can stand still for it."""

from __future__ import annotations

import gc
import io
import threading
import time

import trio
from prometheus_client import CollectorRegistry

from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat
from controller.runtime.loop_metrics import LoopCollector
from controller.runtime.watchdog import BUCKETS, watching

THRESHOLD = 0.02


def compute(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(100))


async def guilty(seconds: float) -> None:
    await trio.lowlevel.checkpoint()
    compute(seconds)
    await trio.lowlevel.checkpoint()


async def test_a_stall_names_the_task_and_where_it_was() -> None:
    """The report has the task's name, its stack with the line that ran, and how long it took."""
    with watching(THRESHOLD) as watchdog:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0.01, name="innocent")
            nursery.start_soon(guilty, 5 * THRESHOLD, name="index actor")
        (stall,) = watchdog.recent

    assert stall.task == "index actor"
    assert stall.seconds >= 5 * THRESHOLD
    assert "in guilty: compute(seconds)" in stall.stack[0]
    assert "in compute: " in stall.stack[1]
    assert watchdog.statistics().stalls == 1
    assert watchdog.statistics().stalled_seconds == stall.seconds


async def test_passes_below_the_threshold_are_no_stalls() -> None:
    """They are counted by duration, and nobody is blamed."""
    with watching(10.0) as watchdog:
        await guilty(0.06)
        statistics = watchdog.statistics()

    assert watchdog.recent == ()
    assert statistics.stalls == 0
    assert statistics.longest >= 0.06
    assert sum(statistics.counts[BUCKETS.index(0.1) :]) == 1
    assert sum(statistics.counts) == statistics.passes
    assert watchdog.statistics().longest < statistics.longest


async def test_a_later_stall_is_caught_after_an_idle_time() -> None:
    """A parked watchdog is woken by the loop, again and again."""
    with watching(THRESHOLD) as watchdog:
        for number in range(3):
            await trio.sleep(4 * THRESHOLD)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guilty, 3 * THRESHOLD, name=f"guilty {number}")

    assert [stall.task for stall in watchdog.recent] == ["guilty 0", "guilty 1", "guilty 2"]


async def test_an_idle_loop_has_an_idle_watchdog() -> None:
    """While nothing runs the thread is parked: a hundred looks would be seen in its CPU time."""
    with watching(0.005) as watchdog:
        thread = next(thread for thread in threading.enumerate() if thread.name == "loop watchdog")
        await trio.sleep(0.1)
        clock = time.pthread_getcpuclockid(thread.ident or 0)
        before = time.clock_gettime(clock)
        await trio.sleep(0.5)
        used = time.clock_gettime(clock) - before

    assert used < 0.0003
    assert not thread.is_alive()
    assert watchdog.statistics().io_wait_seconds > 0.5


async def test_a_long_stall_does_not_make_the_thread_spin() -> None:
    """Once it has seen who is guilty it only waits for the end."""
    with watching(THRESHOLD):
        thread = next(thread for thread in threading.enumerate() if thread.name == "loop watchdog")
        clock = time.pthread_getcpuclockid(thread.ident or 0)
        await guilty(2 * THRESHOLD)
        before = time.clock_gettime(clock)
        await guilty(20 * THRESHOLD)
        used = time.clock_gettime(clock) - before

    assert used < 2 * THRESHOLD


async def test_the_garbage_collector_is_told_apart() -> None:
    """A pass that the collector made long says so, because then the task is innocent."""
    litter = [[index] for index in range(200_000)]
    with watching(0.001) as watchdog:
        await trio.lowlevel.checkpoint()
        gc.collect()
        await trio.lowlevel.checkpoint()
        blamed = max(stall.gc_seconds for stall in watchdog.recent)

    assert len(litter) == 200_000
    assert blamed > 0


async def test_stalls_are_logged_but_not_each() -> None:
    """A loop that stalls all the time gets one line a second."""
    output = io.StringIO()
    with configured(LogFilter.parse("info"), LogFormat.PLAIN, output=output), watching(THRESHOLD) as watchdog:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guilty, 2 * THRESHOLD, name="guilty")

    assert len(watchdog.recent) == 3
    assert output.getvalue().count("event loop stalled") == 1
    assert "task=guilty" in output.getvalue()


# runtime M5
async def test_the_lag_metric_grows_when_the_loop_is_blocked() -> None:
    """A loop held up for 200 ms shows in the delay histogram, and the stall is counted."""
    registry = CollectorRegistry()
    with watching(0.1) as watchdog:
        registry.register(LoopCollector(watchdog))

        def sample(name: str, le: str | None = None) -> float:
            value = registry.get_sample_value(name, {"le": le} if le else {})
            assert value is not None
            return value

        slow_before = sample("trio_schedule_delay_seconds_count") - sample("trio_schedule_delay_seconds_bucket", "0.1")
        await guilty(0.2)
        slow = sample("trio_schedule_delay_seconds_count") - sample("trio_schedule_delay_seconds_bucket", "0.1")

        assert (slow_before, slow) == (0, 1)
        assert sample("trio_stalls_total") == 1
        assert sample("trio_stalled_seconds_total") >= 0.2
        assert sample("trio_busy_seconds_total") >= 0.2
        assert sample("trio_tasks_living") >= 2
        assert sample("trio_worker_threads") == 0
