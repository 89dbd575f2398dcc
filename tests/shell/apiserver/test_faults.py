"""Misbehaviour on command, seen by whoever asks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.apiserver.faults import Effect
from controller.apiserver.serving import ApiServer
from tests.shell.apiserver.asgi import POD, Client, Json, open_client

PODS = "/api/v1/namespaces/default/pods"
WATCH = f"{PODS}?watch=1&resourceVersion="
MERGE = "application/merge-patch+json"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as found:
        yield found


def pod(name: str) -> Json:
    return {**POD, "metadata": {"name": name}}


def watch_from_now(client: Client) -> str:
    return f"{WATCH}{client.server.store.revision}"


@pytest.mark.parametrize(
    ("verb", "method", "path", "body"),
    [
        ("list", "GET", PODS, None),
        ("get", "GET", f"{PODS}/a", None),
        ("create", "POST", PODS, pod("b")),
        ("update", "PUT", f"{PODS}/a", pod("a")),
        ("patch", "PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}),
        ("delete", "DELETE", f"{PODS}/a", None),
        ("deletecollection", "DELETE", PODS, None),
    ],
)
async def test_only_the_verb_that_is_meant(
    autojump_clock: MockClock, client: Client, verb: str, method: str, path: str, body: Json
) -> None:
    """A fault befalls requests of its verb, once unless told otherwise."""
    await client("POST", PODS, pod("a"))
    client.server.faults.add("delay", verb, seconds=7)
    kind = {"content_type": MERGE if method == "PATCH" else "application/json"}

    assert (await client("GET", "/version")).took == 0
    assert (await client(method, path, body, **kind)).took == 7
    assert (await client(method, path, body, **kind)).took == 0


@pytest.mark.parametrize(
    ("resource", "hit"),
    [
        ("*", True),
        ("deployments", True),
        ("deployments.apps", True),
        ("deployments.extensions", False),
        ("pods", False),
    ],
)
async def test_only_the_kind_that_is_meant(autojump_clock: MockClock, client: Client, resource: str, hit: bool) -> None:
    """A fault befalls requests for its kind, by its plural name alone or with the group."""
    client.server.faults.add("delay", "list", resource, seconds=1)

    assert (await client("GET", "/apis/apps/v1/deployments")).took == (1 if hit else 0)


@pytest.mark.parametrize(("times", "hits"), [(1, 1), (3, 3), (None, 5)])
async def test_how_often(autojump_clock: MockClock, client: Client, times: int | None, hits: int) -> None:
    """A fault befalls as many requests as it says, and is then gone; without a number it stays."""
    fault = client.server.faults.add("error", "list", "pods", times=times)

    codes = [(await client("GET", PODS)).status for _ in range(5)]

    assert codes == [500] * hits + [200] * (5 - hits)
    assert fault.hits == hits
    assert list(client.server.faults) == ([] if times else [fault])


async def test_lifted_faults(autojump_clock: MockClock, client: Client) -> None:
    """A fault that is removed befalls nobody; nor does any after all are lifted."""
    faults = client.server.faults
    fault = faults.add("error", "list", times=None)
    faults.remove(fault)
    assert (await client("GET", PODS)).status == 200

    faults.add("error", "list", times=None)
    faults.clear()
    assert (await client("GET", PODS)).status == 200


async def test_several_at_once(autojump_clock: MockClock, client: Client) -> None:
    """Faults that wait come before the one that answers."""
    client.server.faults.add("delay", "list", seconds=3)
    client.server.faults.add("error", "list", code=503)

    answer = await client("GET", PODS)

    assert (answer.status, answer.took) == (503, 3)


async def test_throttled_with_retry_after(autojump_clock: MockClock, client: Client) -> None:
    """A throttled request is 429 and told how long to wait, in the header and in the status."""
    client.server.faults.add("throttle", "list", seconds=9)

    answer = await client("GET", PODS)

    assert (answer.status, answer.headers["retry-after"]) == (429, "9")
    assert answer.json()["reason"] == "TooManyRequests"
    assert answer.json()["details"]["retryAfterSeconds"] == 9


@pytest.mark.parametrize("path", [PODS, WATCH + "1", f"{PODS}/a"])
async def test_gone_as_an_answer(autojump_clock: MockClock, client: Client, path: str) -> None:
    """410 in place of an answer, also of a watch's."""
    client.server.faults.add("gone", resource="pods")

    answer = await client("GET", path)

    assert (answer.status, answer.json()["reason"]) == (410, "Expired")


@pytest.mark.parametrize("code", [500, 503, 504])
async def test_an_error_as_an_answer(autojump_clock: MockClock, client: Client, code: int) -> None:
    """Any error, as a status."""
    client.server.faults.add("error", "get", code=code)

    answer = await client("GET", f"{PODS}/a")

    assert (answer.status, answer.json()["code"], answer.json()["kind"]) == (code, code, "Status")


async def test_garbage_as_an_answer(autojump_clock: MockClock, client: Client) -> None:
    """An answer that claims to be JSON and is not."""
    client.server.faults.add("garbage", "list")

    answer = await client("GET", PODS)

    assert (answer.status, answer.cut) == (200, False)
    with pytest.raises(ValueError, match=r"control character|Expecting|delimiter"):
        answer.json()


async def test_an_answer_that_is_cut(autojump_clock: MockClock, client: Client) -> None:
    """An answer that stops in its middle, though its length was announced."""
    client.server.faults.add("cut", "list")

    answer = await client("GET", PODS)

    assert answer.cut
    assert 0 < len(answer.body) < int(answer.headers["content-length"])


async def test_a_write_whose_answer_is_lost(autojump_clock: MockClock, client: Client) -> None:
    """A write that is cut has happened, only nobody tells."""
    client.server.faults.add("cut", "create")

    assert (await client("POST", PODS, pod("a"))).cut
    assert (await client("GET", f"{PODS}/a")).status == 200


async def test_a_stalled_answer(autojump_clock: MockClock, client: Client) -> None:
    """A request that is kept waiting for its time, or until the faults are lifted."""
    client.server.faults.add("stall", "list", seconds=50)
    assert (await client("GET", PODS)).took == 50

    client.server.faults.add("stall", "list")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_clear_after, client.server, 500.0)
        assert (await client("GET", PODS)).took == 500


async def _clear_after(server: ApiServer, seconds: float) -> None:
    await trio.sleep(seconds)
    server.faults.clear()


async def test_stale_reads(autojump_clock: MockClock, client: Client) -> None:
    """Lists and reads as they were some revisions ago, under the revision of then."""
    for name in ("a", "b", "c"):
        await client("POST", PODS, pod(name))
    now = client.server.store.revision
    client.server.faults.add("stale", "list", "pods", lag=1)
    client.server.faults.add("stale", "get", "pods", lag=1)

    listed = await client("GET", PODS)

    assert (listed.names, listed.json()["metadata"]["resourceVersion"]) == (["a", "b"], str(now - 1))
    assert (await client("GET", f"{PODS}/c")).status == 404
    assert (await client("GET", PODS)).names == ["a", "b", "c"]


async def test_a_stale_watch(autojump_clock: MockClock, client: Client) -> None:
    """A watch may begin with what existed some revisions ago; it then catches up."""
    await client("POST", PODS, pod("a"))
    await client("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await client("POST", PODS, pod("b"))
    client.server.faults.add("stale", "watch", "pods", lag=2)

    async with client.watch(f"{PODS}?watch=1") as stream:
        events = [await stream.event() for _ in range(3)]

    assert [(kind, value["metadata"]["name"]) for kind, value in events] == [
        ("ADDED", "a"),
        ("DELETED", "a"),
        ("ADDED", "b"),
    ]


async def test_as_far_back_as_history_goes(autojump_clock: MockClock, client: Client) -> None:
    """A stale read older than what is kept is of the oldest that is."""
    await client("POST", PODS, pod("a"))
    client.server.compact()
    await client("POST", PODS, pod("b"))
    client.server.faults.add("stale", "list", lag=1000)

    assert (await client("GET", PODS)).names == ["a"]


async def test_a_delayed_watch(autojump_clock: MockClock, client: Client) -> None:
    """A watch whose answer is late has missed nothing."""
    path = watch_from_now(client)
    client.server.faults.add("delay", "watch", seconds=11)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client, "POST", PODS, pod("a"))
        start = trio.current_time()
        async with client.watch(path) as stream:
            assert trio.current_time() - start == 11
            assert (await stream.event())[1]["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    ("effect", "options", "code", "reason"),
    [
        ("gone", {}, 410, "Expired"),
        ("throttle", {"seconds": 5}, 429, "TooManyRequests"),
        ("error", {"code": 500}, 500, "InternalError"),
        ("error", {"code": 504}, 504, "InternalError"),
    ],
)
async def test_an_error_event(
    autojump_clock: MockClock, client: Client, effect: Effect, options: Json, code: int, reason: str
) -> None:
    """An open watch ends, in good order, with a status as its last event."""
    async with client.watch(watch_from_now(client)) as stream:
        assert await stream.silent(100)
        client.server.faults.add(effect, "watch", "pods", event=True, **options)

        kind, value = await stream.event()

        assert (kind, value["kind"], value["code"], value["reason"]) == ("ERROR", "Status", code, reason)
        assert (await stream.line(), stream.cut) == (None, False)


async def test_after_so_many_events(autojump_clock: MockClock, client: Client) -> None:
    """A fault of a watch can wait until some events have been told."""
    client.server.faults.add("gone", "watch", "pods", event=True, after=2)
    for name in ("a", "b", "c"):
        await client("POST", PODS, pod(name))

    async with client.watch(f"{PODS}?watch=1") as stream:
        told = [await stream.event() for _ in range(3)]

    assert [kind for kind, _ in told] == ["ADDED", "ADDED", "ERROR"]


async def test_cut_in_the_middle_of_a_line(autojump_clock: MockClock, client: Client) -> None:
    """The connection is dropped while an event is being written."""
    async with client.watch(watch_from_now(client)) as stream:
        await client("POST", PODS, pod("a"))
        await stream.event()
        client.server.faults.add("cut", "watch", "pods")
        line = await stream.line()

    assert stream.cut
    assert line is not None
    assert line.startswith(b'{"type":')
    with pytest.raises(ValueError, match=r"."):
        json.loads(line)


async def test_cut_after_some_events(autojump_clock: MockClock, client: Client) -> None:
    """The event that is cut is the one behind those that were to be told."""
    path = watch_from_now(client)
    for name in ("a", "b", "c"):
        await client("POST", PODS, pod(name))
    client.server.faults.add("cut", "watch", "pods", after=1)

    async with client.watch(path) as stream:
        told = await stream.event()
        rest = await stream.line()

    assert told[1]["metadata"]["name"] == "a"
    assert stream.cut
    assert rest is not None
    assert rest.startswith(b'{"type":"ADDED"')
    assert not rest.endswith(b"}")


async def test_a_garbage_line(autojump_clock: MockClock, client: Client) -> None:
    """A line that is no JSON comes between events that are."""
    path = watch_from_now(client)
    for name in ("a", "b"):
        await client("POST", PODS, pod(name))
    client.server.faults.add("garbage", "watch", "pods", after=1)

    async with client.watch(path) as stream:
        assert (await stream.event())[1]["metadata"]["name"] == "a"
        line = await stream.line()
        assert (await stream.event())[1]["metadata"]["name"] == "b"

    with pytest.raises(ValueError, match=r"."):
        json.loads(line or b"{}")


@pytest.mark.parametrize(("effect", "told"), [("lose", ["a", "c"]), ("repeat", ["a", "b", "b", "c"])])
async def test_events_lost_or_repeated(
    autojump_clock: MockClock, client: Client, effect: Effect, told: list[str]
) -> None:
    """An event is left out, or comes twice, as if nothing had happened."""
    client.server.faults.add(effect, "watch", "pods", after=1)
    async with client.watch(watch_from_now(client)) as stream:
        for name in ("a", "b", "c"):
            await client("POST", PODS, pod(name))
        events = [await stream.event() for _ in told]
        assert await stream.silent(1000)

    assert [value["metadata"]["name"] for _, value in events] == told


async def test_a_watch_that_is_ended(autojump_clock: MockClock, client: Client) -> None:
    """A watch ends in good order long before its time."""
    async with client.watch(watch_from_now(client)) as stream:
        client.server.faults.add("end", "watch", "pods")

        assert (await stream.line(), stream.cut) == (None, False)


async def test_a_silent_watch(autojump_clock: MockClock, client: Client) -> None:
    """A stalled watch says nothing, not even that its time is up, and then everything that it has withheld."""
    async with client.watch(watch_from_now(client) + "&timeoutSeconds=60&allowWatchBookmarks=true") as stream:
        client.server.faults.add("stall", "watch", "pods")
        for name in ("a", "b"):
            await client("POST", PODS, pod(name))
        assert await stream.silent(10_000)
        client.server.faults.clear()

        assert [(await stream.event())[1]["metadata"]["name"] for _ in range(2)] == ["a", "b"]
        assert (await stream.line(), stream.cut) == (None, False)


async def test_a_watch_that_is_silent_for_a_while(autojump_clock: MockClock, client: Client) -> None:
    """A stall that has a length ends by itself."""
    async with client.watch(watch_from_now(client)) as stream:
        client.server.faults.add("stall", "watch", "pods", seconds=30)
        await wait_all_tasks_blocked()
        await client("POST", PODS, pod("a"))
        assert await stream.silent(29)
        assert (await stream.event())[0] == "ADDED"


async def test_every_open_watch(autojump_clock: MockClock, client: Client) -> None:
    """A fault that is to happen twice happens to two watches."""
    path = watch_from_now(client)
    async with client.watch(path) as one, client.watch(path) as other, client.watch(path) as third:
        client.server.faults.add("end", "watch", "pods", times=2)
        await wait_all_tasks_blocked()
        ends = [not await stream.silent(1) for stream in (one, other, third)]

    assert sum(ends) == 2


async def test_commands_over_http(autojump_clock: MockClock, client: Client) -> None:
    """Faults are commanded, listed and lifted over HTTP."""
    commanded = await client(
        "POST", "/-/faults", {"effect": "error", "verb": "list", "resource": "pods", "times": None}
    )
    listed = await client("GET", "/-/faults")

    assert commanded.json() == listed.json()
    (fault,) = listed.json()
    assert (fault["effect"], fault["verb"], fault["resource"], fault["code"]) == ("error", "list", "pods", 500)
    assert (await client("GET", PODS)).status == 500
    assert (await client("GET", "/-/faults")).json()[0]["hits"] == 1
    assert (await client("DELETE", "/-/faults")).json() == []
    assert (await client("GET", PODS)).status == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "input data was truncated"),
        ([], "a fault is an object"),
        ({}, "effect must be one of"),
        ({"effect": "explode"}, "effect must be one of"),
        ({"effect": "cut", "whom": "pods"}, "unknown fields: whom"),
    ],
)
async def test_commands_that_make_no_sense(autojump_clock: MockClock, client: Client, body: Json, text: str) -> None:
    """A command that is not understood is refused and changes nothing."""
    answer = await client("POST", "/-/faults", body)

    assert answer.status == 400
    assert text in answer.json()["error"].lower()
    assert list(client.server.faults) == []


async def test_compaction_over_http(autojump_clock: MockClock, client: Client) -> None:
    """History is forgotten on command: older watches are told so."""
    path = watch_from_now(client)
    await client("POST", PODS, pod("a"))
    revision = client.server.store.revision

    assert (await client("POST", "/-/compact")).json() == {"compacted": revision}

    async with client.watch(path) as stream:
        kind, value = await stream.event()
        assert (kind, value["code"]) == ("ERROR", 410)
        assert (await stream.line(), stream.cut) == (None, False)
