"""Which structural schema a type has.

The answer depends on nothing but the type, and keeps the order in which fields were declared, so that a generated file
changes only where its source did.
"""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import types
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, NewType, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec

from controller.k8s.custom_resource.markers import As, Marker, NoDefault, Optional, Required, Unread
from controller.k8s.custom_resource.node import Json, JsonObject, SchemaError
from controller.k8s.custom_resource.values import misfit

Quantity = NewType("Quantity", str)
"""An amount with a unit, such as `100m` or `2Gi`; users may also write a plain number."""

# As Kubernetes prints it in the schemas of its own kinds.
QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

_SCALARS: dict[object, JsonObject] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    float: {"type": "number", "format": "double"},
    bytes: {"type": "string", "format": "byte"},
    dt.datetime: {"type": "string", "format": "date-time"},
    dt.date: {"type": "string", "format": "date"},
    # The API server takes Go's durations for this format, not those of ISO 8601.
    dt.timedelta: {"type": "string", "format": "duration"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    ipaddress.IPv4Address: {"type": "string", "format": "ipv4"},
    ipaddress.IPv6Address: {"type": "string", "format": "ipv6"},
    ipaddress.IPv4Network: {"type": "string", "format": "cidr"},
    ipaddress.IPv6Network: {"type": "string", "format": "cidr"},
    Quantity: {"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN},
    Any: {"x-kubernetes-preserve-unknown-fields": True},
    object: {"x-kubernetes-preserve-unknown-fields": True},
    msgspec.Raw: {"x-kubernetes-preserve-unknown-fields": True},
}
_NO_VALUE = (types.NoneType, msgspec.UnsetType)
# Keywords in the order in which people read them; those not named here follow.
_ORDER = ("description", "type", "format", "enum", "default", "nullable", "required", "properties", "items")


@attrs.frozen
class _Place:
    """Where in a schema we are, and inside which classes."""

    path: str
    inside: tuple[type, ...] = ()

    def __truediv__(self, step: str) -> _Place:
        return attrs.evolve(self, path=f"{self.path}{step}")

    def error(self, text: str) -> SchemaError:
        return SchemaError(f"{self.path}: {text}")


def schema_of(annotation: object, path: str = "") -> JsonObject:
    """The schema of a type; `path` begins the messages of `SchemaError`."""
    return _schema(annotation, _Place(path))


def _schema(annotation: object, place: _Place) -> JsonObject:
    bare, markers = unwrap(annotation)
    node = _bare(bare, place)
    for marker in markers:
        try:
            marker.apply(node)
        except SchemaError as error:
            raise place.error(str(error)) from None
    return {key: node[key] for key in sorted(node, key=_rank)}


def _rank(keyword: str) -> int:
    return _ORDER.index(keyword) if keyword in _ORDER else len(_ORDER)


def unwrap(annotation: object) -> tuple[object, tuple[Marker, ...]]:
    """Take a type out of `Annotated`, `ClassVar` and `| None`; also its markers, those nearest to the type first."""
    markers: tuple[Marker, ...] = ()
    while True:
        arguments = get_args(annotation)
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *said = arguments
            markers = (*(marker for marker in said if isinstance(marker, Marker)), *markers)
            for marker in markers:
                if isinstance(marker, As):
                    annotation = marker.type
                    markers = tuple(other for other in markers if other is not marker)
        elif origin is ClassVar:
            annotation = arguments[0]
        elif _is_union(origin) and len(rest := [one for one in arguments if one not in _NO_VALUE]) < len(arguments):
            annotation = Union[tuple(rest)]  # noqa: UP007  # made of a tuple
        else:
            return annotation, markers


def _is_union(origin: object) -> bool:
    return origin is Union or origin is types.UnionType


def _bare(kind: object, place: _Place) -> JsonObject:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if origin is Literal:
        return _enum(arguments, place)
    if origin in (tuple, list, Sequence):
        if origin is tuple and arguments[1:] != (...,):
            raise place.error(f"{kind} has a fixed length, which a schema cannot say")
        return {"type": "array", "items": _schema(arguments[0], place / "[]")}
    if origin in (set, frozenset):
        return {"type": "array", "items": _schema(arguments[0], place / "[]"), "x-kubernetes-list-type": "set"}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], place / "{}")}
    if _is_union(origin):
        return _union(arguments, place)
    if isinstance(kind, type):
        if issubclass(kind, enum.Enum):
            return _enum([member.value for member in kind], place)
        if issubclass(kind, msgspec.Struct):
            return _struct(kind, place)
    raise place.error(f"{kind} has no schema")


def _enum(values: Sequence[object], place: _Place) -> JsonObject:
    choices: list[Json] = [value for value in values if isinstance(value, str | int) and not isinstance(value, bool)]
    kinds = {type(value) for value in choices}
    if len(choices) < len(values) or len(kinds) != 1:
        raise place.error(f"an enum of {values}: only texts, or only integers, can be told apart")
    return {"type": "string" if kinds == {str} else "integer", "enum": choices}


def _union(members: Sequence[object], place: _Place) -> JsonObject:
    bare = [unwrap(member)[0] for member in members]
    if set(bare) == {int, str}:
        return {"x-kubernetes-int-or-string": True}
    structs = [kind for kind in bare if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    if len(structs) == len(bare) and all(kind.__struct_config__.tag for kind in structs):
        return _tagged_union(structs, place)
    raise place.error(f"a union of {' and '.join(map(_name, bare))} has no schema")


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _tagged_union(structs: Sequence[type[msgspec.Struct]], place: _Place) -> JsonObject:
    """One object with everybody's fields; which go together, the tag says.

    A structural schema has one schema per field, so two members with a field in common must agree on it.
    """
    tag = structs[0].__struct_config__.tag_field
    assert tag is not None
    tags: list[Json] = []
    properties: JsonObject = {tag: {"type": "string", "enum": tags}}
    owners: dict[str, type] = {}
    choices: list[Json] = []
    for struct in structs:
        value = struct.__struct_config__.tag
        assert isinstance(value, str)
        tags.append(value)
        node = _struct(struct, place)
        own, required = node.get("properties", {}), node.get("required", [])
        assert isinstance(own, dict)
        assert isinstance(required, list)
        for field, schema in own.items():
            if properties.setdefault(field, schema) != schema:
                first = owners.get(field, struct).__name__
                raise place.error(f"{first} and {struct.__name__} disagree about {field}")
            owners.setdefault(field, struct)
        choices.append({"properties": {tag: {"enum": [value]}}, "required": [tag, *required]})
    return {"type": "object", "required": [tag], "properties": properties, "oneOf": choices}


@attrs.frozen
class _Field:
    name: str  # on the wire
    annotation: object
    default: Json | msgspec.UnsetType  # unset: none
    required: bool


def _struct(cls: type[msgspec.Struct], place: _Place) -> JsonObject:
    if cls in place.inside:
        cycle = " in ".join(kind.__name__ for kind in (cls, *reversed(place.inside)))
        raise place.error(f"{cycle}: a structural schema cannot express a type inside itself")
    place = attrs.evolve(place, inside=(*place.inside, cls))
    required: list[Json] = []
    properties: JsonObject = {}
    for field in _fields(cls):
        properties[field.name] = _property(field, place / f".{field.name}")
        if field.required:
            required.append(field.name)
    node: JsonObject = {"type": "object"}
    if doc := cls.__dict__.get("__doc__"):
        node["description"] = _paragraph(doc)
    if required:
        node["required"] = required
    if properties:
        node["properties"] = properties
    for marker in getattr(cls, "object_markers", ()):
        marker.apply(node)
    return node


def _property(field: _Field, place: _Place) -> JsonObject:
    node = _schema(field.annotation, place)
    if not isinstance(field.default, msgspec.UnsetType):
        node.setdefault("default", field.default)
    if "default" in node and (problem := misfit(node["default"], node)):
        raise place.error(f"the default {problem}")
    return {key: node[key] for key in sorted(node, key=_rank)}


def _fields(cls: type[msgspec.Struct]) -> Iterator[_Field]:
    decoded = {field.name: field for field in msgspec.structs.fields(cls)}
    for name, annotation in get_type_hints(cls, include_extras=True).items():
        _, markers = unwrap(annotation)
        if name in decoded:
            yield _decoded_field(decoded[name], annotation, markers)
        elif unread := next((marker for marker in markers if isinstance(marker, Unread)), None):
            wanted = not _may_be_none(annotation) and not any(isinstance(marker, Optional) for marker in markers)
            yield _Field(unread.name or camel_case(name), annotation, msgspec.UNSET, wanted)


def _decoded_field(field: msgspec.structs.FieldInfo, annotation: object, markers: tuple[Marker, ...]) -> _Field:
    said = {type(marker) for marker in markers}
    required = Required in said or (field.required and Optional not in said)
    default: Json | msgspec.UnsetType = msgspec.UNSET
    if not said & {Required, NoDefault}:
        default = _default(field)
    return _Field(field.encode_name, annotation, default, required)


def _default(field: msgspec.structs.FieldInfo) -> Json | msgspec.UnsetType:
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value in (None, msgspec.UNSET, msgspec.NODEFAULT):
        return msgspec.UNSET
    default: Json = msgspec.to_builtins(value)
    return default


def _may_be_none(annotation: object) -> bool:
    if get_origin(annotation) in (Annotated, ClassVar):
        return _may_be_none(get_args(annotation)[0])
    return types.NoneType in get_args(annotation)


def camel_case(name: str) -> str:
    """`pod_selector` as the wire spells it: `podSelector`. Initialisms (`meshTLS`) need a name of their own."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def _paragraph(doc: str) -> str:
    """The first paragraph on one line."""
    return " ".join(doc.strip().split("\n\n")[0].split())


def keep_unknown(node: JsonObject) -> None:
    """Make every object in the schema keep the fields that it does not name."""
    properties = node.get("properties")
    if isinstance(properties, dict):
        node["x-kubernetes-preserve-unknown-fields"] = True
        for child in properties.values():
            assert isinstance(child, dict)
            keep_unknown(child)
    for keyword in ("items", "additionalProperties"):
        child = node.get(keyword)
        if isinstance(child, dict):
            keep_unknown(child)
