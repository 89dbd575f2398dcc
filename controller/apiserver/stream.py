"""An open watch on a connection: lines as they are due, bookmarks, the end in time, and the faults that hit it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio

from controller.apiserver.faults import Fault, Faults
from controller.apiserver.status import Refused, expired, throttled
from controller.apiserver.watching import Watch

Write = Callable[[bytes], Awaitable[None]]
_LAST_BOOKMARK = 2.0  # how long before its end a watch says how far it has come


class _Broken(Exception):
    """The connection is to be dropped."""


async def pump(watch: Watch, write: Write, *, faults: Faults, duration: float, bookmark_interval: float) -> bool:
    """Write the lines of a watch until its time is up; whether it ended in good order."""
    wake = trio.Event()

    def notify() -> None:
        wake.set()

    stops = [watch.subscribe(notify), faults.listen(notify)]
    pump_ = _Pump(watch, write, faults)
    start = trio.current_time()
    deadline = start + duration
    bookmark_at = _next_bookmark(start, deadline, bookmark_interval) if watch.options.bookmarks else math.inf
    try:
        while True:
            wake = trio.Event()
            if await pump_.step():
                continue
            if watch.finished or pump_.ended:
                break
            with trio.move_on_at(min(deadline, bookmark_at)):
                await wake.wait()
            if wake.is_set():
                continue  # what has just happened is told before a bookmark says that it has been
            now = trio.current_time()
            if now >= deadline:
                break
            if (line := watch.bookmark()) is not None:
                await write(line)
            bookmark_at = _next_bookmark(now, deadline, bookmark_interval)
    except _Broken:
        return False
    else:
        return True
    finally:
        for stop in stops:
            stop()


def _next_bookmark(now: float, deadline: float, interval: float) -> float:
    last = deadline - _LAST_BOOKMARK
    return min(now + interval, last) if last > now else math.inf


class _Pump:
    """Writes what is due, and does wrong what it is told to."""

    def __init__(self, watch: Watch, write: Write, faults: Faults) -> None:
        self._watch = watch
        self._write = write
        self._faults = faults
        self._sent = 0
        self.ended = False

    async def step(self) -> bool:
        """Write the lines that are due now; whether there were any."""
        fault = self._faults.on_stream(self._watch.resource)
        if fault is None:
            lines = self._watch.pull()
            if lines:
                self._sent += len(lines)
                await self._write(b"".join(lines))
            return bool(lines)
        return await self._misbehave(fault)

    async def _misbehave(self, fault: Fault) -> bool:
        lines: list[bytes] = []
        if self._sent < fault.after or fault.effect in ("lose", "repeat", "cut", "garbage"):
            lines = self._watch.pull(limit=1)
        if self._sent < fault.after:
            for line in lines:
                await self._send(line)
            return bool(lines)
        match fault.effect:
            case "lose" | "repeat":
                return await self._once(fault, lines)
            case "cut":
                await self._cut(fault, lines)
            case "garbage":
                self._faults.use(fault)
                await self._write(b'{"type":"MODI\x00garbage\n')
                for line in lines:
                    await self._send(line)
                return True
            case "stall":
                self._faults.use(fault)
                await stall(self._faults, fault.seconds)
                return True
            case "end":
                self._faults.use(fault)
                self.ended = True
            case _:
                self._faults.use(fault)
                await self._write(self._watch.end_with(_refusal(fault)))
        return False

    async def _once(self, fault: Fault, lines: list[bytes]) -> bool:
        for index, line in enumerate(lines):
            if index == 0:
                self._faults.use(fault)
                if fault.effect == "lose":
                    continue
                await self._send(line)
            await self._send(line)
        return bool(lines)

    async def _cut(self, fault: Fault, lines: list[bytes]) -> None:
        self._faults.use(fault)
        line = lines[0] if lines else b'{"type":"BOOKMARK","object":{}}\n'
        await self._write(line[: len(line) // 2])
        raise _Broken

    async def _send(self, line: bytes) -> None:
        self._sent += 1
        await self._write(line)


async def stall(faults: Faults, seconds: float) -> None:
    """Keep silent for so long, or for ever if that is 0, unless the faults are lifted before."""
    before, lifted = faults.lifted, trio.Event()
    stop = faults.listen(lambda: lifted.set() if faults.lifted != before else None)
    try:
        with trio.move_on_after(seconds or math.inf):
            await lifted.wait()
    finally:
        stop()


def _refusal(fault: Fault) -> Refused:
    match fault.effect:
        case "gone":
            return expired("too old resource version: 1 (2)")
        case "throttle":
            return throttled(int(fault.seconds) or 1)
        case _:
            return Refused(fault.code, "InternalError", "Internal error occurred: on command")
