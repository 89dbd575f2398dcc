"""What is due when, in steps of a hundredth of a second."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Protocol

_STEPS = 100  # a second


class Timed(Protocol):
    """Something that is due once. `tick` belongs to `Timers`; 0 means that nothing is scheduled."""

    tick: int

    def due(self, now: float) -> None: ...


class Timers:
    """A calendar in which thousands of entries cost one set entry each, and cancelling one is cheap.

    Never early: an entry is due at the first step that is not before its time. An emptied step stays until its time
    has come, so that entries which come and go cannot make the calendar grow without end.
    """

    __slots__ = ("_heap", "_on_sooner", "_steps")

    def __init__(self, on_sooner: Callable[[], None]) -> None:
        self._on_sooner = on_sooner  # `next_due` is earlier than it was
        self._steps: dict[int, set[Timed]] = {}
        self._heap: list[int] = []  # the keys of `_steps`

    def __len__(self) -> int:
        return sum(map(len, self._steps.values()))

    def schedule(self, entry: Timed, when: float, *, coarse: bool = False) -> None:
        """Make the entry due then (coarse: at a full second), instead of when it was."""
        self.cancel(entry)
        tick = math.ceil(when) * _STEPS if coarse else math.ceil(when * _STEPS)
        entry.tick = tick
        entries = self._steps.get(tick)
        if entries is None:
            self._steps[tick] = {entry}
            heapq.heappush(self._heap, tick)
            if self._heap[0] == tick:
                self._on_sooner()
        else:
            entries.add(entry)

    def cancel(self, entry: Timed) -> None:
        """Forget the entry; harmless for one that is not scheduled."""
        if entry.tick:
            entries = self._steps.get(entry.tick)
            if entries is not None:
                entries.discard(entry)
            entry.tick = 0

    def next_due(self) -> float:
        """When to call `expire` next; infinity if never."""
        heap, steps = self._heap, self._steps
        while heap and not steps[heap[0]]:
            del steps[heapq.heappop(heap)]
        return heap[0] / _STEPS if heap else math.inf

    def expire(self, now: float) -> None:
        """Tell all entries whose time has come. They may schedule or cancel themselves and others."""
        while self.next_due() <= now:
            tick = heapq.heappop(self._heap)
            for entry in self._steps.pop(tick):
                if entry.tick == tick:  # or another one has cancelled it by now
                    entry.tick = 0
                    entry.due(now)
