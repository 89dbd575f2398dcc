"""Hold a Lease: perform what a `LeaseClaim` decides, and tell who depends on it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, Protocol

import attrs
import msgspec
import trio

from controller.runtime.clock import Clock
from controller.runtime.errors import AlreadyExists, Conflicted, KubernetesError, Unavailable
from controller.runtime.lease import Acquire, Create, LeaseClaim, Read, Renew, Step, Wait
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

_log = get_logger(__name__)

APPLY = "application/apply-patch+yaml"
STRATEGIC = "application/strategic-merge-patch+json"
# A request that takes longer is given up and made again; the claim's own clock goes on meanwhile.
REQUEST_SECONDS = 10.0


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
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _was_held: bool = attrs.field(default=False, init=False)
    _transitions: int = attrs.field(default=0, init=False)
    _renewals: int = attrs.field(default=0, init=False)
    _failures: int = attrs.field(default=0, init=False)

    @property
    def params(self) -> LeaseParams:
        return self._claim.params

    def is_held(self) -> bool:
        """Whether we may write at this very moment."""
        return self._claim.is_held(self._clock.monotonic())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Claim and renew until cancelled. No failure ends this."""
        task_status.started()
        while True:
            step = self._claim.next_step(self._clock.monotonic())
            await self._perform(step)
            self._tell()

    async def _perform(self, step: Step) -> None:
        if isinstance(step, Wait):
            # Woken in time to say that the claim is lost, although nothing came from the API server.
            until = min(step.until, self._claim.held_until() if self._was_held else math.inf)
            await trio.sleep_until(until)
            return
        try:
            with _within(REQUEST_SECONDS, step):
                await self._request(step)
        except KubernetesError as error:
            self._failures += 1
            _log.info("lease step failed", step=type(step).__name__.lower(), error=str(error), **self._names())
            self._claim.failed(error, self._clock.monotonic())
            await trio.lowlevel.checkpoint()

    async def _request(self, step: Read | Create | Acquire | Renew) -> None:
        params, sent, wall = self.params, self._clock.monotonic(), self._clock.wall()
        match step:
            case Read():
                record = parse_lease(await self._api.request("GET", params.path))
                self._claim.read(record, self._clock.monotonic(), self._clock.wall())
            case Create():
                # Conflicted too: the version 0 in the request says "only if there is none".
                with contextlib.suppress(AlreadyExists, Conflicted):
                    await self._patch(to_create(params), APPLY)
                self._claim.created()
            case Acquire(record):
                self._claim.written(await self._patch(to_acquire(params, record, wall), APPLY, force=True), sent)
            case Renew(record):
                self._claim.written(await self._patch(to_renew(params, record, wall), STRATEGIC), sent)
                self._renewals += 1

    async def _patch(self, body: dict[str, Any], content_type: str, *, force: bool = False) -> LeaseRecord:
        params = {"fieldManager": self.params.field_manager} | ({"force": "true"} if force else {})
        data = msgspec.json.encode(body)
        answer = await self._api.request("PATCH", self.params.path, params=params, body=data, content_type=content_type)
        return parse_lease(answer)

    def _tell(self) -> None:
        held = self.is_held()
        if held == self._was_held:
            return
        self._was_held = held
        self._transitions += 1
        _log.info("lease held" if held else "lease not held any more", **self._names())
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
            changed = self._changed
            with trio.move_on_at(self._claim.held_until()):
                await changed.wait()
        scope.cancel()

    async def vacate(self, *, seconds: float = 5.0) -> None:
        """Give the Lease up if we hold it, so that another replica need not wait for its end; call it after `run`.

        Shielded from cancellation for that many seconds: it is what makes a restart short. A failure of the API server
        is not raised: the Lease then ends by itself.
        """
        with trio.move_on_after(seconds, shield=True):
            for _ in range(2):
                record = self._claim.record
                if record is None or not self.is_held():
                    break
                try:
                    await self._patch(to_vacate(record), STRATEGIC)
                    _log.info("lease given up", **self._names())
                    break
                except Conflicted:
                    with contextlib.suppress(KubernetesError):
                        await self._request(Read())
                except KubernetesError as error:
                    _log.info("giving the lease up failed", error=str(error), **self._names())
                    break
        self._claim.vacated()
        self._tell()

    def statistics(self) -> LeaseStatistics:
        record, now = self._claim.record, self._clock.monotonic()
        left = self._claim.held_until() - now
        return LeaseStatistics(
            held=self.is_held(),
            holder=None if record is None else record.holder,
            transitions=self._transitions,
            renewals=self._renewals,
            failures=self._failures,
            expires_in=max(left, 0.0),
        )


@contextlib.contextmanager
def _within(seconds: float, step: Step) -> Generator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise Unavailable(f"lease {type(step).__name__.lower()}: no answer within {seconds:g} s", reason="timeout")
