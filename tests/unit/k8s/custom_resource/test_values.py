"""Whether a default fits its schema."""

from __future__ import annotations

import pytest

from controller.k8s.custom_resource import Json, JsonObject
from controller.k8s.custom_resource.values import misfit

TEXT: JsonObject = {"type": "string"}
POINT: JsonObject = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}, "y": TEXT}}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a", TEXT),
        (True, {"type": "boolean"}),
        (3, {"type": "integer", "minimum": 3, "maximum": 3}),
        (3, {"type": "number"}),
        (3.5, {"type": "number", "maximum": 4}),
        (None, {"type": "string", "nullable": True}),
        (3, {"x-kubernetes-int-or-string": True}),
        ("a", {"x-kubernetes-int-or-string": True}),
        ({"a": [1]}, {"x-kubernetes-preserve-unknown-fields": True}),
        ("a", {"type": "string", "enum": ["a", "b"], "minLength": 1, "maxLength": 1, "pattern": "^a$"}),
        ([], {"type": "array", "items": TEXT}),
        (["a", "b"], {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}),
        ({"x": 1}, POINT),
        ({"x": 1, "y": "a"}, POINT),
        ({"k": "v"}, {"type": "object", "additionalProperties": TEXT}),
    ],
)
def test_fitting_values_fit(value: Json, schema: JsonObject) -> None:
    """Nothing is wrong with them."""
    assert misfit(value, schema) is None


@pytest.mark.parametrize(
    ("value", "schema", "text"),
    [
        (None, TEXT, "null is not nullable"),
        (3, TEXT, "3 is not of type string"),
        (True, {"type": "integer"}, "True is not of type integer"),
        (3.5, {"type": "integer"}, "3.5 is not of type integer"),
        (True, {"x-kubernetes-int-or-string": True}, "True is not of type integer or string"),
        ("c", {"type": "string", "enum": ["a", "b"]}, "'c' is not one of ['a', 'b']"),
        (2, {"type": "integer", "minimum": 3}, "2 is less than 3"),
        (4, {"type": "integer", "maximum": 3}, "4 is more than 3"),
        ("", {"type": "string", "minLength": 1}, "'' has 0 characters, less than 1"),
        ("b", {"type": "string", "pattern": "^a"}, "'b' does not match ^a"),
        ([], {"type": "array", "minItems": 1}, "has 0 items, less than 1"),
        (["a", 3], {"type": "array", "items": TEXT}, "[1]: 3 is not of type string"),
        ({}, POINT, "lacks x"),
        ({"x": "a"}, POINT, ".x: 'a' is not of type integer"),
        ({"k": 3}, {"type": "object", "additionalProperties": TEXT}, ".k: 3 is not of type string"),
    ],
)
def test_the_first_misfit_is_said(value: Json, schema: JsonObject, text: str) -> None:
    """What was found, where, and what was wanted."""
    assert misfit(value, schema) == text
