"""A kind that uses every option, as a user of the library would write it."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from controller.k8s.custom_resource import AGE, Column, CustomResource, Scale, custom_resource
from controller.k8s.custom_resource.markers import (
    Doc,
    Ge,
    Immutable,
    Le,
    ListMapKeys,
    Marker,
    MaxLen,
    MinLen,
    Pattern,
    Rule,
    Unread,
)


class Window(msgspec.Struct, rename="camel"):
    """A span of time."""

    name: str
    seconds: Annotated[int, Ge(1), Le(3600)] = 60


class LimitSpec(msgspec.Struct, rename="camel"):
    """What is limited.

    The rest of the docstring is for programmers.
    """

    object_markers: ClassVar[tuple[Marker, ...]] = (Rule("self.least <= self.most", message="least is above most"),)

    least: int
    most: Annotated[int, Doc("As many as this."), Immutable()]
    replicas: int = 1
    windows: Annotated[tuple[Window, ...], MaxLen(8), ListMapKeys("name")] | None = None
    owner: Annotated[str | None, MinLen(1), Pattern("^[a-z]+$")] = None
    comment: ClassVar[Annotated[str | None, Unread()]]


class LimitStatus(msgspec.Struct, rename="camel"):
    replicas: int | None = None
    ready: bool = False


@custom_resource(
    group="policy.example.dev",
    version="v1",
    singular="limit",
    short_names=("lim",),
    categories=("policy",),
    columns=(
        Column("Most", ".spec.most", type="integer", format="int32", description="As many.", priority=1),
        AGE,
    ),
    selectable=(".spec.owner",),
    scale=Scale(spec=".spec.replicas", status=".status.replicas", selector=".status.selector"),
    deprecated="use something else",
    served=False,
    labels={"part-of": "example"},
    annotations={"made-by": "example"},
)
class Limit(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """How often somebody may ask."""

    spec: LimitSpec
    status: LimitStatus | None = None


class NoteSpec(msgspec.Struct):
    text: str


@custom_resource(group="example.dev", version="v1alpha1")
class Note(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: NoteSpec
