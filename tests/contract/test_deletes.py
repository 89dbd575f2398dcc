"""Deletion: finalizers, preconditions, grace, collections and namespaces."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import MERGE, NAMESPACES, Json, Server, config_map, names, pod, service, told, unique
from tests.contract.widgets import widget


def test_a_deletion_is_confirmed(server: Server, namespace: str) -> None:
    """Deleting most kinds is answered with a Status that names what is gone."""
    created = server.create(f"{namespace}/configmaps", config_map("a"))

    response = server.delete(f"{namespace}/configmaps/a")

    assert response.status_code == 200
    assert response.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]},
    }
    assert server.get(f"{namespace}/configmaps/a").status_code == 404


@pytest.mark.parametrize("kind", ["pods", "services", "serviceaccounts"])
def test_some_kinds_are_returned(server: Server, namespace: str, kind: str) -> None:
    """Some kinds are answered with the object that is gone."""
    bodies: Json = {
        "pods": pod("a"),
        "services": service("a", ports=[{"port": 80}]),
        "serviceaccounts": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}},
    }
    server.create(f"{namespace}/{kind}", bodies[kind])

    response = server.delete(f"{namespace}/{kind}/a")

    assert response.json()["kind"] == bodies[kind]["kind"]
    assert server.get(f"{namespace}/{kind}/a").status_code == 404


def test_deleting_twice(server: Server, namespace: str) -> None:
    """What is gone cannot be deleted again."""
    server.create(f"{namespace}/configmaps", config_map("a"))
    server.delete(f"{namespace}/configmaps/a")

    assert told(server.delete(f"{namespace}/configmaps/a")) == (404, "NotFound", [])


def test_a_name_can_be_used_again(server: Server, namespace: str) -> None:
    """A new object of an old name is another object."""
    first = server.create(f"{namespace}/configmaps", config_map("a"))
    server.delete(f"{namespace}/configmaps/a")

    second = server.create(f"{namespace}/configmaps", config_map("a"))

    assert second["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.parametrize("precondition", [{"uid": "another"}, {"resourceVersion": "1"}])
def test_preconditions(server: Server, namespace: str, precondition: Json) -> None:
    """A deletion that is meant for another object, or another state of it, conflicts."""
    server.create(f"{namespace}/configmaps", config_map("a"))

    response = server.delete(f"{namespace}/configmaps/a", {"preconditions": precondition})

    assert told(response) == (409, "Conflict", [])
    assert server.get(f"{namespace}/configmaps/a").status_code == 200


def test_a_fulfilled_precondition(server: Server, namespace: str) -> None:
    """A deletion that names the object as it is goes through."""
    meta = server.create(f"{namespace}/configmaps", config_map("a"))["metadata"]
    body = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
    }

    assert server.delete(f"{namespace}/configmaps/a", body).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Sometimes"}, 422),
        ({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["Some"]}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({"propagationPolicy": 3}, 400),
        ({"preconditions": "x"}, 400),
        ({"preconditions": {"uid": 3}}, 400),
        ({"gracePeriodSeconds": 1.5}, 400),
        ({"dryRun": "All"}, 400),
        ([], 400),
        ({"kind": "Pod", "apiVersion": "v1"}, 400),
    ],
)
def test_bad_delete_options(server: Server, namespace: str, body: Json, code: int) -> None:
    """Options that make no sense are refused."""
    server.create(f"{namespace}/configmaps", config_map("a"))

    assert server.delete(f"{namespace}/configmaps/a", body).status_code == code


def test_options_stand_in_the_body_or_in_the_query(server: Server, namespace: str) -> None:
    """Where a body has options, those of the query count for nothing."""
    server.create(f"{namespace}/configmaps", config_map("a"))
    path = f"{namespace}/configmaps/a?dryRun=All"

    assert server.delete(path).status_code == 200
    assert server.delete(path, {}).status_code == 200
    assert server.delete(path, {}).status_code == 404


# --- finalizers


@pytest.fixture
def held(widgets: Widgets) -> str:
    """A widget that a finalizer holds; its path."""
    body = widget("a", widgets.group, metadata={"finalizers": ["contract.test/held"]}, size=1)
    widgets.server.create(widgets.path, body)
    return f"{widgets.path}/a"


def test_finalizers_hold_an_object(server: Server, held: str) -> None:
    """An object with finalizers is marked, and stays."""
    response = server.delete(held)

    meta = response.json()["metadata"]
    assert response.status_code == 200
    assert meta["deletionTimestamp"]
    assert meta["deletionGracePeriodSeconds"] == 0
    assert meta["generation"] == 2
    assert server.get(held).json() == response.json()


def test_the_mark_is_set_once(server: Server, held: str) -> None:
    """Deleting a marked object again changes nothing."""
    first = server.delete(held).json()

    assert server.delete(held).json() == first


def test_a_marked_object_can_be_changed(server: Server, held: str) -> None:
    """Until its finalizers are gone an object can be written, but the mark stays."""
    server.delete(held)

    after = server.patch(held, {"spec": {"size": 2}, "metadata": {"deletionTimestamp": None}}, MERGE).json()

    assert after["spec"]["size"] == 2
    assert after["metadata"]["deletionTimestamp"]


def test_no_finalizers_can_be_added_to_a_marked_object(server: Server, held: str) -> None:
    """Once an object is going, nobody can hold it who did not before."""
    server.delete(held)

    finalizers = ["contract.test/held", "contract.test/more"]
    response = server.patch(held, {"metadata": {"finalizers": finalizers}}, MERGE)

    assert told(response) == (422, "Invalid", ["metadata.finalizers"])


def test_the_last_finalizer_lets_go(server: Server, held: str) -> None:
    """An object goes with the update that removes its last finalizer."""
    server.delete(held)

    response = server.patch(held, {"metadata": {"finalizers": None}}, MERGE)

    assert response.status_code == 200
    assert "finalizers" not in response.json()["metadata"]
    assert server.get(held).status_code == 404


def test_without_the_mark_finalizers_come_and_go(server: Server, held: str) -> None:
    """Removing the finalizers of an object that is not being deleted deletes nothing."""
    server.patch(held, {"metadata": {"finalizers": None}}, MERGE)

    assert server.get(held).status_code == 200


@pytest.mark.parametrize(
    ("policy", "finalizers"), [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", None)]
)
def test_propagation_is_left_to_the_garbage_collector(
    widgets: Widgets, policy: str, finalizers: list[str] | None
) -> None:
    """A policy that concerns dependents is noted as a finalizer, for whoever looks after them."""
    server, path = widgets.server, f"{widgets.path}/a"
    server.create(widgets.path, widget("a", widgets.group, size=1))

    found = server.delete(f"{path}?propagationPolicy={policy}").json()

    if finalizers is None:
        assert found["status"] == "Success"
    else:
        assert found["metadata"]["finalizers"] == finalizers
        assert server.get(path).status_code == 200


# --- grace


@pytest.fixture
def running(server: Server, namespace: str) -> str:
    """A pod that has been bound to a node; its path."""
    body = pod("a")
    body["spec"]["nodeName"] = "node"
    server.create(f"{namespace}/pods", body)
    return f"{namespace}/pods/a"


def test_a_pod_on_a_node_has_time_to_stop(server: Server, running: str) -> None:
    """Its deletion is announced, and it stays until somebody confirms it with no grace."""
    meta = server.delete(running).json()["metadata"]

    assert meta["deletionGracePeriodSeconds"] == 30
    assert server.get(running).status_code == 200
    assert server.delete(f"{running}?gracePeriodSeconds=0").status_code == 200
    assert server.get(running).status_code == 404


def test_grace_can_be_shortened_not_prolonged(server: Server, running: str) -> None:
    """A second deletion can only make it faster."""
    server.delete(running)
    longer = server.delete(f"{running}?gracePeriodSeconds=60").json()
    shorter = server.delete(f"{running}?gracePeriodSeconds=5").json()

    assert longer["metadata"]["deletionGracePeriodSeconds"] == 30
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5


@pytest.mark.parametrize("why", ["unbound", "ended"])
def test_a_pod_that_does_not_run_goes_at_once(server: Server, namespace: str, running: str, why: str) -> None:
    """Nothing has to stop where nothing runs."""
    path = running
    if why == "unbound":
        path = f"{namespace}/pods/b"
        server.create(f"{namespace}/pods", pod("b"))
    else:
        server.patch(f"{running}/status", {"status": {"phase": "Succeeded"}}, MERGE)

    server.delete(path)

    assert server.get(path).status_code == 404


# --- collections


def test_a_collection_is_deleted_by_selector(server: Server, namespace: str) -> None:
    """Deleting a collection deletes what a list would show, and shows it."""
    path = f"{namespace}/configmaps"
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "1"}), ("c", {"x": "2"})):
        server.create(path, config_map(name, labels=labels))

    response = server.delete(f"{path}?labelSelector=x%3D1")

    assert response.json()["kind"] == "ConfigMapList"
    assert names(response) == ["a", "b"]
    assert names(server.get(path)) == ["c"]


def test_a_collection_of_custom_resources(widgets: Widgets) -> None:
    """Everything of a kind in a namespace goes at once, except what finalizers hold."""
    server = widgets.server
    server.create(widgets.path, widget("a", widgets.group, size=1))
    server.create(widgets.path, widget("b", widgets.group, metadata={"finalizers": ["contract.test/held"]}, size=1))

    response = server.delete(widgets.path)

    assert names(response) == ["a", "b"]
    assert names(server.get(widgets.path)) == ["b"]


# --- namespaces


@pytest.fixture
def leaving(server: Server) -> str:
    """A namespace that is being deleted; its path."""
    path = f"{NAMESPACES}/{server.namespace()}"
    server.create(f"{path}/configmaps", config_map("before"))
    server.delete(path)
    return path


def test_a_namespace_waits_to_be_emptied(server: Server, leaving: str) -> None:
    """A deleted namespace is Terminating until it is finalized."""
    found = server.get(leaving).json()

    assert found["status"]["phase"] == "Terminating"
    assert found["spec"]["finalizers"] == ["kubernetes"]
    assert found["metadata"]["deletionTimestamp"]


def test_nothing_new_in_a_leaving_namespace(server: Server, leaving: str) -> None:
    """What exists can still be changed, but nothing can be added."""
    response = server.post(f"{leaving}/configmaps", config_map("a"))
    cause = response.json()["details"]["causes"][0]

    assert told(response)[:2] == (403, "Forbidden")
    assert (cause["reason"], cause["field"]) == ("NamespaceTerminating", "metadata.namespace")
    assert server.patch(f"{leaving}/configmaps/before", {"data": {"k": "v"}}, MERGE).status_code == 200


def test_finalizing_a_namespace(server: Server, leaving: str) -> None:
    """Who has emptied a namespace takes its finalizer away, and it is gone."""
    found = server.get(leaving).json()
    found["spec"]["finalizers"] = []

    response = server.put(f"{leaving}/finalize", found)

    assert response.status_code == 200
    assert server.get(leaving).status_code == 404


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_some_namespaces_stay(server: Server, name: str) -> None:
    """The cluster's own namespaces cannot be deleted."""
    assert told(server.delete(f"{NAMESPACES}/{name}"))[:2] == (403, "Forbidden")


def test_namespaces_are_labelled_with_their_name(server: Server) -> None:
    """Selectors can pick a namespace by its name; the label cannot be taken off."""
    name = unique("named")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    created = server.create(NAMESPACES, body)
    after = server.patch(f"{NAMESPACES}/{name}", {"metadata": {"labels": None}}, MERGE).json()

    assert created["metadata"]["labels"] == {"kubernetes.io/metadata.name": name}
    assert after["metadata"]["labels"] == {"kubernetes.io/metadata.name": name}
    assert created["status"] == {"phase": "Active"}
