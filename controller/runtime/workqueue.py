"""Which keys need work: each at most once, never twice at a time, later after a failure.

A key says *what* to look at; what to do is decided from the state of the world when its turn comes. So a burst of
events about one object costs one reconcile, and an event that comes while it runs costs one more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

import attrs
import trio

from controller.runtime.deadlines import Deadlines
from controller.runtime.workqueue_metrics import WorkQueueMetrics, WorkQueueStatistics

K = TypeVar("K", bound=Hashable)


@attrs.define(eq=False)
class WorkQueue(Generic[K]):
    """A set of keys, each due at some time. Adding one that waits can only make it due sooner.

    A key that was taken is *in flight* until `done`: adding it meanwhile schedules one more turn, after that.
    """

    # For each key that failed: its pauses, growing. Made afresh once the key has succeeded.
    _delays: Callable[[], Iterator[float]]
    _metrics: WorkQueueMetrics | None = None
    _waiting: Deadlines[K] = attrs.field(factory=Deadlines[K], init=False)
    _in_flight: dict[K, float] = attrs.field(factory=dict[K, float], init=False)  # since when
    _again: dict[K, float] = attrs.field(factory=dict[K, float], init=False)  # due, once it is done
    _failures: dict[K, Iterator[float]] = attrs.field(factory=dict[K, Iterator[float]], init=False)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _adds: int = attrs.field(default=0, init=False)
    _retries: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        if self._metrics is not None:
            self._metrics.follow(self.statistics)

    def __contains__(self, key: K) -> bool:
        """Whether the key waits for a turn, or has one."""
        return key in self._waiting or key in self._in_flight

    def add(self, key: K, *, delay: float = 0.0) -> None:
        """Give the key a turn after `delay` seconds, or sooner if one is due sooner. Never waits."""
        self._adds += 1
        if self._metrics is not None:
            self._metrics.adds.inc()
        self._add_at(key, trio.current_time() + delay)

    def _add_at(self, key: K, due: float) -> None:
        if key in self._in_flight:
            self._again[key] = min(due, self._again.get(key, due))
        elif key not in self._waiting or due < self._waiting.due(key):
            self._waiting.set(key, due)
            self._changed.unpark_all()

    def retry(self, key: K, *, at_least: float = 0.0) -> None:
        """Give the key another turn after the next pause of its own, or `at_least` that many seconds."""
        self._retries += 1
        if self._metrics is not None:
            self._metrics.retries.inc()
        pauses = self._failures.get(key)
        if pauses is None:
            pauses = self._failures[key] = self._delays()
        self._add_at(key, trio.current_time() + max(at_least, next(pauses)))

    def forget(self, key: K) -> None:
        """The key succeeded, or does not matter any more: its next failure starts with the first pause."""
        self._failures.pop(key, None)

    async def wait_next(self) -> K:
        """Wait for the first key that is due and take it; give it back with `done`.

        Cancellation loses nothing: the key leaves after the last checkpoint.
        """
        await trio.lowlevel.checkpoint()
        while True:
            now, due = trio.current_time(), self._waiting.next_due()
            for key in self._waiting.pop_due(now):
                self._in_flight[key] = now
                if self._metrics is not None:
                    self._metrics.queue_duration.observe(now - due)
                return key
            with trio.move_on_at(self._waiting.next_due()):
                await self._changed.park()

    def done(self, key: K) -> None:
        """The work on the key has ended, well or not; what was added meanwhile gets its turn."""
        since = self._in_flight.pop(key)
        if self._metrics is not None:
            self._metrics.work_duration.observe(trio.current_time() - since)
        due = self._again.pop(key, None)
        if due is not None:
            self._add_at(key, due)

    def clear(self) -> None:
        """Forget everything that waits, and all failures. Work in flight is done with when it is done."""
        self._waiting.clear()
        self._again.clear()
        self._failures.clear()

    def statistics(self) -> WorkQueueStatistics:
        now = trio.current_time()
        ages = [now - since for since in self._in_flight.values()]
        return WorkQueueStatistics(
            waiting=len(self._waiting) + len(self._again),
            in_flight=len(self._in_flight),
            adds=self._adds,
            retries=self._retries,
            longest_seconds=max(ages, default=0.0),
            unfinished_seconds=sum(ages),
        )
