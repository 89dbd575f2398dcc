"""How fast statuses are written: all together, and each object by itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import attrs
import trio

from controller.runtime.token_bucket import TokenBucket

K = TypeVar("K", bound=Hashable)

# A thousand routes at once are written without a pause; a loop that some other controller keeps up with us is not.
WRITES_PER_SECOND = 100.0
BURST = 2_000.0
# An object whose status flaps, or is undone by somebody, is written twelve times a minute.
OBJECT_WRITES_PER_SECOND = 0.2
OBJECT_BURST = 8.0
LONGEST_HOLD = 30.0  # seconds; however long the server would like us to wait
_LOOK_THROUGH_AT = 1_000


@attrs.define(eq=False)
class Pace(Generic[K]):
    """Says when the next write may be made."""

    _now: Callable[[], float]
    _all: TokenBucket = attrs.field(factory=lambda: TokenBucket(WRITES_PER_SECOND, BURST), init=False)
    _each: dict[K, TokenBucket] = attrs.field(factory=dict[K, TokenBucket], init=False)
    _look_through_at: int = attrs.field(default=_LOOK_THROUGH_AT, init=False)
    _held_until: float = attrs.field(default=0.0, init=False)

    def wait_of(self, key: K) -> float:
        """In how many seconds this object may be written: 0 unless it was written too often lately."""
        bucket = self._each.get(key)
        return 0.0 if bucket is None else bucket.wait(self._now())

    async def wait_turn(self) -> None:
        """Wait until the next write may be made, whatever it is about."""
        await trio.sleep(self._all.take(self._now()))
        while self._now() < self._held_until:  # noqa: ASYNC110  # it may be put off while we wait
            await trio.sleep_until(self._held_until)

    def hold(self, seconds: float) -> None:
        """Write nothing at all for so long: the server has had enough of us."""
        self._held_until = max(self._held_until, self._now() + min(seconds, LONGEST_HOLD))

    def wrote(self, key: K) -> None:
        """Count a write."""
        if key not in self._each:
            self._each[key] = TokenBucket(OBJECT_WRITES_PER_SECOND, OBJECT_BURST)
        self._each[key].take(self._now())
        if len(self._each) >= self._look_through_at:
            now = self._now()
            self._each = {key: bucket for key, bucket in self._each.items() if not bucket.is_full(now)}
            self._look_through_at = max(_LOOK_THROUGH_AT, 2 * len(self._each))

    def statistics(self) -> int:
        """How many objects are remembered to have been written lately."""
        return len(self._each)
