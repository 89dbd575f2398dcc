"""A Lease that is shared with other implementations, and what diagnostics and metrics tell about it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from controller.runtime.diagnostics import Diagnostics
from controller.runtime.lease_metrics import LeaseMetrics
from tests.shell.lease.peers import ClientGo, Kubert
from tests.shell.lease.server import EPOCH, Server, down, keeper


@contextlib.asynccontextmanager
async def running(*claimants: Any) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        for each in claimants:
            await nursery.start(each.run)
        yield
        nursery.cancel_scope.cancel()


def free() -> Server:
    server = Server()
    server.put()
    return server


@pytest.mark.parametrize("skew", [0.0, 20.0, -20.0])
async def test_client_go_and_we_take_turns(skew: float, autojump_clock: MockClock) -> None:
    """Each waits while the other renews, takes over after its death, and at once after its release."""
    # runtime L24
    server = free()
    theirs = ClientGo(server, "theirs", skew=skew)
    ours = keeper(server, "ours")

    theirs.attempt()
    async with running(ours):
        async with running(theirs):
            await trio.sleep(120)
            assert (theirs.is_held(), ours.is_held()) == (True, False)
        theirs.release()
        released = trio.current_time()
        await ours.wait_held()
        assert trio.current_time() - released <= 2
        assert server.spec["leaseTransitions"] == 2
    async with running(theirs, ours):
        await trio.sleep(120)
        assert (theirs.is_held(), ours.is_held()) == (False, True)
    await ours.vacate()
    assert set(server.spec) == {"leaseTransitions"}
    async with running(theirs):
        await trio.sleep(3)
        assert theirs.is_held()
        assert server.spec["leaseTransitions"] == 3


async def test_kubert_and_we_take_turns(autojump_clock: MockClock) -> None:
    """It trusts our times and we watch its renewals; after a vacate of either the other is next."""
    # runtime L24
    server = free()
    theirs, ours = Kubert(server, "theirs"), keeper(server, "ours")

    theirs.attempt()
    async with running(theirs, ours):
        await trio.sleep(300)
        assert (theirs.is_held(), ours.is_held()) == (True, False)
    theirs.vacate()
    async with running(ours):
        await ours.wait_held()
        async with running(theirs):
            await trio.sleep(300)
            assert (theirs.is_held(), ours.is_held()) == (False, True)
    await ours.vacate()
    async with running(theirs):
        await trio.sleep(1)
        assert theirs.is_held()
    assert server.spec["leaseTransitions"] == 3


async def test_a_claim_survives_in_the_same_name_whoever_wrote_it(autojump_clock: MockClock) -> None:
    """Linkerd's controller in the same pod, before an upgrade of the container."""
    # runtime L10, L24
    server = free()
    theirs, ours = Kubert(server, "pod-1"), keeper(server, "pod-1")
    async with running(theirs):
        await trio.sleep(45)
    async with running(ours):
        await ours.wait_held()
        assert trio.current_time() == 45
    assert server.spec["leaseTransitions"] == 1


async def test_diagnostics_follow_the_lease(autojump_clock: MockClock) -> None:
    """The first look counts; updates count changes and nothing else; `current` ends with the claim."""
    # runtime L25
    server = free()
    alice = keeper(server, "alice")
    diagnostics = Diagnostics(lambda: EPOCH)
    diagnostics.add_lease(alice.report)

    def shown() -> Any:
        [lease] = diagnostics.snapshot().report(resources=False)["leases"]
        return lease

    before = shown()
    async with running(alice):
        await alice.wait_held()
        first = shown()
        await trio.sleep(5)
        quiet = shown()
        await trio.sleep(7)
        renewed = shown()
    await alice.vacate()
    after = shown()

    assert before == {
        "name": "lease",
        "namespace": "ns",
        "claimant": "alice",
        "fieldManager": "policy-controller",
        "leaseDurationSeconds": 30.0,
        "renewGracePeriodSeconds": 20.0,
        "updates": 0,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    assert first == quiet
    assert (first["updates"], first["resourceVersion"]) == (2, "2")
    assert first["current"] == {"holder": "alice", "expiry": "2026-01-01T00:00:30Z"}
    assert (renewed["updates"], renewed["lastUpdateTimestamp"]) == (3, "2026-01-01T00:00:10Z")
    assert renewed["current"]["expiry"] == "2026-01-01T00:00:40Z"
    assert (after["updates"], "current" in after) == (4, False)


async def test_diagnostics_of_an_observer_name_the_holder(autojump_clock: MockClock) -> None:
    """Until its time is over, although nobody has written since."""
    # runtime L25
    server = free()
    expiry = EPOCH + dt.timedelta(seconds=30)
    server.put(holderIdentity="other", renewTime="2026-01-01T00:00:00.000000Z", leaseDurationSeconds=30)
    bob = keeper(server, "bob", skew=5)
    async with running(bob):
        await trio.sleep(1)
        current = bob.report().current
        await trio.sleep(26)
        later = bob.report().current

    assert (current, later) == (("other", expiry), None)


async def test_metrics_follow_the_lease(autojump_clock: MockClock) -> None:
    """Held or not and for how long, how often that changed, and how attempts went."""
    server, registry = free(), CollectorRegistry()
    alice = keeper(server, "alice", metrics=LeaseMetrics.register(registry))

    def sample(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"name": "lease", **labels})

    assert (sample("lease_held"), sample("lease_expiry_seconds"), sample("lease_transitions_total")) == (0, 0, 0)
    async with running(alice):
        await trio.sleep(12)
        assert (sample("lease_held"), sample("lease_expiry_seconds"), sample("lease_transitions_total")) == (1, 25, 1)
        assert sample("lease_renew_total", result="success") == 2
        server.fail = down
        await trio.sleep(30)
    assert (sample("lease_held"), sample("lease_expiry_seconds"), sample("lease_transitions_total")) == (0, 0, 2)
    assert (sample("lease_renew_total", result="unavailable") or 0) >= 3
    assert sample("lease_renew_duration_seconds_count") == 2 + (sample("lease_renew_total", result="unavailable") or 0)
