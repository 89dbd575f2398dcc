"""Standing for election: when, with which Lease, and how it ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.runtime.errors import Forbidden, KubernetesError, Unavailable
from tests.manifests import http_route, server
from tests.shell.lease.server import down
from tests.shell.status.server import DEPLOYMENT, Replica, Server

LABELS = {"linkerd.io/control-plane-component": "destination", "linkerd.io/control-plane-ns": "linkerd"}
OWNER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "name": "linkerd-destination",
    "uid": "uid-1",
    "controller": True,
}


async def test_the_lease_is_made_with_owner_and_labels_and_then_claimed(autojump_clock: MockClock) -> None:
    """Under the name, manager and claimant that Linkerd's own controller uses."""
    # status 318
    api = Server()
    replica = Replica(api)
    replica.known.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.run)
        await wait_all_tasks_blocked()
        assert api.lease.lease is not None
        metadata, spec = api.lease.lease["metadata"], api.lease.spec
        nursery.cancel_scope.cancel()

    assert (metadata["name"], metadata["namespace"]) == ("policy-controller-write", "linkerd")
    assert (metadata["labels"], metadata["ownerReferences"]) == (LABELS, [OWNER])
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("pod-1", 30)
    assert {params["fieldManager"] for params in api.lease.params} == {"policy-controller"}


@pytest.mark.parametrize("refused", [True, False])
async def test_a_lease_needs_no_owner(refused: bool, autojump_clock: MockClock) -> None:
    """Whoever may not read the Deployment, or has none, leads all the same."""
    api = Server(deployment=None)
    if refused:
        api.fail = lambda _method, path: Forbidden("no") if path == DEPLOYMENT else None
    replica = Replica(api)
    replica.known.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.run)
        await wait_all_tasks_blocked()
        assert replica.writer.statistics().leading
        assert api.lease.lease is not None
        assert "ownerReferences" not in api.lease.lease["metadata"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("failures", "owned"), [(2, True), (3, False)])
async def test_an_owner_that_cannot_be_asked_for_now_is_asked_for_again(
    failures: int, owned: bool, autojump_clock: MockClock
) -> None:
    """Three times, a second apart; then the Lease is made without."""
    api, asked = Server(), 0

    def fail(_method: str, path: str) -> KubernetesError | None:
        nonlocal asked
        asked += path == DEPLOYMENT
        return Unavailable("later") if asked <= failures else None

    api.fail = fail
    replica = Replica(api)
    replica.known.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.run)
        await trio.sleep(2.5)
        assert asked == 3
        assert api.lease.lease is not None
        assert ("ownerReferences" in api.lease.lease["metadata"]) == owned
        nursery.cancel_scope.cancel()


async def test_nobody_stands_who_does_not_know_everything(autojump_clock: MockClock) -> None:
    """A replica whose lists are not complete would write that things are missing; it does not even claim."""
    api = Server()
    replica = Replica(api)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.run)
        api.put(http_route("route", "web", "/"))
        await trio.sleep(600)
        assert (api.lease.requests, api.patches, replica.leadership.statistics()) == ([], [], None)
        api.put(server("web"))
        replica.known.set()
        await trio.sleep(1)
        [(_, patch)] = api.patches
        assert patch["status"]["parents"][0]["conditions"][0]["reason"] == "Accepted"
        nursery.cancel_scope.cancel()


async def test_stopping_hands_over_within_two_seconds(autojump_clock: MockClock) -> None:
    """The work is cancelled, the Lease given up, and the next one writes what is left."""
    # runtime L18, L19
    api = Server()
    old, new = Replica(api, "old", patch_timeout=1000), Replica(api, "new")
    async with trio.open_nursery() as nursery:
        for replica in (old, new):
            replica.known.set()
            nursery.start_soon(replica.run)
            await wait_all_tasks_blocked()
        api.latency = 1000
        api.put(http_route("route", "web", "/"))
        await trio.sleep(5)
        assert (old.writer.statistics().queue.in_flight, len(old.leases), len(new.leases)) == (1, 1, 1)
        api.latency = 0
        old.stopping.set()
        stopped = trio.current_time()
        await trio.sleep(2)
        assert api.written() == ["route"]
        assert (old.writer.statistics().leading, new.writer.statistics().leading) == (False, True)
        assert (trio.current_time() - stopped, len(old.leases), len(nursery.child_tasks)) == (2, 0, 1)
        nursery.cancel_scope.cancel()


async def test_stopping_does_not_wait_for_the_api_server(autojump_clock: MockClock) -> None:
    """Not before everything is known, not for the owner, not for ever for the Lease."""
    # runtime L19
    api = Server()
    ignorant, leader = Replica(api, "ignorant"), Replica(api, "leader")
    leader.known.set()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ignorant.run)
            nursery.start_soon(leader.run)
            await wait_all_tasks_blocked()
            api.lease.latency = 1000
            ignorant.stopping.set()
            leader.stopping.set()

    assert trio.current_time() == 5


async def test_an_outage_costs_the_term_and_not_the_process(autojump_clock: MockClock) -> None:
    """For as long as it lasts there is no writer; afterwards there is one again, and what was missed is written."""
    # runtime L15
    api = Server()
    replica = Replica(api)
    replica.known.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.run)
        await trio.sleep(5)
        api.lease.fail = down
        await trio.sleep(60)
        assert not replica.writer.statistics().leading
        api.put(http_route("route", "web", "/"))
        api.lease.fail = lambda _: None
        await trio.sleep(10)
        assert replica.writer.statistics().leading
        assert api.written() == ["route"]
        nursery.cancel_scope.cancel()


async def test_a_keeper_that_breaks_ends_the_process(autojump_clock: MockClock) -> None:
    """What no failure of the API server explains is raised: a leader that cannot keep its Lease is of no use."""
    # status 318
    api = Server()
    replica = Replica(api)
    replica.known.set()

    def break_it(_: str) -> KubernetesError | None:
        raise RuntimeError("a bug")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replica.run)
            await wait_all_tasks_blocked()
            assert replica.writer.statistics().leading
            api.lease.fail = break_it

    assert not replica.writer.statistics().leading
    assert replica.leases == []
