"""Which ports: a set that stays small even when it is `1-65535`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import attrs


@attrs.frozen
class PortSet:
    """Ports as ranges, sorted, none touching the next, so that equal sets are equal values."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> PortSet:
        """The union of some ranges, each with both of its ends."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    def __contains__(self, port: int) -> bool:
        at = bisect_right(self.ranges, (port, 65_536))
        return at > 0 and port <= self.ranges[at - 1][1]

    def __iter__(self) -> Iterator[int]:
        for low, high in self.ranges:
            yield from range(low, high + 1)

    def __bool__(self) -> bool:
        return bool(self.ranges)


NO_PORTS = PortSet()
