"""The work queue, on a clock that jumps."""

from __future__ import annotations

from collections.abc import Iterator

import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.runtime.workqueue import WorkQueue
from controller.runtime.workqueue_metrics import WorkQueueMetrics, WorkQueueStatistics
from tests.cancelling import sweep


def doubling() -> Iterator[float]:
    delay = 1.0
    while True:
        yield delay
        delay *= 2


def new() -> WorkQueue[str]:
    return WorkQueue[str](doubling)


async def test_a_burst_costs_one_turn(autojump_clock: MockClock) -> None:
    """A key that waits is not added twice, and the sooner turn counts."""
    queue = new()
    queue.add("a", delay=5)
    queue.add("a", delay=2)
    queue.add("a", delay=9)

    assert await queue.wait_next() == "a"
    assert trio.current_time() == 2
    assert queue.statistics() == WorkQueueStatistics(0, 1, 3, 0, 0.0, 0.0)


async def test_a_key_is_never_worked_on_twice_at_a_time(autojump_clock: MockClock) -> None:
    """What is added during the work comes once, after it."""
    queue = new()
    queue.add("a")
    await queue.wait_next()
    queue.add("a", delay=7)
    queue.add("a", delay=3)
    queue.add("b")
    other = await queue.wait_next()
    await trio.sleep(4)
    busy = queue.statistics()

    queue.done("a")

    assert (other, await queue.wait_next(), trio.current_time()) == ("b", "a", 4)
    assert (busy.waiting, busy.in_flight, busy.longest_seconds, busy.unfinished_seconds) == (1, 2, 4, 8)


async def test_failures_wait_longer_and_success_forgets_them(autojump_clock: MockClock) -> None:
    """Pauses grow by key, a hint from the server is a lower bound, and `forget` starts again."""
    queue = new()
    times = []
    for at_least in (0, 0, 30, 0):
        queue.add("a")
        key = await queue.wait_next()
        queue.retry(key, at_least=at_least)
        queue.done(key)
        await queue.wait_next()
        times.append(trio.current_time())
        if at_least:
            queue.forget(key)
        queue.done(key)

    assert times == [1, 3, 33, 34]
    assert queue.statistics().retries == 4


async def test_waiters_share_the_work(autojump_clock: MockClock) -> None:
    """Several workers get different keys."""
    queue = new()
    got: list[str] = []

    async def work() -> None:
        got.append(await queue.wait_next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(work)
        await wait_all_tasks_blocked()
        queue.add("a")
        queue.add("b", delay=1)

    assert sorted(got) == ["a", "b"]


async def test_clear_forgets_everything_but_the_work_in_flight(autojump_clock: MockClock) -> None:
    """After `clear` only what is added later gets a turn."""
    queue = new()
    queue.add("a")
    await queue.wait_next()
    queue.add("a")
    queue.add("b")

    queue.clear()
    queue.done("a")

    assert queue.statistics().waiting == 0


async def test_no_cancellation_loses_a_key(autojump_clock: MockClock) -> None:
    """Wherever a wait is cancelled, the key is still there."""

    def one_key() -> WorkQueue[str]:
        queue = new()
        queue.add("a", delay=1)
        return queue

    def still_there(queue: WorkQueue[str]) -> None:
        assert (queue.statistics().waiting, queue.statistics().in_flight) == (1, 0)

    assert await sweep(WorkQueue.wait_next, prepare=one_key, check=still_there) >= 2


async def test_metrics_follow_the_queue(autojump_clock: MockClock) -> None:
    """Depth, adds and retries, how long keys waited beyond their time, how long the work took and still takes."""
    registry = CollectorRegistry()
    queue = WorkQueue[str](doubling, WorkQueueMetrics.register(registry, "q"))

    def sample(name: str) -> float | None:
        return registry.get_sample_value(f"workqueue_{name}", {"name": "q"})

    queue.add("a", delay=1)
    queue.add("b", delay=2)
    await trio.sleep(4)
    first, second = await queue.wait_next(), await queue.wait_next()
    await trio.sleep(5)
    queue.retry(first)
    queue.done(first)

    assert (sample("adds_total"), sample("retries_total"), sample("depth")) == (2, 1, 1)
    assert (sample("queue_duration_seconds_count"), sample("queue_duration_seconds_sum")) == (2, 3 + 2)
    assert (sample("work_duration_seconds_count"), sample("work_duration_seconds_sum")) == (1, 5)
    assert (sample("unfinished_work_seconds"), sample("longest_running_processor_seconds")) == (5, 5)
    assert (first in queue, second in queue, "c" in queue) == (True, True, False)
