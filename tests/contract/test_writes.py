"""Create and update: names, identities, revisions, generations and dry runs."""

from __future__ import annotations

import re

import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import MERGE, Json, Server, config_map, deployment, pod, told, warnings
from tests.contract.widgets import widget

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def test_the_server_identifies_what_it_creates(server: Server, namespace: str) -> None:
    """A new object gets a uid, a creation time and a revision, whatever the client says about them."""
    body = pod("a", uid="mine", creationTimestamp="2001-01-01T00:00:00Z", generation=9, selfLink="/x")

    meta = server.create(f"{namespace}/pods", body)["metadata"]

    assert _UID.fullmatch(meta["uid"])
    assert meta["creationTimestamp"] > "2002"
    assert meta["generation"] == 1
    assert int(meta["resourceVersion"]) > 0
    assert "selfLink" not in meta


def test_creating_twice_is_refused(server: Server, namespace: str) -> None:
    """A name can be used once."""
    server.create(f"{namespace}/pods", pod("a"))

    response = server.post(f"{namespace}/pods", pod("a"))

    assert told(response) == (409, "AlreadyExists", [])
    assert response.json()["message"] == 'pods "a" already exists'


def test_generated_names(server: Server, namespace: str) -> None:
    """generateName is completed by the server, differently each time."""
    path = f"{namespace}/configmaps"
    body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "some-"}}

    first, second = (server.create(path, body)["metadata"] for _ in range(2))

    assert first["name"] != second["name"]
    assert re.fullmatch(r"some-[a-z0-9]{5}", first["name"])
    assert first["generateName"] == "some-"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": "Upper"}, "metadata.name"),
        ({"name": "under_score"}, "metadata.name"),
        ({"name": "-dash"}, "metadata.name"),
        ({"name": "x" * 254}, "metadata.name"),
        ({}, "metadata.name"),
        ({"name": "a", "labels": {"a b": "c"}}, "metadata.labels"),
        ({"name": "a", "labels": {"a": "b c"}}, "metadata.labels"),
        ({"name": "a", "labels": {"a/b/c": "d"}}, "metadata.labels"),
        ({"name": "a", "labels": {"a": "x" * 64}}, "metadata.labels"),
        ({"name": "a", "annotations": {"a b": "c"}}, "metadata.annotations"),
        (
            {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x"}]},
            "metadata.ownerReferences.uid",
        ),
    ],
)
def test_bad_metadata(server: Server, namespace: str, metadata: Json, field: str) -> None:
    """Names, labels, annotations and owners have rules, and the field that breaks one is named."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    assert told(server.post(f"{namespace}/configmaps", body)) == (422, "Invalid", [field])


@pytest.mark.parametrize(
    ("body", "content_type", "code", "reason"),
    [
        (b'{"a":', "application/json", 400, "BadRequest"),
        (b"", "application/json", 400, "BadRequest"),
        (b"[]", "application/json", 400, "BadRequest"),
        (b'"text"', "application/json", 400, "BadRequest"),
        (b"x", "text/plain", 415, "UnsupportedMediaType"),
        (b'{"kind":"Pod","apiVersion":"apps/v1","metadata":{"name":"a"}}', "application/json", 400, "BadRequest"),
        (b'{"kind":"Service","apiVersion":"v1","metadata":{"name":"a"}}', "application/json", 400, "BadRequest"),
        (b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":5}}', "application/json", 400, "BadRequest"),
        (b'{"kind":"Pod","apiVersion":"v1","metadata":{"labels":[]}}', "application/json", 400, "BadRequest"),
        (b'{"kind":"Pod","apiVersion":"v1","spec":{"containers":{}}}', "application/json", 400, "BadRequest"),
    ],
)
def test_bodies_that_are_no_pods(
    server: Server, namespace: str, body: bytes, content_type: str, code: int, reason: str
) -> None:
    """A body that cannot be read as the kind of its path is refused."""
    response = server.http.post(f"{namespace}/pods", content=body, headers={"content-type": content_type})

    assert told(response) == (code, reason, [])


def test_a_type_error_names_its_field(server: Server, namespace: str) -> None:
    """The message about a wrong type says where it is and what was expected."""
    body = pod("a")
    body["spec"]["containers"][0]["image"] = 7

    response = server.post(f"{namespace}/pods", body)

    assert response.json()["message"] == (
        'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field '
        "Container.spec.containers.image of type string"
    )


def test_yaml_bodies(server: Server, namespace: str) -> None:
    """Objects may be written in YAML: dates stay text, and the words of YAML 1.1 are booleans, even as keys."""
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  when: 2020-01-01T00:00:00Z\n  n: 'x'\n"

    response = server.http.post(f"{namespace}/configmaps", content=text, headers={"content-type": "application/yaml"})

    assert response.status_code == 201, response.text
    assert response.json()["data"] == {"when": "2020-01-01T00:00:00Z", "false": "x"}


def test_kind_and_version_may_be_left_out_of_built_in_objects(server: Server, namespace: str) -> None:
    """The path says what an object of a built-in kind is."""
    assert server.post(f"{namespace}/configmaps", {"metadata": {"name": "a"}}).status_code == 201


def test_another_namespace_than_the_paths(server: Server, namespace: str) -> None:
    """An object must not name another namespace than its path does."""
    response = server.post(f"{namespace}/configmaps", config_map("a", namespace="elsewhere"))

    assert told(response) == (400, "BadRequest", [])


def test_a_namespace_that_does_not_exist(server: Server) -> None:
    """Nothing can be created in a namespace that is not there, but listing it is harmless."""
    response = server.post("/api/v1/namespaces/nowhere/configmaps", config_map("a"))

    assert told(response) == (404, "NotFound", [])
    assert response.json()["details"] == {"name": "nowhere", "kind": "namespaces"}
    assert server.get("/api/v1/namespaces/nowhere/configmaps").json()["items"] == []


def test_the_namespace_is_checked_before_the_object(server: Server) -> None:
    """An invalid object in a missing namespace is told about the namespace."""
    response = server.post("/api/v1/namespaces/nowhere/configmaps", config_map("Bad Name"))

    assert told(response)[0] == 404


def test_a_revision_on_create_is_an_error(server: Server, namespace: str) -> None:
    """Whoever creates an object cannot know its revision."""
    assert server.post(f"{namespace}/configmaps", config_map("a", resourceVersion="5")).status_code == 500


# --- unknown and repeated fields

_UNKNOWN = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "bogus": 1}}
_UNKNOWN |= {"spec": {"bogus": 1, "containers": [{"name": "c", "image": "i", "bogus": 1}]}}
_PATHS = ["metadata.bogus", "spec.bogus", "spec.containers[0].bogus"]


@pytest.mark.parametrize("policy", ["", "?fieldValidation=Warn"])
def test_unknown_fields_are_dropped_with_a_warning(server: Server, namespace: str, policy: str) -> None:
    """By default the client is warned about each field that is not stored."""
    response = server.post(f"{namespace}/pods{policy}", _UNKNOWN)

    assert response.status_code == 201
    assert sorted(warnings(response)) == sorted(f'unknown field "{path}"' for path in _PATHS)
    assert "bogus" not in response.json()["spec"]


def test_unknown_fields_can_be_ignored(server: Server, namespace: str) -> None:
    """fieldValidation=Ignore drops them in silence."""
    response = server.post(f"{namespace}/pods?fieldValidation=Ignore", _UNKNOWN)

    assert (response.status_code, warnings(response)) == (201, [])


def test_unknown_fields_can_be_an_error(server: Server, namespace: str) -> None:
    """fieldValidation=Strict refuses them, all of them named."""
    response = server.post(f"{namespace}/pods?fieldValidation=Strict", _UNKNOWN)

    assert told(response) == (400, "BadRequest", [])
    assert all(f'unknown field "{path}"' in response.json()["message"] for path in _PATHS)


@pytest.mark.parametrize(("policy", "code"), [("Warn", 201), ("Strict", 400)])
def test_repeated_fields(server: Server, namespace: str, policy: str, code: int) -> None:
    """A field that stands twice in the text is told like an unknown one; the last value counts."""
    text = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1"},"data":{"k":"2"}}'

    response = server.http.post(
        f"{namespace}/configmaps?fieldValidation={policy}", content=text, headers={"content-type": "application/json"}
    )

    assert response.status_code == code
    if code == 201:
        assert warnings(response) == ['duplicate field "data"']
        assert response.json()["data"] == {"k": "2"}
    else:
        assert 'duplicate field "data"' in response.json()["message"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ("dryRun=Some", "dryRun"),
        ("fieldValidation=Sometimes", "fieldValidation"),
        ("fieldManager=" + "x" * 129, "fieldManager"),
        ("fieldManager=%07", "fieldManager"),
    ],
)
def test_bad_write_parameters(server: Server, namespace: str, parameters: str, field: str) -> None:
    """Parameters of a write that make no sense are refused."""
    response = server.post(f"{namespace}/configmaps?{parameters}", config_map("a"))

    assert told(response) == (422, "Invalid", [field])


# --- update


@pytest.fixture
def stored(server: Server, namespace: str) -> Json:
    return server.create(f"{namespace}/configmaps", config_map("a", {"k": "1"}, labels={"x": "y"}))


def test_an_update_replaces_the_object(server: Server, namespace: str, stored: Json) -> None:
    """What is not in the new object is gone, and the revision moves on."""
    after = server.put(f"{namespace}/configmaps/a", config_map("a", {"n": "2"})).json()

    assert after["data"] == {"n": "2"}
    assert "labels" not in after["metadata"]
    assert after["metadata"]["uid"] == stored["metadata"]["uid"]
    assert int(after["metadata"]["resourceVersion"]) > int(stored["metadata"]["resourceVersion"])


def test_an_update_of_something_stale_conflicts(server: Server, namespace: str, stored: Json) -> None:
    """An update that names an old revision is refused, and the object stays as it is."""
    server.patch(f"{namespace}/configmaps/a", {"data": {"k": "2"}})

    response = server.put(f"{namespace}/configmaps/a", stored)

    assert told(response) == (409, "Conflict", [])
    assert "the object has been modified" in response.json()["message"]
    assert server.get(f"{namespace}/configmaps/a").json()["data"] == {"k": "2"}


def test_an_update_of_another_object_of_the_name_conflicts(server: Server, namespace: str, stored: Json) -> None:
    """A uid that is not the stored object's is a conflict."""
    response = server.put(f"{namespace}/configmaps/a", config_map("a", uid="another"))

    assert told(response) == (409, "Conflict", [])


@pytest.mark.parametrize(
    ("change", "code", "fields"),
    [
        ({"name": "b"}, 400, []),
        ({"name": None}, 400, []),
        ({"namespace": "elsewhere"}, 400, []),
    ],
)
def test_an_update_must_be_about_the_object_of_its_path(
    server: Server, namespace: str, stored: Json, change: Json, code: int, fields: list[str]
) -> None:
    """Name and namespace of a new object are those of its path."""
    body = {**stored, "metadata": {**stored["metadata"], **change}}

    found = told(server.put(f"{namespace}/configmaps/a", body))

    assert (found[0], found[2]) == (code, fields)


def test_updating_what_is_not_there(server: Server, namespace: str) -> None:
    """An update does not create."""
    assert told(server.put(f"{namespace}/configmaps/a", config_map("a"))) == (404, "NotFound", [])


def test_what_an_update_cannot_change(server: Server, namespace: str) -> None:
    """Creation time, generation and deletion marks are the server's; an update keeps them."""
    created = server.create(f"{namespace}/pods", pod("a"))
    body = {
        **created,
        "metadata": {**created["metadata"], "generation": 77, "creationTimestamp": "2001-01-01T00:00:00Z"},
    }

    after = server.put(f"{namespace}/pods/a", body).json()

    assert after["metadata"]["generation"] == 1
    assert after["metadata"]["creationTimestamp"] == created["metadata"]["creationTimestamp"]


@pytest.mark.parametrize("kind", ["services", "endpoints", "leases"])
def test_some_kinds_are_created_by_update(server: Server, namespace: str, kind: str) -> None:
    """A PUT of some kinds creates what is missing, as leader election relies on."""
    bodies: Json = {
        "services": {"kind": "Service", "apiVersion": "v1", "spec": {"ports": [{"port": 80}]}},
        "endpoints": {"kind": "Endpoints", "apiVersion": "v1"},
        "leases": {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "spec": {"holderIdentity": "me"}},
    }
    base = namespace if kind != "leases" else namespace.replace("/api/v1", "/apis/coordination.k8s.io/v1")

    response = server.put(f"{base}/{kind}/a", {**bodies[kind], "metadata": {"name": "a"}})

    assert response.status_code == 201


def test_custom_resources_and_leases_are_updated_by_revision_only(widgets: Widgets) -> None:
    """A kind without unconditional updates wants the revision that is replaced."""
    server = widgets.server
    server.create(widgets.path, widget("a", widgets.group, size=1))

    response = server.put(f"{widgets.path}/a", widget("a", widgets.group, size=2))

    assert told(response) == (422, "Invalid", ["metadata.resourceVersion"])


# --- generation and status


def test_the_generation_counts_changes_of_the_spec(server: Server, namespace: str) -> None:
    """Labels and status do not count, the spec does."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments"
    server.create(path, deployment("web", {"name": "c", "image": "i"}))

    def generation(change: Json, subresource: str = "") -> int:
        found = server.patch(f"{path}/web{subresource}", change).json()
        return int(found["metadata"]["generation"])

    assert generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert generation({"status": {"replicas": 1}}, "/status") == 1
    assert generation({"spec": {"replicas": 3}}) == 2
    assert generation({"spec": {"replicas": 3}}) == 2


def test_the_generation_of_custom_resources(widgets: Widgets) -> None:
    """With a status subresource everything but metadata and status counts."""
    server = widgets.server
    server.create(widgets.path, widget("a", widgets.group, size=1))

    def generation(change: Json, subresource: str = "") -> int:
        return int(server.patch(f"{widgets.path}/a{subresource}", change).json()["metadata"]["generation"])

    assert generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert generation({"status": {"phase": "x"}}, "/status") == 1
    assert generation({"spec": {"size": 2}}) == 2


def test_the_status_has_a_path_of_its_own(widgets: Widgets) -> None:
    """The main path cannot write the status, and the status path nothing else."""
    server = widgets.server
    created = server.create(widgets.path, {**widget("a", widgets.group, size=1), "status": {"phase": "early"}})
    assert "status" not in created

    by_main = server.patch(f"{widgets.path}/a", {"status": {"phase": "main"}}).json()
    by_status = server.patch(
        f"{widgets.path}/a/status",
        {"status": {"phase": "own"}, "spec": {"size": 9}, "metadata": {"labels": {"a": "b"}}},
    ).json()

    assert "status" not in by_main
    assert by_status["status"] == {"phase": "own"}
    assert by_status["spec"]["size"] == 1
    assert "labels" not in by_status["metadata"]


def test_putting_a_status(widgets: Widgets) -> None:
    """A PUT of the status replaces it, and an update of the rest keeps it."""
    server = widgets.server
    created = server.create(widgets.path, widget("a", widgets.group, size=1))

    with_status = server.put(f"{widgets.path}/a/status", {**created, "status": {"phase": "x"}}).json()
    del with_status["status"]
    after = server.put(f"{widgets.path}/a", {**with_status, "spec": {"size": 2}}).json()

    assert after["status"] == {"phase": "x"}
    assert server.get(f"{widgets.path}/a/status").json() == after


def test_kinds_without_status_have_no_status_path(server: Server, namespace: str) -> None:
    """A subresource that a kind does not have is not found."""
    server.create(f"{namespace}/configmaps", config_map("a"))

    assert told(server.get(f"{namespace}/configmaps/a/status"))[0] == 404
    assert told(server.patch(f"{namespace}/configmaps/a/nothing", {}))[0] == 404


# --- dry runs


@pytest.mark.parametrize("verb", ["create", "update", "patch", "apply", "delete"])
def test_a_dry_run_leaves_no_trace(server: Server, namespace: str, verb: str) -> None:
    """dryRun=All answers as if, and changes nothing."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a", {"k": "1"}))
    before = server.get(path).json()
    match verb:
        case "create":
            response = server.post(f"{path}?dryRun=All", config_map("b"))
        case "update":
            response = server.put(f"{path}/a?dryRun=All", config_map("a", {"k": "2"}))
        case "patch":
            response = server.patch(f"{path}/a?dryRun=All", {"data": {"k": "2"}}, MERGE)
        case "apply":
            body = config_map("a", {"n": "2"})
            response = server.patch(f"{path}/a?dryRun=All&fieldManager=m", body, "application/apply-patch+yaml")
        case _:
            response = server.delete(f"{path}/a?dryRun=All")

    assert response.is_success
    assert server.get(path).json()["items"] == before["items"]


def test_a_dry_run_judges_as_the_real_thing_does(server: Server, namespace: str) -> None:
    """A dry run finds conflicts and errors too."""
    server.create(f"{namespace}/configmaps", config_map("a"))

    assert told(server.post(f"{namespace}/configmaps?dryRun=All", config_map("a")))[0] == 409
    assert told(server.post(f"{namespace}/configmaps?dryRun=All", config_map("Bad")))[0] == 422


# --- who wrote it


def test_writers_are_remembered(server: Server, namespace: str) -> None:
    """managedFields tells who wrote which field, by the manager's or the client's name."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a", {"k": "1"}))
    found = server.patch(f"{path}/a?fieldManager=second", {"data": {"n": "2"}}).json()

    owners = {entry["manager"]: entry["fieldsV1"] for entry in found["metadata"]["managedFields"]}

    assert owners == {
        "contract": {"f:data": {".": {}, "f:k": {}}},
        "second": {"f:data": {"f:n": {}}},
    }


def test_a_writer_takes_what_it_changes(server: Server, namespace: str) -> None:
    """Whoever changes a field owns it from then on."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a", {"k": "1", "n": "1"}))
    found = server.patch(f"{path}/a?fieldManager=second", {"data": {"n": "2"}}).json()

    owners = {entry["manager"]: entry["fieldsV1"]["f:data"] for entry in found["metadata"]["managedFields"]}

    assert owners == {"contract": {".": {}, "f:k": {}}, "second": {"f:n": {}}}


def test_status_writers_are_told_apart(widgets: Widgets) -> None:
    """The same manager has one entry for the object and one for its status."""
    server = widgets.server
    server.create(widgets.path, widget("a", widgets.group, size=1))
    found = server.patch(f"{widgets.path}/a/status", {"status": {"phase": "x"}}).json()

    entries = {(entry["manager"], entry.get("subresource")) for entry in found["metadata"]["managedFields"]}

    assert entries == {("contract", None), ("contract", "status")}


def test_owners_can_be_forgotten(server: Server, namespace: str) -> None:
    """An update with one empty entry in managedFields clears them."""
    path = f"{namespace}/configmaps"
    stored = server.create(path, config_map("a", {"k": "1"}))
    stored["metadata"]["managedFields"] = [{}]

    after = server.put(f"{path}/a", stored).json()

    assert "managedFields" not in after["metadata"]
