"""The index actor: the only writer of the indexes.

Everyone else sends it batches of events or subscribes to answers. There is no lock because there is no second writer,
and taking a batch in is one synchronous step: no reader can run between the update and the publishing, so nobody ever
sees half of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import attrs
import trio

from controller.k8s.events import Applied, Event, Reset
from controller.k8s.meta import Resource

Batch: TypeAlias = Sequence[Event]

# As many events are taken in at once as wait already, up to this: a burst costs one derivation, and one derivation
# stays far below the 100 ms for which the loop may be held.
MAX_EVENTS = 4_096


class Follower(Protocol):
    """Somebody who is told of events: an index with those who depend on its answers."""

    def apply(self, events: Batch, /) -> None:
        """Take events in, at once and completely."""
        ...


@attrs.frozen
class IndexerStatistics:
    events: int
    batches: int


@attrs.define(eq=False)
class Indexer:
    """Gives batches to every follower that wants their kinds."""

    _followers: tuple[tuple[frozenset[type[Resource]], Follower], ...]
    # Called after a completed list of the kind has been taken in; readiness hangs on it.
    _on_reset: Callable[[type[Resource]], None]
    _routes: dict[type[Resource], tuple[Follower, ...]] = attrs.field(
        factory=dict[type[Resource], "tuple[Follower, ...]"], init=False
    )
    _taken_in: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _events: int = attrs.field(default=0, init=False)
    _batches: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        kinds = {kind for wanted, _ in self._followers for kind in wanted}
        self._routes = {
            kind: tuple(follower for wanted, follower in self._followers if kind in wanted) for kind in kinds
        }

    async def run(
        self,
        batches: trio.MemoryReceiveChannel[Batch],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Own the indexes until every sender has closed its end.

        Cancellation comes between batches only; a batch that was received has been applied and published.
        """
        async with batches:
            task_status.started()
            async for batch in batches:
                self.apply(_drain(batches, batch))

    def apply(self, events: Batch) -> None:
        """Give events to those who want them. Synchronous on purpose."""
        self._events += len(events)
        self._batches += 1
        for follower, wanted in self._sorted(events).items():
            follower.apply(wanted)
        for event in events:
            if isinstance(event, Reset):
                self._on_reset(event.kind)
        self._taken_in.unpark_all()

    async def wait_event(self) -> None:
        """Wait until events are taken in."""
        await self._taken_in.park()

    def _sorted(self, events: Batch) -> Mapping[Follower, Batch]:
        """The events of each follower, in order."""
        if len(events) == 1:  # the steady state; no list is built for it
            return dict.fromkeys(self._routes.get(_kind(events[0]), ()), events)
        sorted_events: dict[Follower, list[Event]] = {}
        for event in events:
            for follower in self._routes.get(_kind(event), ()):
                sorted_events.setdefault(follower, []).append(event)
        return sorted_events

    def statistics(self) -> IndexerStatistics:
        return IndexerStatistics(self._events, self._batches)


def _kind(event: Event) -> type[Resource]:
    return type(event.resource) if isinstance(event, Applied) else event.kind


def _drain(batches: trio.MemoryReceiveChannel[Batch], first: Batch) -> Batch:
    """The first batch and those that wait behind it, as one."""
    events: list[Event] | None = None
    count = len(first)
    while count < MAX_EVENTS:
        try:
            batch = batches.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            break
        if events is None:
            events = list(first)
        events.extend(batch)
        count = len(events)
    return first if events is None else events
