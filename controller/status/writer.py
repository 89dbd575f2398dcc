"""The status writer: makes objects show what they should, while we are the one who may.

Theory of operation
===================

The queue holds *which* objects may show something wrong. What to write is asked of the index when an object's turn
comes, so that a burst of events about it costs one patch at most, and an object that is right by then none.

Between a patch and the news of it, the index still sees the object as it was. Until the watch shows another version of
it, its turn is skipped: whatever it shows next brings it back. For the same reason a patch names the version it was
derived from; a stale one is refused, and its object waits for the watch to catch up.

Only the holder of the Lease works on the queue; the others let keys go by, and look through everything when they become
the holder. Losing the Lease cancels the work at whatever point it is. Whatever an object does to its turn, the others
have theirs: an object with which something is wrong must not stop one replica after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import attrs
import trio

from controller.index.status.index import StatusIndex
from controller.index.status.values import Status, StatusKey, Stored
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.runtime.backoff import Backoff
from controller.runtime.clock import Clock
from controller.runtime.errors import Absent, Conflicted, KubernetesError
from controller.runtime.lease_keeper import LeaseKeeper
from controller.runtime.log import get_logger
from controller.runtime.workqueue import WorkQueue
from controller.runtime.workqueue_metrics import WorkQueueMetrics, WorkQueueStatistics
from controller.status.metrics import StatusMetrics
from controller.status.objects import NOTHING, StatusObjects
from controller.status.pace import Pace
from controller.status.patches import to_patch

_log = get_logger(__name__)

WORKERS = 8  # patches under way at a time
# Nothing is found when everything is looked through again, unless something else is wrong; so this is the net below.
LOOK_AGAIN_SECONDS = 300.0
_LOOKED_AT_ONCE = 200  # objects; then others have their turn


@attrs.frozen
class StatusStatistics:
    leading: bool
    subjects: int  # objects that have a status of ours
    unconfirmed: int  # patched, and the watch has not shown it yet
    written_lately: int
    queue: WorkQueueStatistics


@attrs.define(eq=False)
class StatusWriter:
    """Follows events at all times; writes while `lead` runs and the Lease is held."""

    _index: StatusIndex
    _objects: StatusObjects
    _metrics: StatusMetrics
    _clock: Clock
    _jitter: Callable[[], float]
    _queue_metrics: WorkQueueMetrics | None = None
    _queue: WorkQueue[StatusKey] = attrs.field(init=False)
    _pace: Pace[StatusKey] = attrs.field(init=False)
    _leading: bool = attrs.field(default=False, init=False)
    _written: dict[StatusKey, str] = attrs.field(factory=dict[StatusKey, str], init=False)  # the version we patched

    def __attrs_post_init__(self) -> None:
        self._queue = WorkQueue(partial(_pauses, self._jitter), self._queue_metrics)
        self._pace = Pace(self._clock.monotonic)

    def apply(self, events: Sequence[Event]) -> None:
        """Take events in; what they may have changed gets its turn if it is ours to write."""
        dirty = self._index.apply(events)
        if not self._leading:
            self._metrics.drops.inc(len(dirty))
            return
        for key in dirty:
            self._add(key)
        for event in events:
            for gone in _gone(event):
                self._written.pop(gone, None)

    def _add(self, key: StatusKey) -> None:
        self._metrics.enqueues.inc()
        self._queue.add(key)

    async def lead(self, lease: LeaseKeeper) -> None:
        """Write whenever the Lease is held, until cancelled. Call it when every kind has been listed."""
        while True:
            async with lease.held() as term:
                self._leading = True
                try:
                    async with trio.open_nursery() as work:
                        work.start_soon(self._look_through)
                        for _ in range(WORKERS):
                            work.start_soon(self._work, lease, term)
                finally:
                    self._leading = False
                    self._queue.clear()
                    self._written.clear()

    async def _look_through(self) -> None:
        """Look at everything at once, for what others have left undone, and then from time to time."""
        wrong = await self._find_wrong()
        _log.info("writing statuses", wrong=wrong)
        while True:
            await trio.sleep(LOOK_AGAIN_SECONDS)
            missed = await self._find_wrong()
            if missed:
                _log.warning("statuses were wrong and not on the queue", missed=missed)

    async def _find_wrong(self) -> int:
        """Give a turn to each object that is wrong and waits for nothing; return how many there were."""
        found = 0
        for number, key in enumerate(self._index.subjects()):
            if number % _LOOKED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if key not in self._queue and self._seems_due(key):
                self._add(key)
                found += 1
        return found

    def _seems_due(self, key: StatusKey) -> bool:
        try:
            return self._due(key) is not None
        except Exception:  # noqa: BLE001  # its turn will tell
            return True

    async def _work(self, lease: LeaseKeeper, term: trio.CancelScope) -> None:
        while True:
            key = await self._queue.wait_next()
            self._metrics.dequeues.inc()
            try:
                await self._turn(key, partial(self._may_write, lease, term))
            finally:
                self._queue.done(key)

    def _may_write(self, lease: LeaseKeeper, term: trio.CancelScope) -> bool:
        if lease.is_held():
            return True
        # Nobody has told us yet: we may have been asleep. The term ends, and with it whatever else was to be done.
        self._metrics.drops.inc()
        term.cancel()
        return False

    async def _turn(self, key: StatusKey, may_write: Callable[[], bool]) -> None:
        """Do what the object needs now, and never fail."""
        try:
            await self._write(key, may_write)
        except Absent:
            self._queue.forget(key)  # deleted meanwhile; the watch will say so
        except KubernetesError as error:
            say = _log.info if isinstance(error, Conflicted) else _log.warning
            say("writing a status failed", error=str(error), **self._objects.named(key))
            if error.retry_after is not None:
                self._pace.hold(error.retry_after)
            self._queue.retry(key)
        except Exception as error:  # noqa: BLE001  # a bug, and perhaps one that this object alone brings out
            _log.error("writing a status failed unexpectedly", exc_info=error, **self._objects.named(key))
            self._metrics.failures.inc()
            self._queue.retry(key)
        else:
            self._queue.forget(key)

    async def _write(self, key: StatusKey, may_write: Callable[[], bool]) -> None:
        due = self._due(key)
        if due is None or not may_write():
            return
        if (wait := self._pace.wait_of(key)) > 0:
            self._queue.add(key, delay=wait)
            return
        await self._pace.wait_turn()
        current = await self._objects.status(key) if due[1].foreign else None
        # Asked again, because waiting took time: what is written is what is right now.
        due = self._due(key)
        if due is None or not may_write():
            return
        wanted, stored = due
        if stored.foreign and current is None:
            return  # others have written since; the event that told us gives another turn
        await self._objects.patch(key, to_patch(wanted, stored, current or NOTHING, now=self._clock.wall()))
        self._written[key] = stored.resource_version
        self._pace.wrote(key)
        _log.info("status written", resource_version=stored.resource_version, **self._objects.named(key))

    def _due(self, key: StatusKey) -> tuple[Status, Stored] | None:
        """What to write on which version; `None` if the object is right, or gone, or news of our patch is under way."""
        stored, wanted = self._index.stored(key), self._index.wanted(key)
        if stored is None or wanted is None:
            self._written.pop(key, None)
            return None
        return None if self._written.get(key) == stored.resource_version else (wanted, stored)

    def statistics(self) -> StatusStatistics:
        return StatusStatistics(
            leading=self._leading,
            subjects=self._index.statistics().subjects,
            unconfirmed=len(self._written),
            written_lately=self._pace.statistics(),
            queue=self._queue.statistics(),
        )


def _gone(event: Event) -> Iterator[StatusKey]:
    match event:
        case Deleted(kind, key):
            yield StatusKey(kind, key)
        case Reset(kind, _, removed):
            yield from (StatusKey(kind, key) for key in removed)
        case Applied():
            pass


def _pauses(jitter: Callable[[], float]) -> Iterator[float]:
    backoff = Backoff(jitter, initial=0.2, cap=30.0)
    while True:
        yield backoff.next()
