"""Follow a kind: perform what a `Reflector` decides, and hand on what comes of it.

What decides is elsewhere and does no I/O: the protocol in `reflector`; in `intake`, what has arrived becomes events.
Here is the loop that connects them to the API server, to the channel of events, to the log, and to the record that
metrics and diagnostics read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

import attrs
import trio

from controller.k8s.events import Event
from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType
from controller.runtime.clock import Clock
from controller.runtime.decode import Decoder
from controller.runtime.errors import Absent, Forbidden, Garbled, KubernetesError
from controller.runtime.freshness import WatchRecord, WatchState
from controller.runtime.index_driver import IndexDriver
from controller.runtime.intake import Intake
from controller.runtime.lines import MAX_LINE, LineSplitter, LineTooLong
from controller.runtime.list_reader import ListReader
from controller.runtime.log import Logger, get_logger, span
from controller.runtime.outage import Outage
from controller.runtime.quarantine import Quarantine
from controller.runtime.reflector import ListPage, OpenWatch, Pause, Phase, Reaction, Reflector, Refresh
from controller.runtime.token_bucket import TokenBucket

R = TypeVar("R", bound=Resource)

_log = get_logger(__name__)

ABSENCES_BELIEVED = 2  # in a row, before objects that we know are taken for gone
ITEMS_PER_STEP = 500  # objects read before others get their turn: a few milliseconds


# How often we wake up for a kind: single changes are handed on the moment they come; of a flood, what has come in 10 ms
# is taken in together. Waking up costs 100 µs, each line 20 µs.
READS_PER_SECOND = 100.0
READS_AT_ONCE = 25
BUFFERED_SECONDS = 0.0002  # a chunk that comes sooner was there already, and is not what woke us


class Chunks(Protocol):
    """The body of an answer."""

    async def receive(self) -> bytes:
        """Wait for some bytes and return them; none at the end. Raises `KubernetesError`."""
        ...


class ListWatcher(Protocol):
    """The part of the client that following a kind needs. Everything raises `KubernetesError`."""

    def list_page(self, path: str, params: Mapping[str, str]) -> AbstractAsyncContextManager[Chunks]:
        """Ask for a page of a list. Entering waits until the server has begun to answer."""
        ...

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

    The first event is a `Reset` with all objects that exist; it comes when a list has been completed. Where the kind
    is not served, an empty one comes instead if the kind is optional, and none until it is served if it is not.
    Cancellation leaves nothing half done: a batch has been sent or it has not.
    """
    log = _log.bind(kind=resource_type.kind, group=resource_type.group)
    driver = IndexDriver(resource_type, record.known)
    follower = _Follower(
        server,
        Reflector(jitter, resource_type.label_selector, record.field_selector),
        Intake(Decoder(resource_type), driver, record, quarantine, clock, log),
        events,
        record,
        clock,
        presence,
        optional,
        max_line,
        log,
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
    _intake: Intake[R]
    _events: trio.MemorySendChannel[Sequence[Event]]
    _record: WatchRecord
    _clock: Clock
    _presence: Presence | None
    _optional: bool
    _max_line: int
    _log: Logger
    _outage: Outage = attrs.field(factory=Outage, init=False)
    _list_started: float = attrs.field(default=0.0, init=False)
    _absences: int = attrs.field(default=0, init=False)

    @property
    def _type(self) -> ResourceType[R]:
        return self._intake.driver.resource_type

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
            self._list_started = self._clock.monotonic()
            self._intake.list_started()
            self._log.debug("listing", params=step.params)
        reader = ListReader(self._type)
        async with self._server.list_page(self._type.api_path, step.params) as chunks:
            while chunk := await chunks.receive():
                self._intake.items(reader.feed(chunk))
        page = reader.end()
        items = page.items or ()
        for start in range(0, len(items), ITEMS_PER_STEP):
            await trio.lowlevel.checkpoint()
            self._intake.items(items[start : start + ITEMS_PER_STEP])
        await trio.lowlevel.checkpoint()
        if self._reflector.listed(page.metadata.resource_version, page.metadata.continue_):
            await self._hand_on_list()

    async def _hand_on_list(self) -> None:
        synced = self._intake.list_completed()
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
        record.observe_list(record.last_reset - self._list_started)
        record.resource_version = version

    # -- watches --

    async def _watch(self, step: OpenWatch) -> None:
        splitter = LineSplitter(self._max_line)
        async with self._server.watch(self._type.api_path, step.params, idle=step.idle) as chunks:
            self._opened()
            pace = TokenBucket(READS_PER_SECOND, READS_AT_ONCE)
            while chunk := await self._receive(chunks, pace):
                try:
                    lines = splitter.feed(chunk)
                except LineTooLong as error:
                    raise Garbled(str(error), reason="oversize") from error
                if lines:
                    await self._take(lines)
        self._ended()

    async def _receive(self, chunks: Chunks, pace: TokenBucket) -> bytes:
        """Wait for a chunk. In a flood wait a little longer, so that more of it is there to be taken in together."""
        asked = self._clock.monotonic()
        chunk = await chunks.receive()
        now = self._clock.monotonic()
        if now - asked > BUFFERED_SECONDS:
            wait = pace.take(now)
            if wait:
                await trio.sleep(wait)
        return chunk

    def _opened(self) -> None:
        now = self._clock.monotonic()
        self._reflector.opened(now)
        self._record.enter(WatchState.WATCHING)
        self._record.last_contact = now
        self._log.debug("watching", version=self._reflector.version)

    async def _take(self, lines: Sequence[bytes]) -> None:
        """Hand on what some lines say, as one batch, and only then move on past them."""
        taken = self._intake.lines(lines)
        if taken.batch:
            try:
                self._events.send_nowait(
                    taken.batch
                )  # the rest of a flood comes before whoever takes this in has a turn
            except trio.WouldBlock:
                await self._events.send(taken.batch)
        if taken.version is not None:
            self._advance(taken.version)
        if taken.failure is not None:
            raise taken.failure

    def _advance(self, version: str) -> None:
        now = self._clock.monotonic()
        self._reflector.advanced(version, now)
        self._record.resource_version = version
        self._record.last_contact = now
        if self._outage.is_on and self._reflector.is_healthy:
            self._recovered(now)

    def _recovered(self, now: float) -> None:
        seconds = self._outage.ended(now)
        if seconds is not None:
            self._log.info("following the kind works again", after_seconds=round(seconds, 1))

    # -- failures --

    def _ended(self) -> None:
        now = self._clock.monotonic()
        self._record.last_contact = now
        reaction = self._reflector.ended(now)
        if self._reflector.is_healthy:
            self._recovered(now)
        self._note(reaction, "the server closed the watch")

    async def _failed(self, error: KubernetesError) -> None:
        reaction = self._reflector.failed(error, self._clock.monotonic())
        self._record.failed(_label(reaction, error), error.message)
        if reaction.phase is Phase.LIST:
            self._record.lists[reaction.reason] += 1
            if isinstance(error, Absent) and self._presence is not None and await self._is_gone(self._presence):
                await self._wait_until_served(self._presence)
                return
        self._note(reaction, error.message)
        if isinstance(error, Forbidden) and self._optional and not self._record.synced:
            self._log.warning("the kind is optional; going on as if there were none", error=error.message)
            await self._hand_on_nothing()

    def _note(self, reaction: Reaction, message: str) -> None:
        """Write down a row of the table."""
        if reaction.phase is not Phase.LIST:
            self._record.restarts[reaction.reason] += 1
        fields = {"reason": reaction.reason, "relist": reaction.relist, "wait_seconds": round(reaction.wait, 2)}
        if reaction.reason in _NORMAL:
            self._log.debug("the watch has ended; opening it again", why=message, **fields)
            return
        # Of what only an operator can cure, another text is news; of the rest, another reason.
        what = message if reaction.reason in _LASTING else reaction.reason
        if self._outage.failed(what, self._clock.monotonic()):
            self._log.warning("following the kind failed; trying again", error=message, **fields)
        else:
            self._log.debug("following the kind failed; trying again", error=message, **fields)

    # -- kinds that are not there --

    async def _is_gone(self, presence: Presence) -> bool:
        """Say whether the kind as such is not served: one page that is not there does not prove it."""
        try:
            if await presence.is_served(self._type):
                self._absences = 0
                return False
        except KubernetesError as error:
            self._log.debug("cannot find out whether the kind is served", error=error.message)
            return False
        self._absences += 1
        # What we know is not thrown away for a server that is just starting and does not know its own kinds yet.
        return self._absences >= ABSENCES_BELIEVED or not self._record.known

    async def _wait_until_served(self, presence: Presence) -> None:
        if known := len(self._record.known):
            self._log.warning(
                "the API server does not serve the kind any more: all its objects are gone", objects=known
            )
            await self._hand_on_nothing()
        elif self._optional or self._record.synced:
            self._log.info("the API server does not serve the kind; looking again now and then")
            await self._hand_on_nothing()
        else:
            self._log.warning("the API server does not serve a kind that has to be there; not ready until it does")
        self._reflector.vanished()
        self._record.enter(WatchState.ABSENT)
        await presence.wait_served(self._type)
        self._absences = 0
        self._outage = Outage()
        self._log.info("the API server serves the kind")

    async def _hand_on_nothing(self) -> None:
        """Hand on a list without objects, unless that is what everybody believes already."""
        if self._record.synced and not self._record.known:
            return
        self._intake.list_started()
        synced = self._intake.list_completed()
        await self._events.send((synced.reset,))
        self._record.synced = True
        self._record.last_contact = self._clock.monotonic()


_NORMAL = ("ended", "idle")
_LASTING = (Forbidden.reason, Absent.reason)


def _label(reaction: Reaction, error: KubernetesError) -> str:
    """Return the name of the error in upstream's metric."""
    if error.reason == "no_rv":
        return "NoResourceVersion"
    if reaction.phase is Phase.STREAM and error.status is not None:
        return "WatchError"
    return reaction.phase.value
