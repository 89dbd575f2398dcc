"""Who held the loop up: measures each pass of Trio's loop, and catches the task in the act when one takes too long.

Theory of operation
===================

One loop serves everybody, so a task that computes for 100 ms delays every stream by 100 ms. `_PassTimer` is an
instrument: Trio calls it when it stops waiting for I/O and when it begins to wait again, and what lies between is one
pass, in which runnable tasks take a step each. A task that becomes runnable waits for at most the rest of a pass, so
the length of passes is the schedule delay that tasks see.

When a pass is over, the guilty task has long gone on. So a thread looks in while a pass takes too long, and notes the
running task and its stack. While the loop waits for I/O the thread is parked and costs nothing; while the loop is
busy it looks in at most once per threshold.

The two share plain attributes. That is safe because each is written by one side only and read as a whole, and because
a wrong guess costs one look: the timer wakes the thread after it has marked the pass as running, and the thread looks
at that mark after it has declared itself parked.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
import datetime as dt
import gc
import sys
import threading
import time
import traceback
from collections.abc import Generator
from types import FrameType
from typing import Any, Final

import attrs
import trio

from controller.runtime.log import get_logger

_log = get_logger(__name__)

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)  # seconds
_REMEMBERED = 32
_LOG_EVERY = 1.0  # seconds; a loop that stalls all the time is not helped by as many lines


@attrs.frozen
class Stall:
    """One pass that took too long."""

    at: dt.datetime
    seconds: float
    gc_seconds: float  # of these, spent in the garbage collector
    task: str | None  # what ran when the thread looked in; None if it did not come to that
    stack: tuple[str, ...]  # innermost call last


@attrs.frozen
class LoopStatistics:
    """What passes of the loop have taken since the start; `longest` since the last call of `statistics`."""

    passes: int
    busy_seconds: float
    io_wait_seconds: float
    longest: float
    counts: tuple[int, ...]  # passes by duration: up to each of `BUCKETS`, not cumulative, and those above
    stalls: int
    stalled_seconds: float


@attrs.frozen
class _Look:
    """What the thread saw in one pass."""

    began: float
    task: str | None
    stack: tuple[str, ...]


class Watchdog:
    """Measures the loop it was started in; see `watching`."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._timer = _PassTimer(self)
        self._look: _Look | None = None
        self._stalls = 0
        self._stalled_seconds = 0.0
        self._recent = collections.deque[Stall](maxlen=_REMEMBERED)
        self._logged_at = -_LOG_EVERY
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._guard, name="loop watchdog", daemon=True)

    @property
    def recent(self) -> tuple[Stall, ...]:
        """The last stalls, oldest first."""
        return tuple(self._recent)

    def statistics(self) -> LoopStatistics:
        """Return the figures so far, and begin a new search for the longest pass."""
        timer = self._timer
        longest, timer.longest = timer.longest, 0.0
        return LoopStatistics(
            sum(timer.counts),
            timer.busy,
            time.perf_counter() - timer.created - timer.busy,
            longest,
            timer.counts,
            self._stalls,
            self._stalled_seconds,
        )

    def start(self) -> None:
        trio.lowlevel.add_instrument(self._timer)
        gc.callbacks.append(self._timer.on_gc)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._timer.wake.set()
        with contextlib.suppress(KeyError):  # it takes itself out when it fails
            trio.lowlevel.remove_instrument(self._timer)
        gc.callbacks.remove(self._timer.on_gc)
        self._thread.join()

    def note_stall(self, began: float, seconds: float, gc_seconds: float) -> None:
        """Take down a pass that took too long. Called by the timer, in the loop, when the pass is over."""
        look = self._look if self._look is not None and self._look.began == began else None
        stall = Stall(
            dt.datetime.now(dt.UTC),
            seconds,
            gc_seconds,
            look.task if look else None,
            look.stack if look else (),
        )
        self._stalls += 1
        self._stalled_seconds += seconds
        self._recent.append(stall)
        if began + seconds - self._logged_at >= _LOG_EVERY:
            self._logged_at = began + seconds
            _log.warning(
                "event loop stalled",
                seconds=round(seconds, 3),
                gc_seconds=round(gc_seconds, 3),
                task=stall.task,
                where=stall.stack[-1] if stall.stack else None,
            )

    def _guard(self) -> None:
        timer = self._timer
        seen = 0.0  # when the last pass began that was running, or just over, at a look
        while not self._stopped.is_set():
            began = timer.began
            left = began + self.threshold - time.perf_counter()
            if timer.running and left > 0:
                self._stopped.wait(left)
            elif timer.running and not (self._look is not None and self._look.began == began):
                self._look = _Look(began, *_look_at(self._loop_thread))
            elif timer.running or began != seen:
                # Seen already, or busy a moment ago: to be woken would cost the loop more than to look in again.
                self._stopped.wait(self.threshold)
            else:
                self._park()
            seen = began

    def _park(self) -> None:
        timer = self._timer
        timer.parked = True
        if not timer.running and not self._stopped.is_set():
            timer.wake.wait()
        timer.parked = False
        timer.wake.clear()


@contextlib.contextmanager
def watching(threshold: float = 0.1) -> Generator[Watchdog]:
    """Watch this loop for as long as the block lasts; passes of at least `threshold` seconds are stalls."""
    watchdog = Watchdog(threshold)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


class _PassTimer(trio.abc.Instrument):
    """Times the passes. It runs twice in each of them, so it does next to nothing; and it may not raise."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog = watchdog
        self.wake = threading.Event()
        self.parked = False
        self.running = True  # it is added from inside a pass
        self.began = self.created = time.perf_counter()
        self.busy = 0.0
        self.quick = 0  # passes of the first bucket, which are nearly all
        self.slow = [0] * len(BUCKETS)  # passes of the others
        self.longest = 0.0
        self._gc_began = 0.0
        self._gc_pass = 0.0  # when the pass began to which `_gc_seconds` belongs
        self._gc_seconds = 0.0

    @property
    def counts(self) -> tuple[int, ...]:
        return (self.quick, *self.slow)

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # given by Trio
        self.began = time.perf_counter()
        self.running = True
        if self.parked:
            self.parked = False
            self.wake.set()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # given by Trio
        self.running = False
        took = time.perf_counter() - self.began
        self.busy += took
        if took > self.longest:
            self.longest = took
        if took <= BUCKETS[0]:
            self.quick += 1
        else:
            self._note_slow(took)

    def _note_slow(self, took: float) -> None:
        self.slow[bisect.bisect_left(BUCKETS, took) - 1] += 1
        if took >= self.watchdog.threshold:
            gc_seconds = self._gc_seconds if self._gc_pass == self.began else 0.0
            self.watchdog.note_stall(self.began, took, gc_seconds)

    def on_gc(self, phase: str, _: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._gc_began = now
            return
        if self._gc_pass != self.began:
            self._gc_pass, self._gc_seconds = self.began, 0.0
        self._gc_seconds += now - self._gc_began


def _look_at(thread: int) -> tuple[str | None, tuple[str, ...]]:
    """Return the name of the task that runs in the loop's thread, and its stack."""
    running = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # there is no public way
    frame: FrameType | None = running.get(thread)
    frames = list[FrameType]()
    while frame is not None and frame.f_code.co_name != "unrolled_run":
        frames.append(frame)
        frame = frame.f_back
    # Trio keeps the running task where only its own thread finds it, and in a local variable of its loop.
    task: Any = frame.f_locals.get("task") if frame is not None else None
    name = task.name if isinstance(task, trio.lowlevel.Task) else None
    return name, tuple(_describe(frame) for frame in reversed(frames))


def _describe(frame: FrameType) -> str:
    summary = traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
    return f"{summary.filename}:{summary.lineno} in {summary.name}: {summary.line}"
