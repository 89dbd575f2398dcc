"""Leases: who holds one, who waits, and what outages do to them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from controller.runtime.errors import Conflicted, Forbidden, Garbled, KubernetesError
from controller.runtime.lease_keeper import APPLY, STRATEGIC, LeaseKeeper
from controller.runtime.lease_wire import parse_lease
from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat
from tests.shell.lease.server import Server, down, keeper, params

TIME = "2026-01-01T00:00:00.000000Z"
OLD = "2025-01-01T00:00:00.000000Z"


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


async def test_a_free_lease_is_claimed_and_others_wait(autojump_clock: MockClock) -> None:
    """The first claimant holds it with the fields that kubert writes; the second writes nothing."""
    # runtime L1, L8
    server = free()
    alice, bob = keeper(server, "alice"), keeper(server, "bob")
    async with running(alice):
        await alice.wait_held()
        written = dict(server.spec)
        async with running(bob):
            await trio.sleep(9)

    assert written == {
        "holderIdentity": "alice",
        "acquireTime": TIME,
        "renewTime": TIME,
        "leaseDurationSeconds": 30,
        "leaseTransitions": 1,
    }
    assert server.writes() == 1
    assert (bob.is_held(), bob.statistics().holder) == (False, "alice")


async def test_an_expired_claim_is_taken_over(autojump_clock: MockClock) -> None:
    """When the holder stops renewing, another takes over within the duration and counts the transition."""
    # runtime L2, L8
    server = free()
    alice, bob = keeper(server, "alice"), keeper(server, "bob")
    async with running(alice):
        await alice.wait_held()
    async with running(bob):
        await bob.wait_held()

    assert 30 <= trio.current_time() <= 32
    assert (server.spec["holderIdentity"], server.spec["leaseTransitions"]) == ("bob", 2)


async def test_a_claim_is_renewed_long_before_its_end(autojump_clock: MockClock) -> None:
    """Renewals leave the beginning alone, come about every third of the duration, and need no reading."""
    # runtime L3, L9, L13
    server = free()
    alice = keeper(server, "alice")
    async with running(alice):
        await trio.sleep(25)

    assert [(method, kind) for method, kind, _ in server.requests] == [
        ("GET", ""),
        ("PATCH", APPLY),
        ("PATCH", STRATEGIC),
        ("PATCH", STRATEGIC),
    ]
    _, _, renewal = server.requests[-1]
    assert renewal["spec"] == {"renewTime": "2026-01-01T00:00:20.000000Z", "leaseDurationSeconds": 30}
    assert (server.spec["acquireTime"], server.spec["leaseTransitions"]) == (TIME, 1)
    assert alice.statistics().renewals == 2


async def test_an_acquisition_is_a_forced_apply_with_owner_and_labels(autojump_clock: MockClock) -> None:
    """What an apply lacks is removed, so labels and owner are in each."""
    # runtime L13, status 318
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u", "controller": True}
    server = Server()
    alice = keeper(server, "alice", owner=owner, labels={"a": "b"})
    async with running(alice):
        await alice.wait_held()

    (_, _, create), (_, _, acquire) = [request for request in server.requests if request[0] == "PATCH"]
    assert create["metadata"]["resourceVersion"] == "0"
    assert "spec" not in create
    for body in (create, acquire):
        assert (body["metadata"]["labels"], body["metadata"]["ownerReferences"]) == ({"a": "b"}, [owner])
    assert server.params == [
        {"fieldManager": "policy-controller"},
        {"fieldManager": "policy-controller", "force": "true"},
    ]


async def test_vacating_hands_over_at_once(autojump_clock: MockClock) -> None:
    """A waiting replica takes over within two seconds of it, not at the old end."""
    # runtime L4, L14, L18
    server = free()
    alice, bob = keeper(server, "alice"), keeper(server, "bob")
    async with running(bob):
        async with running(alice):
            await trio.lowlevel.checkpoint()
            await alice.wait_held() if not bob.is_held() else None
        first = alice if alice.is_held() else bob
        if first is alice:
            await alice.vacate()
            given_up = trio.current_time()
            left = dict(server.spec)
            await bob.wait_held()
            assert left == {"leaseTransitions": 1}
            assert trio.current_time() - given_up <= 2


async def test_a_claim_that_ended_is_not_vacated(autojump_clock: MockClock) -> None:
    """Giving up what one does not hold writes nothing."""
    # runtime L5, L14
    server = free()
    alice = keeper(server, "alice")
    async with running(alice):
        await alice.wait_held()
    await trio.sleep(60)
    before = server.writes()

    await alice.vacate()

    assert server.writes() == before


async def test_vacating_reads_again_after_a_conflict(autojump_clock: MockClock) -> None:
    """A version that moved under us costs one more read, and the claim is given up all the same."""
    # runtime L14
    server = free()
    alice = keeper(server, "alice")
    async with running(alice):
        await alice.wait_held()
    server.put(**server.spec)

    await alice.vacate()

    assert "holderIdentity" not in server.spec
    assert not alice.is_held()


@pytest.mark.parametrize("trouble", ["silence", "error"])
async def test_vacating_has_a_limit(trouble: str, autojump_clock: MockClock) -> None:
    """An API server that hangs or fails does not keep the process from ending, even under cancellation."""
    # runtime L19
    server = free()
    alice = keeper(server, "alice")
    async with running(alice):
        await alice.wait_held()
    if trouble == "silence":
        server.latency = 1000
    else:
        server.fail = down
    start = trio.current_time()

    with trio.CancelScope() as scope:
        scope.cancel()
        await alice.vacate(seconds=5)

    assert trio.current_time() - start == (5 if trouble == "silence" else 0)
    assert not alice.is_held()


@pytest.mark.parametrize("raw", [b"{}", b'{"metadata":{}}', b'{"metadata":{"resourceVersion":""}}', b"nonsense"])
def test_what_is_no_lease_is_garbled(raw: bytes) -> None:
    """A Lease without a version could not be written safely."""
    # runtime L7
    with pytest.raises(Garbled):
        parse_lease(raw)


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"holderIdentity": "", "renewTime": TIME, "leaseDurationSeconds": 1},
        {"holderIdentity": "x", "renewTime": TIME, "leaseDurationSeconds": 0},
        {"holderIdentity": "x", "renewTime": TIME, "leaseDurationSeconds": -5},
        {"holderIdentity": "x", "renewTime": TIME},
        {"holderIdentity": "x", "leaseDurationSeconds": 30},
        {"holderIdentity": "x", "renewTime": OLD, "leaseDurationSeconds": 30, "leaseTransitions": 7},
    ],
)
async def test_a_lease_that_nobody_claims_is_taken_at_once(spec: Any, autojump_clock: MockClock) -> None:
    """Released by kubert or by client-go, half written, or long over."""
    # runtime L7, L21, L24
    server = free()
    assert server.lease is not None
    server.lease["spec"] = spec or {}
    alice = keeper(server, "alice")
    async with running(alice):
        await alice.wait_held()

    assert trio.current_time() == 0
    assert server.spec["leaseTransitions"] == (8 if spec and "leaseTransitions" in spec else 1)


async def test_a_restarted_process_goes_on_in_its_own_name(autojump_clock: MockClock) -> None:
    """A claim in our name is renewed at once, without a new beginning."""
    # runtime L10
    server = free()
    server.put(holderIdentity="alice", acquireTime=OLD, renewTime=TIME, leaseDurationSeconds=30, leaseTransitions=4)
    alice = keeper(server, "alice")
    async with running(alice):
        await alice.wait_held()

    assert trio.current_time() == 0
    assert (server.spec["acquireTime"], server.spec["leaseTransitions"]) == (OLD, 4)


async def test_of_two_that_make_the_lease_one_leads_and_the_other_follows(autojump_clock: MockClock) -> None:
    """Who comes second with making it goes on to read it, and takes over when the first one ends."""
    # runtime L11, status 318
    server = Server(latency=1)
    alice, bob = keeper(server, "alice"), keeper(server, "bob")
    async with trio.open_nursery() as second:
        async with running(alice):
            await trio.sleep(0.5)
            await second.start(bob.run)
            await trio.sleep(9)
            assert (alice.is_held(), bob.is_held()) == (True, False)
        with trio.fail_after(35):
            await bob.wait_held()
        second.cancel_scope.cancel()


async def test_of_two_that_race_one_wins(autojump_clock: MockClock) -> None:
    """Both read the same version; the loser is refused, reads again and waits."""
    # runtime L11
    server = free()
    server.latency = 1
    alice, bob = keeper(server, "alice"), keeper(server, "bob")
    async with running(alice, bob):
        await trio.sleep(8)

    assert sorted([alice.is_held(), bob.is_held()]) == [False, True]
    assert server.spec["leaseTransitions"] == 1


async def test_a_storm_of_conflicts_is_met_with_patience(autojump_clock: MockClock) -> None:
    """A version that always moves costs a bounded number of requests."""
    # runtime L12
    server = free()

    def conflict(method: str) -> KubernetesError | None:
        return Conflicted("moved") if method == "PATCH" else None

    server.fail = conflict
    alice = keeper(server, "alice")
    async with running(alice):
        await trio.sleep(60)

    assert 10 < len(server.requests) < 60


@pytest.mark.parametrize("outage", [3, 30, 600])
async def test_no_outage_ends_the_keeper(outage: float, autojump_clock: MockClock) -> None:
    """The claim is lost at its own deadline if the outage is long, and had again soon after it."""
    # runtime L15
    server = free()
    alice = keeper(server, "alice")
    async with running(alice):
        await alice.wait_held()
        await trio.sleep(9)
        server.fail = down
        await trio.sleep(outage)
        during = alice.is_held()
        server.fail = lambda _: None
        await trio.sleep(6)
        after = alice.is_held()

    assert (during, after) == (outage < 18, True)
    assert len(server.requests) < 10 + outage


async def test_an_outage_is_written_down_once(autojump_clock: MockClock) -> None:
    """Not with each attempt; and that there is no Lease yet is no failure."""
    server, output = Server(), io.StringIO()
    alice = keeper(server, "alice")
    with configured(LogFilter.parse("warn"), LogFormat.PLAIN, output=output):
        async with running(alice):
            await alice.wait_held()
            assert not output.getvalue()
            server.fail = down
            await trio.sleep(120)
            attempts = alice.statistics().failures

    assert attempts > 10
    assert output.getvalue().count("lease step failed; trying again") == 1


async def test_a_late_success_counts_from_when_it_was_asked_for(autojump_clock: MockClock) -> None:
    """A renewal that is answered late is lost in time for its end, and not held longer than it is worth."""
    # runtime L16
    server = free()
    alice = keeper(server, "alice")
    async with running(alice):
        await alice.wait_held()
        server.answer_latency = 9
        await trio.sleep(26)

        left = alice.statistics().expires_in

    assert left < 27 - 6


@pytest.mark.parametrize("skew", [-5.0, 5.0, 50.0, -50.0])
async def test_clocks_that_disagree_steal_nothing(skew: float, autojump_clock: MockClock) -> None:
    """While the holder renews, an observer whose clock is off waits."""
    # runtime L17
    server = free()
    alice, bob = keeper(server, "alice"), keeper(server, "bob", skew=skew)
    async with running(alice):
        await alice.wait_held()
        async with running(bob):
            await trio.sleep(600)

    assert server.spec["holderIdentity"] == "alice"


async def test_the_leader_s_work_is_cancelled_when_the_claim_is_lost(autojump_clock: MockClock) -> None:
    """The block ends at the claim's deadline, although nothing came from the API server."""
    # runtime L15, L20
    server = free()
    alice = keeper(server, "alice")
    async with running(alice):
        async with alice.held() as scope:
            await trio.sleep(12)
            server.fail = down
            await trio.sleep_forever()
        ended = trio.current_time()

    assert scope.cancelled_caught
    assert ended == pytest.approx(10 + 27)


async def test_the_leader_s_work_goes_on_through_renewals(autojump_clock: MockClock) -> None:
    """Renewals and unrelated writes do not disturb the block, which ends when it is done."""
    # runtime L20
    server = free()
    alice = keeper(server, "alice")
    async with running(alice), alice.held() as scope:
        await trio.sleep(15)
        server.put(**server.spec, other=1)
        await trio.sleep(60)

    assert not scope.cancelled_caught


def test_a_duration_is_whole_and_long_enough_for_its_margin() -> None:
    """Anything shorter than three seconds could never be held."""
    # runtime L22
    with pytest.raises(ValueError, match="duration"):
        params("alice", duration=2)


async def test_what_only_an_operator_can_cure_is_tried_slowly(autojump_clock: MockClock) -> None:
    """A forbidden Lease costs two requests a minute."""
    # runtime L23
    server = free()
    server.fail = lambda _: Forbidden("leases is forbidden")
    alice = keeper(server, "alice")
    async with running(alice):
        await trio.sleep(299)

    assert len(server.requests) == 10


async def test_a_lease_that_vanishes_is_made_again(autojump_clock: MockClock) -> None:
    """With `create` it comes back; without, it is waited for."""
    # runtime L7, L23
    server, other = free(), Server()
    alice, bob = keeper(server, "alice"), keeper(other, "bob", create=False)
    async with running(alice, bob):
        await alice.wait_held()
        server.lease = None
        await trio.sleep(40)

    assert server.spec["holderIdentity"] == "alice"
    assert (other.lease, len(other.requests)) == (None, 2)


async def test_a_request_that_hangs_is_given_up(autojump_clock: MockClock) -> None:
    """After ten seconds the step counts as failed, and the keeper goes on."""
    server = free()
    server.latency = 1000
    alice = keeper(server, "alice")
    async with running(alice):
        await trio.sleep(11)
        server.latency = 0
        await trio.sleep(12)

    assert server.spec["holderIdentity"] == "alice"
    assert alice.statistics().failures == 2
