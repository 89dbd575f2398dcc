"""The status writer: makes objects show what they should, while we are the one who may.

Theory of operation
===================

The queue holds *which* objects may show something wrong. What to write is asked of the index when an object's turn
comes, so that a burst of events about it costs one patch at most, and an object that is right by then none.

Between a patch and the news of it, the index still sees the object as it was. Until the watch shows another version of
it, its turn is skipped: whatever it shows next brings it back. For the same reason a patch names the version it was
derived from; a stale one is refused, and its object waits for the watch to catch up.

Only the holder of the Lease works on the queue; the others let keys go by, and look through everything when they become
the holder. Losing the Lease cancels the work at whatever point it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import attrs
import msgspec
import trio

from controller.index.status.index import StatusIndex
from controller.index.status.values import CONTROLLER_NAME, StatusKey, Stored
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.backoff import Backoff
from controller.runtime.clock import Clock
from controller.runtime.errors import Absent, Conflicted, Garbled, KubernetesError, Unavailable
from controller.runtime.lease_keeper import LeaseKeeper
from controller.runtime.log import get_logger
from controller.runtime.token_bucket import TokenBucket
from controller.runtime.workqueue import WorkQueue
from controller.status.metrics import StatusMetrics
from controller.status.patches import to_patch

_log = get_logger(__name__)

MERGE_PATCH = "application/merge-patch+json"
WORKERS = 8  # patches under way at a time
# A thousand routes at once are written without a pause; a loop that some other controller keeps up with us is not.
WRITES_PER_SECOND = 100.0
BURST = 2_000.0
NOTHING: Mapping[str, Any] = {}


class _Found(msgspec.Struct, frozen=True):
    """An object whose status is all that matters."""

    status: dict[str, Any] | None = None


class StatusApi(Protocol):
    """The part of the client that writing statuses needs. Everything raises `KubernetesError`."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes: ...


@attrs.define(eq=False)
class StatusWriter:
    """Follows events at all times; writes while `lead` runs and the Lease is held."""

    _index: StatusIndex
    _api: StatusApi
    _types: Mapping[type[Resource], ResourceType[Resource]]
    _metrics: StatusMetrics
    _clock: Clock
    _jitter: Callable[[], float]
    _patch_timeout: float  # seconds
    _queue: WorkQueue[StatusKey] = attrs.field(init=False)
    _bucket: TokenBucket = attrs.field(factory=lambda: TokenBucket(WRITES_PER_SECOND, BURST), init=False)
    _leading: bool = attrs.field(default=False, init=False)
    _written: dict[StatusKey, str] = attrs.field(factory=dict[StatusKey, str], init=False)  # the version we patched

    def __attrs_post_init__(self) -> None:
        self._queue = WorkQueue(partial(_pauses, self._jitter))

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
            async with lease.held():
                self._begin()
                try:
                    async with trio.open_nursery() as workers:
                        for _ in range(WORKERS):
                            workers.start_soon(self._work)
                finally:
                    self._end()

    def _begin(self) -> None:
        self._leading = True
        wrong = [key for key in self._index.subjects() if self._index.wanted(key) is not None]
        _log.info("writing statuses", wrong=len(wrong))
        for key in wrong:
            self._add(key)

    def _end(self) -> None:
        self._leading = False
        self._queue.clear()
        self._written.clear()

    async def _work(self) -> None:
        while True:
            key = await self._queue.wait_next()
            self._metrics.dequeues.inc()
            try:
                await self._write(key)
                self._queue.forget(key)
            except Absent:
                self._queue.forget(key)  # deleted meanwhile; the watch will say so
            except KubernetesError as error:
                self._log_failure(key, error)
                self._queue.retry(key, at_least=error.retry_after or 0.0)
            finally:
                self._queue.done(key)

    async def _write(self, key: StatusKey) -> None:
        stored, wanted = self._index.stored(key), self._index.wanted(key)
        if stored is None or wanted is None:
            self._written.pop(key, None)
            return
        if self._written.get(key) == stored.resource_version:
            return  # the news of our own patch is under way
        await trio.sleep(self._bucket.take(self._clock.monotonic()))
        current = await self._current(key) if stored.foreign else NOTHING
        patch = to_patch(wanted, stored, current, now=self._clock.wall())
        await self._patch(key, patch)
        self._written[key] = stored.resource_version
        self._log_written(key, stored)

    async def _current(self, key: StatusKey) -> Mapping[str, Any]:
        """The status as it is stored, with what others wrote and what we have no words for."""
        path = self._path(key)
        try:
            found = msgspec.json.decode(await self._api.request("GET", path), type=_Found)
        except msgspec.DecodeError as error:
            raise Garbled(f"getting {path}: {error}") from error
        return found.status or NOTHING

    async def _patch(self, key: StatusKey, patch: Mapping[str, Any]) -> None:
        start = self._clock.monotonic()
        with trio.move_on_after(self._patch_timeout) as scope:
            try:
                await self._api.request(
                    "PATCH",
                    f"{self._path(key)}/status",
                    params={"fieldManager": CONTROLLER_NAME},
                    body=msgspec.json.encode(patch),
                    content_type=MERGE_PATCH,
                )
            except KubernetesError:
                self._metrics.api_errors.inc()
                self._metrics.duration.observe(self._clock.monotonic() - start)
                raise
        if scope.cancelled_caught:
            self._metrics.timeouts.inc()
            raise Unavailable(f"patching {self._path(key)}/status: no answer within {self._patch_timeout:g} s")
        self._metrics.patches.inc()
        self._metrics.duration.observe(self._clock.monotonic() - start)

    def _path(self, key: StatusKey) -> str:
        kind = self._types[key.model]
        namespace, name = ObjectKey(*key.key)
        return f"/apis/{kind.group}/{kind.version}/namespaces/{namespace}/{kind.plural}/{name}"

    def _names(self, key: StatusKey) -> dict[str, str]:
        kind = self._types[key.model]
        return {"kind": kind.kind, "group": kind.group, "namespace": key.key.namespace, "name": key.key.name}

    def _log_written(self, key: StatusKey, stored: Stored) -> None:
        _log.info("status written", resource_version=stored.resource_version, **self._names(key))

    def _log_failure(self, key: StatusKey, error: KubernetesError) -> None:
        say = _log.info if isinstance(error, Conflicted) else _log.warning
        say("writing a status failed", error=str(error), **self._names(key))


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
