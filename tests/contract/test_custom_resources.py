"""Definitions of custom resources, and what the server makes of objects by their schema."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import CRDS, MERGE, Json, Server, names, told, unique, warnings
from tests.contract.widgets import WIDGETS, widget

_UNCHECKED = "<nil>"  # the cause that says that rules were not looked at


# --- defaults, pruning, nulls


def test_defaults_fill_what_is_missing(widgets: Widgets) -> None:
    """A default is stored, in nested objects too."""
    spec = widgets.server.create(widgets.path, widget("a", widgets.group, size=1, parts=[{"name": "p"}]))["spec"]

    assert spec == {"size": 1, "color": "red", "parts": [{"name": "p", "weight": 1}]}


def test_unknown_fields_are_pruned(widgets: Widgets) -> None:
    """What the schema does not know is dropped, with a warning that says where it was."""
    body = widget("a", widgets.group, size=1, bogus=1, parts=[{"name": "p", "bogus": 1}])
    body |= {"extra": 1, "metadata": {"name": "a", "bogus": 1}}

    response = widgets.server.post(widgets.path, body)

    assert response.json()["spec"] == {"size": 1, "color": "red", "parts": [{"name": "p", "weight": 1}]}
    assert "extra" not in response.json()
    assert warnings(response) == [
        'unknown field "metadata.bogus"',
        'unknown field "extra"',
        'unknown field "spec.bogus"',
        'unknown field "spec.parts[0].bogus"',
    ]


def test_free_places_keep_everything(widgets: Widgets) -> None:
    """Where unknown fields are preserved, values of any shape are."""
    free = {"a": [1, {"b": None}], "c": "d"}

    created = widgets.server.create(widgets.path, widget("a", widgets.group, size=1, free=free))

    assert created["spec"]["free"] == free


def test_nulls(widgets: Widgets) -> None:
    """A null stays where it is allowed, becomes the default where there is one, and goes elsewhere."""
    body = widget("a", widgets.group, size=1, note=None, color=None, code=None)

    assert widgets.server.create(widgets.path, body)["spec"] == {"size": 1, "note": None, "color": "red"}


def test_numbers_without_fraction_are_integers(widgets: Widgets) -> None:
    """1.0 counts as an integer and is stored as 1."""
    server = widgets.server
    created = server.create(widgets.path, widget("a", widgets.group, size=1, ratio=2.0))
    after = server.patch(f"{widgets.path}/a/status", {"status": {"observed": 3.0}}, MERGE).json()

    assert repr(created["spec"]["ratio"]) == "2"
    assert repr(after["status"]["observed"]) == "3"


def test_a_rule_does_not_take_a_fraction_for_an_integer(widgets: Widgets) -> None:
    """A number that passes as an integer in the schema fails in a rule that touches it."""
    response = widgets.server.post(widgets.path, widget("a", widgets.group, size=1.0))

    assert told(response) == (422, "Invalid", ["spec"])
    assert "expected int, got float64" in response.json()["message"]


# --- validation


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"size": -1}, ["spec.size"]),
        ({"size": 11}, ["spec.size"]),
        ({"size": "1"}, [_UNCHECKED, "spec.size"]),
        ({"size": 1.5}, [_UNCHECKED, "spec.size"]),
        ({"size": True}, [_UNCHECKED, "spec.size"]),
        ({"size": None}, [_UNCHECKED, "spec.size"]),
        ({}, [_UNCHECKED, "spec.size"]),
        ({"size": 1, "ratio": 0}, ["spec.ratio"]),
        ({"size": 1, "color": "green"}, [_UNCHECKED, "spec.color"]),
        ({"size": 1, "code": "a"}, ["spec.code"]),
        ({"size": 1, "code": "abcde"}, [_UNCHECKED, "spec.code"]),
        ({"size": 1, "code": "AB"}, ["spec.code"]),
        ({"size": 1, "code": "ab\n"}, ["spec.code"]),
        ({"size": 1, "when": "yesterday"}, [_UNCHECKED, "spec.when"]),
        ({"size": 1, "when": "2020-13-01T00:00:00Z"}, [_UNCHECKED, "spec.when"]),
        ({"size": 1, "port": 1.5}, [_UNCHECKED, "spec.port"]),
        ({"size": 1, "port": {}}, [_UNCHECKED, "spec.port"]),
        ({"size": 1, "parts": {}}, [_UNCHECKED, "spec.parts"]),
        ({"size": 1, "parts": [{}]}, [_UNCHECKED, "spec.parts[0].name"]),
        ({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}, ["spec.parts[1]"]),
        ({"size": 1, "parts": [{"name": name} for name in "abcd"]}, [_UNCHECKED, "spec.parts"]),
        ({"size": 1, "tags": ["x", "x"]}, ["spec.tags[1]"]),
        ({"size": 1, "tags": [1]}, [_UNCHECKED, "spec.tags[0]"]),
        ({"size": 1, "labels": {"a": 1}}, [_UNCHECKED, "spec.labels.a"]),
        ({"size": 1, "either": {}}, [_UNCHECKED, "spec.either.one"]),
        ({"size": 1, "either": {"one": "1", "other": "2"}}, [_UNCHECKED]),
        ({"size": 11, "color": "green", "code": "AB"}, [_UNCHECKED, "spec.code", "spec.color", "spec.size"]),
    ],
)
def test_what_the_schema_refuses(widgets: Widgets, spec: Json, fields: list[str]) -> None:
    """Every violation is told, and that rules were not looked at where they could not be."""
    response = widgets.server.post(widgets.path, widget("a", widgets.group, **spec))

    assert told(response) == (422, "Invalid", fields)


@pytest.mark.parametrize(
    "spec",
    [
        {"size": 0},
        {"size": 10},
        {"size": 1, "ratio": 0.1},
        {"size": 1, "code": "abcd"},
        {"size": 1, "when": "2020-02-29T12:00:00.123+02:00"},
        {"size": 1, "port": 80},
        {"size": 1, "port": "http"},
        {"size": 1, "either": {"one": "1"}},
        {"size": 1, "tags": []},
        {"size": 1, "labels": {}},
    ],
)
def test_what_the_schema_allows(widgets: Widgets, spec: Json) -> None:
    """Values at the edge of what is allowed are stored as they are."""
    created = widgets.server.create(widgets.path, widget("a", widgets.group, **spec))

    assert created["spec"] == {"color": "red", **spec}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 11}, "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10"),
        ({"size": -1}, "spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0"),
        ({"size": 1, "code": "AB"}, "spec.code: Invalid value: \"AB\": spec.code in body should match '^[a-z]+$'"),
        ({"size": 1, "code": "a"}, 'spec.code: Invalid value: "a": spec.code in body should be at least 2 chars long'),
        ({"size": 1, "tags": ["x", "x"]}, 'spec.tags[1]: Duplicate value: "x"'),
        ({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}, 'spec.parts[1]: Duplicate value: {"name":"a"}'),
        ({"size": 7}, "spec: Invalid value: size must not be seven"),
    ],
)
def test_how_violations_are_worded(widgets: Widgets, spec: Json, message: str) -> None:
    """Messages name kind, object, field, value and rule."""
    response = widgets.server.post(widgets.path, widget("a", widgets.group, **spec))

    assert response.json()["message"] == f'Widget.{widgets.group} "a" is invalid: {message}'


def test_a_refused_object_is_warned_about_too(widgets: Widgets) -> None:
    """Unknown fields are told even if the object is refused for something else."""
    response = widgets.server.post(widgets.path, widget("a", widgets.group, size=99, bogus=1))

    assert response.status_code == 422
    assert warnings(response) == ['unknown field "spec.bogus"']


def test_a_status_is_judged_by_its_own_part(widgets: Widgets) -> None:
    """A status of the wrong type is refused at its own path, and unknown fields in it are pruned."""
    server, path = widgets.server, f"{widgets.path}/a/status"
    server.create(widgets.path, widget("a", widgets.group, size=1))

    response = server.patch(path, {"status": {"phase": 5}}, MERGE)
    pruned = server.patch(path, {"status": {"phase": "x", "bogus": 1}}, MERGE)

    assert told(response) == (422, "Invalid", [_UNCHECKED, "status.phase"])
    assert pruned.json()["status"] == {"phase": "x"}
    assert warnings(pruned) == ['unknown field "status.bogus"']


# --- rules


def test_a_rule_refuses(widgets: Widgets) -> None:
    """A rule in CEL refuses an object that has the right shape."""
    response = widgets.server.post(widgets.path, widget("a", widgets.group, size=7))

    assert told(response) == (422, "Invalid", ["spec"])
    assert response.json()["details"]["causes"][0]["message"] == "Invalid value: size must not be seven"


@pytest.mark.parametrize(("size", "message"), [(2, "too heavy for a small one"), (6, "a part is too heavy")])
def test_a_rule_can_word_its_message_and_place(widgets: Widgets, size: int, message: str) -> None:
    """A rule says in CEL what is wrong, and where, and of what kind the error is."""
    parts = [{"name": "p", "weight": 9}]

    response = widgets.server.post(widgets.path, widget("a", widgets.group, size=size, parts=parts))

    cause = response.json()["details"]["causes"][0]
    assert cause == {"reason": "FieldValueForbidden", "message": f"Forbidden: {message}", "field": "spec.parts"}


def test_a_transition_rule_looks_at_the_change(widgets: Widgets) -> None:
    """A rule about the old value lets a first value in, and then refuses another one."""
    server, path = widgets.server, f"{widgets.path}/a"
    server.create(widgets.path, widget("a", widgets.group, size=1))

    assert server.patch(path, {"spec": {"name": "one"}}, MERGE).status_code == 200
    assert server.patch(path, {"spec": {"size": 2}}, MERGE).status_code == 200
    response = server.patch(path, {"spec": {"name": "two"}}, MERGE)
    assert told(response) == (422, "Invalid", ["spec.name"])
    assert response.json()["details"]["causes"][0]["message"] == 'Invalid value: "two": name is immutable'
    assert server.patch(path, {"spec": {"name": None}}, MERGE).status_code == 200


def _one_rule(schema: Json, **rule: str) -> Json:
    """A definition whose spec has one property `v` with a rule."""
    definition = copy.deepcopy(WIDGETS)
    value = {**schema, "x-kubernetes-validations": [{"message": "no", **rule}]}
    version = definition["spec"]["versions"][0]
    version.pop("selectableFields")
    version["schema"]["openAPIV3Schema"] = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"v": value}}},
    }
    definition["spec"]["versions"] = [version]
    return definition


_TEXT = {"type": "string", "maxLength": 20}
_TEXTS = {"type": "array", "maxItems": 5, "items": _TEXT}
_MAP = {"type": "object", "maxProperties": 5, "additionalProperties": _TEXT}
_ODD = {
    "type": "object",
    "properties": {"namespace": _TEXT, "a-b": _TEXT, "n": {"type": "integer"}, "d": {"type": "number"}},
}


@pytest.mark.parametrize(
    ("schema", "rule", "good", "bad"),
    [
        (_TEXT, "self.size() == 2", "éé", "é"),
        (_TEXT, "self.matches('^a+$')", "aa", "aa\n"),
        (_TEXT, "self.startsWith('a') || self.endsWith('b')", "xb", "bx"),
        (_TEXT, "self.lowerAscii() == self", "ab", "aB"),
        (_TEXT, "self.contains('x') ? self.size() > 2 : true", "xxx", "x"),
        (_TEXT, "isURL(self) && url(self).getScheme() == 'https'", "https://a/b", "http://a"),
        (_TEXT, "isIP(self)", "10.0.0.1", "10.0.0"),
        (_TEXT, "isCIDR(self) && cidr(self).containsIP('10.1.2.3')", "10.0.0.0/8", "11.0.0.0/8"),
        (_TEXT, "quantity(self).isGreaterThan(quantity('1Gi'))", "2Gi", "512Mi"),
        (_TEXT, "duration(self) <= duration('1m')", "30s", "90s"),
        (_TEXT, "self.split(',').all(x, x.size() > 0)", "a,b", "a,,b"),
        (_TEXT, "self in ['a', 'b']", "b", "c"),
        (_TEXTS, "self.all(x, self.exists_one(y, x == y))", ["a", "b"], ["a", "a"]),
        (_TEXTS, "self.filter(x, x == 'a').size() <= 1", ["a", "b"], ["a", "a"]),
        (_TEXTS, "self.map(x, x.size()).sum() < 4", ["a", "bb"], ["aaa", "b"]),
        (_TEXTS, "self.isSorted()", ["a", "b"], ["b", "a"]),
        (_TEXTS, "self.exists(x, x == 'a')", ["b", "a"], ["b"]),
        (_TEXTS, "self.indexOf('a') == 0", ["a", "b"], ["b", "a"]),
        (_MAP, "'a' in self", {"a": "1"}, {"b": "1"}),
        (_MAP, "self.all(k, self[k] != '')", {"a": "1"}, {"a": ""}),
        (_MAP, "has(self.a)", {"a": "1"}, {"b": "1"}),
        (_ODD, "has(self.__namespace__) && self.__namespace__ != ''", {"namespace": "n"}, {"namespace": ""}),
        (_ODD, "!has(self.a__dash__b) || self.a__dash__b == 'x'", {"a-b": "x"}, {"a-b": "y"}),
        (_ODD, "!has(self.n) || self.n * 2 < 10", {"n": 4}, {"n": 5}),
        (_ODD, "!has(self.d) || self.d < 0.5", {"d": 0.25}, {"d": 1}),
        (_ODD, "has(self.n) != has(self.d)", {"n": 1}, {"n": 1, "d": 1}),
    ],
)
def test_the_language_of_rules(server: Server, schema: Json, rule: str, good: Any, bad: Any) -> None:
    """Rules may use CEL, its string and list functions, and what Kubernetes adds to it."""
    group = server.define(_one_rule(schema, rule=rule))
    path = f"/apis/{group}/v1/namespaces/default/widgets"

    assert server.post(path, widget("good", group, v=good)).status_code == 201
    response = server.post(path, widget("bad", group, v=bad))

    assert told(response) == (422, "Invalid", ["spec.v"])
    assert response.json()["details"]["causes"][0]["message"].endswith("no")


def test_what_was_wrong_before_may_stay(server: Server) -> None:
    """An update is not refused for what it does not touch, even if the schema has become stricter since."""
    definition = _one_rule(_TEXT, rule="true")
    properties = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["n"] = {"type": "integer"}
    group = server.define(definition)
    path = f"/apis/{group}/v1/namespaces/default/widgets"
    server.create(path, widget("a", group, v="x", n=50))
    stored = server.get(f"{CRDS}/widgets.{group}").json()
    spec = stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["n"]["maximum"] = 10
    assert server.put(f"{CRDS}/widgets.{group}", stored).status_code == 200
    server.wait(lambda: server.post(f"{path}?dryRun=All", widget("b", group, n=50)).status_code == 422)

    assert server.patch(f"{path}/a", {"spec": {"v": "y"}}, MERGE).status_code == 200
    assert told(server.patch(f"{path}/a", {"spec": {"n": 51}}, MERGE))[2] == ["spec.n"]


# --- versions


def test_one_object_in_two_versions(widgets: Widgets) -> None:
    """An object is served in every version, with the fields that the version knows."""
    server = widgets.server
    server.create(widgets.path, widget("a", widgets.group, size=1, tags=["x"]))

    old = server.get(f"{widgets.old_path}/a").json()

    assert old["apiVersion"] == f"{widgets.group}/v1alpha1"
    assert old["spec"] == {"size": 1}


def test_what_another_version_wrote(widgets: Widgets) -> None:
    """An object written in an old version has the defaults of the stored one."""
    server = widgets.server
    body = widget("a", widgets.group, version="v1alpha1", size=50, color="blue")

    response = server.post(widgets.old_path, body)

    assert response.json()["spec"] == {"size": 50}
    assert server.get(f"{widgets.path}/a").json()["spec"] == {"size": 50, "color": "red"}


def test_the_wrong_version_for_the_path(widgets: Widgets) -> None:
    """An object is written in the version of its path."""
    response = widgets.server.post(widgets.path, widget("a", widgets.group, version="v1alpha1", size=1))

    assert told(response) == (400, "BadRequest", [])


def test_the_wrong_kind_for_the_path(widgets: Widgets) -> None:
    """An object has the kind of its path, and has one at all."""
    server = widgets.server
    body = widget("a", widgets.group, size=1)

    assert told(server.post(widgets.path, {**body, "kind": "Gadget"})) == (422, "Invalid", ["kind"])
    del body["kind"]
    assert told(server.post(widgets.path, body)) == (400, "BadRequest", [])


def test_deprecated_versions_warn(widgets: Widgets) -> None:
    """Each answer in a deprecated version says which one to use."""
    response = widgets.server.get(widgets.old_path)

    group = widgets.group
    assert warnings(response) == [f"{group}/v1alpha1 Widget is deprecated; use {group}/v1 Widget"]


def test_a_version_that_is_not_served(widgets: Widgets) -> None:
    """Versions that a definition does not have are not found."""
    assert widgets.server.get(widgets.path.replace("/v1/", "/v2/")).status_code == 404


# --- definitions


def _definition(**spec: Any) -> Json:
    group = f"{unique('defined')}.trellis.test"
    definition = copy.deepcopy(WIDGETS)
    definition["metadata"]["name"] = f"widgets.{group}"
    definition["spec"] |= {"group": group, **spec}
    return definition


def test_a_definition_says_when_it_is_served(server: Server) -> None:
    """Its status comes to name the accepted names and the stored versions, and that it is established."""
    definition = _definition()
    created = server.create(CRDS, definition)
    path = f"{CRDS}/{definition['metadata']['name']}"

    def conditions() -> Json:
        return {entry["type"]: entry["status"] for entry in server.get(path).json()["status"]["conditions"] or ()}

    server.wait(lambda: conditions() == {"NamesAccepted": "True", "Established": "True"})
    status = server.get(path).json()["status"]
    assert created["spec"]["names"] == status["acceptedNames"]
    assert status["acceptedNames"]["singular"] == "widget"
    assert status["acceptedNames"]["listKind"] == "WidgetList"
    assert status["storedVersions"] == ["v1"]
    assert created["spec"]["conversion"] == {"strategy": "None"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metadata": {"name": "wrong"}}, "metadata.name"),
        ({"spec": {"scope": "Everywhere"}}, "spec.scope"),
        ({"spec": {"versions": []}}, "spec.versions"),
    ],
)
def test_definitions_that_make_no_sense(server: Server, change: Json, field: str) -> None:
    """A definition has a name of its own making, a scope and a version to store."""
    definition = _definition()
    for part, values in change.items():
        definition[part] |= values

    found = told(server.post(CRDS, definition))

    assert found[:2] == (422, "Invalid")
    assert field in found[2]


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({}, "type"),
        ({"type": "array"}, "items"),
        ({"type": "string", "pattern": "("}, "pattern"),
        ({"type": "string", "x-kubernetes-validations": [{"rule": "self =="}]}, "x-kubernetes-validations[0].rule"),
    ],
)
def test_schemas_that_make_no_sense(server: Server, schema: Json, field: str) -> None:
    """A schema types every place, and its patterns and rules can be compiled."""
    definition = _definition()
    root = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["spec"]["properties"]["odd"] = schema

    found = told(server.post(CRDS, definition))

    assert found[:2] == (422, "Invalid")
    assert any(path.endswith(f"[odd].{field}") for path in found[2])


def test_what_a_definition_cannot_change(server: Server) -> None:
    """Group, scope and plural of a definition stay."""
    definition = _definition()
    path = f"{CRDS}/{definition['metadata']['name']}"
    server.create(CRDS, definition)

    def is_established() -> bool:
        conditions = (server.get(path).json().get("status") or {}).get("conditions") or ()
        return any((each["type"], each["status"]) == ("Established", "True") for each in conditions)

    server.wait(is_established)  # until then the scope may change
    found = told(server.patch(path, {"spec": {"scope": "Cluster"}}, MERGE))

    assert found == (422, "Invalid", ["spec.scope"])


def test_a_deleted_definition_takes_its_objects_along(server: Server) -> None:
    """Objects and paths of a kind go with its definition."""
    group = server.define(WIDGETS)
    path = f"/apis/{group}/v1/namespaces/default/widgets"
    server.create(path, widget("a", group, size=1))

    response = server.delete(f"{CRDS}/widgets.{group}")

    assert response.json()["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    server.wait(lambda: server.get(f"{CRDS}/widgets.{group}").status_code == 404)
    server.wait(lambda: server.get(path).status_code == 404)


def test_cluster_scoped_resources(server: Server) -> None:
    """A kind of scope Cluster lives outside namespaces."""
    definition = copy.deepcopy(WIDGETS)
    definition["spec"]["scope"] = "Cluster"
    group = server.define(definition)
    created = server.create(f"/apis/{group}/v1/widgets", widget("a", group, size=1))

    assert "namespace" not in created["metadata"]
    assert names(server.get(f"/apis/{group}/v1/widgets")) == ["a"]
    assert server.get(f"/apis/{group}/v1/namespaces/default/widgets/a").status_code == 404


def test_finalizers_without_a_domain_are_warned_about(widgets: Widgets) -> None:
    """Two controllers might choose the same short finalizer."""
    body = widget("a", widgets.group, metadata={"finalizers": ["short"]}, size=1)

    response = widgets.server.post(widgets.path, body)

    assert response.status_code == 201
    assert warnings(response) == [
        (
            'metadata.finalizers: "short": prefer a domain-qualified finalizer name to avoid accidental conflicts with '
            "other finalizer writers"
        )
    ]
