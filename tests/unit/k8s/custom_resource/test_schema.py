"""Which schema a type has."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Optional, TypeVar

import msgspec
import pytest

from controller.k8s.custom_resource import SchemaError, markers, schema_of
from controller.k8s.custom_resource.schema import QUANTITY_PATTERN, Quantity, camel_case


class Color(enum.Enum):
    RED = "Red"
    BLUE = "Blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(msgspec.Struct):
    """Where.

    Never mind this.
    """

    x: int
    label: str | None = None


POINT = {
    "description": "Where.",
    "type": "object",
    "required": ["x"],
    "properties": {"x": {"type": "integer", "format": "int64"}, "label": {"type": "string"}},
}


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer", "format": "int64"}),
        (Annotated[int, markers.Format("int32")], {"type": "integer", "format": "int32"}),
        (float, {"type": "number", "format": "double"}),
        (bytes, {"type": "string", "format": "byte"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (dt.date, {"type": "string", "format": "date"}),
        (dt.timedelta, {"type": "string", "format": "duration"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (ipaddress.IPv4Address, {"type": "string", "format": "ipv4"}),
        (ipaddress.IPv6Address, {"type": "string", "format": "ipv6"}),
        (ipaddress.IPv4Network, {"type": "string", "format": "cidr"}),
        (Quantity, {"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN}),
        (int | str, {"x-kubernetes-int-or-string": True}),
        (Annotated[int, "ignored"] | str, {"x-kubernetes-int-or-string": True}),
        (Color, {"type": "string", "enum": ["Red", "Blue"]}),
        (Level, {"type": "integer", "enum": [1, 2]}),
        (Literal["b", "a"], {"type": "string", "enum": ["b", "a"]}),
        (Literal[301, 302], {"type": "integer", "enum": [301, 302]}),
        (str | None, {"type": "string"}),
        (Optional[str], {"type": "string"}),  # noqa: UP045
        (str | msgspec.UnsetType, {"type": "string"}),
        (Annotated[str | None, markers.Nullable()], {"type": "string", "nullable": True}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (tuple[str, ...], {"type": "array", "items": {"type": "string"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (set[str], {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
        (frozenset[str], {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer", "format": "int64"}}),
        (Any, {"x-kubernetes-preserve-unknown-fields": True}),
        (msgspec.Raw, {"x-kubernetes-preserve-unknown-fields": True}),
        (Point, POINT),
        (dict[str, tuple[Point, ...]], {"type": "object", "additionalProperties": {"type": "array", "items": POINT}}),
    ],
)
def test_each_type_has_a_schema(kind: object, schema: object) -> None:  # runtime X5
    """The table of types, and what nests in what."""
    assert schema_of(kind) == schema


@pytest.mark.parametrize(
    ("marker", "base", "keywords"),
    [
        (markers.Ge(1), int, {"minimum": 1}),
        (markers.Gt(1), int, {"minimum": 1, "exclusiveMinimum": True}),
        (markers.Le(1), int, {"maximum": 1}),
        (markers.Lt(1), int, {"maximum": 1, "exclusiveMaximum": True}),
        (markers.MultipleOf(2), int, {"multipleOf": 2}),
        (markers.MinLen(2), str, {"minLength": 2}),
        (markers.MaxLen(2), str, {"maxLength": 2}),
        (markers.MinLen(2), list[str], {"minItems": 2}),
        (markers.MaxLen(2), dict[str, str], {"maxProperties": 2}),
        (markers.Pattern("^a"), str, {"pattern": "^a"}),
        (markers.Doc("What."), str, {"description": "What."}),
        (markers.Default("a"), str, {"default": "a"}),
        (markers.ListType("atomic"), list[str], {"x-kubernetes-list-type": "atomic"}),
        (markers.MapType("atomic"), dict[str, str], {"x-kubernetes-map-type": "atomic"}),
        (
            markers.ListMapKeys("a", "b"),
            list[str],
            {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]},
        ),
        (markers.PreserveUnknown(), Point, {"x-kubernetes-preserve-unknown-fields": True}),
        (markers.Keyword("example", 3), int, {"example": 3}),
        (markers.AnyOf(("x", "label")), Point, {"anyOf": [{"required": ["x"]}, {"required": ["label"]}]}),
        (markers.OneOf(("x", "label")), Point, {"oneOf": [{"required": ["x"]}, {"required": ["label"]}]}),
    ],
)
def test_each_marker_says_something(marker: markers.Marker, base: Any, keywords: dict[str, Any]) -> None:  # runtime X5
    """A marker adds its keywords, and changes nothing else."""
    assert schema_of(Annotated[base, marker]) == schema_of(base) | keywords


def test_rules_add_up() -> None:  # runtime X5
    """Several conditions at one place all stand there, each with what was said about it."""
    kind = Annotated[
        str,
        markers.Rule("self != ''"),
        markers.Rule(
            "self == oldSelf",
            message="m",
            message_expression="'m'",
            reason="FieldValueForbidden",
            field_path=".a",
            optional_old_self=True,
        ),
    ]

    assert schema_of(kind)["x-kubernetes-validations"] == [
        {"rule": "self != ''"},
        {
            "rule": "self == oldSelf",
            "message": "m",
            "messageExpression": "'m'",
            "reason": "FieldValueForbidden",
            "fieldPath": ".a",
            "optionalOldSelf": True,
        },
    ]


def test_an_object_can_be_embedded() -> None:  # runtime X5
    """A whole Kubernetes object is checked by its own kind."""
    assert schema_of(Annotated[msgspec.Raw, markers.Embedded()]) == {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }


class Fields(msgspec.Struct, rename="camel", kw_only=True):
    needed: str
    not_needed: str | None = None
    unset: str | msgspec.UnsetType = msgspec.UNSET
    with_default: str = "a"
    with_factory: list[str] = msgspec.field(default_factory=lambda: ["a"])
    own_name: str = msgspec.field(name="ownNAME")
    decoder_needs: Annotated[str, markers.Optional()]
    user_must: Annotated[str, markers.Required()] = "a"
    decoder_default: Annotated[str, markers.NoDefault()] = "a"
    server_default: Annotated[str | None, markers.Default("b")] = None
    replaced: Annotated[Literal["a"] | None, markers.As(str), markers.MaxLen(9)] = None
    unread: ClassVar[Annotated[int, markers.Unread()]]
    unread_optional: ClassVar[Annotated[int | None, markers.Unread("unreadOPTIONAL")]]
    unread_maybe: ClassVar[Annotated[int, markers.Unread(), markers.Optional()]]
    constant: ClassVar[int] = 3


def test_a_field_is_required_unless_something_stands_in() -> None:  # runtime X5
    """Requiredness and defaults follow the decoder, and markers part the two."""
    schema: Any = schema_of(Fields)

    text, number = {"type": "string"}, {"type": "integer", "format": "int64"}
    assert schema == {
        "type": "object",
        "required": ["needed", "ownNAME", "userMust", "unread"],
        "properties": {
            "needed": text,
            "notNeeded": text,
            "unset": text,
            "withDefault": text | {"default": "a"},
            "withFactory": {"type": "array", "items": text, "default": ["a"]},
            "ownNAME": text,
            "decoderNeeds": text,
            "userMust": text,
            "decoderDefault": text,
            "serverDefault": text | {"default": "b"},
            "replaced": text | {"maxLength": 9},
            "unread": number,
            "unreadOPTIONAL": number,
            "unreadMaybe": number,
        },
    }
    assert next(iter(schema["properties"])) == "needed"


class Circle(msgspec.Struct, tag="circle", tag_field="shape"):
    radius: float
    color: str | None = None


class Square(msgspec.Struct, tag="square", tag_field="shape"):
    side: float
    color: str | None = None


class Odd(msgspec.Struct, tag="odd", tag_field="shape"):
    color: int | None = None


class Bare(msgspec.Struct, tag="bare", tag_field="shape"):
    pass


def test_a_tagged_union_is_one_object() -> None:  # runtime X5
    """Fields of all members stand together; which go with which tag is said by requirements alone."""
    assert schema_of(Circle | Square) == {
        "type": "object",
        "required": ["shape"],
        "properties": {
            "shape": {"type": "string", "enum": ["circle", "square"]},
            "radius": {"type": "number", "format": "double"},
            "color": {"type": "string"},
            "side": {"type": "number", "format": "double"},
        },
        "oneOf": [
            {"properties": {"shape": {"enum": ["circle"]}}, "required": ["shape", "radius"]},
            {"properties": {"shape": {"enum": ["square"]}}, "required": ["shape", "side"]},
        ],
    }


def test_a_member_of_a_union_may_have_nothing_but_its_tag() -> None:
    """The tag is all that tells it."""
    assert schema_of(Circle | Bare)["oneOf"] == [
        {"properties": {"shape": {"enum": ["circle"]}}, "required": ["shape", "radius"]},
        {"properties": {"shape": {"enum": ["bare"]}}, "required": ["shape"]},
    ]


class Tree(msgspec.Struct):
    children: tuple[Branch, ...]


class Branch(msgspec.Struct):
    tree: Tree | None = None


class Lying(msgspec.Struct):
    count: Annotated[int, markers.Ge(1)] = 0


class Holder(msgspec.Struct):
    inner: tuple[Lying, ...]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Circle | Odd, "here: Circle and Odd disagree about color"),
        (Tree, r"here.children\[\].tree: Tree in Branch in Tree: a structural schema cannot express"),
        (Point | str, "here: a union of Point and str has no schema"),
        (Point | Circle, "here: a union of Point and Circle has no schema"),
        (int | list[str], r"here: a union of int and list\[str\] has no schema"),
        (complex, "here: <class 'complex'> has no schema"),
        (TypeVar("T"), "here: ~T has no schema"),
        (type(None), "here: <class 'NoneType'> has no schema"),
        (tuple[int, str], r"here: tuple\[int, str\] has a fixed length"),
        (Literal["a", 1], r"here: an enum of \('a', 1\)"),
        (Literal[True], r"here: an enum of \(True,\)"),
        (dict[str, complex], "here{}: <class 'complex'> has no schema"),
        (Annotated[bool, markers.MinLen(1)], "here: a boolean has no length"),
        (Annotated[Any, markers.MaxLen(1)], "here: a None has no length"),
        (Holder, r"here.inner\[\].count: the default 0 is less than 1"),
    ],
)
def test_what_has_no_schema_is_said_with_its_place(kind: object, text: str) -> None:  # runtime X5
    """Errors lead to the field, however deep it lies."""
    with pytest.raises(SchemaError, match=f"^{text}"):
        schema_of(kind, "here")


def test_wire_names_are_camel_case() -> None:  # runtime X9
    """Only initialisms need a name of their own."""
    assert [camel_case(name) for name in ("port", "pod_selector", "except_", "cluster_ip")] == [
        "port",
        "podSelector",
        "except",
        "clusterIp",
    ]


def test_markers_do_not_change_decoding() -> None:
    """A value that the schema forbids decodes, for it may have been stored under other rules."""
    assert msgspec.json.decode(b'{"count": -5}', type=Lying) == Lying(-5)
