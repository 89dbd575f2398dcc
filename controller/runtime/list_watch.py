"""Follow a kind: perform what a `Reflector` decides, and hand on what comes of it.

What decides is elsewhere and does no I/O: the protocol in `reflector`, reading in `decode`, what a list removes in
`index_driver`. Here is the loop that connects them to the API server, to the channel of events, to the log, and to
the record that metrics and diagnostics read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

import attrs
import msgspec
import trio

from controller.k8s.events import Event
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.clock import Clock
from controller.runtime.decode import Bookmark, Changed, Decoder, Failed, Line, Skipped, Undecodable
from controller.runtime.errors import Absent, Forbidden, Garbled, KubernetesError, from_status
from controller.runtime.freshness import WatchRecord, WatchState
from controller.runtime.index_driver import IndexDriver
from controller.runtime.lines import MAX_LINE, LineSplitter, LineTooLong
from controller.runtime.log import Logger, get_logger, span
from controller.runtime.outage import Outage
from controller.runtime.quarantine import Quarantine
from controller.runtime.reflector import ListPage, OpenWatch, Pause, Phase, Reaction, Reflector, Refresh

R = TypeVar("R", bound=Resource)

_log = get_logger(__name__)

ITEMS_PER_STEP = 500  # objects read before others get their turn: a few milliseconds


class Chunks(Protocol):
    """The body of an answer."""

    async def receive(self) -> bytes:
        """Wait for some bytes and return them; none at the end. Raises `KubernetesError`."""
        ...


class ListWatcher(Protocol):
    """The part of the client that following a kind needs. Everything raises `KubernetesError`."""

    async def list_page(self, path: str, params: Mapping[str, str]) -> bytes: ...

    def watch(self, path: str, params: Mapping[str, str], *, idle: float) -> AbstractAsyncContextManager[Chunks]:
        """Open a watch. Entering waits until the server has begun to answer."""
        ...

    async def refresh_credentials(self) -> None: ...


class Presence(Protocol):
    """What the API server serves."""

    async def is_served(self, resource_type: ResourceType[Resource]) -> bool: ...

    async def wait_served(self, resource_type: ResourceType[Resource]) -> None:
        """Return when the kind may have appeared; too early is harmless."""
        ...


async def watch_kind(
    server: ListWatcher,
    resource_type: ResourceType[R],
    *,
    events: trio.MemorySendChannel[Sequence[Event]],
    record: WatchRecord,
    quarantine: Quarantine,
    clock: Clock,
    jitter: Callable[[], float],
    presence: Presence | None = None,
    optional: bool = False,
    max_line: int = MAX_LINE,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Send the kind's events until cancelled, whatever the server does.

    The first event is a `Reset` with all objects that exist; it comes when a list has been completed. Cancellation
    leaves nothing half done: a batch has been sent or it has not.
    """
    follower = _Follower(
        server,
        Reflector(jitter, resource_type.label_selector, record.field_selector),
        Decoder(resource_type),
        IndexDriver(resource_type, record.known),
        events,
        record,
        quarantine,
        clock,
        presence,
        optional,
        max_line,
        _log.bind(kind=resource_type.kind, group=resource_type.group),
    )
    task_status.started()
    async with events:
        with span(resource_type.plural):
            await follower.run()


@attrs.define(eq=False)
class _Follower(Generic[R]):
    """One kind's loop."""

    _server: ListWatcher
    _reflector: Reflector
    _decoder: Decoder[R]
    _driver: IndexDriver[R]
    _events: trio.MemorySendChannel[Sequence[Event]]
    _record: WatchRecord
    _quarantine: Quarantine
    _clock: Clock
    _presence: Presence | None
    _optional: bool
    _max_line: int
    _log: Logger
    _outage: Outage = attrs.field(factory=Outage, init=False)
    _unreadable: set[ObjectKey] = attrs.field(factory=set[ObjectKey], init=False)  # in the list under way
    _absences: int = attrs.field(default=0, init=False)

    @property
    def _type(self) -> ResourceType[R]:
        return self._driver.resource_type

    async def run(self) -> None:
        while True:
            # A step may fail before it has waited for anything; without this, one that needs no pause could spin.
            await trio.lowlevel.checkpoint()
            try:
                await self._step()
            except KubernetesError as error:
                await self._failed(error)

    async def _step(self) -> None:
        step = self._reflector.next_step()
        match step:
            case Pause(seconds):
                self._record.enter(WatchState.BACKING_OFF)
                await trio.sleep(seconds)
            case Refresh():
                await self._server.refresh_credentials()
            case ListPage():
                self._record.enter(WatchState.LISTING)
                await self._list_page(step)
            case OpenWatch():
                await self._watch(step)

    # -- lists --

    async def _list_page(self, step: ListPage) -> None:
        if step.first:
            self._driver.list_started()
            self._unreadable.clear()
            self._log.debug("listing", params=step.params)
        body = await self._server.list_page(self._type.api_path, step.params)
        page = self._decoder.page(body)
        items = page.items or ()
        for start in range(0, len(items), ITEMS_PER_STEP):
            self._stage(items[start : start + ITEMS_PER_STEP])
            await trio.lowlevel.checkpoint()
        if self._reflector.listed(page.metadata.resource_version, page.metadata.continue_):
            await self._hand_on_list()

    def _stage(self, items: tuple[msgspec.Raw, ...]) -> None:
        for item in self._decoder.items(items):
            match item:
                case Undecodable():
                    self._set_aside(item)
                    self._unreadable.add(item.metadata.key)
                case Skipped(why):
                    self._skip(why)
                case resource:
                    if self._driver.accepts(resource.metadata):
                        self._driver.staged(resource)
                    else:
                        self._skip(f"{resource.metadata.key} has no name, or a namespace too many or too few")

    async def _hand_on_list(self) -> None:
        synced = self._driver.synced()
        self._quarantine.keep_only(self._type, self._unreadable)
        self._record.quarantined = self._quarantine.count(self._type)
        await self._events.send((synced.reset,))
        self._reflector.synced()
        self._absences = 0
        self._note_list(self._reflector.version)
        self._log.info(
            "listed",
            objects=len(synced.reset.resources),
            removed=len(synced.reset.removed),
            replaced=len(synced.replaced),
            version=self._reflector.version,
        )

    def _note_list(self, version: str | None) -> None:
        record = self._record
        record.synced = True
        record.resets += 1
        record.lists["completed"] += 1
        record.last_reset = record.last_contact = self._clock.monotonic()
        record.resource_version = version

    # -- watches --

    async def _watch(self, step: OpenWatch) -> None:
        splitter = LineSplitter(self._max_line)
        async with self._server.watch(self._type.api_path, step.params, idle=step.idle) as chunks:
            self._opened()
            while chunk := await chunks.receive():
                try:
                    lines = splitter.feed(chunk)
                except LineTooLong as error:
                    raise Garbled(str(error), reason="oversize") from error
                if lines:
                    await self._take(lines)
        self._ended()

    def _opened(self) -> None:
        now = self._clock.monotonic()
        self._reflector.opened(now)
        self._record.enter(WatchState.WATCHING)
        self._record.last_contact = now
        self._log.debug("watching", version=self._reflector.version)

    async def _take(self, lines: Sequence[bytes]) -> None:
        """Hand on what some lines say, as one batch, and only then move on past them."""
        batch: list[Event] = []
        version: str | None = None
        failure: KubernetesError | None = None
        for line in lines:
            try:
                version = self._event(self._decoder.line(line), batch) or version
            except KubernetesError as error:
                failure = error
                break
        if batch:
            await self._events.send(batch)
        if version is not None:
            self._advance(version)
        if failure is not None:
            raise failure

    def _event(self, line: Line[R], batch: list[Event]) -> str | None:
        """Add what the line says to the batch, and return the version that it brings us to."""
        match line:
            case Changed(type=change, object=resource):
                return self._changed(change, resource, batch)
            case Bookmark(version=version):
                self._record.bookmarks += 1
                self._record.last_bookmark = self._clock.monotonic()
                return version
            case Undecodable(metadata=metadata):
                if line.type == "DELETED":
                    self._delete(metadata.key, batch)
                else:
                    self._set_aside(line)
                return metadata.resource_version
            case Failed(status):
                raise from_status(status, doing=f"watching {self._type.plural}")
            case Skipped(why):
                self._skip(why)
                return None

    def _changed(self, change: str, resource: R, batch: list[Event]) -> str:
        metadata = resource.metadata
        if not self._driver.accepts(metadata):
            self._skip(f"{metadata.key} has no name, or a namespace too many or too few")
        elif change == "DELETED":
            self._delete(metadata.key, batch)
        else:
            batch.append(self._driver.applied(resource))
            self._record.applies += 1
            self._record.last_apply = self._clock.monotonic()
            if self._record.quarantined:
                self._release(metadata.key)
        return metadata.resource_version

    def _delete(self, key: ObjectKey, batch: list[Event]) -> None:
        batch.append(self._driver.deleted(key))
        self._record.deletes += 1
        self._record.last_delete = self._clock.monotonic()
        if self._record.quarantined:
            self._release(key)

    def _advance(self, version: str) -> None:
        now = self._clock.monotonic()
        self._reflector.advanced(version, now)
        self._record.resource_version = version
        self._record.last_contact = now
        if (seconds := self._outage.ended(now)) is not None:
            self._log.info("working again", after_seconds=round(seconds, 1))

    # -- objects that cannot be read --

    def _set_aside(self, undecodable: Undecodable) -> None:
        self._quarantine.add(self._type, undecodable.metadata, undecodable.error)
        self._record.decode_failures += 1
        self._record.quarantined = self._quarantine.count(self._type)

    def _release(self, key: ObjectKey) -> None:
        self._quarantine.release(self._type, key)
        self._record.quarantined = self._quarantine.count(self._type)

    def _skip(self, why: str) -> None:
        self._record.skipped += 1
        self._log.warning("skipped what is not of this kind", why=why)

    # -- failures --

    def _ended(self) -> None:
        now = self._clock.monotonic()
        self._record.last_contact = now
        self._note(self._reflector.ended(now), "the server closed the watch")

    async def _failed(self, error: KubernetesError) -> None:
        now = self._clock.monotonic()
        reaction = self._reflector.failed(error, now)
        if reaction.phase is Phase.LIST:
            self._record.lists[reaction.reason] += 1
        self._record.failed(_label(reaction, error), error.message)
        self._note(reaction, error.message)

    def _note(self, reaction: Reaction, message: str) -> None:
        """Write a row of the table down."""
        if reaction.phase is not Phase.LIST:
            self._record.restarts[reaction.reason] += 1
        fields = {"reason": reaction.reason, "relist": reaction.relist, "wait_seconds": round(reaction.wait, 2)}
        if reaction.reason in ("ended", "idle"):
            self._log.debug("the watch has ended", why=message, **fields)
        elif self._outage.failed(message if reaction.reason in _LASTING else reaction.reason, self._clock.monotonic()):
            self._log.warning("following the kind failed; trying again", error=message, **fields)
        else:
            self._log.debug("following the kind failed; trying again", error=message, **fields)


_LASTING = (Forbidden.reason, Absent.reason)


def _label(reaction: Reaction, error: KubernetesError) -> str:
    """Return the name of the error in upstream's metric."""
    if error.reason == "no_rv":
        return "NoResourceVersion"
    if reaction.phase is Phase.STREAM and error.status is not None:
        return "WatchError"
    return reaction.phase.value
