"""A Lease on an API server that compares versions, and can be slow, down or deaf."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from controller.runtime.clock import Clock
from controller.runtime.errors import Absent, Conflicted, KubernetesError, Rejected, Unavailable
from controller.runtime.lease import LeaseClaim
from controller.runtime.lease_keeper import APPLY, LeaseApi, LeaseKeeper
from controller.runtime.lease_metrics import LeaseMetrics
from controller.runtime.lease_wire import LeaseParams

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def clock(skew: float = 0.0, suspended: Callable[[], float] = lambda: 0.0) -> Clock:
    """Trio's clock as the time of day, off by `skew` seconds."""
    return Clock(trio.current_time, lambda: EPOCH + dt.timedelta(seconds=trio.current_time() + skew), suspended)


@attrs.define(eq=False)
class Server:
    """One Lease. `requests` records method, content type and body of each call."""

    lease: dict[str, Any] | None = None
    latency: float = 0.0
    answer_latency: float = 0.0  # after the write has been made
    fail: Callable[[str], KubernetesError | None] = attrs.field(default=lambda _: None)
    requests: list[tuple[str, str, dict[str, Any]]] = attrs.field(factory=list)
    params: list[Mapping[str, str]] = attrs.field(factory=list)
    version: int = 0

    def put(self, **spec: Any) -> None:
        """Write the Lease as somebody else would."""
        self.version += 1
        metadata = {"name": "lease", "namespace": "ns", "resourceVersion": str(self.version)}
        self.lease = {"metadata": metadata, "spec": spec}

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        return self.lease["spec"]

    def writes(self) -> int:
        return sum(method == "PATCH" for method, _, _ in self.requests)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
    ) -> bytes:
        if method == "GET":
            await self._arrive("GET", "", {})
            if self.lease is None:
                raise Absent(f"getting {path}: not found")
            return json.dumps(self.lease).encode()
        return await self._patch(path, json.loads(body or b""), content_type, params or {})

    async def _patch(self, path: str, patch: dict[str, Any], content_type: str, params: Mapping[str, str]) -> bytes:
        self.params.append(params)
        await self._arrive("PATCH", content_type, patch)
        wanted = patch["metadata"]["resourceVersion"]
        if self.lease is None:
            if content_type != APPLY:
                raise Absent(f"patching {path}: not found")
            if wanted != "0":
                raise Conflicted("no such version")
            self.put()
        elif wanted == "0":  # as a real one says it; `tests/contract` holds it to that
            raise Rejected(f"patching {path}: metadata.resourceVersion: must be specified for an update")
        elif wanted != self.lease["metadata"]["resourceVersion"]:
            raise Conflicted(f"patching {path}: the object has been modified")
        self.version += 1
        assert self.lease is not None
        merged = {**self.spec, **patch.get("spec", {})}
        metadata = {**self.lease["metadata"], **patch["metadata"], "resourceVersion": str(self.version)}
        self.lease = {"metadata": metadata, "spec": {k: v for k, v in merged.items() if v is not None}}
        answer = json.dumps(self.lease).encode()
        await trio.sleep(self.answer_latency)
        return answer

    async def _arrive(self, method: str, content_type: str, body: dict[str, Any]) -> None:
        self.requests.append((method, content_type, body))
        await trio.sleep(self.latency)
        if (error := self.fail(method)) is not None:
            raise error


def params(claimant: str, **more: Any) -> LeaseParams:
    return LeaseParams(namespace="ns", name="lease", claimant=claimant, field_manager="policy-controller", **more)


def keeper(
    server: LeaseApi,
    claimant: str,
    *,
    skew: float = 0.0,
    suspended: Callable[[], float] = lambda: 0.0,
    metrics: LeaseMetrics | None = None,
    **more: Any,
) -> LeaseKeeper:
    return LeaseKeeper(server, LeaseClaim(params(claimant, **more), lambda: 0.5), clock(skew, suspended), metrics)


def down(_: str) -> KubernetesError:
    return Unavailable("connection refused")
