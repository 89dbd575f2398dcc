"""Ready when everything has been seen once: a latch made of handles."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import attrs
import trio


@attrs.frozen
class Outstanding:
    """What readiness still waits for, and for how long already."""

    name: str
    seconds: float


@attrs.define(eq=False)
class Handle:
    """Keeps the latch closed until it is released.

    As a context manager it is released by leaving the block in peace: what was cancelled or has failed has not been
    initialized.
    """

    name: str
    since: float
    _release: Callable[[Handle], None] = attrs.field(repr=False)

    def release(self) -> None:
        """Let go. Again is harmless."""
        self._release(self)

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is None:
            self.release()


@attrs.define(eq=False)
class Initialized:
    """Opens once every handle has been released; without handles it is open."""

    _now: Callable[[], float] = trio.current_time
    _outstanding: set[Handle] = attrs.field(factory=set[Handle], init=False)
    _released: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    def add_handle(self, name: str) -> Handle:
        """Return a handle that has to be released before the latch opens; the name is shown to whoever waits."""
        handle = Handle(name, self._now(), self._let_go)
        self._outstanding.add(handle)
        return handle

    def _let_go(self, handle: Handle) -> None:
        self._outstanding.discard(handle)
        if not self._outstanding:
            self._released.unpark_all()

    @property
    def is_complete(self) -> bool:
        return not self._outstanding

    async def wait_complete(self) -> None:
        """Wait until no handle is outstanding."""
        await trio.lowlevel.checkpoint()
        while self._outstanding:
            await self._released.park()

    def statistics(self) -> tuple[Outstanding, ...]:
        """Return what is still outstanding, the oldest first."""
        now = self._now()
        return tuple(
            Outstanding(handle.name, now - handle.since)
            for handle in sorted(self._outstanding, key=lambda handle: (handle.since, handle.name))
        )
