"""Does a value obey its schema? Every violation is found, and named as the API server names it.

Alternatives (anyOf, oneOf) report, beside that none or too many fit, what is wrong with the alternative that came
closest. Closeness is how many checks a branch has passed; the API server counts the same ones, and the counts
decide which causes a user sees, so they are kept here although nothing else needs them.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import paula  # pyright: ignore[reportMissingTypeStubs]  # it ships none

from controller.apiserver import causes
from controller.apiserver.schema.formats import FORMATS
from controller.apiserver.schema.listtypes import same_entry
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Cause

_NAMELESS = "<nil>"  # what the API server puts where an error belongs to no single field


_EXACT = 1 << 53  # up to here a floating-point number can stand for an integer


class Outcome:
    """What is wrong, and how many checks went well."""

    __slots__ = ("matched", "problems")

    def __init__(self) -> None:
        self.problems: list[Cause] = []
        self.matched = 0

    def merge(self, other: Outcome) -> None:
        self.problems += other.problems
        self.matched += other.matched


def validate(value: Any, node: Node, path: str = "", *, old: Any = MISSING) -> list[Cause]:
    """Everything that a schema says is wrong with a value, except where it was so before."""
    return list(dict.fromkeys(_check(value, node, path, old).problems))


def type_name(value: Any) -> str:
    """What JSON calls the value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer" if -(1 << 63) <= value < 1 << 63 else "number"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _check(value: Any, node: Node, path: str, old: Any = MISSING) -> Outcome:
    outcome = Outcome()
    if old is not MISSING and type(old) is type(value) and old == value:
        return outcome
    types = ("integer", "string") if node.int_or_string else ((node.type,) if node.type else ())
    if value is None:
        if types and not node.nullable:
            outcome.problems.append(_wrong_type(path, ",".join(types), "null"))
        else:
            outcome.matched += 1
        if (enum := node.raw.get("enum")) and None not in enum:
            outcome.problems.append(causes.not_supported(path.removeprefix("."), None, enum))
        return outcome
    if types or node.raw.get("format"):
        _check_type(value, node, path, types, outcome)
        outcome.matched += 1
    if node.branches:
        outcome.merge(_check_branches(value, node, path, old))
    outcome.matched += 2  # the branches, which always count, and the common checks
    match value:
        case bool():
            pass
        case str():
            outcome.matched += 1
            _check_string(value, node, path, outcome)
        case int() | float():
            outcome.matched += 2
            _check_number(value, node, path, outcome)
        case _ if is_list(value):
            outcome.matched += 2
            _check_list(value, node, path, outcome, old)
        case _ if is_object(value):
            outcome.matched += 1
            _check_object(value, node, path, outcome, old)
        case _:
            pass
    enum = node.raw.get("enum")
    if enum and not any(_equal(value, entry) for entry in enum):
        outcome.problems.append(causes.not_supported(path.removeprefix("."), value, enum))
    outcome.matched += 1
    return outcome


def _equal(value: Any, other: Any) -> bool:
    """Equality that tells true from 1, but not 1.0 from 1."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _wrong_type(path: str, expected: str, found: Any) -> Cause:
    where = path.removeprefix(".")
    return causes.type_invalid(where, found, f"{where} in body must be of type {expected}: {causes.quoted(found)}")


def _says(path: str, value: Any, what: str) -> Cause:
    where = path.removeprefix(".")
    return causes.invalid_value(where, value, f"{where} in body {what}")


def _check_type(value: Any, node: Node, path: str, types: tuple[str, ...], outcome: Outcome) -> None:
    found, form = type_name(value), node.raw.get("format", "")
    if node.int_or_string:
        form = ""
    fits = found in types
    if found == "number" and "integer" in types:
        fits = math.isfinite(value) and value == int(value) and abs(value) < _EXACT
    if found == "integer" and "number" in types:
        fits = True
    if fits:
        outcome.matched += 1
    elif form and not isinstance(value, str | list):
        own = {"integer": "int64", "number": "float64"}.get(found, "")
        outcome.problems.append(_wrong_type(path, form, own))
    elif form and not {"integer", "number"} & set(types):
        outcome.matched += 1  # the format judges it, or nothing does
    else:
        outcome.problems.append(_wrong_type(path, ",".join(types), found))


@functools.lru_cache(1024)
def _pattern(text: str) -> Any:
    try:
        return paula.Regex(text)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownVariableType]
    except ValueError:
        return None  # refused when the definition is written


def _check_string(value: str, node: Node, path: str, outcome: Outcome) -> None:
    raw, where = node.raw, path.removeprefix(".")
    if (limit := raw.get("maxLength")) is not None and len(value) > limit:
        outcome.problems.append(causes.too_long(where, limit))
    if (limit := raw.get("minLength")) is not None and len(value) < limit:
        outcome.problems.append(_says(path, value, f"should be at least {limit} chars long"))
    if pattern := raw.get("pattern"):
        compiled = _pattern(pattern)
        if compiled is not None and not compiled.is_match(value):
            outcome.problems.append(_says(path, value, f"should match '{pattern}'"))
    if (form := raw.get("format", "")) in FORMATS:
        outcome.matched += 1
        if not FORMATS[form](value):
            outcome.problems.append(_wrong_type(path, form, value))


_RANGES = {"int32": (-(1 << 31), (1 << 31) - 1), "uint32": (0, (1 << 32) - 1), "uint64": (0, (1 << 64) - 1)}


def _check_range(value: float, node: Node, path: str, outcome: Outcome) -> None:
    """An integer must be one, and fit into its format; the API server tells so without naming the field."""
    form = node.raw.get("format", "")
    low, high = _RANGES.get(form, (-(1 << 63), (1 << 63) - 1))
    if not (math.isfinite(value) and value == int(value) and low <= value <= high):
        shown = f"with format {form}" if form else "(default format)"
        where = path.removeprefix(".")
        outcome.problems.append(_composite(f"Checked value must be of type integer {shown} in {where}"))


def _check_number(value: float, node: Node, path: str, outcome: Outcome) -> None:
    raw = node.raw
    if node.type == "integer" and not node.int_or_string:
        _check_range(value, node, path, outcome)
    if (limit := raw.get("maximum")) is not None:
        strict = raw.get("exclusiveMaximum", False)
        if value > limit or (strict and value == limit):
            outcome.problems.append(
                _says(path, value, f"should be less than {'' if strict else 'or equal to '}{limit}")
            )
    if (limit := raw.get("minimum")) is not None:
        strict = raw.get("exclusiveMinimum", False)
        if value < limit or (strict and value == limit):
            text = f"should be greater than {'' if strict else 'or equal to '}{limit}"
            outcome.problems.append(_says(path, value, text))
    if (factor := raw.get("multipleOf")) is not None and not (value / factor).is_integer():
        outcome.problems.append(_says(path, value, f"should be a multiple of {factor}"))


def _check_list(value: list[Any], node: Node, path: str, outcome: Outcome, old: Any) -> None:
    raw, where = node.raw, path.removeprefix(".")
    if node.items is not None:
        for index, item in enumerate(value):
            outcome.merge(_check(item, node.items, f"{path}[{index}]", same_entry(item, old, node)))
    if (limit := raw.get("minItems")) is not None and len(value) < limit:
        outcome.problems.append(_says(path, len(value), f"should have at least {limit} items"))
    if (limit := raw.get("maxItems")) is not None and len(value) > limit:
        outcome.problems.append(causes.too_many(where, len(value), limit))
    if raw.get("uniqueItems") and any(item in value[:index] for index, item in enumerate(value)):
        outcome.problems.append(_says(path, value, "shouldn't contain duplicates"))


def _check_object(value: dict[str, Any], node: Node, path: str, outcome: Outcome, old: Any) -> None:
    raw, where = node.raw, path.removeprefix(".")
    if (limit := raw.get("minProperties")) is not None and len(value) < limit:
        outcome.problems.append(_says(path, len(value), f"should have at least {limit} properties"))
        return
    if (limit := raw.get("maxProperties")) is not None and len(value) > limit:
        outcome.problems.append(causes.too_many(where, len(value), limit))
        return
    properties, additional = node.properties, node.additional
    before = old if is_object(old) else {}
    for name, inner in value.items():
        schema = properties.get(name) or additional
        if schema is not None:
            outcome.merge(_check(inner, schema, f"{path}.{name}", before.get(name, MISSING)))
    for name in node.required:
        if name not in value:
            outcome.problems.append(causes.required(f"{path}.{name}".removeprefix(".")))


def _composite(text: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "": {text}', _NAMELESS)


def _check_branches(value: Any, node: Node, path: str, old: Any) -> Outcome:
    outcome, branches, where = Outcome(), node.branches, path.removeprefix(".")
    if any_of := branches.get("anyOf"):
        results = [_check(value, branch, path, old) for branch in any_of]
        chosen = next((result for result in results if not result.problems), None)
        if chosen is None:
            outcome.problems.append(_composite(f'"{where}" must validate at least one schema (anyOf)'))
        outcome.merge(chosen or _closest(results))
    if one_of := branches.get("oneOf"):
        results = [_check(value, branch, path, old) for branch in one_of]
        fitting = [result for result in results if not result.problems]
        if len(fitting) == 1:
            outcome.merge(fitting[0])
        else:
            found = f"Found {len(fitting)} valid alternatives" if fitting else "Found none valid"
            outcome.problems.append(_composite(f'"{where}" must validate one and only one schema (oneOf). {found}'))
            if not fitting:
                outcome.merge(_closest(results))
    if all_of := branches.get("allOf"):
        results = [_check(value, branch, path, old) for branch in all_of]
        for result in results:
            outcome.merge(result)
        failed = sum(bool(result.problems) for result in results)
        if failed:
            tail = ". None validated" if failed == len(results) else ""
            outcome.problems.append(_composite(f'"{where}" must validate all the schemas (allOf){tail}'))
    if (negated := branches.get("not")) and not _check(value, negated[0], path, old).problems:
        outcome.problems.append(_composite(f'"{where}" must not validate the schema (not)'))
    return outcome


def _closest(results: list[Outcome]) -> Outcome:
    return max(results, key=lambda result: result.matched)  # the first of equals
