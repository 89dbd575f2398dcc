"""The one replica that writes: holds the Lease, and writes statuses for as long as it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
import msgspec
import trio

from controller.runtime.errors import KubernetesError
from controller.runtime.lease import LeaseClaim
from controller.runtime.lease_keeper import LeaseKeeper
from controller.runtime.lease_wire import LeaseParams
from controller.runtime.log import get_logger
from controller.status.writer import StatusApi, StatusWriter

_log = get_logger(__name__)

# Linkerd's own controller claims the same Lease, so that either can take over from the other.
LEASE_NAME = "policy-controller-write"
FIELD_MANAGER = "policy-controller"


@attrs.frozen(eq=False)
class Leadership:
    """Takes part in the election, and does the leader's work."""

    _api: StatusApi
    _writer: StatusWriter
    _make_keeper: Callable[[LeaseClaim], LeaseKeeper]
    _jitter: Callable[[], float]
    _namespace: str
    _deployment: str  # that owns the Lease
    _claimant: str
    _on_keeper: Callable[[LeaseKeeper], None]  # told of the keeper once there is one

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
            keeper = self._make_keeper(LeaseClaim(await self._params(), self._jitter))
            self._on_keeper(keeper)
            try:
                async with trio.open_nursery() as work:
                    work.start_soon(keeper.run)
                    work.start_soon(self._writer.lead, keeper)
            finally:
                await keeper.vacate()

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
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{self._deployment}"
        try:
            found = msgspec.json.decode(await self._api.request("GET", path), type=_Owner)
        except (KubernetesError, msgspec.DecodeError) as error:
            _log.info("the lease will have no owner", deployment=self._deployment, reason=str(error))
            return None
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
