"""Statuses as the API server has them: read, and patched."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, Protocol

import attrs
import msgspec
import trio

from controller.index.status.values import StatusKey
from controller.k8s.meta import Resource
from controller.k8s.references import CONTROLLER_NAME
from controller.k8s.resource import ResourceType
from controller.runtime.api import object_path
from controller.runtime.clock import Clock
from controller.runtime.errors import Garbled, KubernetesError, Unavailable
from controller.status.metrics import StatusMetrics

MERGE_PATCH = "application/merge-patch+json"
NOTHING: Mapping[str, Any] = {}


class StatusApi(Protocol):
    """The part of the client that writing statuses needs. Everything raises `KubernetesError`."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes: ...


class _Found(msgspec.Struct, frozen=True):
    """An object whose status is all that matters."""

    status: dict[str, Any] | None = None


@attrs.frozen(eq=False)
class StatusObjects:
    """The objects that have a status, in the API server. Each request has a time limit; all raise `KubernetesError`."""

    _api: StatusApi
    _types: Mapping[type[Resource], ResourceType[Resource]]
    _metrics: StatusMetrics
    _clock: Clock
    _timeout: float  # seconds

    async def status(self, key: StatusKey) -> Mapping[str, Any]:
        """The status as it is stored, with what others wrote and what we have no words for."""
        path = object_path(self._types[key.model], *key.key)
        with self._limited(f"getting {path}"):
            body = await self._api.request("GET", path)
        try:
            return msgspec.json.decode(body, type=_Found).status or NOTHING
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbled(f"getting {path}: {error}") from error

    async def patch(self, key: StatusKey, patch: Mapping[str, Any]) -> None:
        """Send a merge patch of the object's status, and count what comes of it."""
        path = object_path(self._types[key.model], *key.key, "status")
        start = self._clock.monotonic()
        try:
            with self._limited(f"patching {path}"):
                await self._api.request(
                    "PATCH",
                    path,
                    params={"fieldManager": CONTROLLER_NAME},
                    body=msgspec.json.encode(patch),
                    content_type=MERGE_PATCH,
                )
        except KubernetesError as error:
            if isinstance(error, Unavailable) and error.reason == "timeout":
                self._metrics.timeouts.inc()
            else:
                self._metrics.api_errors.inc()
                self._metrics.duration.observe(self._clock.monotonic() - start)
            raise
        self._metrics.patches.inc()
        self._metrics.duration.observe(self._clock.monotonic() - start)

    @contextlib.contextmanager
    def _limited(self, doing: str) -> Generator[None]:
        with trio.move_on_after(self._timeout) as scope:
            yield
        if scope.cancelled_caught:
            raise Unavailable(f"{doing}: no answer within {self._timeout:g} s", reason="timeout")

    def named(self, key: StatusKey) -> dict[str, str]:
        """The object, for logs."""
        kind = self._types[key.model]
        return {"kind": kind.kind, "group": kind.group, "namespace": key.key.namespace, "name": key.key.name}
