"""Reading an object as the typed kinds of the API server do: unknown fields go, wrong types end the request.

A built-in kind is decoded into a structure and encoded again, which leaves traces: zeros vanish from some fields and
appear in others, depending on how the structure declares them; quantities and times take their canonical form.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from controller.apiserver.schema.cel_library import parse_quantity
from controller.apiserver.schema.formats import FORMATS
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.schema.validation import type_name

_GO_KINDS = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "bool",
    "array": "array",
    "object": "object",
}
_INDEX = re.compile(r"\[\d+\]")


_ZEROS: tuple[Any, ...] = ("", 0, False, [], {}, None)
_NOTHING_DECLARED: Mapping[str, Any] = {}


class Mismatch(Exception):
    """A value has a type that its field cannot take."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Reader:
    """Reads one object; `owner` names its type in messages, `unknown` collects what nobody knows.

    `declared` tells how the structures are declared, as it was recorded.
    """

    def __init__(self, owner: str, declared: Mapping[str, Mapping[str, Any]]) -> None:
        self._owner = owner
        self._declared = declared
        self.unknown: list[str] = []

    def read(self, value: Any, node: Node, path: str = "") -> Any:
        """The value as the structure would hold it; MISSING if it would hold nothing."""
        if node.preserve_unknown or _is_raw(node):
            return value
        if _is_quantity(node):
            return self._quantity(value, path)
        if node.int_or_string:
            return self._int_or_string(value, path)
        match node.type:
            case "object":
                return self._map(value, node, path) if node.additional is not None else self._struct(value, node, path)
            case "array":
                return self._list(value, node, path)
            case "":
                return value
        return self._scalar(value, node, path)

    def _fail(self, value: Any, path: str, expected: str) -> Mismatch:
        found = _GO_KINDS.get(type_name(value), "null")
        if isinstance(value, int | float) and not isinstance(value, bool) and expected.startswith(("int", "float")):
            found = f"number {value}"
        where = _INDEX.sub("", path).removeprefix(".")
        return Mismatch(f"json: cannot unmarshal {found} into Go struct field {self._owner}.{where} of type {expected}")

    def _struct(self, value: Any, node: Node, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._fail(value, path, _go_name(node))
        outer, self._owner = self._owner, node.reference.rpartition(".")[2] or self._owner
        found = self._fields(value, node, path)
        self._owner = outer
        return found

    def _fields(self, value: dict[str, Any], node: Node, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        declared = self._declared.get(node.reference, _NOTHING_DECLARED)
        for name, inner in value.items():
            where = f"{path}.{name}" if path else name
            schema = node.properties.get(name)
            if schema is None:
                self.unknown.append(where)
            elif inner is not None:
                read = self.read(inner, schema, where)
                if read is not MISSING and not (read in _ZEROS and _way(declared, name) == "o"):
                    found[name] = read
        for name, schema in node.properties.items():
            if name not in found:
                filler = self._filler(schema, _way(declared, name), f"{path}.{name}")
                if filler is not MISSING:
                    found[name] = filler
        return found

    def _filler(self, node: Node, way: str, path: str) -> Any:
        """What stands in a field that nobody set."""
        if node.default not in (MISSING, {}, None, "", 0):
            return node.default
        return self._zero(node, path) if way == "w" else MISSING

    def _map(self, value: Any, node: Node, path: str) -> dict[str, Any]:
        inner = node.additional
        assert inner is not None
        if not isinstance(value, dict):
            raise self._fail(value, path, f"map[string]{_go_name(inner)}")
        found: dict[str, Any] = {}
        for name, entry in value.items():
            where = path if inner.type in ("string", "integer", "boolean") else f"{path}.{name}"
            found[name] = self._zero(inner) if entry is None else self.read(entry, inner, where)
        return found

    def _list(self, value: Any, node: Node, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise self._fail(value, path, f"[]{_go_name(node.items) if node.items else 'interface {}'}")
        if node.items is None:
            return value
        items = node.items
        return [
            self._zero(items) if entry is None else self.read(entry, items, f"{path}[{index}]")
            for index, entry in enumerate(value)
        ]

    def _zero(self, node: Node, path: str = "") -> Any:
        if _is_quantity(node):
            return "0"
        if node.int_or_string:
            return 0
        match node.type:
            case "string":
                return None if node.raw.get("format") == "date-time" else ""
            case "integer" | "number":
                return 0
            case "boolean":
                return False
            case "object" if node.additional is None and not _is_raw(node):
                return self._struct({}, node, path)
        return None

    def _scalar(self, value: Any, node: Node, path: str) -> Any:
        form = node.raw.get("format", "")
        found = type_name(value)
        match node.type:
            case "string" if found == "string":
                if form == "byte" and not FORMATS["byte"](value):
                    raise Mismatch("illegal base64 data at input byte 0")
                if form == "date-time":
                    return _time(value, fractions=node.reference.endswith("MicroTime"))
                return value
            case "boolean" if found == "boolean":
                return value
            case "integer" if found == "integer" or (found == "number" and value == int(value)):
                return int(value)
            case "number" if found in ("integer", "number"):
                return value
        names = {"boolean": "bool", "integer": form or "int64", "number": "float64"}
        raise self._fail(value, path, names.get(node.type, "string"))

    def _int_or_string(self, value: Any, path: str) -> Any:
        if type_name(value) not in ("integer", "string"):
            raise self._fail(value, path, "int32" if type_name(value) == "number" else "string")
        return value

    def _quantity(self, value: Any, path: str) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._fail(value, path, "resource.Quantity")
        number = parse_quantity(str(value))
        if number is None:
            raise Mismatch(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            )
        return canonical_quantity(str(value), number)


def _time(text: str, *, fractions: bool) -> str:
    """A point in time as the API server writes it: UTC, in whole seconds or in microseconds."""
    if not text:
        return text
    if not FORMATS["date-time"](text):
        raise Mismatch(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"')
    if fractions and not re.search(r"\.\d{6}", text):
        raise Mismatch(
            f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "{text[19:]}" as ".000000"'
        )
    moment = dt.datetime.fromisoformat(text.replace(",", ".")).astimezone(dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if fractions else "%Y-%m-%dT%H:%M:%SZ")


def canonical_quantity(text: str, number: Decimal) -> str:
    """The one spelling of a quantity: an integer with the largest suffix of its own family."""
    if number == 0:
        return "0"
    if text.endswith("i"):
        for power, suffix in ((6, "Ei"), (5, "Pi"), (4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
            if number % (1 << 10 * power) == 0:
                return f"{int(number) >> 10 * power}{suffix}"
        return str(int(number)) if number == int(number) else f"{int(number * 1000)}m"
    exponents = "e" in text.lower() and not text.endswith("E")
    for power, suffix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k"), (0, ""), (-3, "m"), (-6, "u")):
        scaled = number / (Decimal(10) ** power)
        if scaled == int(scaled):
            return f"{int(scaled)}{f'e{power}' if exponents and power else '' if exponents else suffix}"
    return f"{int((number * 10**9).to_integral_value())}n"


def _is_quantity(node: Node) -> bool:
    return [branch.get("type") for branch in node.raw.get("oneOf", ())] == ["string", "number"]


def _is_raw(node: Node) -> bool:
    """Structures that may hold anything, such as a recorded set of fields."""
    raw = node.raw
    return node.type == "object" and "properties" not in raw and "additionalProperties" not in raw


def _way(declared: Mapping[str, Any], name: str) -> str:
    return str(declared.get(name, "  p")[1])


def _go_name(node: Node) -> str:
    match node.type:
        case "string":
            return "string"
        case "boolean":
            return "bool"
        case "integer":
            return str(node.raw.get("format") or "int64")
        case "array":
            return "[]" + (_go_name(node.items) if node.items else "interface {}")
        case "object" if node.additional is not None:
            return f"map[string]{_go_name(node.additional)}"
    return "struct"
