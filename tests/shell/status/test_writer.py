"""The status writer: what it writes, when, how often, and what stops it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.k8s.references import CONTROLLER_NAME
from controller.runtime.errors import Absent, Forbidden, KubernetesError, Throttled
from controller.status.pace import OBJECT_BURST
from tests.manifests import http_route, rate_limit, server, server_ref
from tests.shell.lease.server import down
from tests.shell.status.server import Object, Replica, Server, path_of


@contextlib.asynccontextmanager
async def leading(*replicas: Replica) -> AsyncGenerator[None]:
    """Run replicas that know everything; the first one holds the Lease when the block begins."""
    async with trio.open_nursery() as nursery:
        for replica in replicas:
            replica.known.set()
            nursery.start_soon(replica.run)
            await wait_all_tasks_blocked()
        assert [replica.writer.statistics().leading for replica in replicas] == [True] + [False] * (len(replicas) - 1)
        yield
        nursery.cancel_scope.cancel()


def reasons(api: Server, route: Object) -> list[str]:
    """Of each of our entries, the reason of `Accepted`."""
    entries = api.status(route).get("parents", ())
    return [each["conditions"][0]["reason"] for each in entries if each["controllerName"] == CONTROLLER_NAME]


def entry(route: Object, reason: str = "Accepted", *, by: str = CONTROLLER_NAME, **more: Any) -> Object:
    """An entry about the route's first parent."""
    ref = {**route["spec"]["parentRefs"][0], "namespace": "ns"}
    condition = {"type": "Accepted", "status": "True" if reason == "Accepted" else "False", "reason": reason}
    condition |= {"message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    return {"parentRef": ref, "controllerName": by, "conditions": [condition], **more}


WEB = server("web")
ROUTE = http_route("route", "web", "/")


async def test_each_object_is_written_once_and_then_left_alone(autojump_clock: MockClock) -> None:
    """A new route and a new limit cost one patch each, and nothing more in an hour."""
    api = Server()
    replica = Replica(api)
    async with leading(replica):
        api.put(WEB, ROUTE, rate_limit("limit", "web"))
        await trio.sleep(1)
        assert sorted(api.written()) == ["limit", "route"]
        await trio.sleep(3600)

    assert len(api.patches) == 2
    assert (reasons(api, ROUTE), replica.metric("patches_total"), replica.metric("patch_duration_seconds_count")) == (
        ["Accepted"],
        2,
        2,
    )


async def test_a_burst_of_events_costs_one_patch(autojump_clock: MockClock) -> None:
    """Whatever happens before an object's turn, its status says how things are then."""
    api = Server()
    async with leading(Replica(api)):
        api.put(ROUTE)
        for _ in range(10):
            api.put(WEB)
            api.delete(WEB)
        api.put(WEB)
        await trio.sleep(60)

    assert api.written() == ["route"]
    assert reasons(api, ROUTE) == ["Accepted"]


async def test_a_change_during_a_patch_is_written_after_it(autojump_clock: MockClock) -> None:
    """The first patch is right when it is sent; the second follows with the news of it."""
    api = Server()
    api.latency = 1
    async with leading(Replica(api)):
        api.put(ROUTE)
        await trio.sleep(0.5)
        api.put(WEB)
        await trio.sleep(60)

    said = [patch["status"]["parents"][0]["conditions"][0]["reason"] for _, patch in api.patches]
    assert said == ["NoMatchingParent", "Accepted"]


async def test_an_object_is_not_patched_again_before_the_news_of_the_patch(autojump_clock: MockClock) -> None:
    """However many events come meanwhile; upstream writes once for each."""
    # status 82
    api = Server()
    replica = Replica(api)
    async with leading(replica):
        api.put(ROUTE)
        api.silent = True
        await trio.sleep(1)
        api.silent = False
        for number in range(10):
            api.put(server(f"other-{number}"))
            api.put(WEB)
            api.delete(WEB)
            await trio.sleep(1)
        assert api.written() == ["route"]
        assert api.attempts["PATCH"] == 1
        assert replica.writer.statistics().unconfirmed == 1
        api.relist()
        await trio.sleep(60)
        assert replica.writer.statistics().unconfirmed == 0

    assert api.attempts["PATCH"] == 1


async def test_nothing_is_remembered_of_what_is_gone(autojump_clock: MockClock) -> None:
    """A patch whose news never came does not matter when the object is deleted, or the term is over."""
    api = Server()
    replica = Replica(api)
    other = http_route("other", "web", "/")
    async with leading(replica):
        api.put(ROUTE, other)
        api.silent = True
        await trio.sleep(1)
        api.silent = False
        assert replica.writer.statistics().unconfirmed == 2
        api.delete(ROUTE)
        assert replica.writer.statistics().unconfirmed == 1

    assert replica.writer.statistics().unconfirmed == 0


async def test_a_patch_that_was_undone_unseen_is_made_again(autojump_clock: MockClock) -> None:
    """A list after an outage shows the object as it was before the patch, in a newer version."""
    api = Server()
    async with leading(Replica(api)):
        api.silent = True
        api.put(ROUTE)
        api.relist()
        api.silent = True
        await trio.sleep(1)
        assert api.written() == ["route"]
        api.objects[path_of(ROUTE)] = {**api.objects[path_of(ROUTE)], "status": {"parents": []}}
        api.put(ROUTE)
        api.relist()
        await trio.sleep(1)

    assert api.written() == ["route", "route"]
    assert reasons(api, ROUTE) == ["NoMatchingParent"]


async def test_who_does_not_lead_lets_go_by_and_looks_through_everything_later(autojump_clock: MockClock) -> None:
    """Nothing is queued, what is let go by is counted, and becoming the leader finds all of it."""
    # status 299
    api = Server()
    api.lease.put(holderIdentity="other", renewTime="2026-01-01T00:00:00.000000Z", leaseDurationSeconds=30)
    replica = Replica(api)
    replica.known.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.run)
        await trio.sleep(20)
        for number in range(500):
            api.put(http_route(f"route-{number}", "web", "/"))
        await trio.sleep(5)
        assert (replica.metric("patch_drops_total"), replica.metric("patch_enqueues_total")) == (500, 0)
        assert api.attempts == {"GET": 0, "PATCH": 0}
        await trio.sleep(15)  # the other's claim is over
        assert len(set(api.written())) == len(api.written()) == 500
        assert replica.metric("patch_enqueues_total") == replica.metric("patch_dequeues_total") == 500 + 500
        nursery.cancel_scope.cancel()


async def test_a_leader_that_finds_everything_right_writes_nothing(autojump_clock: MockClock) -> None:
    """Times and the order of entries do not make a status wrong."""
    # status 304
    api = Server()
    route = {**ROUTE, "status": {"parents": [entry(ROUTE)]}}
    api.put(WEB, route)
    async with leading(Replica(api)):
        await trio.sleep(1000)

    assert api.attempts == {"GET": 0, "PATCH": 0}


async def test_a_claim_that_ended_unnoticed_stops_the_writer_before_the_patch(autojump_clock: MockClock) -> None:
    """A machine that wakes up drops what was next, counts it, and does all of it when it leads again."""
    # status 300
    api, asleep = Server(), 0.0
    replica = Replica(api, suspended=lambda: asleep)
    async with leading(replica):
        asleep = 100.0
        api.put(ROUTE)
        await wait_all_tasks_blocked()
        assert (replica.metric("patch_drops_total"), api.attempts["PATCH"]) == (1, 0)
        assert not replica.writer.statistics().leading
        await trio.sleep(30)

    assert api.written() == ["route"]


async def test_a_claim_that_ended_while_others_were_asked_stops_the_patch(autojump_clock: MockClock) -> None:
    """The last look at the clock comes right before the patch."""
    # status 300
    api, asleep = Server(), 0.0
    replica = Replica(api, suspended=lambda: asleep)

    async def fall_asleep(method: str, _path: str) -> None:
        nonlocal asleep
        await trio.lowlevel.checkpoint()
        if method == "GET" and not asleep:
            asleep = 100.0

    async with leading(replica):
        api.wait = fall_asleep
        api.put({**ROUTE, "status": {"parents": [entry(ROUTE, by="example.com/other")]}})
        await wait_all_tasks_blocked()
        assert (replica.metric("patch_drops_total"), api.attempts) == (1, {"GET": 1, "PATCH": 0})
        await trio.sleep(30)

    assert api.written() == ["route"]


async def test_entries_of_others_that_come_before_our_turn_are_kept(autojump_clock: MockClock) -> None:
    """They are asked for then, although there were none when the turn began."""
    api = Server()
    foreign = entry(ROUTE, by="example.com/other")
    async with leading(Replica(api)):
        api.fail = lambda _method, _path: Throttled("slow down", retry_after=20)
        api.put(http_route("other", "web", "/"))
        await trio.sleep(1)
        api.fail = lambda _method, _path: None
        api.put(ROUTE)
        await trio.sleep(1)
        api.put({**ROUTE, "status": {"parents": [foreign]}})
        await trio.sleep(60)

    assert api.status(ROUTE)["parents"][0] == foreign
    assert sorted(api.written()) == ["other", "route"]


async def test_the_queue_has_room_for_everything(autojump_clock: MockClock) -> None:
    """It holds keys, each once: more than upstream's 10,000 updates lose nothing."""
    # status 301
    api = Server()
    replica = Replica(api)
    async with leading(replica):
        for number in range(10_500):
            api.put(http_route(f"route-{number}", "web", "/"))
        await trio.sleep(200)

    assert len(set(api.written())) == len(api.written()) == 10_500
    assert replica.metric("patch_enqueue_overflows_total") == 0


async def test_a_patch_that_hangs_is_given_up_and_tried_again(autojump_clock: MockClock) -> None:
    """It counts as a timeout, the others are written meanwhile, and it is made when that is possible."""
    # status 302; better than upstream, which leaves it to a later tick
    api = Server()
    replica = Replica(api, patch_timeout=5.0)

    async def hang(_method: str, path: str) -> None:
        await trio.lowlevel.checkpoint()
        if path.startswith(path_of(ROUTE)) and trio.current_time() < 20:
            await trio.sleep_forever()

    api.wait = hang
    async with leading(replica):
        api.put(ROUTE, http_route("other", "web", "/"))
        await trio.sleep(4)
        assert api.written() == ["other"]
        await trio.sleep(56)

    assert api.written() == ["other", "route"]
    assert (replica.metric("patch_timeouts_total"), replica.metric("patch_api_errors_total")) == (4, 0)
    assert replica.metric("patch_duration_seconds_count") == 2


async def test_entries_of_others_stay_to_the_letter(autojump_clock: MockClock) -> None:
    """They are fetched before the patch, come first, and keep fields that we have no words for."""
    # status 197, 303
    api = Server()
    foreign = entry(ROUTE, by="example.com/other", novel={"deep": [1, None]})
    api.put(WEB, {**ROUTE, "status": {"parents": [entry(ROUTE, "NoMatchingParent"), foreign]}})
    async with leading(Replica(api)):
        await trio.sleep(10)

    assert api.attempts == {"GET": 1, "PATCH": 1}
    first, second = api.status(ROUTE)["parents"]
    assert (first, second["controllerName"]) == (foreign, CONTROLLER_NAME)
    assert reasons(api, ROUTE) == ["Accepted"]


async def test_entries_that_came_since_the_watch_are_not_overwritten(autojump_clock: MockClock) -> None:
    """A patch that was derived from an older version is refused; the next one keeps what is new."""
    api = Server()
    replica = Replica(api)
    foreign = entry(ROUTE, by="example.com/other")
    async with leading(replica):
        api.silent = True
        api.put(ROUTE)
        stale = dict(api.objects[path_of(ROUTE)])
        api.put({**ROUTE, "status": {"parents": [foreign]}})
        newest = api.objects[path_of(ROUTE)]
        api.objects[path_of(ROUTE)] = stale
        api.relist()
        api.objects[path_of(ROUTE)] = newest
        await trio.sleep(0.15)
        assert (api.patches, api.attempts["PATCH"], replica.metric("patch_api_errors_total")) == ([], 1, 1)
        told = trio.current_time()
        api.relist()  # the news of it does not wait for the next attempt
        await trio.sleep(0.01)
        assert (trio.current_time() - told < 0.1, api.written()) == (True, ["route"])
        await trio.sleep(60)

    assert api.status(ROUTE)["parents"][0] == foreign
    assert len(api.patches) == 1


async def test_what_is_written_is_right_when_it_is_sent(autojump_clock: MockClock) -> None:
    """A Server that comes while the entries of others are fetched counts."""
    api = Server()
    api.latency = 1
    api.put({**ROUTE, "status": {"parents": [entry(ROUTE, by="example.com/other")]}})
    async with leading(Replica(api)):
        await trio.sleep(0.5)
        api.put(WEB)
        await trio.sleep(10)

    assert len(api.patches) == 1
    assert reasons(api, ROUTE) == ["Accepted"]


async def test_what_becomes_right_while_others_are_asked_is_not_written(autojump_clock: MockClock) -> None:
    """Somebody else may have done it."""
    api = Server()
    api.latency = 1
    foreign = entry(ROUTE, by="example.com/other")
    api.put(WEB, {**ROUTE, "status": {"parents": [foreign]}})
    async with leading(Replica(api)):
        await trio.sleep(0.5)
        api.put({**ROUTE, "status": {"parents": [foreign, entry(ROUTE)]}})
        await trio.sleep(10)

    assert api.attempts == {"GET": 1, "PATCH": 0}


async def test_an_object_that_is_gone_is_dropped(autojump_clock: MockClock) -> None:
    """A 404 is no reason to try again."""
    api = Server()
    replica = Replica(api)
    async with leading(replica):
        api.fail = lambda _method, path: Absent(f"{path} not found")
        api.put(ROUTE)
        await trio.sleep(100)
        assert api.attempts["PATCH"] == 1
        assert replica.writer.statistics().queue.waiting == 0

    assert replica.metric("patch_api_errors_total") == 1


async def test_what_was_missed_is_found_within_minutes(autojump_clock: MockClock) -> None:
    """A 404 from an API server that was wrong does not last for ever."""
    api = Server()
    async with leading(Replica(api)):
        api.fail = lambda _method, path: Absent(f"{path} not found")
        api.put(ROUTE)
        await trio.sleep(100)
        api.fail = lambda _method, _path: None
        await trio.sleep(250)

    assert api.written() == ["route"]


async def test_a_server_that_has_had_enough_is_left_alone(autojump_clock: MockClock) -> None:
    """Its wish counts for every object, also for those about which there is news."""
    api = Server()
    times: list[float] = []

    def refuse(method: str, path: str) -> KubernetesError | None:
        times.append(trio.current_time())
        return Throttled("slow down", retry_after=20) if len(times) == 1 else None

    async with leading(Replica(api)):
        api.fail = refuse
        api.put(ROUTE)
        await trio.sleep(1)
        for number in range(30):
            api.put(http_route(f"route-{number}", "web", "/"), ROUTE)
        await trio.sleep(18)
        assert times == [0]
        await trio.sleep(30)

    assert min(times[1:]) == 20
    assert sorted(api.written()) == sorted(["route", *(f"route-{number}" for number in range(30))])


async def test_failures_wait_longer_each_time(autojump_clock: MockClock) -> None:
    """An API server that refuses is not asked in a loop, and a cure is noticed."""
    api = Server()
    replica = Replica(api)
    api.fail = lambda method, _: Forbidden("no") if method == "PATCH" else None
    async with leading(replica):
        api.put(ROUTE)
        await trio.sleep(300)
        attempts = api.attempts["PATCH"]
        assert 10 < attempts < 25
        api.fail = lambda _method, _path: None
        await trio.sleep(31)
        assert api.written() == ["route"]
        assert replica.metric("patch_api_errors_total") == attempts


async def test_losing_the_lease_cancels_the_patch_that_is_under_way(autojump_clock: MockClock) -> None:
    """At the claim's end nothing of ours is on the way any more."""
    api = Server()
    replica = Replica(api, patch_timeout=1000)
    async with leading(replica):
        api.lease.fail = down
        api.latency = 100
        api.put(*(http_route(f"route-{number}", "web", "/") for number in range(20)))
        await trio.sleep(26)
        assert (replica.writer.statistics().queue.in_flight, replica.writer.statistics().queue.waiting) == (8, 12)
        await trio.sleep(2)
        left = replica.writer.statistics()
        assert (left.queue.in_flight, left.queue.waiting, left.leading) == (0, 0, False)
        await trio.sleep(200)

    assert api.patches == []


async def test_a_stale_leader_cannot_overwrite(autojump_clock: MockClock) -> None:
    """A patch of the old leader that arrives after one of the new leader is refused."""
    api = Server()
    old, new = Replica(api, "old"), Replica(api, "new")
    late = trio.Event()

    async def delay(_method: str, _path: str) -> None:
        await trio.lowlevel.checkpoint()
        if not late.is_set():
            late.set()
            with trio.CancelScope(shield=True):  # it has left; cancelling does not call it back
                await trio.sleep(60)

    api.wait = delay
    async with leading(old, new):
        api.put(ROUTE)
        await late.wait()
        api.put(WEB)
        api.lease.put(holderIdentity="new", renewTime="2026-01-01T00:00:00.000000Z", leaseDurationSeconds=30)
        await trio.sleep(120)

    assert api.attempts["PATCH"] == 2
    assert api.written() == ["route"]
    assert reasons(api, ROUTE) == ["Accepted"]


async def test_an_object_that_brings_out_a_bug_stops_nobody(autojump_clock: MockClock) -> None:
    """It is logged, counted and tried again; everything else is written."""
    api = Server()
    replica = Replica(api)
    broken = True

    def fail(_method: str, path: str) -> KubernetesError | None:
        if broken and path.startswith(path_of(ROUTE)):
            raise KeyError("a bug")
        return None

    async with leading(replica):
        api.fail = fail
        api.put(ROUTE, *(http_route(f"other-{number}", "web", "/") for number in range(20)))
        await trio.sleep(10)
        assert len(api.written()) == 20
        assert (replica.metric("failures_total") or 0) >= 4
        broken = False
        await trio.sleep(31)

    assert api.written()[-1] == "route"


async def test_an_object_that_flaps_is_written_at_a_measured_pace(autojump_clock: MockClock) -> None:
    """Ten changes a second for five minutes; others are not held up, and the last word is written."""
    api = Server()
    async with leading(Replica(api)):
        api.put(ROUTE)
        for number in range(1500):
            api.put(WEB)
            await trio.sleep(0.1)
            api.delete(WEB)
            await trio.sleep(0.1)
            if number % 300 == 0:
                api.put(http_route(f"route-{number}", "missing", "/"))
                await trio.sleep(0.01)
                assert f"route-{number}" in api.written()
        flapping = api.written().count("route")
        assert OBJECT_BURST <= flapping <= OBJECT_BURST + 300 / 5 + 1
        await trio.sleep(10)
        assert reasons(api, ROUTE) == ["NoMatchingParent"]


async def test_somebody_who_undoes_our_writes_does_not_drive_us(autojump_clock: MockClock) -> None:
    """Another controller that writes at once after each write of ours gets an answer every five seconds."""
    api = Server()

    def undo(events: list[Any]) -> None:
        if api.patches and api.status(ROUTE).get("parents"):
            api.objects[path_of(ROUTE)] = {**api.objects[path_of(ROUTE)], "status": {"parents": []}}
            api.put(ROUTE)

    async with leading(Replica(api)):
        api.followers.append(undo)
        api.put(ROUTE)
        await trio.sleep(600)

    assert OBJECT_BURST <= len(api.patches) <= OBJECT_BURST + 600 / 5 + 1


@pytest.mark.parametrize("foreign", [False, True])
async def test_wherever_the_term_ends_nothing_is_lost(foreign: bool, autojump_clock: MockClock) -> None:
    """Cut at each step of its tasks in turn, the work is done in the next term, and not twice."""
    for steps in range(1, 10_000):
        api = Server()
        others = {"status": {"parents": [entry(ROUTE, by="example.com/other")]}} if foreign else {}
        routes = [{**http_route(f"route-{number}", "web", "/"), **others} for number in range(3)]
        replica = Replica(api)
        cut = _CutAfter(steps)
        async with leading(replica):
            trio.lowlevel.add_instrument(cut)
            try:
                with trio.CancelScope() as cut.scope:
                    api.put(*routes)
                    await trio.sleep(1)
            finally:
                trio.lowlevel.remove_instrument(cut)
            if not cut.done:
                break
        assert (replica.writer.statistics().queue.in_flight, replica.writer.statistics().leading) == (0, False)
        async with leading(Replica(api)):
            await trio.sleep(1)
        assert sorted(api.written()) == ["route-0", "route-1", "route-2"], steps
        assert all(reasons(api, route) == ["NoMatchingParent"] for route in routes), steps
    assert steps > 20


class _CutAfter(trio.abc.Instrument):
    """Cancels a scope before the n-th step that any task takes."""

    def __init__(self, steps: int) -> None:
        self.scope = trio.CancelScope()
        self.done = False
        self._steps = steps

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self._steps -= 1
        if self._steps == 0:
            self.done = True
            self.scope.cancel()


async def test_a_route_with_a_parent_that_is_gone_keeps_the_right_entry_only(autojump_clock: MockClock) -> None:
    """Parents that come and go are entries that come and go."""
    # status 66-70
    api = Server()
    both = {**ROUTE, "spec": {**ROUTE["spec"], "parentRefs": [server_ref("web"), server_ref("missing")]}}
    async with leading(Replica(api)):
        api.put(WEB, both)
        await trio.sleep(1)
        assert reasons(api, both) == ["Accepted", "NoMatchingParent"]
        api.put({**ROUTE, "spec": {**ROUTE["spec"], "parentRefs": []}})
        await trio.sleep(1)
        assert api.status(ROUTE)["parents"] == []
