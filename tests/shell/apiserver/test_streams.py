"""When watches speak and end, and how long requests wait, in virtual time."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.apiserver.serving import ApiServer
from controller.apiserver.status import GroupResource
from controller.apiserver.store import Store
from tests.shell.apiserver.asgi import POD, Client, Json, open_client

PODS = "/api/v1/namespaces/default/pods"
END = "k8s.io/initial-events-end"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as found:
        yield found


def pod(name: str) -> Json:
    return {**POD, "metadata": {"name": name}}


@pytest.mark.parametrize("seconds", [3, 60, 3000])
async def test_a_watch_ends_when_its_time_is_up(autojump_clock: MockClock, client: Client, seconds: int) -> None:
    """A watch that names a timeout ends then, in good order."""
    start = trio.current_time()
    async with client.watch(f"{PODS}?watch=1&timeoutSeconds={seconds}") as stream:
        assert (await stream.line(), stream.cut) == (None, False)
    assert trio.current_time() - start == seconds


async def test_a_watch_without_a_timeout(autojump_clock: MockClock, client: Client) -> None:
    """It lasts from half an hour to an hour, each a different time."""
    start = trio.current_time()
    async with client.watch(f"{PODS}?watch=1") as stream:
        assert await stream.line() is None
    assert trio.current_time() - start == 2700


async def test_a_watch_whose_client_goes_away(autojump_clock: MockClock, client: Client) -> None:
    """Nothing is left behind of a watch that is over."""
    table = client.server.store.table(GroupResource("", "pods"))
    async with client.watch(f"{PODS}?watch=1"):
        await wait_all_tasks_blocked()
        assert len(table.wakers) == 1
    assert len(table.wakers) == 0


async def test_bookmarks_now_and_then(autojump_clock: MockClock, client: Client) -> None:
    """A watch that wants bookmarks is told how far it is each minute, and before it ends, if there is anything new."""
    other = "/api/v1/namespaces/default/configmaps"
    path = f"{PODS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion={client.server.store.revision}"
    start = trio.current_time()
    told: list[tuple[float, str]] = []
    async with client.watch(path) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(_create_later, client, other, {70, 80, 595})
        while (line := await stream.line()) is not None:
            event = msgspec.json.decode(line)
            assert event["type"] == "BOOKMARK"
            told.append((trio.current_time() - start, event["object"]["metadata"]["resourceVersion"]))

    now = client.server.store.revision
    assert told == [(120, str(now - 1)), (598, str(now))]


async def _create_later(client: Client, path: str, times: set[int]) -> None:
    start = trio.current_time()
    for number, time in enumerate(sorted(times)):
        await trio.sleep_until(start + time)
        await client("POST", path, {"metadata": {"name": f"m{number}"}})


async def test_no_bookmarks_unless_asked_for(autojump_clock: MockClock, client: Client) -> None:
    """A watch that does not want bookmarks gets none."""
    path = f"{PODS}?watch=1&timeoutSeconds=600&resourceVersion={client.server.store.revision}"
    async with client.watch(path) as stream:
        await client("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "m"}})
        assert await stream.line() is None


async def test_a_streamed_list_ends_with_a_bookmark(autojump_clock: MockClock, client: Client) -> None:
    """`sendInitialEvents` tells what exists and then, with a mark, that this was all."""
    for name in ("a", "b"):
        await client("POST", PODS, pod(name))
    path = f"{PODS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"

    async with client.watch(path) as stream:
        events = [await stream.event() for _ in range(3)]

    assert [kind for kind, _ in events] == ["ADDED", "ADDED", "BOOKMARK"]
    assert events[2][1]["metadata"]["annotations"] == {END: "true"}
    assert events[2][1]["metadata"]["resourceVersion"] == str(client.server.store.revision)


async def test_events_come_at_once(autojump_clock: MockClock, client: Client) -> None:
    """A watch tells a change when it happens, and a burst of them as one piece."""
    async with client.watch(f"{PODS}?watch=1&resourceVersion={client.server.store.revision}") as stream:
        start = trio.current_time()
        for number in range(1500):
            client.server.seed([{"apiVersion": "v1", "kind": "Pod", **pod(f"p{number:04}")}])
        names = [(await stream.event())[1]["metadata"]["name"] for _ in range(1500)]

    assert trio.current_time() == start
    assert names == [f"p{number:04}" for number in range(1500)]


async def test_a_watch_that_falls_behind(autojump_clock: MockClock) -> None:
    """A watch whose next event is no longer kept ends with 410 as its last event, once."""
    server = ApiServer(store=Store(history=10), controllers=False)
    async with open_client(server) as client:
        path = f"{PODS}?watch=1&resourceVersion={server.store.revision}"
        async with client.watch(path) as stream:
            for number in range(30):
                server.seed([{"apiVersion": "v1", "kind": "Pod", **pod(f"p{number}")}])
            kind, value = await stream.event()
            assert (kind, value["code"], value["reason"]) == ("ERROR", 410, "Expired")
            assert (await stream.line(), stream.cut) == (None, False)


async def test_a_revision_that_does_not_exist_yet(autojump_clock: MockClock, client: Client) -> None:
    """A read that must not be older than a later revision waits for it, but not for long."""
    future = client.server.store.revision + 1
    answer = await client("GET", f"{PODS}?resourceVersion={future}")
    assert (answer.status, answer.took) == (504, 3)
    assert answer.json()["reason"] == "Timeout"
    assert answer.json()["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_create_later, client, PODS.replace("pods", "configmaps"), {2})
        answer = await client("GET", f"{PODS}?resourceVersion={future}")
    assert (answer.status, answer.took) == (200, 2)


async def test_large_answers_are_compressed(autojump_clock: MockClock, client: Client) -> None:
    """A client that can read gzip gets it where it pays."""
    small = await client("GET", PODS, accept_encoding="gzip")
    assert "content-encoding" not in small.headers

    client.server.seed([{"apiVersion": "v1", "kind": "Pod", **pod(f"p{number}")} for number in range(500)])
    large = await client("GET", PODS, accept_encoding="gzip")
    plain = await client("GET", PODS)

    assert large.headers["content-encoding"] == "gzip"
    assert gzip.decompress(large.body) == plain.body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (gzip.compress(msgspec.json.encode(pod("a")), mtime=0), 201),
        (b"no gzip", 400),
        (gzip.compress(msgspec.json.encode(pod("a")), mtime=0)[:-9], 400),
        (gzip.compress(b" " * (4 << 20), mtime=0), 400),
        (b" " * (4 << 20), 413),
    ],
    ids=["good", "none", "no end", "too large inside", "too large"],
)
async def test_compressed_bodies(autojump_clock: MockClock, client: Client, body: bytes, code: int) -> None:
    """A body may be compressed; it must then have an end, and be no larger than others when it is not."""
    assert (await client("POST", PODS, body, content_encoding="gzip")).status == code


async def test_a_failure_of_the_server_itself(
    autojump_clock: MockClock, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is told as 500, and the next request is answered."""
    monkeypatch.setattr(client.server.store, "scan", None)
    answer = await client("GET", PODS)
    assert (answer.status, answer.json()["reason"]) == (500, "InternalError")
    monkeypatch.undo()
    assert (await client("GET", PODS)).status == 200


@pytest.mark.parametrize(("back", "kind"), [(0, "ADDED"), (1, "ERROR")])
async def test_a_watch_from_where_history_begins(
    autojump_clock: MockClock, client: Client, back: int, kind: str
) -> None:
    """The revision of the compaction itself is not too old."""
    await client("POST", PODS, pod("a"))
    client.server.compact()
    path = f"{PODS}?watch=1&resourceVersion={client.server.store.revision - back}"
    async with client.watch(path) as stream:
        await client("POST", PODS, pod("b"))
        assert (await stream.event())[0] == kind


async def test_a_watch_from_a_revision_to_come(autojump_clock: MockClock, client: Client) -> None:
    """It begins behind that revision, and tells nothing of what leads there."""
    path = f"{PODS}?watch=1&resourceVersion={client.server.store.revision + 2}"
    async with client.watch(path) as stream:
        for name in ("a", "b", "c"):
            await client("POST", PODS, pod(name))
        assert (await stream.event())[1]["metadata"]["name"] == "c"
