"""An API server that answers what a test tells it to, in order, and writes down what it was asked."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import trio

from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.clock import Clock
from controller.runtime.errors import KubernetesError, Unavailable
from controller.runtime.freshness import WatchRecord
from controller.runtime.list_watch import ListWatcher, Presence, watch_kind
from controller.runtime.quarantine import Quarantine
from tests.unit.runtime.support import WIDGETS


class End:
    """The server closes the stream in good order."""


# What a watch brings: bytes, seconds of silence, an error, or the end. After the last there is silence.
Piece = bytes | float | KubernetesError | type[End]


@attrs.frozen
class Request:
    at: float
    verb: str
    params: Mapping[str, str]


@attrs.define
class ScriptedServer:
    """Answers lists and watches from two scripts; where one has run out, it says nothing for ever."""

    lists: Iterable[bytes | KubernetesError | float] = ()
    watches: Iterable[Sequence[Piece] | KubernetesError] = ()
    requests: list[Request] = attrs.field(factory=list)
    refreshed: int = 0
    open_watches: int = 0

    def __attrs_post_init__(self) -> None:
        self.lists, self.watches = iter(self.lists), iter(self.watches)

    def asked(self, verb: str) -> list[dict[str, str]]:
        return [dict(request.params) for request in self.requests if request.verb == verb]

    def times(self, verb: str) -> list[float]:
        return [request.at for request in self.requests if request.verb == verb]

    def _note(self, verb: str, params: Mapping[str, str]) -> None:
        self.requests.append(Request(trio.current_time(), verb, dict(params)))

    @contextlib.asynccontextmanager
    async def list_page(self, _path: str, params: Mapping[str, str]) -> AsyncIterator[Stream]:
        yield Stream(iter([await self._page(params), End]), 60.0)

    async def _page(self, params: Mapping[str, str]) -> bytes:
        self._note("list", params)
        await trio.lowlevel.checkpoint()
        match next(self.lists, None):  # type: ignore[call-overload]
            case bytes() as body:
                return body
            case KubernetesError() as error:
                raise error
            case _:
                await trio.sleep_forever()
                raise AssertionError

    @contextlib.asynccontextmanager
    async def watch(self, _path: str, params: Mapping[str, str], *, idle: float) -> AsyncIterator[Stream]:
        self._note("watch", params)
        await trio.lowlevel.checkpoint()
        pieces = next(self.watches, ())  # type: ignore[call-overload]
        if isinstance(pieces, KubernetesError):
            raise pieces
        self.open_watches += 1
        try:
            yield Stream(iter(pieces), idle)
        finally:
            self.open_watches -= 1

    async def refresh_credentials(self) -> None:
        await trio.lowlevel.checkpoint()
        self.refreshed += 1


@attrs.define
class Stream:
    _pieces: Iterable[Piece]
    _idle: float

    async def receive(self) -> bytes:
        with trio.move_on_after(self._idle):
            return await self._next()
        raise Unavailable("nothing came for too long", reason="idle")

    async def _next(self) -> bytes:
        await trio.lowlevel.checkpoint()
        for piece in self._pieces:
            if isinstance(piece, bytes):
                return piece
            if isinstance(piece, KubernetesError):
                raise piece
            if isinstance(piece, float):
                await trio.sleep(piece)
            else:
                return b""
        await trio.sleep_forever()
        raise AssertionError


@attrs.define
class Seen:
    """Everything that a consumer was told, and what it believes for that."""

    batches: list[Sequence[Event]] = attrs.field(factory=list)
    believed: dict[ObjectKey, Resource] = attrs.field(factory=dict)

    def take(self, batch: Sequence[Event]) -> None:
        self.batches.append(batch)
        for event in batch:
            match event:
                case Applied(resource):
                    self.believed[resource.key] = resource
                case Deleted(key=key):
                    self.believed.pop(key, None)
                case Reset(resources=resources, removed=removed):
                    for resource in resources:
                        self.believed[resource.key] = resource
                    for key in removed:
                        del self.believed[key]

    @property
    def names(self) -> set[str]:
        return {key.name for key in self.believed}

    @property
    def resets(self) -> int:
        return sum(isinstance(event, Reset) for batch in self.batches for event in batch)

    def told(self) -> list[str]:
        """Each event, in a word."""
        words: list[str] = []
        for batch in self.batches:
            for event in batch:
                match event:
                    case Applied(resource):
                        words.append(f"+{resource.metadata.name}")
                    case Deleted(key=key):
                        words.append(f"-{key.name}")
                    case Reset(resources=resources, removed=removed):
                        listed = ",".join(sorted(resource.metadata.name for resource in resources))
                        gone = ",".join(sorted(key.name for key in removed))
                        words.append(f"[{listed}]" + (f"-{gone}" if gone else ""))
        return words


def virtual_clock() -> Clock:
    """Trio's clock, and a wall clock that moves with it."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return Clock(trio.current_time, lambda: start + dt.timedelta(seconds=trio.current_time()))


@attrs.define
class Following:
    """A kind that is followed in the background."""

    server: Any
    seen: Seen
    record: WatchRecord
    quarantine: Quarantine


@contextlib.asynccontextmanager
async def following(
    server: ListWatcher,
    *,
    resource_type: ResourceType[Resource] = WIDGETS,
    presence: Presence | None = None,
    optional: bool = False,
    jitter: Callable[[], float] = lambda: 0.5,
    max_line: int = 1 << 20,
) -> AsyncIterator[Following]:
    """Follow a kind for as long as the block lasts."""
    clock = virtual_clock()
    subject = Following(server, Seen(), WatchRecord(resource_type, clock), Quarantine(clock))
    send, receive = trio.open_memory_channel[Sequence[Event]](4)

    async def consume() -> None:
        async for batch in receive:
            subject.seen.take(batch)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)

        async def follow(*, task_status: trio.TaskStatus[None]) -> None:
            await watch_kind(
                server,
                resource_type,
                events=send,
                record=subject.record,
                quarantine=subject.quarantine,
                clock=clock,
                jitter=jitter,
                presence=presence,
                optional=optional,
                max_line=max_line,
                task_status=task_status,
            )

        await nursery.start(follow)
        yield subject
        nursery.cancel_scope.cancel()
