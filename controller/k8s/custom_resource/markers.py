"""What the schema of a field says beyond its type.

Markers stand in `Annotated[...]`. They say what an API server checks before it stores an object, and nothing about how
objects are decoded: msgspec ignores them. What must hold for an object to decode is said with `msgspec.Meta`, which
schemas ignore in turn. The two often differ: a controller must be able to read what older rules let in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import attrs

from controller.k8s.custom_resource.node import Json, JsonObject, SchemaError


class Marker(ABC):
    """Something that changes the schema of the field that it stands at."""

    @abstractmethod
    def apply(self, node: JsonObject) -> None: ...


@attrs.frozen
class Keyword(Marker):
    """Any keyword of JSON Schema."""

    name: str
    value: Json

    def apply(self, node: JsonObject) -> None:
        node[self.name] = self.value


def Ge(value: float) -> Keyword:  # noqa: N802  # markers read as types
    return Keyword("minimum", value)


def Le(value: float) -> Keyword:  # noqa: N802
    return Keyword("maximum", value)


def MultipleOf(value: float) -> Keyword:  # noqa: N802
    return Keyword("multipleOf", value)


def Pattern(regex: str) -> Keyword:  # noqa: N802
    return Keyword("pattern", regex)


def Format(name: str) -> Keyword:  # noqa: N802
    return Keyword("format", name)


def Doc(text: str) -> Keyword:  # noqa: N802
    return Keyword("description", text)


def Default(value: Json) -> Keyword:  # noqa: N802
    """What the API server puts in if the field is absent; the decoder need not know."""
    return Keyword("default", value)


def ListType(name: str) -> Keyword:  # noqa: N802
    return Keyword("x-kubernetes-list-type", name)


def MapType(name: str) -> Keyword:  # noqa: N802
    return Keyword("x-kubernetes-map-type", name)


@attrs.frozen
class Gt(Marker):
    value: float

    def apply(self, node: JsonObject) -> None:
        node["minimum"] = self.value
        node["exclusiveMinimum"] = True


@attrs.frozen
class Lt(Marker):
    value: float

    def apply(self, node: JsonObject) -> None:
        node["maximum"] = self.value
        node["exclusiveMaximum"] = True


_COUNTED = {"string": "Length", "array": "Items", "object": "Properties"}


def _counted(bound: str, node: JsonObject) -> str:
    try:
        return bound + _COUNTED[str(node.get("type"))]
    except KeyError:
        raise SchemaError(f"a {node.get('type')} has no length") from None


@attrs.frozen
class MinLen(Marker):
    """The fewest characters, items or entries."""

    value: int

    def apply(self, node: JsonObject) -> None:
        node[_counted("min", node)] = self.value


@attrs.frozen
class MaxLen(Marker):
    """The most characters, items or entries."""

    value: int

    def apply(self, node: JsonObject) -> None:
        node[_counted("max", node)] = self.value


class ListMapKeys(Marker):
    """A list whose items are told apart by these fields."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def apply(self, node: JsonObject) -> None:
        node["x-kubernetes-list-type"] = "map"
        node["x-kubernetes-list-map-keys"] = [*self.keys]


@attrs.frozen
class Rule(Marker):
    """A condition in CEL. Several at one field must all hold."""

    rule: str
    message: str | None = attrs.field(default=None, kw_only=True)
    message_expression: str | None = attrs.field(default=None, kw_only=True)
    reason: str | None = attrs.field(default=None, kw_only=True)
    field_path: str | None = attrs.field(default=None, kw_only=True)
    optional_old_self: bool | None = attrs.field(default=None, kw_only=True)

    def apply(self, node: JsonObject) -> None:
        said: JsonObject = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "reason": self.reason,
            "fieldPath": self.field_path,
            "optionalOldSelf": self.optional_old_self,
        }
        rules = node.setdefault("x-kubernetes-validations", [])
        assert isinstance(rules, list)
        rules.append({key: value for key, value in said.items() if value is not None})


def Immutable() -> Rule:  # noqa: N802
    """A field that stays as it was created."""
    return Rule("self == oldSelf", message="cannot be changed")


def Nullable() -> Keyword:  # noqa: N802
    """Keep an explicit null. Without this the API server drops it, and null is the same as absent."""
    return Keyword("nullable", True)


def PreserveUnknown() -> Keyword:  # noqa: N802
    """Keep fields that the schema does not name."""
    return Keyword("x-kubernetes-preserve-unknown-fields", True)


@attrs.frozen
class Embedded(Marker):
    """A whole Kubernetes object inside another."""

    def apply(self, node: JsonObject) -> None:
        node.update(
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "x-kubernetes-preserve-unknown-fields": True,
            }
        )


@attrs.frozen
class AnyOf(Marker):
    """At least one of these fields must be there."""

    fields: tuple[str, ...]

    def apply(self, node: JsonObject) -> None:
        node["anyOf"] = [{"required": [field]} for field in self.fields]


@attrs.frozen
class OneOf(Marker):
    """Exactly one of these fields must be there: a union, tagged from outside."""

    fields: tuple[str, ...]

    def apply(self, node: JsonObject) -> None:
        node["oneOf"] = [{"required": [field]} for field in self.fields]


@attrs.frozen
class As(Marker):
    """Take the schema of another type. What the controller reads may be wider or narrower than what users may write."""

    type: object

    def apply(self, node: JsonObject) -> None:
        """Nothing left to do: the type was exchanged before."""


@attrs.frozen
class Optional(Marker):
    """The field may be absent, though the decoder needs it."""

    def apply(self, node: JsonObject) -> None:
        """Nothing at the field itself: it is left out of its object's `required`."""


@attrs.frozen
class Required(Marker):
    """The field must be there, though the decoder can do without."""

    def apply(self, node: JsonObject) -> None:
        """Nothing at the field itself: it is named in its object's `required`."""


@attrs.frozen
class NoDefault(Marker):
    """The decoder's default is its own affair; the API server puts nothing in."""

    def apply(self, node: JsonObject) -> None:
        """Nothing: the default was not put in to begin with."""


@attrs.frozen
class Unread(Marker):
    """A field that users may write and the controller has no use for: a `ClassVar`, so that it is never decoded."""

    name: str | None = None

    def apply(self, node: JsonObject) -> None:
        """Nothing: it only says that the class variable is a field."""
