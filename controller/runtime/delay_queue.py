"""A queue whose items come out when their time has come; the newest word about an item counts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs
import trio

from controller.runtime.deadlines import Deadlines

K = TypeVar("K", bound=Hashable)


class QueueClosed(Exception):
    """The receiver is gone; `item` is what it will not get (`None` for operations without one)."""

    def __init__(self, item: object = None) -> None:
        super().__init__(f"queue closed: {item!r} will not be delivered" if item is not None else "queue closed")
        self.item = item


def _at_least_one(_: object, __: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"making a delay queue: capacity must be at least 1, not {value}")


@attrs.frozen
class DelayQueueStatistics:
    waiting: int
    capacity: int


@attrs.define(eq=False)
class DelayQueue(Generic[K]):
    """Any number of senders, one receiver. `capacity` bounds the scheduled items, so a sender may have to wait.

    Scheduling an item again replaces its deadline, be it earlier or later, and needs no room. Cancelling and
    rescheduling win over an item that is due and not received yet.
    """

    capacity: int = attrs.field(validator=_at_least_one)
    _deadlines: Deadlines[K] = attrs.field(factory=Deadlines[K], init=False)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _senders_closed: bool = attrs.field(default=False, init=False)
    _closed: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def schedule(self, item: K, delay: float) -> None:
        """Deliver the item after `delay` seconds from now; waits while the queue is full.

        Cancelled, it leaves no trace of the item. Raises `QueueClosed` if the receiver is gone.
        """
        await self.schedule_at(item, trio.current_time() + delay)

    async def schedule_at(self, item: K, deadline: float) -> None:
        """Deliver the item at that time on Trio's clock; in the past means at once."""
        await trio.lowlevel.checkpoint()
        while not self._has_room(item):
            await self._room.park()
        self.schedule_at_nowait(item, deadline)

    def schedule_at_nowait(self, item: K, deadline: float) -> None:
        """Like `schedule_at`, but raises `trio.WouldBlock` when the queue is full."""
        if self._closed.is_set():
            raise QueueClosed(item)
        if not self._has_room(item):
            raise trio.WouldBlock
        self._deadlines.set(item, deadline)
        self._changed.unpark_all()

    def _has_room(self, item: K) -> bool:
        return item in self._deadlines or len(self._deadlines) < self.capacity or self._closed.is_set()

    def cancel(self, item: K) -> None:
        """Forget the item, if it is scheduled."""
        if self._closed.is_set():
            raise QueueClosed(item)
        if self._deadlines.discard(item):
            self._changed.unpark_all()
            self._room.unpark_all()

    def clear(self) -> None:
        """Forget everything that is scheduled."""
        if self._closed.is_set():
            raise QueueClosed
        self._deadlines.clear()
        self._changed.unpark_all()
        self._room.unpark_all()

    def close_senders(self) -> None:
        """Nothing more will be scheduled: what is comes out at its time, and then the queue ends."""
        self._senders_closed = True
        self._changed.unpark_all()

    async def receive(self) -> K:
        """Wait for the next item that is due and take it out.

        Cancellation loses nothing: the item leaves after the last checkpoint. Raises `trio.EndOfChannel` when the
        senders have closed and nothing is left.
        """
        await trio.lowlevel.checkpoint()
        while True:
            for item in self._deadlines.pop_due(trio.current_time()):
                self._room.unpark_all()
                return item
            if self._senders_closed and not self._deadlines:
                raise trio.EndOfChannel
            with trio.move_on_at(self._deadlines.next_due()):
                await self._changed.park()

    def close(self) -> None:
        """The receiver goes: what is scheduled is dropped, and later operations raise `QueueClosed`."""
        self._closed.set()
        self._deadlines.clear()
        self._room.unpark_all()

    def stop(self) -> None:
        """End soon, because the process does: what is due by now still comes out, what is due later is dropped.

        Later operations raise `QueueClosed`.
        """
        self._deadlines.drop_after(trio.current_time())
        self._closed.set()
        self._room.unpark_all()
        self.close_senders()

    async def wait_closed(self) -> None:
        """Wait until the receiver is gone, or takes nothing more."""
        await self._closed.wait()

    def statistics(self) -> DelayQueueStatistics:
        return DelayQueueStatistics(len(self._deadlines), self.capacity)
