"""What makes a schema structural."""

from __future__ import annotations

import pytest

from controller.k8s.custom_resource import JsonObject, SchemaError, check_structural

TEXT: JsonObject = {"type": "string"}


def within(node: JsonObject) -> JsonObject:
    """A schema with the node at `.spec.items[]`."""
    spec: JsonObject = {"type": "object", "properties": {"items": {"type": "array", "items": node}}}
    return {"type": "object", "properties": {"spec": spec}}


@pytest.mark.parametrize(
    "node",
    [
        TEXT,
        {"x-kubernetes-int-or-string": True},
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "additionalProperties": TEXT},
        {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"properties": {"a": {"enum": ["x"]}}}]},
        {"type": "object", "properties": {"a": TEXT}, "not": {"required": ["a"]}},
        {"type": "string", "allOf": [{"pattern": "^a"}, {"not": {"pattern": "b$"}}]},
        {
            "type": "array",
            "items": {"type": "object", "required": ["a"], "properties": {"a": TEXT, "b": {**TEXT, "default": "x"}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["a", "b"],
        },
        {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]},
        {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self != ''"}]},
         "x-kubernetes-list-type": "atomic"},
    ],
)  # fmt: skip
def test_what_an_api_server_takes_passes(node: JsonObject) -> None:
    """Every form that Kubernetes documents."""
    check_structural(within(node))


HERE = ".spec.items[]"


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({}, f"{HERE}: has no type"),
        ({"type": "tuple"}, f"{HERE}: has the unknown type tuple"),
        ({"type": "string", "x-kubernetes-int-or-string": True}, f"{HERE}: an int-or-string has no type"),
        ({"type": "array"}, f"{HERE}: an array needs items"),
        ({"type": "array", "x-kubernetes-list-type": "set"}, f"{HERE}: an array needs items"),
        *(
            ({"type": "string", keyword: "x"}, f"{HERE}: {keyword} is forbidden")
            for keyword in ("$ref", "definitions", "dependencies", "patternProperties", "readOnly", "xml", "id")
        ),
        ({"type": "array", "items": TEXT, "uniqueItems": True}, f"{HERE}: uniqueItems is forbidden"),
        (
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": TEXT},
            f"{HERE}: properties and additionalProperties exclude each other",
        ),
        ({"type": "object", "additionalProperties": False}, f"{HERE}: additionalProperties: false is forbidden"),
        *(
            ({"type": "string", logic: [{keyword: "x"}]}, f"{HERE}({logic} 0): {keyword} is forbidden inside logic")
            for logic in ("anyOf", "oneOf", "allOf")
            for keyword in ("type", "default", "description", "nullable")
        ),
        ({"type": "string", "not": {"type": "integer"}}, f"{HERE}(not 0): type is forbidden inside logic"),
        (
            {"x-kubernetes-int-or-string": True, "oneOf": [{"type": "integer"}]},
            f"{HERE}(oneOf 0): type is forbidden inside logic",
        ),
        (
            {"type": "object", "anyOf": [{"properties": {"a": {}}}]},
            f"{HERE}(anyOf 0).a: is not specified outside of logic",
        ),
        (
            {"type": "object", "properties": {"a": TEXT}, "allOf": [{"anyOf": [{"properties": {"a": {"type": "x"}}}]}]},
            f"{HERE}(allOf 0)(anyOf 0).a: type is forbidden inside logic",
        ),
        (
            {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"properties": {"a": {"title": "x"}}}]},
            f"{HERE}(anyOf 0).a: title is forbidden inside logic",
        ),
        (
            {"type": "array", "items": TEXT, "x-kubernetes-list-type": "map"},
            f"{HERE}: a list of type map needs x-kubernetes-list-map-keys",
        ),
        (
            {"type": "array", "items": TEXT, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]},
            f"{HERE}: the map key a is not a scalar field",
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]},
            f"{HERE}: the map key a is not a scalar field",
        ),
        (
            {
                "type": "array",
                "items": {"type": "object", "properties": {"a": TEXT}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
            },
            f"{HERE}: the map key a is neither required nor has it a default",
        ),
        (
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}},
                },
                "x-kubernetes-list-type": "atomic",
            },
            f"{HERE}[]: oldSelf has no meaning for the items of a set or an atomic list",
        ),
        (
            {
                "type": "array",
                "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]},
                "x-kubernetes-list-type": "set",
            },
            f"{HERE}[]: oldSelf has no meaning for the items of a set or an atomic list",
        ),
        ({"type": "object", "additionalProperties": {}}, f"{HERE}{{}}: has no type"),
    ],
)
def test_what_an_api_server_refuses_is_said_with_its_place(node: JsonObject, text: str) -> None:  # runtime X6
    """Each forbidden construct is named, with the path to it."""
    with pytest.raises(SchemaError) as caught:
        check_structural(within(node))

    assert text in str(caught.value)


def test_every_problem_is_said_at_once() -> None:
    """So that an author fixes everything in one go."""
    with pytest.raises(SchemaError, match=r"^\.a: has no type; \.b: has the unknown type x$"):
        check_structural({"type": "object", "properties": {"a": {}, "b": {"type": "x"}, "c": True}})


def test_metadata_is_not_for_authors_to_restrict() -> None:  # runtime X6
    """Only names can be; deeper fields of that name are anybody's."""
    metadata: JsonObject = {"type": "object", "properties": {"name": TEXT, "generateName": TEXT, "labels": TEXT}}

    with pytest.raises(SchemaError, match=r"^\.metadata\.labels: only name and generateName can be restricted$"):
        check_structural({"type": "object", "properties": {"metadata": metadata}})
    check_structural(within({"type": "object", "properties": {"metadata": metadata}}))
