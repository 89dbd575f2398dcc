"""Whose turn it is: work is shared out in short slices, so that nothing else in the process waits long."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

# A slice is over after this time, or after so many turns where time stands still (in tests it may).
_SLICE_SECONDS = 0.005
_SLICE_TURNS = 64
# Outside of rounds so much may be done at once in every window, without asking anybody to wait.
_FREE_SECONDS = 0.005
_FREE_TURNS = 64
_WINDOW_SECONDS = 0.02


class Member(Protocol):
    """Somebody with work to do. `in_round` belongs to `Rounds`."""

    in_round: bool

    def take_turn(self, now: float) -> bool:
        """Do a bounded part of the work; true if more is left that can be done now."""
        ...


class Rounds:
    """Gives turns to those who have work, one after another, and the loop back to everybody else in between.

    In Trio all tasks that can run do so before anybody looks at the network again. So it is not enough that each
    connection does little at a time: a hundred of them, each with a little, delay everything else by the sum. Here the
    sum is bounded. As long as there is little to do (`try_now`) work is done on the spot.
    """

    def __init__(self) -> None:
        self._queue: deque[Member] = deque()
        self._work = trio.Event()
        self._window_end = 0.0
        self._free_seconds = 0.0
        self._free_turns = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, member: Member) -> None:
        """Give the member a turn soon. Harmless if it waits for one already."""
        if not member.in_round:
            member.in_round = True
            self._queue.append(member)
            self._work.set()

    def try_now(self, member: Member) -> None:
        """Give the member its turn at once if there is time to spare, and soon if there is not."""
        if member.in_round:
            return
        now = trio.current_time()
        if now >= self._window_end:
            self._window_end = now + _WINDOW_SECONDS
            self._free_seconds, self._free_turns = _FREE_SECONDS, _FREE_TURNS
        if self._queue or self._free_seconds <= 0 or self._free_turns <= 0:
            self.add(member)
            return
        more = member.take_turn(now)
        self._free_seconds -= trio.current_time() - now
        self._free_turns -= 1
        if more:
            self.add(member)

    async def run(self) -> None:
        """Give turns until cancelled."""
        while True:
            if not self._queue:
                self._work = trio.Event()
                await self._work.wait()
            self._take_slice()
            await trio.lowlevel.checkpoint()

    def _take_slice(self) -> None:
        queue = self._queue
        now = trio.current_time()
        end = now + _SLICE_SECONDS
        turns = _SLICE_TURNS
        while queue and turns and now < end:
            member = queue.popleft()
            member.in_round = False
            if member.take_turn(now):
                self.add(member)
            turns -= 1
            now = trio.current_time()
