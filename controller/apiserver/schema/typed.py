"""Reading an object as the typed kinds of the API server do: unknown fields go, wrong types end the request.

A built-in kind is decoded into a structure and encoded again, which leaves traces: zeros vanish from some fields and
appear in others, depending on how the structure declares them; quantities and times take their canonical form. Schemas
are compiled into readers once, because every object that is written passes through here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from controller.apiserver.schema.cel_library import parse_quantity
from controller.apiserver.schema.formats import FORMATS
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.schema.validation import type_name
from controller.apiserver.shapes import is_list, is_object

_GO_KINDS = {"integer": "number", "boolean": "bool"}


_FREE = ("RawExtension", "FieldsV1")  # they hold any JSON
_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


class Mismatch(Exception):
    """A value has a type that its field cannot take."""

    def __init__(self, value: Any, expected: str, *, text: str = "") -> None:
        super().__init__()
        self._value = value
        self._expected = expected
        self._text = text
        self._path: list[str] = []
        self._owner = ""

    def within(self, field: str, owner: str) -> Mismatch:
        """The same, seen from the structure around it."""
        self._path.insert(0, field)
        self._owner = self._owner or owner
        return self

    @property
    def message(self) -> str:
        if self._text:
            return self._text
        found = type_name(self._value)
        found = _GO_KINDS.get(found, found)
        if found == "number" and self._expected.startswith(("int", "float")):
            found = f"number {self._value}"
        where = f"Go struct field {self._owner}.{'.'.join(self._path)}" if self._path else "Go value"
        return f"json: cannot unmarshal {found} into {where} of type {self._expected}"


Unknown = list[str]
Declared = Mapping[str, Mapping[str, Any]]


class Reader:
    """Reads values of one type; this one takes them as they are."""

    go = "interface {}"

    def read(self, value: Any, unknown: Unknown) -> Any:
        """The value as the structure would hold it; the paths of fields that nobody knows are added to `unknown`."""
        del unknown
        return value

    def zero(self) -> Any:
        """What a field holds that nobody set."""
        return None


class _String(Reader):
    go = "string"

    def read(self, value: Any, unknown: Unknown) -> Any:  # noqa: ARG002  # only structures have fields
        if type(value) is not str:
            raise Mismatch(value, "string")
        return value

    def zero(self) -> Any:
        return ""


class _Bytes(_String):
    def read(self, value: Any, unknown: Unknown) -> Any:
        if not FORMATS["byte"](super().read(value, unknown)):
            raise Mismatch(value, "", text="illegal base64 data at input byte 0")
        return value


class _Time(_String):
    def __init__(self, *, fractions: bool) -> None:
        self._fractions = fractions

    def read(self, value: Any, unknown: Unknown) -> Any:
        return _time(super().read(value, unknown), fractions=self._fractions)

    def zero(self) -> Any:
        return None


class _Number(Reader):
    def __init__(self, go: str) -> None:
        self.go = go
        self._least = -(1 << 31) if go == "int32" else -(1 << 63)

    def read(self, value: Any, unknown: Unknown) -> Any:  # noqa: ARG002  # only structures have fields
        found = int(value) if type(value) is float and value.is_integer() and self.go != "float64" else value
        if type(found) is int and self._least <= found < -self._least:
            return found
        if type(found) is float and self.go == "float64":
            return found
        raise Mismatch(value, self.go)

    def zero(self) -> Any:
        return 0


class _Boolean(Reader):
    go = "bool"

    def read(self, value: Any, unknown: Unknown) -> Any:  # noqa: ARG002  # only structures have fields
        if type(value) is not bool:
            raise Mismatch(value, "bool")
        return value

    def zero(self) -> Any:
        return False


class _IntOrString(Reader):
    go = "intstr.IntOrString"

    def read(self, value: Any, unknown: Unknown) -> Any:  # noqa: ARG002  # only structures have fields
        if type(value) not in (int, str):
            raise Mismatch(value, "int32" if isinstance(value, float) else "string")
        return value

    def zero(self) -> Any:
        return 0


class _Quantity(Reader):
    go = "resource.Quantity"

    def read(self, value: Any, unknown: Unknown) -> Any:  # noqa: ARG002  # only structures have fields
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Mismatch(value, self.go)
        number = parse_quantity(str(value))
        if number is None:
            text = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            raise Mismatch(value, "", text=text)
        return canonical_quantity(str(value), number)

    def zero(self) -> Any:
        return "0"


class _List(Reader):
    def __init__(self, items: Reader) -> None:
        self._items = items
        self.go = f"[]{items.go}"

    def read(self, value: Any, unknown: Unknown) -> Any:
        if not is_list(value):
            raise Mismatch(value, self.go)
        found: list[Any] = []
        for index, entry in enumerate(value):
            before = len(unknown)
            found.append(self._items.zero() if entry is None else self._items.read(entry, unknown))
            if len(unknown) > before:
                unknown[before:] = [f"[{index}].{path}" for path in unknown[before:]]
        return found


class _Map(Reader):
    def __init__(self, values: Reader) -> None:
        self._values = values
        self.go = f"map[string]{values.go}"

    def read(self, value: Any, unknown: Unknown) -> Any:
        if not is_object(value):
            raise Mismatch(value, self.go)
        found: dict[str, Any] = {}
        for name, entry in value.items():
            before = len(unknown)
            found[name] = self._values.zero() if entry is None else self._values.read(entry, unknown)
            if len(unknown) > before:
                unknown[before:] = [f"{name}.{path}" for path in unknown[before:]]
        return found


class Structure(Reader):
    """Reads a structure; its fields are compiled when its first value comes, as structures may contain themselves."""

    def __init__(self, node: Node, declared: Declared, compiled: dict[str, Reader]) -> None:
        self._node = node
        self._declared = declared
        self._compiled = compiled
        self._fields: dict[str, tuple[Reader, bool]] | None = None
        self._fillers: list[tuple[str, Callable[[], Any]]] = []
        self.go = node.reference.rpartition(".")[2] or "struct"

    def _compile(self) -> dict[str, tuple[Reader, bool]]:
        fields: dict[str, tuple[Reader, bool]] = {}
        ways = self._declared.get(self._node.reference, {})
        for name, node in self._node.properties.items():
            reader = _compile(node, self._declared, self._compiled)
            way = ways[name][1] if name in ways else "p"
            fields[name] = (reader, way == "o")
            if node.default not in (MISSING, {}, None, "", 0):
                self._fillers.append((name, lambda default=node.default: default))  # type: ignore[misc]  # bound now
            elif way == "w":
                self._fillers.append((name, reader.zero))
        self._fields = fields
        return fields

    def read(self, value: Any, unknown: Unknown) -> Any:
        if not is_object(value):
            raise Mismatch(value, self.go)
        fields = self._fields or self._compile()
        found: dict[str, Any] = {}
        for name, entry in value.items():
            field = fields.get(name)
            if field is None:
                unknown.append(name)
            elif entry is not None:
                reader, leaves_out_zero = field
                before = len(unknown)
                try:
                    read = reader.read(entry, unknown)
                except Mismatch as mismatch:
                    raise mismatch.within(name, self.go) from None
                if len(unknown) > before:
                    unknown[before:] = [f"{name}{'' if path[0] == '[' else '.'}{path}" for path in unknown[before:]]
                if read or not leaves_out_zero:
                    found[name] = read
        for name, fill in self._fillers:
            if name not in found:
                found[name] = fill()
        return found

    def zero(self) -> Any:
        return self.read({}, [])


class _Empty(Reader):
    """Reads a structure of which nothing is known but that it is one."""

    def read(self, value: Any, unknown: Unknown) -> Any:  # noqa: ARG002  # its fields are not known
        if not is_object(value):
            raise Mismatch(value, "struct {}")
        return value

    def zero(self) -> Any:
        return {}


class _Schema(Reader):
    """Reads what is a schema, or else something of another form: of a list, a boolean, or texts."""

    def __init__(self, form: str, compiled: dict[str, Reader]) -> None:
        self._form = form
        self._compiled = compiled

    def read(self, value: Any, unknown: Unknown) -> Any:
        inner = self._compiled[_SCHEMA]
        if is_object(value):
            return inner.read(value, unknown)
        if self._form == "Bool" and type(value) is not bool:
            raise Mismatch(value, "", text="boolean or JSON schema expected")
        if is_list(value):
            return [inner.read(item, unknown) if self._form == "Array" else item for item in value]
        return value if self._form == "Bool" else None


def compile_reader(node: Node, declared: Declared) -> Reader:
    """The reader of a schema; `declared` tells how its structures are declared, as it was recorded."""
    return _compile(node, declared, {})


def _compile(node: Node, declared: Declared, compiled: dict[str, Reader]) -> Reader:
    raw, form = node.raw, node.raw.get("format", "")
    if [branch.get("type") for branch in raw.get("oneOf", ())] == ["string", "number"]:
        return _Quantity()
    if node.int_or_string:
        return _IntOrString()
    if node.reference.startswith(f"{_SCHEMA}Or"):
        return _Schema(node.reference.removeprefix(f"{_SCHEMA}Or"), compiled)
    match node.type:
        case "string" if form == "date-time":
            return _Time(fractions=node.reference.endswith("MicroTime"))
        case "string":
            return _Bytes() if form == "byte" else _String()
        case "integer":
            return _Number(form or "int64")
        case "number":
            return _Number("float64")
        case "boolean":
            return _Boolean()
        case "array" if node.items is not None:
            return _List(_compile(node.items, declared, compiled))
        case "object" if node.additional is not None:
            return _Map(_compile(node.additional, declared, compiled))
        case "object" if "properties" in raw:
            if node.reference not in compiled:
                compiled[node.reference] = Structure(node, declared, compiled)
            return compiled[node.reference]
        case "object" if not node.reference.endswith(_FREE):
            return _Empty()
        case _:
            return Reader()


def _time(text: str, *, fractions: bool) -> str:
    """A point in time as the API server writes it: UTC, in whole seconds or in microseconds."""
    if not FORMATS["date-time"](text):
        why = f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"'
        raise Mismatch(text, "", text=why)
    if fractions and not re.search(r"\.\d{6}", text):
        why = f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "{text[19:]}" as ".000000"'
        raise Mismatch(text, "", text=why)
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
