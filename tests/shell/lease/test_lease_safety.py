"""Leases when things are slow, vanish or sleep: never two holders, and never a holder that does not know."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import pytest
import trio
from trio.testing import MockClock

from controller.runtime.errors import Conflicted, KubernetesError
from controller.runtime.lease_keeper import LeaseKeeper
from tests.shell.lease.server import Server, down, keeper


@contextlib.asynccontextmanager
async def running(*keepers: LeaseKeeper) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        for each in keepers:
            await nursery.start(each.run)
        yield
        nursery.cancel_scope.cancel()


def free() -> Server:
    server = Server()
    server.put()
    return server


async def test_a_claim_that_ends_during_a_request_is_lost_and_had_again(autojump_clock: MockClock) -> None:
    """A renewal that is answered after the claim's end: the work stops in time, and starts again with the answer."""
    # runtime L15, L16
    server = free()
    alice = keeper(server, "alice")
    terms: list[tuple[float, float]] = []

    async def work() -> None:
        while True:
            async with alice.held():
                begun = trio.current_time()
                try:
                    await trio.sleep_forever()
                finally:
                    terms.append((begun, trio.current_time()))

    async with running(alice):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.sleep(9)
            server.fail = down
            await trio.sleep(13)
            server.fail, server.answer_latency = lambda _: None, 5
            await trio.sleep(18)
            nursery.cancel_scope.cancel()
        transitions = alice.statistics().transitions

    assert [ended for _, ended in terms] == [27, 40]
    assert 27 < terms[1][0] < 28
    assert transitions == 3


async def test_a_machine_that_was_suspended_knows_that_its_claim_is_over(autojump_clock: MockClock) -> None:
    """The loop's clock stands still in sleep; the claim does not."""
    # runtime L15
    server, asleep = free(), 0.0
    alice = keeper(server, "alice", suspended=lambda: asleep)
    async with running(alice):
        await alice.wait_held()
        before = alice.is_held()
        asleep = 60.0
        after = alice.is_held()
        await trio.sleep(11)
        renewed = alice.is_held()

    assert (before, after, renewed) == (True, False, True)


async def test_the_time_of_day_takes_over_at_first_sight_only(autojump_clock: MockClock) -> None:
    """A clock that is an hour ahead may steal the Lease once, when its process starts, and not with each renewal."""
    # runtime L17
    server = free()
    alice, bob = keeper(server, "alice"), keeper(server, "bob", skew=3600)
    async with running(alice):
        await alice.wait_held()
        async with running(bob):
            await bob.wait_held()
            assert trio.current_time() == 0  # the price of the shortcut
            await trio.sleep(15)
        await alice.wait_held()
        async with running(bob):
            await trio.sleep(300)
            holders = (alice.is_held(), bob.is_held())

    assert holders == (True, False)
    assert server.spec["leaseTransitions"] == 3


async def test_a_deleted_lease_has_no_holder_until_the_old_one_knows(autojump_clock: MockClock) -> None:
    """Who knows of another holder waits for the end of its claim; the holder stops as soon as it notices."""
    # runtime L23
    server = free()
    alice, bob = keeper(server, "alice"), keeper(server, "bob")
    async with running(alice):
        await alice.wait_held()
        async with running(bob):
            await trio.sleep(5)
            server.lease = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(never_both, alice, bob)
                await trio.sleep(60)
                nursery.cancel_scope.cancel()

    assert server.spec["holderIdentity"] == "alice"  # it came first: its renewal was due before the claim's end


async def test_a_deleted_lease_is_lost_when_its_holder_notices(autojump_clock: MockClock) -> None:
    """At the next renewal, and not at the end of the claim: somebody new may take it at once."""
    # runtime L23
    server = free()
    alice = keeper(server, "alice", create=False)
    async with running(alice):
        async with alice.held():
            server.lease = None
            await trio.sleep_forever()

        assert trio.current_time() == 10


async def test_a_deleted_lease_of_a_dead_holder_is_made_again(autojump_clock: MockClock) -> None:
    """After the time that the holder may still have believed in."""
    server = free()
    alice, bob = keeper(server, "alice"), keeper(server, "bob")
    async with running(bob):
        async with running(alice):
            await trio.sleep(5)
            holder, other = (alice, bob) if alice.is_held() else (bob, alice)
        server.lease = None
        if holder is alice:
            await other.wait_held()
            assert 29 <= trio.current_time() <= 40


async def never_both(*keepers: LeaseKeeper) -> None:
    while True:
        assert sum(each.is_held() for each in keepers) <= 1
        await trio.sleep(0.25)


async def test_lost_races_do_not_make_an_observer_slow(autojump_clock: MockClock) -> None:
    """However many races it lost before, it asks again soon after an outage."""
    server = free()
    conflicts = 8

    def refuse(method: str) -> KubernetesError | None:
        nonlocal conflicts
        if method == "GET" or not conflicts:
            return None
        conflicts -= 1
        server.put(holderIdentity="other", renewTime="2026-01-01T00:00:00.000000Z", leaseDurationSeconds=conflicts % 2)
        return Conflicted("moved")

    server.fail = refuse
    alice = keeper(server, "alice")
    async with running(alice):
        await trio.sleep(60)
        assert not conflicts
        server.put(holderIdentity="other", renewTime="2026-01-01T00:01:00.000000Z", leaseDurationSeconds=30)
        await trio.sleep(3)
        server.fail = down
        before = len(server.requests)
        await trio.sleep(2)

    assert len(server.requests) - before >= 2


async def test_a_claim_whose_answer_was_lost_is_given_up_too(autojump_clock: MockClock) -> None:
    """A process that ends while its claim is on the way frees what it may have got."""
    # runtime L14, L19
    server = free()
    server.answer_latency = 3
    alice = keeper(server, "alice")
    async with running(alice):
        await trio.sleep(2)
    assert (server.spec["holderIdentity"], alice.is_held()) == ("alice", False)
    server.answer_latency = 0

    await alice.vacate()

    assert "holderIdentity" not in server.spec


async def test_a_write_that_was_made_although_it_failed_is_found(autojump_clock: MockClock) -> None:
    """The answer was lost: the next attempt conflicts, and reading shows who holds it."""
    server = free()
    server.answer_latency = 100
    alice = keeper(server, "alice")
    async with running(alice):
        await trio.sleep(6)
        server.answer_latency = 0
        await alice.wait_held()
        took = trio.current_time()

    assert took < 10
    assert server.spec["leaseTransitions"] == 1


async def test_the_work_ends_with_its_own_exception(autojump_clock: MockClock) -> None:
    """What the leader's work raises comes out, and nothing of the keeper hangs."""
    server = free()
    alice = keeper(server, "alice")

    async def work() -> None:
        async with alice.held():
            await trio.lowlevel.checkpoint()
            raise RuntimeError("a bug of the work")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug"), flatten_subgroups=True):
        async with running(alice):
            await work()
