"""Merge patch, JSON patch and strategic merge patch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import (
    APPLY,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Json,
    Server,
    config_map,
    deployment,
    pod,
    service,
    told,
    warnings,
)
from tests.contract.widgets import widget


@pytest.fixture
def stored(server: Server, namespace: str) -> str:
    """A config map with two values; its path."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a", {"k": "1", "n": "2"}, labels={"x": "y"}))
    return f"{path}/a"


@pytest.mark.parametrize(
    ("patch", "data", "labels"),
    [
        ({"data": {"k": "3"}}, {"k": "3", "n": "2"}, {"x": "y"}),
        ({"data": {"k": None}}, {"n": "2"}, {"x": "y"}),
        ({"data": None}, None, {"x": "y"}),
        ({"metadata": {"labels": {"x": None, "z": "w"}}}, {"k": "1", "n": "2"}, {"z": "w"}),
        ({"metadata": {"labels": None}}, {"k": "1", "n": "2"}, None),
        ({}, {"k": "1", "n": "2"}, {"x": "y"}),
    ],
)
def test_merge_patches(server: Server, stored: str, patch: Json, data: Json, labels: Json) -> None:
    """A merge patch replaces what it names and removes what it nulls."""
    after = server.patch(stored, patch, MERGE).json()

    assert after.get("data") == data
    assert after["metadata"].get("labels") == labels


@pytest.mark.parametrize(
    ("operations", "data"),
    [
        ([{"op": "replace", "path": "/data/k", "value": "3"}], {"k": "3", "n": "2"}),
        ([{"op": "add", "path": "/data/new", "value": "3"}], {"k": "1", "n": "2", "new": "3"}),
        ([{"op": "remove", "path": "/data/k"}], {"n": "2"}),
        ([{"op": "move", "from": "/data/k", "path": "/data/m"}], {"m": "1", "n": "2"}),
        ([{"op": "copy", "from": "/data/k", "path": "/data/m"}], {"k": "1", "m": "1", "n": "2"}),
        ([{"op": "test", "path": "/data/k", "value": "1"}, {"op": "remove", "path": "/data/k"}], {"n": "2"}),
        (
            [{"op": "add", "path": "/data/a~1b", "value": "x"}, {"op": "remove", "path": "/data/a~1b"}],
            {"k": "1", "n": "2"},
        ),
    ],
)
def test_json_patches(server: Server, stored: str, operations: Json, data: Json) -> None:
    """A JSON patch carries out its operations in order."""
    response = server.patch(stored, operations, JSON_PATCH)

    assert response.status_code == 200, response.text
    assert response.json()["data"] == data


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "test", "path": "/data/k", "value": "9"}], 422),
        ([{"op": "remove", "path": "/data/nothing"}], 422),
        ([{"op": "replace", "path": "/nothing/k", "value": "9"}], 422),
        ({"op": "remove"}, 400),
    ],
)
def test_json_patches_that_do_not_fit(server: Server, stored: str, operations: Json, code: int) -> None:
    """If one operation does not fit, the object stays as it is."""
    response = server.patch(stored, operations, JSON_PATCH)

    assert told(response)[0] == code
    assert server.get(stored).json()["data"] == {"k": "1", "n": "2"}


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_patches_of_no_known_kind(server: Server, stored: str, kind: str) -> None:
    """A patch says what kind of patch it is."""
    assert told(server.patch(stored, {}, kind)) == (415, "UnsupportedMediaType", [])


@pytest.mark.parametrize(("body", "kind"), [(b"{", MERGE), (b"[]", MERGE), (b"{", STRATEGIC), (b"[]", STRATEGIC)])
def test_patches_that_cannot_be_read(server: Server, stored: str, body: bytes, kind: str) -> None:
    """A broken patch is a bad request."""
    assert told(server.patch(stored, body, kind)) == (400, "BadRequest", [])


def test_custom_resources_know_no_strategic_merge(widgets: Widgets) -> None:
    """A strategic merge needs merge keys, which definitions do not have."""
    widgets.server.create(widgets.path, widget("a", widgets.group, size=1))

    response = widgets.server.patch(f"{widgets.path}/a", {"spec": {"size": 2}}, STRATEGIC)

    assert told(response) == (415, "UnsupportedMediaType", [])


@pytest.mark.parametrize(
    ("patch", "code", "fields"),
    [
        ({"metadata": {"name": "b"}}, 400, []),
        ({"metadata": {"namespace": "b"}}, 400, []),
        ({"metadata": {"uid": "b"}}, 422, ["metadata.uid"]),
        ({"metadata": {"resourceVersion": "1"}}, 409, []),
        ({"metadata": {"labels": {"a b": "c"}}}, 422, ["metadata.labels"]),
        ({"data": {"a/b": "c"}}, 422, ["data[a/b]"]),
        ({"data": {"k": 5}}, 422, ["patch"]),
    ],
)
def test_what_a_patch_cannot_do(server: Server, stored: str, patch: Json, code: int, fields: list[str]) -> None:
    """A patched object obeys the same rules as any other."""
    found = told(server.patch(stored, patch, MERGE))

    assert (found[0], found[2]) == (code, fields)


_UNNAMED: Any = (400, "BadRequest", [])
_UNREADABLE: Any = (422, "Invalid", ["patch"])


@pytest.mark.parametrize(
    ("patch", "merged", "strategic"),
    [
        ({"kind": "Foo"}, _UNREADABLE, None),
        ({"kind": 1}, _UNREADABLE, _UNREADABLE),
        ({"kind": None}, None, None),
        ({"apiVersion": "v2"}, _UNREADABLE, None),
        ({"apiVersion": None}, _UNNAMED, None),
        ({"metadata": None}, _UNNAMED, _UNNAMED),
        ({"metadata": "a"}, _UNREADABLE, _UNREADABLE),
        ({"metadata": {"name": None}}, _UNNAMED, _UNNAMED),
        ({"metadata": {"name": "z"}}, (400, "BadRequest", []), (400, "BadRequest", [])),
        ({"metadata": {"name": 1}}, _UNREADABLE, _UNREADABLE),
        ({"metadata": {"namespace": None}}, None, None),
        ({"metadata": {"namespace": "zz"}}, (400, "BadRequest", []), (400, "BadRequest", [])),
    ],
)
def test_a_patched_object_is_still_that_object(
    server: Server, stored: str, patch: Json, merged: Any, strategic: Any
) -> None:
    """A patch leaves an object its name and kind; a strategic one is of a structure that has no kind."""
    for kind, expected in ((MERGE, merged), (STRATEGIC, strategic)):
        response = server.patch(stored, patch, kind)
        assert (response.status_code if expected is None else told(response)) == (expected or 200)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"kind": "Foo"}, (422, "Invalid", ["kind"])),
        ({"kind": 1}, _UNREADABLE),
        ({"kind": None}, _UNREADABLE),
        ({"apiVersion": "v2"}, (422, "Invalid", ["apiVersion"])),
        ({"apiVersion": None}, (500, "InternalError", [])),
        ({"metadata": None}, _UNNAMED),
        ({"metadata": "a"}, _UNREADABLE),
        ({"metadata": {"name": None}}, _UNNAMED),
        ({"metadata": {"name": 1}}, _UNREADABLE),
        ({"metadata": {"namespace": None}}, None),
    ],
)
def test_a_patched_custom_resource_is_still_that_one(widgets: Widgets, patch: Json, expected: Any) -> None:
    """A custom resource must keep its kind and its version."""
    widgets.server.create(widgets.path, widget("a", widgets.group, size=1))

    response = widgets.server.patch(f"{widgets.path}/a", patch, MERGE)

    assert (response.status_code if expected is None else told(response)) == (expected or 200)


def test_true_is_not_one(widgets: Widgets) -> None:
    """A number that becomes a boolean is a change."""
    widgets.server.create(widgets.path, widget("a", widgets.group, size=1, free={"x": 1}))

    found = widgets.server.patch(f"{widgets.path}/a", {"spec": {"free": {"x": True}}}, MERGE).json()

    assert found["metadata"]["generation"] == 2
    assert widgets.server.get(f"{widgets.path}/a").json()["spec"]["free"]["x"] is True


def test_patching_what_is_not_there(server: Server, namespace: str) -> None:
    """A patch does not create, unless it is an apply."""
    assert told(server.patch(f"{namespace}/configmaps/a", {}, MERGE)) == (404, "NotFound", [])


@pytest.mark.parametrize(("policy", "code"), [("Warn", 200), ("Ignore", 200), ("Strict", 422)])
def test_unknown_fields_in_a_patch(server: Server, namespace: str, policy: str, code: int) -> None:
    """Unknown fields in a patch are told as in an object; strictly, the whole patch is at fault."""
    server.create(f"{namespace}/pods", pod("a"))

    response = server.patch(f"{namespace}/pods/a?fieldValidation={policy}", {"spec": {"bogus": 1}}, MERGE)

    assert response.status_code == code
    assert warnings(response) == (['unknown field "spec.bogus"'] if policy == "Warn" else [])
    if code == 422:
        assert told(response)[2] == ["patch"]


def test_force_is_for_apply_alone(server: Server, stored: str) -> None:
    """Other patches cannot be forced."""
    assert told(server.patch(f"{stored}?force=true", {}, MERGE)) == (422, "Invalid", ["force"])


# --- strategic merge

_CONTAINERS = [
    {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 80}]},
    {"name": "b", "image": "b:1"},
]


@pytest.fixture
def workload(server: Server, namespace: str) -> str:
    """A deployment with two containers; its path."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments"
    server.create(path, deployment("web", *_CONTAINERS))
    return f"{path}/web"


def _template(**spec: Any) -> Json:
    return {"spec": {"template": {"spec": spec}}}


def _containers(server: Server, path: str, patch: Json) -> list[Json]:
    response = server.patch(path, patch, STRATEGIC)
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()["spec"]["template"]["spec"]["containers"]
    return found


def test_entries_merge_by_their_key(server: Server, workload: str) -> None:
    """A container in a patch is merged into the one of its name."""
    found = _containers(server, workload, _template(containers=[{"name": "b", "image": "b:2"}]))

    assert [(entry["name"], entry["image"]) for entry in found] == [("a", "a:1"), ("b", "b:2")]


def test_new_entries_come_first(server: Server, workload: str) -> None:
    """An entry that the list does not have is put before those that the patch does not name."""
    found = _containers(server, workload, _template(containers=[{"name": "c", "image": "c:1"}]))

    assert [entry["name"] for entry in found] == ["c", "a", "b"]


def test_entries_can_be_deleted(server: Server, workload: str) -> None:
    """`$patch: delete` removes the entry of that key."""
    found = _containers(server, workload, _template(containers=[{"name": "a", "$patch": "delete"}]))

    assert [entry["name"] for entry in found] == ["b"]


def test_a_list_can_be_replaced(server: Server, workload: str) -> None:
    """`$patch: replace` puts the list of the patch in the place of the old one."""
    patch = _template(containers=[{"$patch": "replace"}, {"name": "c", "image": "c:1"}])

    assert [entry["name"] for entry in _containers(server, workload, patch)] == ["c"]


def test_an_order_can_be_asked_for(server: Server, workload: str) -> None:
    """`$setElementOrder` sorts what it names."""
    order = {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}]}
    patch = _template(containers=[{"name": "c", "image": "c:1"}], **order)

    assert [entry["name"] for entry in _containers(server, workload, patch)] == ["c", "b", "a"]


def test_nested_lists_merge_too(server: Server, workload: str) -> None:
    """Variables merge by name inside the container they belong to, and null removes one's value."""
    env = [{"name": "X", "value": None}, {"name": "Y", "value": "2"}]
    found = _containers(server, workload, _template(containers=[{"name": "a", "env": env}]))

    assert sorted((entry["name"], entry.get("value")) for entry in found[0]["env"]) == [("X", None), ("Y", "2")]


def test_plain_lists_are_replaced(server: Server, workload: str) -> None:
    """A list without a merge key is replaced as a whole."""
    _containers(server, workload, _template(containers=[{"name": "a", "args": ["1", "2"]}]))

    found = _containers(server, workload, _template(containers=[{"name": "a", "args": ["3"]}]))

    assert found[0]["args"] == ["3"]


def test_sets_grow_and_shrink(server: Server, workload: str) -> None:
    """Finalizers of a patch are added, and `$deleteFromPrimitiveList` takes some away."""
    server.patch(workload, {"metadata": {"finalizers": ["a.b/c"]}}, STRATEGIC)
    two = server.patch(workload, {"metadata": {"finalizers": ["d.e/f"]}}, STRATEGIC).json()
    one = server.patch(workload, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.b/c"]}}, STRATEGIC).json()

    assert sorted(two["metadata"]["finalizers"]) == ["a.b/c", "d.e/f"]
    assert one["metadata"]["finalizers"] == ["d.e/f"]


def test_other_keys_can_be_dropped(server: Server, workload: str) -> None:
    """`$retainKeys` removes the fields that it does not name, as unions need."""
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}

    assert server.patch(workload, patch, STRATEGIC).json()["spec"]["strategy"] == {"type": "Recreate"}


def test_an_entry_without_its_key_is_an_error(server: Server, workload: str) -> None:
    """A container without a name cannot be merged."""
    response = server.patch(workload, _template(containers=[{"image": "c"}]), STRATEGIC)

    assert response.status_code == 500
    assert "does not contain declared merge key: name" in response.json()["message"]


def test_ports_of_services_merge_by_number(server: Server, namespace: str) -> None:
    """The merge key of a Service's ports is the port."""
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    server.create(f"{namespace}/services", service("web", ports=ports))

    patch = {"spec": {"ports": [{"port": 81, "targetPort": 8081}]}}
    after = server.patch(f"{namespace}/services/web", patch, STRATEGIC).json()

    assert [(port["name"], port["targetPort"]) for port in after["spec"]["ports"]] == [("a", 80), ("b", 8081)]


def test_what_kubectl_edit_sends(server: Server, workload: str) -> None:
    """The whole object, unchanged, as a strategic patch changes nothing."""
    before = server.get(workload).json()

    after = server.patch(workload, before, STRATEGIC).json()

    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_apply_is_a_patch_of_its_own(server: Server, stored: str) -> None:
    """An apply patch needs a field manager."""
    response = server.patch(stored, json.loads('{"apiVersion":"v1","kind":"ConfigMap"}'), APPLY)

    assert told(response) == (422, "Invalid", ["fieldManager"])
