"""The other two implementations that may claim the same Lease, as their authors describe them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import attrs
import trio

from tests.shell.lease.server import EPOCH, Server


def micro_time(seconds: float) -> str:
    return (EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@attrs.define(eq=False)
class ClientGo:
    """client-go's elector. It judges by when it saw the record change, writes it whole, and frees it by an empty name.

    `skew` is what its clock is off by; only the times that it writes show that.
    """

    server: Server
    name: str
    skew: float = 0.0
    duration: int = 15
    retry: float = 2.0
    leader: bool = False
    _observed: tuple[float, dict[str, Any]] = attrs.field(default=(0.0, {}), init=False)
    _renewed: float = attrs.field(default=0.0, init=False)

    def is_held(self) -> bool:
        return self.leader and trio.current_time() < self._renewed + 10  # its renew deadline

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            self.attempt()
            await trio.sleep(self.retry)

    def attempt(self) -> None:
        now, spec = trio.current_time(), self.server.spec
        if spec != self._observed[1]:
            self._observed = now, dict(spec)
        holder = spec.get("holderIdentity") or ""
        self.leader = holder == self.name
        if holder and not self.leader and self._observed[0] + (spec.get("leaseDurationSeconds") or 0) > now:
            return
        transitions = spec.get("leaseTransitions") or 0
        self._write(
            holderIdentity=self.name,
            leaseDurationSeconds=self.duration,
            acquireTime=spec["acquireTime"] if self.leader else micro_time(now + self.skew),
            renewTime=micro_time(now + self.skew),
            leaseTransitions=transitions if self.leader else transitions + 1,
        )
        self.leader, self._renewed = True, now

    def release(self) -> None:
        now = micro_time(trio.current_time() + self.skew)
        transitions = self.server.spec["leaseTransitions"]
        self._write(
            holderIdentity="", leaseDurationSeconds=1, renewTime=now, acquireTime=now, leaseTransitions=transitions
        )
        self.leader = False

    def _write(self, **spec: Any) -> None:
        self.server.put(**spec)  # a PUT: nothing of the old spec stays
        self._observed = trio.current_time(), dict(spec)


@attrs.define(eq=False)
class Kubert:
    """kubert's lease manager: it trusts the time of day, and renews a second before the end."""

    server: Server
    name: str
    duration: int = 30

    def is_held(self) -> bool:
        return self._holder() == self.name

    def _holder(self) -> str | None:
        spec = self.server.spec
        if not spec.get("holderIdentity") or not spec.get("renewTime") or not spec.get("leaseDurationSeconds"):
            return None
        return spec["holderIdentity"] if trio.current_time() < self._expiry() else None

    def _expiry(self) -> float:
        renewed = dt.datetime.fromisoformat(self.server.spec["renewTime"])
        return (renewed - EPOCH).total_seconds() + float(self.server.spec["leaseDurationSeconds"])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            self.attempt()
            await trio.sleep_until(self._expiry() - (self._holder() == self.name))

    def attempt(self) -> None:
        holder, now, spec = self._holder(), trio.current_time(), self.server.spec
        if holder == self.name:
            self.server.put(**{**spec, "renewTime": micro_time(now), "leaseDurationSeconds": self.duration})
        elif holder is None:
            times = {"acquireTime": micro_time(now), "renewTime": micro_time(now)}
            transitions = (spec.get("leaseTransitions") or 0) + 1
            claim = {"holderIdentity": self.name, "leaseDurationSeconds": self.duration}
            self.server.put(**claim, **times, leaseTransitions=transitions)

    def vacate(self) -> None:
        self.server.put(leaseTransitions=self.server.spec["leaseTransitions"])
