"""Cancel an operation at each of its checkpoints in turn, and look at what it leaves."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


class _CancelAfter(trio.abc.Instrument):
    """Cancels a scope before the n-th step that the current task takes from now on."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._task = trio.lowlevel.current_task()
        self._scope = scope
        self._steps = steps

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._steps -= 1
            if self._steps == 0:
                self._scope.cancel()


async def sweep(
    operation: Callable[[T], Awaitable[object]], *, prepare: Callable[[], T], check: Callable[[T], None]
) -> int:
    """Run the operation once for each checkpoint it has, cancelled there, and check what is left.

    Ends with the first run that was not cancelled; returns how many were.
    """
    for steps in itertools.count():
        subject = prepare()
        with trio.CancelScope() as scope:
            if steps == 0:
                scope.cancel()
            instrument = _CancelAfter(scope, steps)
            trio.lowlevel.add_instrument(instrument)
            try:
                await operation(subject)
            finally:
                trio.lowlevel.remove_instrument(instrument)
        if not scope.cancelled_caught:
            return steps
        check(subject)
    raise AssertionError("unreachable")
