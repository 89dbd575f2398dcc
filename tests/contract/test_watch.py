"""Watches: what they send first, what follows, and how they end."""

from __future__ import annotations

import json

import pytest

from tests.contract.conftest import Forgetful, Widgets
from tests.contract.servers import TABLE, Json, Server, config_map, pod, told
from tests.contract.widgets import widget


def _seen(events: list[Json]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


@pytest.fixture
def two(server: Server, namespace: str) -> str:
    """Two config maps."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a", labels={"x": "1"}))
    server.create(path, config_map("b"))
    return path


@pytest.mark.parametrize("parameters", ["", "?resourceVersion=0"])
def test_a_watch_without_revision_begins_with_what_exists(server: Server, two: str, parameters: str) -> None:
    """Without a revision, or with 0, every existing object comes as ADDED first."""
    server.wait(lambda: len(server.get(f"{two}?resourceVersion=0").json()["items"]) == 2)

    assert _seen(server.watch(two + parameters)) == [("ADDED", "a"), ("ADDED", "b")]


def test_a_watch_at_a_revision_begins_behind_it(server: Server, two: str) -> None:
    """With a revision only what happened after it is told."""
    then = server.get(two).json()["metadata"]["resourceVersion"]
    server.create(two, config_map("c"))
    server.patch(f"{two}/a", {"data": {"k": "v"}})
    server.delete(f"{two}/b")

    events = server.watch(f"{two}?resourceVersion={then}")

    assert _seen(events) == [("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]


def test_events_of_a_watch_are_whole_objects(server: Server, two: str) -> None:
    """An object in an event has its kind and version, even of a built-in kind."""
    event = server.watch(two)[0]

    assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("ConfigMap", "v1")


def test_a_deletion_carries_its_own_revision(server: Server, two: str) -> None:
    """A DELETED event shows the object's last state, under the revision of the deletion."""
    before = server.get(f"{two}/b").json()["metadata"]["resourceVersion"]
    then = server.get(two).json()["metadata"]["resourceVersion"]
    server.delete(f"{two}/b")

    event = server.watch(f"{two}?resourceVersion={then}")[0]

    assert int(event["object"]["metadata"]["resourceVersion"]) > int(before)


def test_revisions_only_grow(server: Server, two: str) -> None:
    """Along a watch every change has a higher revision than the one before."""
    then = server.get(two).json()["metadata"]["resourceVersion"]
    for number in range(5):
        server.patch(f"{two}/a", {"data": {"n": str(number)}})

    events = server.watch(f"{two}?resourceVersion={then}")

    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert len(revisions) == 5
    assert revisions == sorted(set(revisions))


def test_changes_arrive_while_the_watch_is_open(server: Server, two: str) -> None:
    """An open watch tells a change when it happens."""
    then = server.get(two).json()["metadata"]["resourceVersion"]
    with server.watching(f"{two}?resourceVersion={then}") as events:
        server.create(two, config_map("c"))
        first = next(events)
        server.delete(f"{two}/c")
        second = next(events)

    assert _seen([first, second]) == [("ADDED", "c"), ("DELETED", "c")]


@pytest.mark.parametrize("selector", ["labelSelector=x%3D1", "labelSelector=x"])
def test_leaving_a_selection_is_a_deletion(server: Server, two: str, selector: str) -> None:
    """An object that stops matching is DELETED for the watch, one that begins to is ADDED."""
    then = server.get(two).json()["metadata"]["resourceVersion"]
    server.patch(f"{two}/b", {"metadata": {"labels": {"x": "1"}}})
    server.patch(f"{two}/a", {"metadata": {"labels": {"x": None}}})
    server.patch(f"{two}/a", {"data": {"k": "v"}})
    server.patch(f"{two}/b", {"data": {"k": "v"}})

    events = server.watch(f"{two}?{selector}&resourceVersion={then}")

    assert _seen(events) == [("ADDED", "b"), ("DELETED", "a"), ("MODIFIED", "b")]
    assert events[1]["object"]["metadata"]["labels"] == {"x": "1"}


def test_a_watch_can_select_by_field(server: Server, two: str) -> None:
    """A field selector works on a watch as on a list."""
    assert _seen(server.watch(f"{two}?fieldSelector=metadata.name%3Db")) == [("ADDED", "b")]


def test_one_object_cannot_be_watched_by_its_path(server: Server, two: str) -> None:
    """On an object's own path `watch` means nothing, except in the old spelling."""
    assert server.get(f"{two}/a?watch=1").json()["kind"] == "ConfigMap"
    old = server.get(two.replace("/api/v1/", "/api/v1/watch/") + "/a?timeoutSeconds=1")
    assert _seen([json.loads(line) for line in old.text.splitlines()]) == [("ADDED", "a")]


def test_the_old_spelling_of_a_watch(server: Server, two: str) -> None:
    """`/api/v1/watch/...` is a watch as well."""
    response = server.get(two.replace("/api/v1/", "/api/v1/watch/") + "?timeoutSeconds=1")

    assert response.status_code == 200
    assert len(response.text.splitlines()) == 2


def test_a_watch_across_namespaces(server: Server, two: str) -> None:
    """A watch on all namespaces tells of each of them."""
    then = server.get("/api/v1/configmaps").json()["metadata"]["resourceVersion"]
    other = server.namespace()
    server.create(f"/api/v1/namespaces/{other}/configmaps", config_map("elsewhere"))
    server.create(two, config_map("here"))

    events = server.watch(f"/api/v1/configmaps?resourceVersion={then}")

    assert {("ADDED", "elsewhere"), ("ADDED", "here")} <= set(_seen(events))


def test_initial_events_end_with_a_bookmark(server: Server, two: str) -> None:
    """sendInitialEvents sends what exists, then a marked bookmark, then what happens, on one stream."""
    parameters = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    with server.watching(f"{two}?{parameters}") as events:
        first = [next(events) for _ in range(3)]
        server.create(two, config_map("c"))
        then = next(events)

    assert _seen(first[:2]) == [("ADDED", "a"), ("ADDED", "b")]
    assert first[2]["type"] == "BOOKMARK"
    assert first[2]["object"]["kind"] == "ConfigMap"
    assert first[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(first[2]["object"]["metadata"]["resourceVersion"]) > 0
    assert _seen([then]) == [("ADDED", "c")]


def test_no_initial_events_on_request(server: Server, two: str) -> None:
    """sendInitialEvents=false begins with the next change, even without a revision."""
    parameters = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan"

    assert server.watch(f"{two}?{parameters}") == []


def test_a_bookmark_before_the_end(server: Server, two: str) -> None:
    """A watch that may send bookmarks says how far it has come before its time is up."""
    server.wait(lambda: len(server.get(f"{two}?resourceVersion=0").json()["items"]) == 2)

    events = server.watch(f"{two}?resourceVersion=0&allowWatchBookmarks=true", seconds=4)

    assert [event["type"] for event in events] == ["ADDED", "ADDED", "BOOKMARK"]
    last = max(int(event["object"]["metadata"]["resourceVersion"]) for event in events[:2])
    assert int(events[2]["object"]["metadata"]["resourceVersion"]) >= last
    assert events[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_no_bookmarks_unasked(server: Server, two: str) -> None:
    """A watch that does not allow bookmarks gets none."""
    then = server.get(two).json()["metadata"]["resourceVersion"]

    assert server.watch(f"{two}?resourceVersion={then}", seconds=4) == []


def test_a_watch_at_a_forgotten_revision_is_told_so_in_the_stream(forgetful: Forgetful) -> None:
    """A watch that begins before the known history is answered 200, with one ERROR event that is a 410."""
    events = forgetful.server.watch(f"{forgetful.path}?resourceVersion={forgetful.old}")

    assert [event["type"] for event in events] == ["ERROR"]
    status = events[0]["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith(f"too old resource version: {forgetful.old} (")


def test_a_watch_at_a_future_revision_waits(server: Server, two: str) -> None:
    """A revision that has not come yet is waited for, in silence."""
    assert server.watch(f"{two}?resourceVersion=99999999") == []


@pytest.mark.parametrize(
    ("parameters", "code", "fields"),
    [
        ("resourceVersionMatch=Exact&resourceVersion=1", 422, ["resourceVersionMatch"]),
        ("sendInitialEvents=true", 422, ["resourceVersionMatch"]),
        ("sendInitialEvents=true&resourceVersionMatch=Exact", 422, ["resourceVersionMatch"]),
        ("resourceVersion=abc", 500, []),
        ("labelSelector=a%3D%3D%3Db", 400, []),
    ],
)
def test_bad_watch_parameters(server: Server, namespace: str, parameters: str, code: int, fields: list[str]) -> None:
    """Parameters of a watch that are wrong, or do not go together, are refused before it begins."""
    found = told(server.get(f"{namespace}/pods?watch=1&timeoutSeconds=1&{parameters}"))

    assert (found[0], found[2]) == (code, fields)


@pytest.mark.parametrize("value", ["1", "true", ""])
def test_spellings_of_watch(server: Server, two: str, value: str) -> None:
    """`watch` may be empty, 1 or true."""
    response = server.get(f"{two}?watch={value}&timeoutSeconds=1")

    assert len(response.text.splitlines()) == 2


@pytest.mark.parametrize("value", ["0", "false"])
def test_no_watch(server: Server, two: str, value: str) -> None:
    """`watch=0` and `watch=false` are lists."""
    assert server.get(f"{two}?watch={value}").json()["kind"] == "ConfigMapList"


def test_rows_of_a_watched_table(server: Server, two: str) -> None:
    """As a table, each event is a table of one row, and only the first names the columns."""
    response = server.get(f"{two}?watch=1&timeoutSeconds=1", accept=TABLE)
    events = [json.loads(line) for line in response.text.splitlines()]

    assert [event["object"]["kind"] for event in events] == ["Table", "Table"]
    assert [bool(event["object"]["columnDefinitions"]) for event in events] == [True, False]
    assert [event["object"]["rows"][0]["cells"][0] for event in events] == ["a", "b"]


def test_watching_another_version(widgets: Widgets) -> None:
    """A watch speaks the version of its path, whichever one an object is stored in."""
    server = widgets.server
    server.create(widgets.path, widget("a", widgets.group, size=1))

    event = server.watch(widgets.old_path)[0]

    assert event["object"]["apiVersion"] == f"{widgets.group}/v1alpha1"
    assert event["object"]["spec"] == {"size": 1}


def test_a_write_that_changes_nothing_is_no_event(server: Server, two: str) -> None:
    """Writing an object as it is makes no revision and no event."""
    stored = server.get(f"{two}/a").json()
    then = server.get(two).json()["metadata"]["resourceVersion"]

    after = server.put(f"{two}/a", stored).json()

    assert after["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert server.watch(f"{two}?resourceVersion={then}") == []


def test_a_graceful_deletion_is_two_events(server: Server, namespace: str) -> None:
    """A pod on a node is first marked, and gone only when its end is confirmed."""
    path = f"{namespace}/pods"
    body = pod("a")
    body["spec"]["nodeName"] = "node"
    server.create(path, body)
    then = server.get(path).json()["metadata"]["resourceVersion"]
    server.delete(f"{path}/a")
    server.delete(f"{path}/a?gracePeriodSeconds=0")

    events = server.watch(f"{path}?resourceVersion={then}")

    assert _seen(events)[0] == ("MODIFIED", "a")
    assert _seen(events)[-1] == ("DELETED", "a")
    assert events[0]["object"]["metadata"]["deletionGracePeriodSeconds"] == 30
