"""Server-side apply: ownership, conflicts, and what happens to what is no longer named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import APPLY, MERGE, Json, Server, config_map, deployment, service, told
from tests.contract.widgets import widget


def _apply(server: Server, path: str, body: Json, manager: str = "one", *, force: bool = False) -> httpx.Response:
    flag = "&force=true" if force else ""
    return server.patch(f"{path}?fieldManager={manager}{flag}", body, APPLY)


def _applied(server: Server, path: str, body: Json, manager: str = "one", *, force: bool = False) -> Json:
    response = _apply(server, path, body, manager, force=force)
    assert response.is_success, response.text
    return response.json()


def _owners(found: Json) -> dict[tuple[str, str], Json]:
    entries = found["metadata"].get("managedFields") or ()
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


@pytest.fixture
def data(namespace: str) -> str:
    return f"{namespace}/configmaps/a"


def test_apply_creates_what_is_missing(server: Server, data: str) -> None:
    """The first apply answers 201 and makes the applier the owner of what it named."""
    response = _apply(server, data, config_map("a", {"k": "1"}))

    assert response.status_code == 201
    assert response.json()["data"] == {"k": "1"}
    assert _owners(response.json()) == {("one", "Apply"): {"f:data": {"f:k": {}}}}


def test_version_zero_makes_a_lease_and_changes_none(server: Server, namespace: str) -> None:
    """An apply that names version 0 creates; where the Lease exists it is invalid, and no conflict."""
    path = f"/apis/coordination.k8s.io/v1/{namespace.removeprefix('/api/v1/')}/leases/a"
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a", "resourceVersion": "0"}}

    made, again = _apply(server, path, body), _apply(server, path, body, "two")

    assert made.status_code == 201
    assert told(again) == (422, "Invalid", ["metadata.resourceVersion"])


def test_applying_again_changes_nothing(server: Server, data: str) -> None:
    """The same configuration again makes no new revision."""
    first = _applied(server, data, config_map("a", {"k": "1"}))

    second = _applied(server, data, config_map("a", {"k": "1"}))

    assert second == first


def test_what_is_named_no_more_is_removed(server: Server, data: str) -> None:
    """An applier that leaves out what it named before takes it away."""
    _applied(server, data, config_map("a", {"k": "1", "n": "2"}))

    assert _applied(server, data, config_map("a", {"k": "1"}))["data"] == {"k": "1"}


def test_what_others_own_stays(server: Server, data: str) -> None:
    """Values of different appliers live side by side."""
    _applied(server, data, config_map("a", {"k": "1"}))
    both = _applied(server, data, config_map("a", {"n": "2"}), "two")
    after = _applied(server, data, config_map("a", {"m": "3"}))

    assert both["data"] == {"k": "1", "n": "2"}
    assert after["data"] == {"m": "3", "n": "2"}


def test_shared_values_outlive_one_owner(server: Server, data: str) -> None:
    """What two appliers name in the same way is gone only when neither names it."""
    _applied(server, data, config_map("a", {"k": "1"}))
    shared = _applied(server, data, config_map("a", {"k": "1"}), "two")
    one_less = _applied(server, data, config_map("a", {"n": "1"}))
    none_left = _applied(server, data, config_map("a", {"m": "1"}), "two")

    assert set(_owners(shared)) == {("one", "Apply"), ("two", "Apply")}
    assert one_less["data"] == {"k": "1", "n": "1"}
    assert none_left["data"] == {"n": "1", "m": "1"}


def test_a_conflict_names_owner_and_field(server: Server, data: str) -> None:
    """Another value for what somebody else owns is refused."""
    _applied(server, data, config_map("a", {"k": "1"}))

    response = _apply(server, data, config_map("a", {"k": "2"}), "two")

    assert told(response) == (409, "Conflict", [".data.k"])
    cause = response.json()["details"]["causes"][0]
    assert cause == {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
    assert response.json()["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.k'


def test_several_conflicts_are_told_at_once(server: Server, data: str) -> None:
    """The message lists the fields by owner."""
    _applied(server, data, config_map("a", {"k": "1", "n": "1"}))

    response = _apply(server, data, config_map("a", {"k": "2", "n": "2"}), "two")

    assert told(response)[2] == [".data.k", ".data.n"]
    assert response.json()["message"] == ('Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\n- .data.n')


def test_force_takes_the_field(server: Server, data: str) -> None:
    """A forced apply sets the value and becomes its only owner."""
    _applied(server, data, config_map("a", {"k": "1", "n": "1"}))

    after = _applied(server, data, config_map("a", {"k": "2"}), "two", force=True)

    assert after["data"] == {"k": "2", "n": "1"}
    assert _owners(after) == {("one", "Apply"): {"f:data": {"f:n": {}}}, ("two", "Apply"): {"f:data": {"f:k": {}}}}


def test_updates_take_without_asking(server: Server, data: str) -> None:
    """A plain patch takes a field from its applier, which conflicts from then on."""
    _applied(server, data, config_map("a", {"k": "1"}))
    server.patch(data, {"data": {"k": "2"}}, MERGE)

    response = _apply(server, data, config_map("a", {"k": "1"}))

    assert told(response) == (409, "Conflict", [".data.k"])
    assert 'conflict with "contract" using v1' in response.json()["message"]


def test_what_an_update_changes_is_its_own(server: Server, data: str) -> None:
    """An applier loses what an update changes or removes, and keeps the rest."""
    _applied(server, data, config_map("a", {"changed": "1", "kept": "1", "removed": "1"}))

    found = server.patch(data, {"data": {"changed": "2", "removed": None, "new": "1"}}, MERGE).json()

    assert _owners(found) == {
        ("one", "Apply"): {"f:data": {"f:kept": {}}},
        ("contract", "Update"): {"f:data": {"f:changed": {}, "f:new": {}}},
    }


def test_an_applier_of_nothing_is_forgotten(server: Server, data: str) -> None:
    """An applier all of whose fields were taken is not listed any more."""
    _applied(server, data, config_map("a", {"k": "1"}))

    found = server.patch(data, {"data": {"k": "2"}}, MERGE).json()

    assert list(_owners(found)) == [("contract", "Update")]


def test_objects_nobody_applied_belong_to_nobody_in_particular(server: Server, data: str) -> None:
    """The first apply to an object whose owners are unknown treats it as owned by what came before."""
    path = data.removesuffix("/a")
    stored = server.create(path, config_map("a", {"k": "1"}))
    stored["metadata"]["managedFields"] = [{}]
    server.put(data, stored)

    response = _apply(server, data, config_map("a", {"k": "2"}))

    assert told(response) == (409, "Conflict", [".data.k"])
    assert '"before-first-apply"' in response.json()["message"]


def test_updates_are_not_tracked_before_the_first_apply(server: Server, data: str) -> None:
    """Once its owners are forgotten, an object is tracked again from the next apply on."""
    stored = server.create(data.removesuffix("/a"), config_map("a", {"k": "1"}))
    stored["metadata"]["managedFields"] = [{}]
    server.put(data, stored)

    assert "managedFields" not in server.patch(data, {"data": {"n": "2"}}, MERGE).json()["metadata"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, 400),
        ({"apiVersion": "v9", "kind": "ConfigMap", "metadata": {"name": "a"}}, 400),
        ({"kind": "ConfigMap", "metadata": {"name": "a"}}, 400),
        ({"apiVersion": "v1", "metadata": {"name": "a"}}, 400),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}, 400),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "managedFields": []}}, 400),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "x"}}, 409),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": 5}}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": "k"}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "bogus": 5}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": "a"}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": [None]}}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": ["x"]}}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, 400),
        (b"{", 400),
    ],
)
def test_configurations_that_make_no_sense(server: Server, data: str, body: Json, code: int) -> None:
    """A configuration has kind, version and name of its path, and fields of its schema."""
    response = _apply(server, data, body)

    reason = {400: "BadRequest", 409: "Conflict", 500: None}[code]
    assert (response.status_code, response.json().get("reason")) == (code, reason)
    if code == 500:
        assert response.json()["message"].startswith("failed to create typed patch object")


def test_nothing_where_a_map_is_named(server: Server, data: str) -> None:
    """An applier of no map at all owns it, and takes nothing away that others have in it."""
    _applied(server, data, config_map("a", {"k": "1"}))

    found = _applied(server, data, {**config_map("a"), "data": None}, "two", force=True)

    assert found["data"] == {"k": "1"}
    assert _owners(found)["two", "Apply"] == {"f:data": {}}


def test_a_name_is_needed_only_once(server: Server, data: str) -> None:
    """The configuration of an object that exists may leave its name to the path."""
    _applied(server, data, config_map("a", {"k": "1"}))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"n": "2"}}

    assert _applied(server, data, body, "two")["data"] == {"k": "1", "n": "2"}


def test_a_revision_in_a_configuration_is_a_precondition(server: Server, data: str) -> None:
    """An apply that names a revision is about that revision."""
    _applied(server, data, config_map("a", {"k": "1"}))

    response = _apply(server, data, config_map("a", {"k": "2"}, resourceVersion="1"))

    assert told(response) == (409, "Conflict", [])


# --- lists and maps of custom resources


def _widget(widgets: Widgets, **spec: Any) -> Json:
    return widget("a", widgets.group, **spec)


def test_map_lists_are_owned_entry_by_entry(widgets: Widgets) -> None:
    """Entries of different appliers are merged by key, and removed one by one."""
    server, path = widgets.server, f"{widgets.path}/a"
    _applied(server, path, _widget(widgets, size=5, parts=[{"name": "a"}, {"name": "b", "weight": 2}]))
    both = _applied(server, path, _widget(widgets, parts=[{"name": "c"}]), "two")
    after = _applied(server, path, _widget(widgets, size=5, parts=[{"name": "b", "weight": 2}]))

    assert [part["name"] for part in both["spec"]["parts"]] == ["a", "b", "c"]
    assert [(part["name"], part["weight"]) for part in after["spec"]["parts"]] == [("b", 2), ("c", 1)]


def test_sets_are_owned_value_by_value(widgets: Widgets) -> None:
    """Values of different appliers make one set."""
    server, path = widgets.server, f"{widgets.path}/a"
    _applied(server, path, _widget(widgets, size=5, tags=["x", "y"]))
    both = _applied(server, path, _widget(widgets, tags=["z", "y"]), "two")
    after = _applied(server, path, _widget(widgets, size=5))

    assert sorted(both["spec"]["tags"]) == ["x", "y", "z"]
    assert sorted(after["spec"]["tags"]) == ["y", "z"]


def test_maps_are_owned_key_by_key(widgets: Widgets) -> None:
    """Values of a map belong to whoever set them."""
    server, path = widgets.server, f"{widgets.path}/a"
    _applied(server, path, _widget(widgets, size=5, labels={"a": "1"}))
    both = _applied(server, path, _widget(widgets, labels={"b": "2"}), "two")
    after = _applied(server, path, _widget(widgets, size=5))

    assert both["spec"]["labels"] == {"a": "1", "b": "2"}
    assert after["spec"]["labels"] == {"b": "2"}


def test_lists_without_schema_are_owned_whole(widgets: Widgets) -> None:
    """Where no schema reaches, a list has one owner, and a map one for each key."""
    server, path = widgets.server, f"{widgets.path}/a"
    _applied(server, path, _widget(widgets, size=5, free={"list": [1, 2], "map": {"a": 1}}))

    other = _applied(server, path, _widget(widgets, free={"map": {"b": 2}}), "two")
    response = _apply(server, path, _widget(widgets, free={"list": [1, 2, 3]}), "two")

    assert other["spec"]["free"] == {"list": [1, 2], "map": {"a": 1, "b": 2}}
    assert told(response) == (409, "Conflict", [".spec.free.list"])


def test_the_order_of_the_configuration_counts(widgets: Widgets) -> None:
    """Entries take the order in which they were applied last."""
    server, path = widgets.server, f"{widgets.path}/a"
    _applied(server, path, _widget(widgets, size=5, parts=[{"name": "a"}, {"name": "b"}]))

    after = _applied(server, path, _widget(widgets, size=5, parts=[{"name": "b"}, {"name": "a"}]))

    assert [part["name"] for part in after["spec"]["parts"]] == ["b", "a"]


def test_defaults_belong_to_nobody(widgets: Widgets) -> None:
    """A default fills a field without owning it, so that anybody can apply another value."""
    server, path = widgets.server, f"{widgets.path}/a"
    first = _applied(server, path, _widget(widgets, size=5))
    second = _applied(server, path, _widget(widgets, color="blue"), "two")

    assert first["spec"]["color"] == "red"
    assert _owners(first) == {("one", "Apply"): {"f:spec": {"f:size": {}}}}
    assert second["spec"]["color"] == "blue"


def test_an_applied_object_is_judged(widgets: Widgets) -> None:
    """An apply obeys schema and rules."""
    server, path = widgets.server, f"{widgets.path}/a"

    assert told(_apply(server, path, _widget(widgets, size=99))) == (422, "Invalid", ["spec.size"])
    assert told(_apply(server, path, _widget(widgets, size=7))) == (422, "Invalid", ["spec"])
    assert _apply(server, path, _widget(widgets, size=1, bogus=1)).status_code == 500


def test_a_status_is_applied_by_its_own_path(widgets: Widgets) -> None:
    """Applying to the status path writes the status alone, and has owners of its own."""
    server = widgets.server
    server.create(widgets.path, _widget(widgets, size=1))
    body = {**_widget(widgets, size=9), "status": {"phase": "x"}}

    after = _applied(server, f"{widgets.path}/a/status", body, "stat")
    response = _apply(server, f"{widgets.path}/a/status", {**body, "status": {"phase": "y"}}, "other")

    assert (after["status"], after["spec"]["size"]) == ({"phase": "x"}, 1)
    assert _owners(after)[("stat", "Apply")] == {"f:status": {"f:phase": {}}}
    assert told(response)[2] == [".status.phase"]
    assert 'conflict with "stat" with subresource "status"' in response.json()["message"]


def test_a_status_of_nothing_cannot_be_applied(widgets: Widgets) -> None:
    """The status path does not create."""
    body = {**_widget(widgets), "status": {"phase": "x"}}

    assert told(_apply(widgets.server, f"{widgets.path}/a/status", body))[0] == 404


# --- built-in kinds


def test_containers_are_owned_by_name(server: Server, namespace: str) -> None:
    """Containers, variables and ports merge by key, and go with their owner."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments/web"
    main = {"name": "main", "image": "i:1", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}
    _applied(server, path, deployment("web", main, replicas=2))
    side = deployment("web", {"name": "side", "image": "s:1"})
    both = _applied(server, path, side, "two")
    slim = {"name": "main", "image": "i:2", "env": [{"name": "B", "value": "2"}]}
    after = _applied(server, path, deployment("web", slim))

    def containers(found: Json) -> list[str]:
        return [entry["name"] for entry in found["spec"]["template"]["spec"]["containers"]]

    found = after["spec"]["template"]["spec"]["containers"][0]
    assert containers(both) == ["main", "side"]
    assert containers(after) == ["main", "side"]
    assert (found["image"], found["env"]) == ("i:2", [{"name": "B", "value": "2"}])
    assert "ports" not in found
    assert after["spec"]["replicas"] == 1


def test_scaling_takes_the_replicas(server: Server, namespace: str) -> None:
    """Whoever scales a workload owns its replicas, and the applier conflicts."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments/web"
    body = deployment("web", {"name": "main", "image": "i:1"}, replicas=2)
    _applied(server, path, body)
    scale = server.patch(f"{path}/scale", {"spec": {"replicas": 5}}, MERGE).json()

    response = _apply(server, path, body)

    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 5})
    assert told(response) == (409, "Conflict", [".spec.replicas"])
    assert 'with subresource "scale"' in response.json()["message"]


def test_ports_of_services_are_owned_by_number_and_protocol(server: Server, namespace: str) -> None:
    """A changed port number is another port."""
    path = f"{namespace}/services/web"
    first = _applied(server, path, service("web", ports=[{"name": "a", "port": 80}]))
    second = _applied(server, path, service("web", ports=[{"name": "a", "port": 81}]))

    assert [(port["port"], port["protocol"]) for port in second["spec"]["ports"]] == [(81, "TCP")]
    assert second["spec"]["clusterIP"] == first["spec"]["clusterIP"]
