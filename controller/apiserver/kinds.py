"""What the server knows about each kind it serves: where it is found, what it looks like, what happens on writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.shapes import is_object
from controller.apiserver.status import Cause, GroupResource, Object


@attrs.frozen
class Column:
    """A column of `kubectl get`; `value` finds the cell in an object, given the time of day in seconds."""

    name: str
    value: Callable[[Object, float], Any]
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


@attrs.frozen(eq=False)
class Version:
    """One served version of a kind."""

    name: str
    schema: Node
    columns: tuple[Column, ...]
    status: bool = False
    scale: Object | None = None
    deprecation: str = ""
    fields: Mapping[str, str] = attrs.field(factory=dict[str, str])  # selectable field -> JSON path of its value


def _nothing(_new: Object, _old: Object | None = None) -> None:
    return


def _no_status(_value: Object) -> Object | None:
    return None


def _no_fields(_value: Object) -> dict[str, str]:
    return {}


def _no_causes(_new: Object, _old: Object | None = None) -> Sequence[Cause]:
    return ()


@attrs.frozen(eq=False, kw_only=True)
class Behaviour:
    """What makes a built-in kind differ from the others; a custom resource has all defaults."""

    defaults: Callable[[Object], None] = _nothing
    prepare: Callable[[Object, Object | None], None] = _nothing
    validate: Callable[[Object, Object | None], Sequence[Cause]] = _no_causes
    validate_status: Callable[[Object, Object | None], Sequence[Cause]] = _no_causes
    fields: Callable[[Object], dict[str, str]] = _no_fields
    field_names: frozenset[str] = frozenset()
    name_rule: str = "subdomain"
    has_generation: bool = True
    spec_paths: tuple[str, ...] = ("spec",)  # what `generation` counts the changes of
    create_on_update: bool = False
    unconditional_update: bool = True
    returns_deleted: bool = False
    create_only: bool = False
    initial_status: Callable[[Object], Object | None] = _no_status
    status_on_create: bool = False  # whoever creates the object may say its status
    status_writes_metadata: bool = False  # labels and annotations may be written along with the status
    grace_period: Callable[[Object], int | None] = lambda _: None  # how long a deletion waits for somebody to stop
    no_deletecollection: bool = False
    nulls: tuple[str, ...] = ()  # lists that are null if they are empty, as in Protocol Buffers there are no empty ones


CUSTOM = Behaviour(unconditional_update=False)


@attrs.frozen(eq=False, kw_only=True)
class Kind:
    """A kind of object, in all its versions."""

    group: str
    kind: str
    plural: str
    singular: str
    list_kind: str
    namespaced: bool
    versions: Mapping[str, Version]
    storage: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    behaviour: Behaviour = CUSTOM
    custom: bool = False
    preserve_unknown: bool = False

    @property
    def resource(self) -> GroupResource:
        return GroupResource(self.group, self.plural)

    def api_version(self, version: str) -> str:
        return f"{self.group}/{version}" if self.group else version

    @property
    def verbs(self) -> tuple[str, ...]:
        if self.behaviour.create_only:
            return ("create",)
        found = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
        return tuple(verb for verb in found if verb != "deletecollection" or not self.behaviour.no_deletecollection)


@attrs.frozen
class Endpoint:
    """A kind in the version that a request speaks."""

    kind: Kind
    version: Version

    @property
    def api_version(self) -> str:
        return self.kind.api_version(self.version.name)


def dig(value: Any, *path: str) -> Any:
    """The value at a path of keys; MISSING where there is none."""
    for key in path:
        if not is_object(value) or key not in value:
            return MISSING
        value = value[key]
    return value
