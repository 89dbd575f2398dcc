"""Get and list: selectors, pages, revisions and forms."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Forgetful, Widgets
from tests.contract.servers import TABLE, Server, config_map, names, pod, told
from tests.contract.widgets import widget


@pytest.fixture
def labelled(server: Server, namespace: str) -> str:
    """Three config maps with labels."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a", labels={"app": "web", "tier": "1"}))
    server.create(path, config_map("b", labels={"app": "web", "tier": "2"}))
    server.create(path, config_map("c", labels={"app": "db"}))
    return path


def test_a_missing_object_is_not_found(server: Server, namespace: str) -> None:
    """A get of what does not exist says which kind of thing and which name."""
    response = server.get(f"{namespace}/pods/nobody")

    assert told(response) == (404, "NotFound", [])
    assert response.json()["message"] == 'pods "nobody" not found'
    assert response.json()["details"] == {"name": "nobody", "kind": "pods"}


def test_a_missing_custom_resource_is_named_with_its_group(widgets: Widgets) -> None:
    """The message about a custom resource carries the group."""
    response = widgets.server.get(f"{widgets.path}/nobody")

    assert response.json()["message"] == f'widgets.{widgets.group} "nobody" not found'
    assert response.json()["details"] == {"name": "nobody", "group": widgets.group, "kind": "widgets"}


@pytest.mark.parametrize(
    ("path", "is_text"),
    [
        ("/api/v1/nothings", False),
        ("/api/v2/pods", False),
        ("/apis/apps/v1/nothings", False),
        ("/apis/apps/v9/deployments", False),
        ("/apis/nobody.test/v1/things", True),
        ("/apis/nobody.test", True),
        ("/nowhere", True),
        ("/api/v1/pods/name-without-namespace", False),
    ],
)
def test_unknown_paths(server: Server, path: str, is_text: bool) -> None:
    """A path that means nothing is 404: as a Status inside a known group, as text elsewhere."""
    response = server.get(path)

    assert response.status_code == 404
    if is_text:
        assert response.text == "404 page not found\n"
    else:
        assert told(response) == (404, "NotFound", [])


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=web", ["a", "b"]),
        ("app==web,tier=2", ["b"]),
        ("app!=web", ["c"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c"]),
        ("app in (db, cache)", ["c"]),
        ("app notin (db)", ["a", "b"]),
        ("tier notin (1)", ["b", "c"]),
        ("tier>1", ["b"]),
        ("tier<2", ["a"]),
        ("tier=", []),
        ("", ["a", "b", "c"]),
    ],
)
def test_label_selectors_select(server: Server, labelled: str, selector: str, expected: list[str]) -> None:
    """A label selector picks the objects whose labels fulfil all of its requirements."""
    response = server.http.get(labelled, params={"labelSelector": selector})

    assert names(response) == expected


@pytest.mark.parametrize(
    "selector", ["app===web", "app in (web", "app in web", "_app=web", "app=-", ",", "app,", "app web", "tier>x"]
)
def test_broken_label_selectors_are_refused(server: Server, namespace: str, selector: str) -> None:
    """A label selector that cannot be read is a bad request."""
    response = server.http.get(f"{namespace}/pods", params={"labelSelector": selector})

    assert told(response) == (400, "BadRequest", [])


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=b", ["b"]),
        ("metadata.name!=b", ["a", "c"]),
        ("metadata.name==a,metadata.name!=b", ["a"]),
        ("metadata.namespace=elsewhere", []),
    ],
)
def test_field_selectors_select(server: Server, labelled: str, selector: str, expected: list[str]) -> None:
    """Every kind can be selected by name and namespace."""
    assert names(server.http.get(labelled, params={"fieldSelector": selector})) == expected


@pytest.mark.parametrize("field", ["spec.nodeName", "status.phase", "spec.restartPolicy", "spec.serviceAccountName"])
def test_pods_can_be_selected_by_more(server: Server, namespace: str, field: str) -> None:
    """Pods offer some fields of their spec and status to selectors."""
    body = pod("web")
    body["spec"] |= {"nodeName": "node", "serviceAccountName": "web"}
    server.create(f"{namespace}/pods", body)
    values = {
        "spec.nodeName": "node",
        "status.phase": "Pending",
        "spec.restartPolicy": "Always",
        "spec.serviceAccountName": "web",
    }

    hit = server.http.get(f"{namespace}/pods", params={"fieldSelector": f"{field}={values[field]}"})
    miss = server.http.get(f"{namespace}/pods", params={"fieldSelector": f"{field}!={values[field]}"})

    assert (names(hit), names(miss)) == (["web"], [])


@pytest.mark.parametrize("selector", ["spec.containers=1", "nonsense", "data.x=1"])
def test_unknown_field_selectors_are_refused(server: Server, namespace: str, selector: str) -> None:
    """A field that a kind does not offer, or no selector at all, is a bad request."""
    response = server.http.get(f"{namespace}/configmaps", params={"fieldSelector": selector})

    assert told(response) == (400, "BadRequest", [])


def test_a_definition_may_offer_fields(widgets: Widgets) -> None:
    """`selectableFields` of a definition can be used in selectors."""
    server = widgets.server
    server.create(widgets.path, widget("red", widgets.group, size=1))
    server.create(widgets.path, widget("blue", widgets.group, size=1, color="blue"))

    assert names(server.get(f"{widgets.path}?fieldSelector=spec.color%3Dblue")) == ["blue"]


def test_lists_are_in_order_of_their_keys(server: Server, namespace: str) -> None:
    """Objects come sorted by name, whatever the order of their creation."""
    for name in ("b", "a-b", "a", "a.b", "c"):
        server.create(f"{namespace}/configmaps", config_map(name))

    assert names(server.get(f"{namespace}/configmaps")) == ["a", "a-b", "a.b", "b", "c"]


def test_items_of_built_in_lists_have_no_kind(server: Server, namespace: str) -> None:
    """A list of a built-in kind names kind and version once, for all its items."""
    server.create(f"{namespace}/configmaps", config_map("a"))

    found = server.get(f"{namespace}/configmaps").json()

    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    assert not {"kind", "apiVersion"} & found["items"][0].keys()


def test_items_of_custom_lists_have_their_kind(widgets: Widgets) -> None:
    """Items of a list of custom resources carry their own kind and version."""
    widgets.server.create(widgets.path, widget("a", widgets.group, size=1))

    found = widgets.server.get(widgets.path).json()

    assert (found["kind"], found["apiVersion"]) == ("WidgetList", f"{widgets.group}/v1")
    assert found["items"][0]["kind"] == "Widget"
    assert found["metadata"]["continue"] == ""


def test_pages_show_one_snapshot(server: Server, namespace: str) -> None:
    """What is created, changed or deleted between two pages does not show in the second."""
    path = f"{namespace}/configmaps"
    for name in ("a", "b", "c", "d"):
        server.create(path, config_map(name, {"v": "old"}))

    first = server.get(f"{path}?limit=2").json()
    server.create(path, config_map("bb"))
    server.delete(f"{path}/c")
    server.patch(f"{path}/d", {"data": {"v": "new"}})
    second = server.http.get(path, params={"limit": 2, "continue": first["metadata"]["continue"]}).json()

    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert second["items"][1]["data"] == {"v": "old"}
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]


def test_a_page_says_how_many_are_left(server: Server, namespace: str) -> None:
    """An unselective list tells the number of objects behind the page, a selective one does not."""
    for name in ("a", "b", "c"):
        server.create(f"{namespace}/configmaps", config_map(name, labels={"x": "y"}))

    plain = server.get(f"{namespace}/configmaps?limit=1").json()["metadata"]
    selective = server.get(f"{namespace}/configmaps?limit=1&labelSelector=x").json()["metadata"]

    assert plain["remainingItemCount"] == 2
    assert plain["continue"]
    assert "remainingItemCount" not in selective
    assert selective["continue"]


def test_a_list_at_revision_zero_is_not_paged(server: Server, namespace: str) -> None:
    """resourceVersion=0 is answered from a cache, which does not page."""
    path = f"{namespace}/configmaps"
    for name in ("a", "b", "c"):
        server.create(path, config_map(name))
    server.wait(lambda: len(names(server.get(f"{path}?resourceVersion=0"))) == 3)

    found = server.get(f"{path}?resourceVersion=0&limit=1")

    assert names(found) == ["a", "b", "c"]
    assert "continue" not in found.json()["metadata"]


def test_an_exact_list_shows_the_past(server: Server, namespace: str) -> None:
    """resourceVersionMatch=Exact shows the objects as they were at that revision."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a"))
    then = server.get(path).json()["metadata"]["resourceVersion"]
    server.create(path, config_map("b"))

    found = server.get(f"{path}?resourceVersion={then}&resourceVersionMatch=Exact")

    assert names(found) == ["a"]
    assert found.json()["metadata"]["resourceVersion"] == then


@pytest.mark.parametrize("match", ["", "&resourceVersionMatch=NotOlderThan"])
def test_a_list_not_older_than_shows_the_present(server: Server, namespace: str, match: str) -> None:
    """A list at a revision, unless it is exact, may be newer than the revision, never older."""
    path = f"{namespace}/configmaps"
    server.create(path, config_map("a"))
    then = server.get(path).json()["metadata"]["resourceVersion"]
    created = server.create(path, config_map("b"))["metadata"]["resourceVersion"]

    found = server.get(f"{path}?resourceVersion={created}{match}")

    assert names(found) == ["a", "b"]
    assert int(found.json()["metadata"]["resourceVersion"]) >= int(then)


@pytest.mark.parametrize("parameters", ["", "&limit=1", "&resourceVersionMatch=Exact"])
def test_a_revision_of_the_future_times_out(server: Server, namespace: str, parameters: str) -> None:
    """A revision that does not come is answered with 504 and the cause ResourceVersionTooLarge."""
    response = server.get(f"{namespace}/configmaps?resourceVersion=99999999{parameters}")

    assert response.status_code == 504
    assert response.json()["reason"] == "Timeout"
    assert response.json()["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("parameters", "code", "reason", "fields"),
    [
        ("resourceVersion=abc", 400, "BadRequest", []),
        ("resourceVersion=-1", 400, "BadRequest", []),
        ("resourceVersionMatch=Exact", 422, "Invalid", ["resourceVersionMatch"]),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "Invalid", ["resourceVersionMatch"]),
        ("resourceVersion=5&resourceVersionMatch=Sometimes", 422, "Invalid", ["resourceVersionMatch"]),
        ("sendInitialEvents=true", 422, "Invalid", ["sendInitialEvents"]),
        ("limit=x", 400, "BadRequest", []),
        ("timeoutSeconds=x", 400, "BadRequest", []),
        ("continue=abc", 400, "BadRequest", []),
        ("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", 400, "BadRequest", []),
    ],
)
def test_bad_list_parameters(
    server: Server, namespace: str, parameters: str, code: int, reason: str, fields: list[str]
) -> None:
    """Parameters of a list that are wrong, or do not go together, are refused."""
    assert told(server.get(f"{namespace}/pods?{parameters}")) == (code, reason, fields)


def test_a_continued_list_takes_no_revision(server: Server, namespace: str) -> None:
    """A continue token has its revision in it; another one is a bad request."""
    for name in ("a", "b"):
        server.create(f"{namespace}/configmaps", config_map(name))
    token = server.get(f"{namespace}/configmaps?limit=1").json()["metadata"]["continue"]

    response = server.http.get(f"{namespace}/configmaps", params={"continue": token, "resourceVersion": "5"})

    assert told(response) == (400, "BadRequest", [])


def test_an_exact_list_of_forgotten_times_is_gone(forgetful: Forgetful) -> None:
    """A list at a revision that is compacted is 410 Expired."""
    response = forgetful.server.get(f"{forgetful.path}?resourceVersion={forgetful.old}&resourceVersionMatch=Exact")

    assert told(response) == (410, "Expired", [])


def test_a_forgotten_page_is_gone_but_can_be_resumed(forgetful: Forgetful) -> None:
    """A page of a compacted snapshot is 410, with a token that goes on with whatever is newest."""
    server = forgetful.server
    response = server.http.get(forgetful.path, params={"limit": 2, "continue": forgetful.token})

    assert told(response) == (410, "Expired", [])
    token = response.json()["metadata"]["continue"]
    resumed = server.http.get(forgetful.path, params={"limit": 2, "continue": token})
    assert len(names(resumed)) == 2


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;as=Table;g=nobody;v=v1", "application/json;as=Nothing;g=meta.k8s.io;v=v1"]
)
def test_forms_that_nobody_has(server: Server, namespace: str, accept: str) -> None:
    """A form that the server does not speak is not acceptable."""
    assert told(server.get(f"{namespace}/pods", accept=accept)) == (406, "NotAcceptable", [])


def test_the_first_known_form_is_taken(server: Server, namespace: str) -> None:
    """Of several forms the first one that the server has is used."""
    accept = "application/xml, application/json;as=Nothing;g=meta.k8s.io;v=v1, application/json"

    assert server.get(f"{namespace}/pods", accept=accept).json()["kind"] == "PodList"


def test_yaml_on_request(server: Server, namespace: str) -> None:
    """Objects are written as YAML for who asks."""
    server.create(f"{namespace}/configmaps", config_map("a", {"k": "v"}))

    response = server.get(f"{namespace}/configmaps/a", accept="application/yaml")

    assert response.headers["content-type"] == "application/yaml"
    assert "data:\n  k: v\n" in response.text


def test_metadata_alone(server: Server, namespace: str) -> None:
    """PartialObjectMetadata has everything but spec and status."""
    server.create(f"{namespace}/pods", pod("a", labels={"x": "y"}))
    one = server.get(
        f"{namespace}/pods/a", accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    ).json()
    many = server.get(
        f"{namespace}/pods", accept="application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    ).json()

    assert one.keys() == {"kind", "apiVersion", "metadata"}
    assert one["kind"] == "PartialObjectMetadata"
    assert one["metadata"]["labels"] == {"x": "y"}
    assert many["kind"] == "PartialObjectMetadataList"
    assert [item["kind"] for item in many["items"]] == ["PartialObjectMetadata"]


def test_a_table_of_pods(server: Server, namespace: str) -> None:
    """A table has the columns of `kubectl get` and a row for each object."""
    server.create(f"{namespace}/pods", pod("a"))

    table = server.get(f"{namespace}/pods", accept=TABLE).json()

    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates",
    ]  # fmt: skip
    cells = table["rows"][0]["cells"]
    assert cells[:4] == ["a", "0/1", "Pending", "0"]
    assert cells[5:] == ["<none>"] * 4
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_a_table_of_custom_resources(widgets: Widgets) -> None:
    """The columns of a custom resource are those of its definition, missing values are null."""
    server = widgets.server
    server.create(widgets.path, widget("a", widgets.group, size=3))
    server.create(widgets.path, widget("b", widgets.group, size=4, parts=[{"name": "p"}]))

    table = server.get(widgets.path, accept=TABLE).json()

    columns = [(column["name"], column["type"], column["priority"]) for column in table["columnDefinitions"]]
    assert columns == [("Name", "string", 0), ("Size", "integer", 0), ("First", "string", 1), ("Since", "date", 0)]
    assert [row["cells"][:3] for row in table["rows"]] == [["a", 3, None], ["b", 4, "p"]]


@pytest.mark.parametrize(
    ("include", "kind"), [("Object", "Pod"), ("Metadata", "PartialObjectMetadata"), ("None", None)]
)
def test_what_comes_with_a_row(server: Server, namespace: str, include: str, kind: str | None) -> None:
    """`includeObject` says what a table's rows carry beside their cells."""
    server.create(f"{namespace}/pods", pod("a"))

    row = server.get(f"{namespace}/pods?includeObject={include}", accept=TABLE).json()["rows"][0]

    assert (row["object"] or {}).get("kind") == kind


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/pods"),
        ("PUT", "NS/pods"),
        ("PATCH", "NS/pods"),
        ("DELETE", "/api/v1/namespaces"),
        ("HEAD", "NS/pods"),
    ],
)
def test_methods_that_make_no_sense(server: Server, namespace: str, method: str, path: str) -> None:
    """A method that a path does not have is 405."""
    response = server.http.request(method, path.replace("NS", namespace), json={})

    assert response.status_code == 405


def test_large_answers_are_compressed(server: Server, namespace: str) -> None:
    """A client that takes gzip gets a large list compressed, and a small one plain."""
    path = f"{namespace}/configmaps"
    small = server.http.get(path, headers={"accept-encoding": "gzip"})
    for number in range(3):
        server.create(path, config_map(f"big-{number}", {"v": "x" * 100_000}))

    large = server.http.get(path, headers={"accept-encoding": "gzip"})
    plain = server.http.get(path, headers={"accept-encoding": "identity"})

    assert "content-encoding" not in small.headers
    assert large.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert large.json()["items"] == plain.json()["items"]
