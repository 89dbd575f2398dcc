"""Keys in the order in which they fall due: the heap under both queues."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

K = TypeVar("K", bound=Hashable)

# Entries that were replaced or cancelled stay in the heap until they outnumber the live ones by this much.
_SLACK = 64


@attrs.define(eq=False)
class Deadlines(Generic[K]):
    """At most one deadline for each key. Pure: time is an argument, and nothing here waits.

    Keys that fall due at the same time come in the order in which they were set. The newest of several equal keys is
    the one that comes out.
    """

    _heap: list[tuple[float, int, K]] = attrs.field(factory=list[tuple[float, int, K]], init=False)
    _live: dict[K, tuple[float, int]] = attrs.field(factory=dict[K, tuple[float, int]], init=False)
    _sequence: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: K) -> bool:
        return key in self._live

    def due(self, key: K) -> float:
        """When the key falls due; infinitely late if it is not here."""
        entry = self._live.get(key)
        return math.inf if entry is None else entry[0]

    def set(self, key: K, due: float) -> None:
        """Let the key fall due then, whatever was set before. `inf` parks it."""
        if math.isnan(due):
            raise ValueError(f"setting a deadline of {key!r}: NaN is not a time")
        self._sequence += 1
        self._live.pop(key, None)  # so that the newest of equal keys is kept
        self._live[key] = (due, self._sequence)
        heapq.heappush(self._heap, (due, self._sequence, key))
        self._compact()

    def discard(self, key: K) -> bool:
        """Forget the key; says whether it was here."""
        found = self._live.pop(key, None) is not None
        self._compact()
        return found

    def drop_after(self, now: float) -> None:
        """Forget every key that is not due by then."""
        for key in [key for key, (due, _) in self._live.items() if due > now]:
            self.discard(key)

    def clear(self) -> None:
        self._heap.clear()
        self._live.clear()

    def next_due(self) -> float:
        """When the first key falls due; infinitely late if there is none."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else math.inf

    def pop_due(self, now: float) -> list[K]:
        """Take out the first key if it is due: a list of one, or of none."""
        if self.next_due() > now:
            return []
        _, _, key = heapq.heappop(self._heap)
        del self._live[key]
        return [key]

    def _drop_stale(self) -> None:
        heap, live = self._heap, self._live
        while heap and live.get(heap[0][2], (0.0, 0))[1] != heap[0][1]:
            heapq.heappop(heap)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._live) + _SLACK:
            self._heap = [(due, sequence, key) for key, (due, sequence) in self._live.items()]
            heapq.heapify(self._heap)
