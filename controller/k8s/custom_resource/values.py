"""Whether a value fits a schema, as far as defaults need it."""

from __future__ import annotations

import re

from controller.k8s.custom_resource.node import Json, JsonObject

_TYPES: dict[Json, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def misfit(value: Json, schema: JsonObject) -> str | None:
    """What is wrong with the value, or None."""
    if value is None:
        return None if schema.get("nullable") else "null is not nullable"
    if not _has_type(value, schema):
        return f"{value!r} is not of type {schema.get('type', 'integer or string')}"
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        return f"{value!r} is not one of {choices}"
    if isinstance(value, dict):
        return _object_misfit(value, schema)
    if isinstance(value, list):
        return _list_misfit(value, schema)
    if isinstance(value, str):
        return _text_misfit(value, schema)
    return _number_misfit(value, schema)


def _has_type(value: Json, schema: JsonObject) -> bool:
    if "type" not in schema:
        return not schema.get("x-kubernetes-int-or-string") or _is(value, (int, str))
    return _is(value, _TYPES[schema["type"]])


def _is(value: Json, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _object_misfit(value: JsonObject, schema: JsonObject) -> str | None:
    required, properties = schema.get("required", []), schema.get("properties", {})
    assert isinstance(required, list)
    assert isinstance(properties, dict)
    if missing := [name for name in required if name not in value]:
        return f"lacks {missing[0]}"
    for name, inner in value.items():
        inner_schema = properties.get(name, schema.get("additionalProperties", {}))
        assert isinstance(inner_schema, dict)
        if problem := misfit(inner, inner_schema):
            return f".{name}: {problem}"
    return None


def _list_misfit(value: list[Json], schema: JsonObject) -> str | None:
    items = schema.get("items", {})
    assert isinstance(items, dict)
    if problem := _out_of_bounds(len(value), schema.get("minItems"), schema.get("maxItems")):
        return f"has {len(value)} items, {problem}"
    for index, item in enumerate(value):
        if problem := misfit(item, items):
            return f"[{index}]: {problem}"
    return None


def _text_misfit(value: str, schema: JsonObject) -> str | None:
    if problem := _out_of_bounds(len(value), schema.get("minLength"), schema.get("maxLength")):
        return f"{value!r} has {len(value)} characters, {problem}"
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not re.search(pattern, value):
        return f"{value!r} does not match {pattern}"
    return None


def _number_misfit(value: float, schema: JsonObject) -> str | None:
    if problem := _out_of_bounds(value, schema.get("minimum"), schema.get("maximum")):
        return f"{value} is {problem}"
    return None


def _out_of_bounds(number: float, low: Json, high: Json) -> str | None:
    if isinstance(low, int | float) and number < low:
        return f"less than {low}"
    if isinstance(high, int | float) and number > high:
        return f"more than {high}"
    return None
