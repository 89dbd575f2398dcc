"""What the routes of the Gateway API have in common, as far as the controller reads them.

These stand in for the definitions of the Gateway API in clusters that lack them, and keep what they do not know.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from controller.k8s.conditions import RouteCondition
from controller.k8s.custom_resource.markers import (
    Default,
    Format,
    Ge,
    Le,
    ListMapKeys,
    ListType,
    Marker,
    MaxLen,
    MinLen,
    Pattern,
)
from controller.k8s.names import (
    ControllerName,
    Group,
    HeaderName,
    Kind,
    Namespace,
    ObjectName,
    SectionName,
)
from controller.k8s.references import GATEWAY_GROUP
from controller.k8s.schemas import gateway_rules
from controller.k8s.schemas.policy_http_route import MOST, PortNumber

HeaderValue = Annotated[str, MinLen(1), MaxLen(4096), Pattern(r"^[!-~]+([\t ]?[!-~]+)*$")]
Duration = Annotated[str, Pattern(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
MatchType = Literal["Exact", "RegularExpression"]


class Parent(msgspec.Struct, rename="camel"):
    """What the route belongs to."""

    name: ObjectName
    group: Annotated[Group | None, Default(GATEWAY_GROUP)] = None
    kind: Annotated[Kind | None, Default("Gateway")] = None
    namespace: Namespace | None = None
    section_name: SectionName | None = None
    port: PortNumber | None = None


Parents = Annotated[tuple[Parent, ...], MaxLen(32), ListType("atomic"), *gateway_rules.PARENTS]


class Header(msgspec.Struct):
    """A header and its value."""

    name: HeaderName
    value: HeaderValue


class HeaderMatch(msgspec.Struct):
    """Which value a header has."""

    name: HeaderName
    value: HeaderValue
    type: Annotated[MatchType | None, Default("Exact")] = None


class HeaderChanges(msgspec.Struct):
    """Headers to set, to add and to take away."""

    set: Annotated[tuple[Header, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    add: Annotated[tuple[Header, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    remove: Annotated[tuple[str, ...] | None, MaxLen(MOST), ListType("set")] = None


class ObjectRef(msgspec.Struct):
    """Something of the same namespace that only some controllers know."""

    group: Group
    kind: Kind
    name: ObjectName


class Backend(msgspec.Struct):
    """Where traffic goes."""

    object_markers: ClassVar[tuple[Marker, ...]] = (gateway_rules.SERVICE_PORT,)

    name: ObjectName
    group: Annotated[Group | None, Default("")] = None
    kind: Annotated[Kind | None, Default("Service")] = None
    namespace: Namespace | None = None
    port: PortNumber | None = None


class WeightedBackend(Backend):
    """Where traffic goes, and what share of it."""

    weight: Annotated[int | None, Format("int32"), Ge(0), Le(1_000_000), Default(1)] = None


class Mirror(msgspec.Struct, rename="camel"):
    """Who gets a copy of the request."""

    backend_ref: Backend


class RouteParent(msgspec.Struct, rename="camel"):
    """What one controller says about the route and one of its parents."""

    parent_ref: Parent
    controller_name: ControllerName
    conditions: Annotated[tuple[RouteCondition, ...], MinLen(1), MaxLen(8), ListMapKeys("type")]


class Status(msgspec.Struct):
    parents: Annotated[tuple[RouteParent, ...], MaxLen(32), ListType("atomic")]
