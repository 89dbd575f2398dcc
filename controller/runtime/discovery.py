"""Which kinds the API server serves; it may learn new ones, and forget some, at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
import msgspec
import trio

from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType
from controller.runtime.errors import Absent, Garbled, KubernetesError
from controller.runtime.log import get_logger

_log = get_logger(__name__)

INTERVAL_SECONDS = 10.0
REMEMBERED_SECONDS = 5.0  # kinds of the same group share an answer for so long


class Gets(Protocol):
    """The part of the client that discovery needs."""

    async def get(self, path: str) -> bytes: ...


class _ApiResource(msgspec.Struct, frozen=True):
    name: str


class _ApiResourceList(msgspec.Struct, frozen=True):
    resources: tuple[_ApiResource, ...]


_decoder = msgspec.json.Decoder(_ApiResourceList)


@attrs.define(eq=False)
class Discovery:
    """Asks the API server what it serves, one group and version at a time."""

    _server: Gets
    _jitter: Callable[[], float]
    _now: Callable[[], float] = trio.current_time
    _interval: float = INTERVAL_SECONDS
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _answers: dict[str, tuple[float, frozenset[str]]] = attrs.field(
        factory=dict[str, "tuple[float, frozenset[str]]"], init=False
    )

    async def is_served(self, resource_type: ResourceType[Resource]) -> bool:
        """Say whether the kind is there. Raises `KubernetesError`."""
        path = resource_type.api_path.rpartition("/")[0]
        async with self._lock:  # so that those who ask the same together ask once
            answer = self._answers.get(path)
            if answer is None or self._now() - answer[0] >= REMEMBERED_SECONDS:
                answer = self._answers[path] = (self._now(), await self._ask(path))
        return resource_type.plural in answer[1]

    async def wait_served(self, resource_type: ResourceType[Resource]) -> None:
        """Look again now and then, and return when the kind is there."""
        while True:
            await trio.sleep(self._interval * (0.5 + self._jitter()))
            try:
                if await self.is_served(resource_type):
                    return
            except KubernetesError as error:
                _log.debug("discovery failed; trying again", error=error.message)

    async def _ask(self, path: str) -> frozenset[str]:
        try:
            body = await self._server.get(path)
        except Absent:
            return frozenset()
        try:
            return frozenset(resource.name for resource in _decoder.decode(body).resources)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbled(f"GET {path}: not a list of resources: {error}", reason="decode") from error
