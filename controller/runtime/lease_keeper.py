"""Hold a Lease: perform what a `LeaseClaim` decides, and tell who depends on it.

Whether the Lease is held is a question for the clock, asked anew at each use: a claim ends at its own deadline, while a
request may be under way and even if this process was paused and wakes up late. Whoever waits is woken at that deadline
too, not only when the API server has answered.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, Protocol

import attrs
import msgspec
import trio

from controller.runtime.clock import Clock
from controller.runtime.diagnostics import LeaseReport
from controller.runtime.errors import Absent, AlreadyExists, Conflicted, KubernetesError, Rejected, Unavailable
from controller.runtime.lease import Acquire, Create, LeaseClaim, Read, Renew, Step, Wait
from controller.runtime.lease_metrics import LeaseMetrics
from controller.runtime.lease_wire import (
    LeaseParams,
    LeaseRecord,
    parse_lease,
    to_acquire,
    to_create,
    to_renew,
    to_vacate,
)
from controller.runtime.log import get_logger
from controller.runtime.outage import Outage

_log = get_logger(__name__)

APPLY = "application/apply-patch+yaml"
STRATEGIC = "application/strategic-merge-patch+json"


class LeaseApi(Protocol):
    """The part of the client that a Lease needs. Everything raises `KubernetesError`."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes: ...


@attrs.frozen
class LeaseStatistics:
    name: str
    claimant: str
    held: bool
    holder: str | None
    transitions: int  # how often we got or lost it
    renewals: int
    failures: int
    expires_in: float  # seconds until we give it up; 0 when we do not hold it


@attrs.define(eq=False)
class LeaseKeeper:
    """Keeps claiming one Lease for as long as `run` runs."""

    _api: LeaseApi
    _claim: LeaseClaim
    _clock: Clock
    _metrics: LeaseMetrics | None = None
    _created: dt.datetime = attrs.field(init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _told: tuple[float, LeaseRecord | None] = attrs.field(default=(-math.inf, None), init=False)  # end, as it was read
    _was_held: bool = attrs.field(default=False, init=False)
    _in_doubt: bool = attrs.field(default=False, init=False)  # a write was sent, and may have been made
    _updates: int = attrs.field(default=0, init=False)
    _last_update: dt.datetime | None = attrs.field(default=None, init=False)
    _transitions: int = attrs.field(default=0, init=False)
    _renewals: int = attrs.field(default=0, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _outage: Outage = attrs.field(factory=Outage, init=False)

    def __attrs_post_init__(self) -> None:
        self._created = self._clock.wall()
        if self._metrics is not None:
            self._metrics.follow(self.params.name, self._expires_in)

    @property
    def params(self) -> LeaseParams:
        return self._claim.params

    def is_held(self) -> bool:
        """Whether we may write at this very moment."""
        return self._claim.is_held(self._now())

    def _now(self) -> float:
        """Time on a clock that went on while the machine was suspended, as those of the other replicas did."""
        return self._clock.monotonic() + self._clock.suspended()

    def _on_loop(self, instant: float) -> float:
        """When that is on the loop's clock, unless the machine is suspended until then."""
        return instant - self._clock.suspended()

    def _expires_in(self) -> float:
        return max(self._claim.held_until() - self._now(), 0.0)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Claim and renew until cancelled. No failure of the API server ends this."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_in_time)
            task_status.started()
            while True:
                await self._perform(self._claim.next_step(self._now()))
                self._tell()

    async def _perform(self, step: Step) -> None:
        if isinstance(step, Wait):
            await trio.sleep_until(self._on_loop(step.until))
            return
        try:
            with _within(self.params.request_seconds, step):
                await self._request(step)
            self._outage.ended(self._now())
        except KubernetesError as error:
            self._failures += 1
            self._note(step, error)
            self._claim.failed(error, self._now())
            await trio.lowlevel.checkpoint()

    def _note(self, step: Step, error: KubernetesError) -> None:
        """Write down a failure. One that goes on is written down again after minutes; some are how things go."""
        fields = {"step": _name(step), "error": str(error), **self._names()}
        if isinstance(step, Read) and isinstance(error, Absent):
            _log.debug("there is no lease yet", **fields)
        elif isinstance(error, Conflicted):
            _log.info("somebody else wrote the lease first", **fields)
        elif self._outage.failed(error.reason, self._now()):
            second = isinstance(step, Create) and isinstance(error, Rejected)  # most likely: somebody else made it
            say = _log.info if second else _log.warning
            say("lease step failed; trying again", **fields)
        else:
            _log.debug("lease step failed; trying again", **fields)

    async def _request(self, step: Read | Create | Acquire | Renew) -> None:
        params, sent, wall = self.params, self._now(), self._clock.wall()
        match step:
            case Read():
                record = parse_lease(await self._api.request("GET", params.path))
                self._claim.read(record, self._now(), self._clock.wall())
                self._in_doubt = False
            case Create():
                # Conflicted too: the version 0 in the request says "only if there is none".
                with contextlib.suppress(AlreadyExists, Conflicted):
                    await self._patch(to_create(params), APPLY)
                self._claim.created()
            case Acquire(record):
                with self._attempt():
                    claimed = await self._patch(to_acquire(params, record, wall), APPLY, force=True)
                self._claim.written(claimed, sent)
            case Renew(record):
                with self._attempt():
                    renewed = await self._patch(to_renew(params, record, wall), STRATEGIC)
                self._claim.written(renewed, sent)
                self._renewals += 1

    @contextlib.contextmanager
    def _attempt(self) -> Generator[None]:
        """Count the write, and remember while nobody knows whether it was made."""
        begun, result = self._now(), "timeout"
        self._in_doubt = True
        try:
            yield
            self._in_doubt, result = False, "success"
        except KubernetesError as error:
            self._in_doubt, result = isinstance(error, Unavailable), error.reason
            raise
        finally:
            if self._metrics is not None:
                self._metrics.attempted(self.params.name, result, self._now() - begun)

    async def _patch(self, body: dict[str, Any], content_type: str, *, force: bool = False) -> LeaseRecord:
        params = {"fieldManager": self.params.field_manager} | ({"force": "true"} if force else {})
        data = msgspec.json.encode(body)
        answer = await self._api.request("PATCH", self.params.path, params=params, body=data, content_type=content_type)
        return parse_lease(answer)

    async def _tell_in_time(self) -> None:
        """Say that the claim is lost when it is, even if a request is under way for longer than that."""
        while True:
            await self._wait_changed()
            self._tell()

    async def _wait_changed(self) -> None:
        """Wait until something is told, or the claim's end has come."""
        changed = self._changed
        with trio.move_on_at(self._on_loop(self._claim.held_until()) if self.is_held() else math.inf):
            await changed.wait()

    def _tell(self) -> None:
        """Wake those who wait if anything has changed."""
        held, record = self.is_held(), self._claim.record
        if record != self._told[1]:
            self._updates += 1
            self._last_update = self._clock.wall()
        if held != self._was_held:
            self._was_held = held
            self._transitions += 1
            if self._metrics is not None:
                self._metrics.changed(self.params.name)
            _log.info("lease held" if held else "lease not held any more", **self._names())
        elif (self._claim.held_until(), record) == self._told:
            return
        self._told = self._claim.held_until(), record
        self._changed.set()
        self._changed = trio.Event()

    def _names(self) -> dict[str, str]:
        return {"namespace": self.params.namespace, "name": self.params.name, "claimant": self.params.claimant}

    async def wait_held(self) -> None:
        """Wait until we hold the Lease."""
        await trio.lowlevel.checkpoint()
        while not self.is_held():
            await self._changed.wait()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncGenerator[trio.CancelScope]:
        """Wait until we hold the Lease; the block is cancelled when the claim is lost, or cannot be renewed in time.

        The scope's `cancelled_caught` says afterwards whether that was why the block ended.
        """
        await self.wait_held()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_lost, scope)
                yield scope
                nursery.cancel_scope.cancel()

    async def _cancel_when_lost(self, scope: trio.CancelScope) -> None:
        while self.is_held():
            await self._wait_changed()
        scope.cancel()

    async def vacate(self, *, seconds: float = 5.0) -> None:
        """Give the Lease up if we hold it, so that another replica need not wait for its end; call it after `run`.

        Shielded from cancellation for that many seconds: it is what makes a restart short. A failure of the API server
        is not raised: the Lease then ends by itself.
        """
        ours, in_doubt = self.is_held(), self._in_doubt
        self._claim.vacated()  # before anybody else can have it
        self._tell()
        if not ours and not in_doubt:
            return
        with trio.move_on_after(seconds, shield=True):
            try:
                await self._give_up(read_first=in_doubt)
            except KubernetesError as error:
                _log.info("giving the lease up failed", error=str(error), **self._names())
        self._tell()

    async def _give_up(self, *, read_first: bool) -> None:
        if read_first:
            await self._request(Read())
        for _ in range(2):
            record = self._claim.record
            if record is None or record.holder != self.params.claimant:
                return
            try:
                self._claim.vacated(await self._patch(to_vacate(record), STRATEGIC))
            except Conflicted:
                await self._request(Read())
            else:
                _log.info("lease given up", **self._names())
                return

    def statistics(self) -> LeaseStatistics:
        record = self._claim.record
        return LeaseStatistics(
            name=f"{self.params.namespace}/{self.params.name}",
            claimant=self.params.claimant,
            held=self.is_held(),
            holder=None if record is None else record.holder,
            transitions=self._transitions,
            renewals=self._renewals,
            failures=self._failures,
            expires_in=self._expires_in(),
        )

    def report(self) -> LeaseReport:
        """The Lease in the words of kubert's diagnostics."""
        record, params = self._claim.record, self.params
        current = None
        if record is not None and record.holder is not None and record.renewed is not None:
            current = record.holder, record.renewed + dt.timedelta(seconds=record.duration)
        return LeaseReport(
            name=params.name,
            namespace=params.namespace,
            claimant=params.claimant,
            field_manager=params.field_manager,
            duration=params.duration,
            renew_grace_period=params.duration * 2 / 3,  # it is renewed that long before its end
            created=self._created,
            updates=self._updates,
            last_update=self._last_update,
            resource_version=None if record is None else record.version,
            current=current if current is not None and current[1] > self._clock.wall() else None,
        )


def _name(step: Step) -> str:
    return type(step).__name__.lower()


@contextlib.contextmanager
def _within(seconds: float, step: Step) -> Generator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise Unavailable(f"lease {_name(step)}: no answer within {seconds:g} s", reason="timeout")
