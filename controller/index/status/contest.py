"""Who among several has what only one can have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import attrs

K = TypeVar("K")
_NOTHING: tuple[Any, ...] = ()


@attrs.define(eq=False)
class Contest(Generic[K]):
    """Bids for one thing, the smallest of which wins; equal bids win or lose together.

    A bid that changes nothing about who wins is counted and no more, however many there are.
    """

    _bids: dict[K, tuple[Any, ...]] = attrs.field(factory=dict[K, tuple[Any, ...]], init=False)
    _best: tuple[Any, ...] = attrs.field(default=_NOTHING, init=False)
    _winners: int = attrs.field(default=0, init=False)

    def __bool__(self) -> bool:
        return bool(self._bids)

    def wins(self, bid: tuple[Any, ...]) -> bool:
        """Whether nobody bids less."""
        return not self._winners or bid <= self._best

    def place(self, key: K, bid: tuple[Any, ...]) -> Iterable[K]:
        """Add the bid of somebody who has none; returns those who have lost by it."""
        lost: Iterable[K] = ()
        if not self._winners or bid < self._best:
            lost = self._with(self._best) if self._winners else ()
            self._best, self._winners = bid, 0
        if bid == self._best:
            self._winners += 1
        self._bids[key] = bid
        return lost

    def withdraw(self, key: K) -> Iterable[K]:
        """Take somebody's bid back; returns those who win now and did not."""
        bid = self._bids.pop(key)
        if bid != self._best:
            return ()
        self._winners -= 1
        if self._winners or not self._bids:
            return ()
        self._best = min(self._bids.values())
        won = self._with(self._best)
        self._winners = len(won)
        return won

    def _with(self, bid: tuple[Any, ...]) -> list[K]:
        return [key for key, other in self._bids.items() if other == bid]
