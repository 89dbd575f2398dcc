"""The one replica that writes: holds the Lease, and writes statuses for as long as it does."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
import msgspec
import trio

from controller.runtime.clock import Clock
from controller.runtime.diagnostics import LeaseReport
from controller.runtime.errors import KubernetesError, Unavailable
from controller.runtime.lease import LeaseClaim
from controller.runtime.lease_keeper import LeaseApi, LeaseKeeper, LeaseStatistics
from controller.runtime.lease_metrics import LeaseMetrics
from controller.runtime.lease_wire import LeaseParams
from controller.runtime.log import get_logger
from controller.status.writer import StatusWriter

_log = get_logger(__name__)

# Linkerd's own controller claims the same Lease, so that either can take over from the other.
LEASE_NAME = "policy-controller-write"
FIELD_MANAGER = "policy-controller"
OWNER_ATTEMPTS = 3
OWNER_PAUSE = 1.0  # seconds


@attrs.define(eq=False)
class Leadership:
    """Takes part in the election, and does the leader's work."""

    _api: LeaseApi  # on connections that nobody else can occupy
    _writer: StatusWriter
    _clock: Clock
    _jitter: Callable[[], float]
    _namespace: str
    _deployment: str  # that owns the Lease
    _claimant: str
    _metrics: LeaseMetrics | None
    # Told of the keeper's report once there is a keeper; the result is called when there is none any more.
    _register: Callable[[Callable[[], LeaseReport]], Callable[[], None]]
    _keeper: LeaseKeeper | None = attrs.field(default=None, init=False)

    async def run(
        self,
        wait_known: Callable[[], Awaitable[None]],
        wait_stopping: Callable[[], Awaitable[None]],
    ) -> None:
        """Stand for election when everything is known, until told to stop; then give the Lease up and return.

        The leader's work is cancelled before the Lease is given up, so that nobody writes at the same time.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, wait_stopping, nursery.cancel_scope)
            await wait_known()
            claim = LeaseClaim(await self._params(), self._jitter)
            await self._stand(LeaseKeeper(self._api, claim, self._clock, self._metrics))

    async def _stand(self, keeper: LeaseKeeper) -> None:
        self._keeper = keeper
        with contextlib.ExitStack() as stack:
            stack.callback(self._register(keeper.report))
            try:
                async with trio.open_nursery() as work:
                    work.start_soon(keeper.run)
                    work.start_soon(self._writer.lead, keeper)
            finally:
                await keeper.vacate()  # noqa: ASYNC102  # shields itself, and not for ever

    def statistics(self) -> LeaseStatistics | None:
        """How it is with the Lease; `None` before we stand for election."""
        return None if self._keeper is None else self._keeper.statistics()

    async def _params(self) -> LeaseParams:
        return LeaseParams(
            namespace=self._namespace,
            name=LEASE_NAME,
            claimant=self._claimant,
            field_manager=FIELD_MANAGER,
            labels={
                "linkerd.io/control-plane-component": "destination",
                "linkerd.io/control-plane-ns": self._namespace,
            },
            owner=await self._owner(),
        )

    async def _owner(self) -> Mapping[str, Any] | None:
        """The Deployment as an owner reference. The Lease does not need one; it only goes away with it."""
        for attempt in itertools.count(1):
            try:
                return await self._find_owner()
            except (KubernetesError, msgspec.DecodeError) as error:
                if not isinstance(error, Unavailable) or attempt >= OWNER_ATTEMPTS:
                    _log.info("the lease will have no owner", deployment=self._deployment, reason=str(error))
                    return None
            await trio.sleep(OWNER_PAUSE)
        raise AssertionError("unreachable")

    async def _find_owner(self) -> Mapping[str, Any]:
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{self._deployment}"
        found = msgspec.json.decode(await self._api.request("GET", path), type=_Owner)
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": self._deployment,
            "uid": found.metadata.uid,
            "controller": True,
        }


class _OwnerMetadata(msgspec.Struct, frozen=True):
    uid: str


class _Owner(msgspec.Struct, frozen=True):
    metadata: _OwnerMetadata


async def _cancel_after(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
