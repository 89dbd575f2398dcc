"""Whether what proxies were told is what a fresh look at everything gives.

Property tests hold the law that history does not matter; this holds it in production, slowly: one namespace at a time
is derived from scratch and compared. A difference is a bug in the index; it is logged and counted, for an alert to see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import attrs
import trio

from controller.runtime.log import get_logger

_log = get_logger(__name__)

# Deriving a namespace of 10,000 pods anew holds the loop for some 40 ms.
INTERVAL_SECONDS = 60.0
SHOWN = 5


class Auditable(Protocol):
    """An index that can derive a namespace anew."""

    def namespaces(self) -> Collection[str]: ...

    def check(self, namespace: str, /) -> Collection[object]:
        """The targets in the namespace that were told something else."""
        ...


@attrs.frozen
class AuditStatistics:
    checked: int  # namespaces
    wrong: int  # targets


@attrs.define(eq=False)
class Audit:
    """Goes round the namespaces, one each interval, and rests while nothing happens."""

    _index: Auditable
    _wait_event: Callable[[], Awaitable[None]]  # returns when events have been taken in since
    _interval: float = INTERVAL_SECONDS
    _checked: int = attrs.field(default=0, init=False)
    _wrong: int = attrs.field(default=0, init=False)

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self._wait_event()
            for namespace in sorted(self._index.namespaces()):
                await trio.sleep(self._interval)
                self._check(namespace)

    def _check(self, namespace: str) -> None:
        wrong = self._index.check(namespace)
        self._checked += 1
        self._wrong += len(wrong)
        if wrong:
            shown = ", ".join(sorted(map(str, wrong))[:SHOWN])
            _log.error("answers differ from a fresh derivation", namespace=namespace, count=len(wrong), targets=shown)

    def statistics(self) -> AuditStatistics:
        return AuditStatistics(self._checked, self._wrong)
