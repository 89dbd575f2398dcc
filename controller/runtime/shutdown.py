"""How the process stops: politely while there is time, at once when told twice.

Theory of operation
===================

The phases follow each other and never go back:

1. *running*.
2. *leaving*, from the first SIGTERM or SIGINT, from `begin`, or because a required task has ended. The process is not
   ready any more, and goes on serving for `delay` seconds, so that whoever routes to it can learn that.
3. *stopping*. Servers stop accepting and finish what they have. Whatever need not finish runs in a
   `cancelled_at_stop` scope, and ends here.
4. *done*, when the block under `graceful` has ended and nobody holds it open.

From *leaving* on the clock runs: after `grace` seconds everything in the block is cancelled, and what was still held is
named. A second signal cancels everything at once. A third ends the process on the spot, for the case that a clean-up
hangs.

Nesting, not this module, decides who stops before whom: servers are in a nursery inside the one that feeds them.
"""

from __future__ import annotations

import contextlib
import enum
import math
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, cast

import attrs
import trio

from controller.runtime.log import get_logger

_log = get_logger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Phase(enum.IntEnum):
    RUNNING = 0
    LEAVING = 1
    STOPPING = 2
    DONE = 3


class ShutdownError(Exception):
    """The process stopped, but not as it should."""


class Aborted(ShutdownError):
    """A second signal came before everything had ended."""


class TimedOut(ShutdownError):
    """The grace period was over before everything had ended."""


class RequiredTaskEnded(ShutdownError):
    """A task without which the process is of no use failed (see the cause) or ended."""


@attrs.define(eq=False)
class Hold:
    """Somebody's claim that the process must not end yet."""

    name: str
    since: float


@attrs.define(eq=False)
class Shutdown:
    """The state of stopping. Made by `graceful`; tasks wait for its phases, hold it open, or begin it."""

    _grace: float
    _delay: float
    _on_leaving: Callable[[], None]
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _phase: Phase = attrs.field(default=Phase.RUNNING, init=False)
    _leaving: trio.Event = attrs.field(factory=trio.Event, init=False)
    _stopping: trio.Event = attrs.field(factory=trio.Event, init=False)
    _released: trio.Event = attrs.field(factory=trio.Event, init=False)
    _holds: list[Hold] = attrs.field(factory=list[Hold], init=False)
    _scopes: list[trio.CancelScope] = attrs.field(factory=list[trio.CancelScope], init=False)
    _failures: list[RequiredTaskEnded] = attrs.field(factory=list[RequiredTaskEnded], init=False)
    _cut: ShutdownError | None = attrs.field(default=None, init=False)  # why everything was cancelled, if it was

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Who keeps the process from ending, oldest first."""
        return tuple(self._holds)

    def begin(self, reason: str) -> None:
        """Leave: the process ends after the delay and the drain. Later calls change nothing."""
        if self._phase is not Phase.RUNNING:
            return
        self._phase = Phase.LEAVING
        self._on_leaving()
        _log.info("shutting down", reason=reason)
        self._leaving.set()

    async def wait_leaving(self) -> None:
        """Wait until the process is going to end. Waiting does not hold it open."""
        await self._leaving.wait()

    async def wait_stopping(self) -> None:
        """Wait until servers should stop accepting and finish. Waiting does not hold the process open."""
        await self._stopping.wait()

    @contextlib.contextmanager
    def hold(self, name: str) -> Generator[None]:
        """The process does not end before this block has, or the grace period; the name says whom it waited for."""
        hold = Hold(name, trio.current_time())
        self._holds.append(hold)
        try:
            yield
        finally:
            self._holds.remove(hold)
            if not self._holds:
                self._released.set()
                self._released = trio.Event()

    @contextlib.contextmanager
    def cancelled_at_stop(self) -> Generator[trio.CancelScope]:
        """What runs in this block is cancelled when *stopping* begins, even if it never waits for anything long."""
        scope = trio.CancelScope()
        if self._phase >= Phase.STOPPING:
            scope.cancel()
        self._scopes.append(scope)
        try:
            with scope:
                yield scope
        finally:
            self._scopes.remove(scope)

    async def run_required(
        self,
        name: str,
        async_fn: Callable[..., Awaitable[object]],
        *args: object,
        task_status: trio.TaskStatus[Any] | None = None,
    ) -> None:
        """Run a task without which the process is of no use, and hold the process open for it.

        If it fails, or ends before it was told to, the others get their grace period, and `graceful` then raises what
        happened. To be started with `start_soon`, or with `start` if `async_fn` takes a `task_status`; a failure
        before `started` is raised to whoever starts it.
        """
        starting = None if task_status is None else _Noting(task_status)
        run = async_fn if starting is None else partial(async_fn, task_status=starting)
        with self.hold(name):
            try:
                await run(*args)
            except Exception as error:
                if starting is not None and not starting.noted:
                    raise
                self._fail(RequiredTaskEnded(f"{name} failed: {_describe(error)}"), error)
            else:
                if self._phase < Phase.STOPPING:
                    self._fail(RequiredTaskEnded(f"{name} ended, which it should not"), None)

    @contextlib.asynccontextmanager
    async def governing(self, *, handle_signals: bool) -> AsyncGenerator[None]:
        """Make the block the one that this stops. Used by `graceful`."""
        error: Exception | None = None
        async with trio.open_nursery() as watchers:
            if handle_signals:
                await watchers.start(self._obey_signals)
            watchers.start_soon(self._proceed)
            try:
                with self._scope:
                    yield
                    await self._wait_released()
            except Exception as raised:  # noqa: BLE001  # raised below: the nursery would wrap it in a group of one
                error = raised
            watchers.cancel_scope.cancel()
        if error is not None:
            raise error
        self._conclude()

    def _fail(self, failure: RequiredTaskEnded, cause: Exception | None) -> None:
        failure.__cause__ = cause
        self._failures.append(failure)
        _log.error("required task ended", exc_info=cause, reason=str(failure))
        self.begin(str(failure))

    async def _proceed(self) -> None:
        """Take the process from leaving to stopping, and cut it off when the time is over."""
        await self._leaving.wait()
        over = trio.current_time() + self._grace
        await trio.sleep(self._delay)
        self._phase = Phase.STOPPING
        self._stopping.set()
        for scope in self._scopes:
            scope.cancel()
        await trio.sleep_until(over)
        self._cut_off(TimedOut(f"not stopped within {self._grace:g} s; still running: {self._outstanding()}"))

    async def _obey_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            task_status.started()
            name = await _next_signal(signals)
            self.begin(name)
            name = await _next_signal(signals)
            self._cut_off(Aborted(f"aborted by a second signal ({name}); still running: {self._outstanding()}"))
            name = await _next_signal(signals)
            os._exit(128 + signal.Signals[name])

    def _cut_off(self, reason: ShutdownError) -> None:
        if self._cut is None:
            self._cut = reason
            _log.error("stopping at once", reason=str(reason))
            self._scope.cancel()

    async def _wait_released(self) -> None:
        while self._holds:
            await self._released.wait()

    def _outstanding(self) -> str:
        now = trio.current_time()
        return (
            ", ".join(f"{hold.name} (for {now - hold.since:.1f} s)" for hold in self._holds) or "nothing that is held"
        )

    def _conclude(self) -> None:
        """Raise what kept this from being a clean end."""
        self._phase = Phase.DONE
        if self._cut is not None:
            raise self._cut
        if len(self._failures) == 1:
            raise self._failures[0]
        if self._failures:
            raise ExceptionGroup("required tasks ended", self._failures)


@contextlib.asynccontextmanager
async def graceful(
    *,
    grace: float | None,
    delay: float = 0.0,
    handle_signals: bool = True,
    on_leaving: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Shutdown]:
    """Run the block as the process: it is told when to stop, and cancelled when it does not.

    `grace` covers everything from the first signal on, the delay included; `None` waits for ever. `on_leaving` is
    called first of all, to turn readiness off. Inside a host that owns the signals, `handle_signals=False`.

    Raises `Aborted`, `TimedOut`, or the failures of required tasks once the block has ended; whatever the block itself
    raises comes as it is.
    """
    shutdown = Shutdown(math.inf if grace is None else grace, delay, on_leaving)
    async with shutdown.governing(handle_signals=handle_signals):
        yield shutdown


@attrs.define(eq=False)
class _Noting:
    """Passes `started` on, and remembers that it came."""

    _task_status: trio.TaskStatus[Any]
    noted: bool = attrs.field(default=False, init=False)

    def started(self, value: object = None) -> None:
        self.noted = True
        self._task_status.started(value)


async def _next_signal(signals: AsyncIterator[int]) -> str:
    return signal.Signals(await anext(signals)).name


def _describe(error: Exception) -> str:
    """Name the first cause in a group, because a group only says how many there are."""
    if isinstance(error, ExceptionGroup):
        return _describe(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
