"""What users may write in an HTTPRoute of `policy.linkerd.io`, version by version.

The controller reads every version as the newest; see `gateway.PolicyHTTPRoute`. The order is that of the versions:
v1alpha1 and v1beta1 are alike, v1beta2 knows kinds and weights of backends, v1beta3 timeouts.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from controller.k8s.conditions import RouteCondition
from controller.k8s.custom_resource.markers import (
    Default,
    Format,
    Ge,
    Le,
    ListMapKeys,
    MaxLen,
    MinLen,
)
from controller.k8s.custom_resource.node import Json
from controller.k8s.names import (
    ControllerName,
    Group,
    HeaderName,
    Hostname,
    Kind,
    Namespace,
    ObjectName,
    PreciseHostname,
    SectionName,
)
from controller.k8s.references import POLICY_GROUP

MOST = 16  # of what an API server lets stand in one list
EVERY_PATH: dict[str, Json] = {"type": "PathPrefix", "value": "/"}
EVERYTHING: list[Json] = [{"path": EVERY_PATH}]

PortNumber = Annotated[int, Format("int32"), Ge(1), Le(65535)]
Path = Annotated[str, MaxLen(1024)]


class OldParent(msgspec.Struct, rename="camel"):
    """What the route belongs to: a Server, a Service or an EgressNetwork."""

    name: ObjectName
    group: Annotated[Group | None, Default(POLICY_GROUP)] = None
    kind: Annotated[Kind | None, Default("Gateway")] = None
    namespace: Namespace | None = None
    section_name: SectionName | None = None
    port: int | None = None


class Parent(OldParent, rename="camel"):
    """What the route belongs to: a Server, a Service or an EgressNetwork."""

    port: PortNumber | None = None


class PathMatch(msgspec.Struct):
    """Which path a request has."""

    type: Annotated[Literal["Exact", "PathPrefix", "RegularExpression"] | None, Default("PathPrefix")] = None
    value: Annotated[Path | None, Default("/")] = None


class HeaderMatch(msgspec.Struct):
    """Which value a header has."""

    name: HeaderName
    value: Annotated[str, MinLen(1), MaxLen(4096)]
    type: Annotated[Literal["Exact", "RegularExpression"] | None, Default("Exact")] = None


class QueryMatch(msgspec.Struct):
    """Which value a query parameter has."""

    name: Annotated[str, MinLen(1), MaxLen(256)]
    value: Annotated[str, MinLen(1), MaxLen(1024)]
    type: Annotated[Literal["Exact", "RegularExpression"] | None, Default("Exact")] = None


class Match(msgspec.Struct, rename="camel"):
    """A kind of request. All that is said here must hold."""

    path: Annotated[PathMatch | None, Default(EVERY_PATH)] = None
    headers: Annotated[tuple[HeaderMatch, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    query_params: Annotated[tuple[QueryMatch, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] | None = None


class Header(msgspec.Struct):
    """A header and its value."""

    name: HeaderName
    value: Annotated[str, MinLen(1), MaxLen(4096)]


class HeaderChanges(msgspec.Struct):
    """Headers to set, to add and to take away."""

    set: Annotated[tuple[Header, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    add: Annotated[tuple[Header, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    remove: Annotated[tuple[str, ...] | None, MaxLen(MOST)] = None


class PathChange(msgspec.Struct, rename="camel"):
    """The path to put in the place of the request's, or of the beginning that matched."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: Path | None = None
    replace_prefix_match: Path | None = None


class Redirect(msgspec.Struct, rename="camel"):
    """Where clients are sent instead."""

    scheme: Literal["http", "https"] | None = None
    hostname: PreciseHostname | None = None
    path: PathChange | None = None
    port: PortNumber | None = None
    status_code: Annotated[Literal[301, 302] | None, Default(302)] = None


class Filter(msgspec.Struct, rename="camel"):
    """What happens to a request that matched."""

    type: Literal["RequestHeaderModifier", "RequestRedirect"]
    request_header_modifier: HeaderChanges | None = None
    request_redirect: Redirect | None = None


class BackendFilter(msgspec.Struct, rename="camel"):
    """What happens to a request that goes to this backend."""

    type: Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect"]
    request_header_modifier: HeaderChanges | None = None
    response_header_modifier: HeaderChanges | None = None
    request_redirect: Redirect | None = None


class OldBackend(msgspec.Struct):
    """A Service that requests go to."""

    name: ObjectName | None = None
    namespace: Annotated[str | None, Default("default")] = None
    port: int | None = None
    filters: Annotated[tuple[BackendFilter, ...] | None, MaxLen(MOST)] = None


class Backend(msgspec.Struct):
    """Where requests go, and what share of them."""

    name: ObjectName
    group: Annotated[Group | None, Default("")] = None
    kind: Annotated[Kind | None, Default("Service")] = None
    namespace: Namespace | None = None
    port: PortNumber | None = None
    weight: Annotated[int | None, Format("int32"), Ge(0), Le(1_000_000), Default(1)] = None
    filters: Annotated[tuple[BackendFilter, ...] | None, MaxLen(MOST)] = None


class Timeouts(msgspec.Struct, rename="camel"):
    """How long a request may take, in all and at each try."""

    request: Annotated[str, Format("duration")] | None = None
    backend_request: Annotated[str, Format("duration")] | None = None


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    matches: Annotated[tuple[Match, ...] | None, MaxLen(8), Default(EVERYTHING)] = None
    filters: Annotated[tuple[Filter, ...] | None, MaxLen(MOST)] = None


class Rule1(_Rule, frozen=True, rename="camel"):
    """What happens to requests of some kinds."""

    backend_refs: tuple[OldBackend, ...] | None = None


class Rule2(_Rule, frozen=True, rename="camel"):
    """What happens to requests of some kinds."""

    backend_refs: Annotated[tuple[Backend, ...] | None, MaxLen(MOST)] = None


class Rule3(Rule2, frozen=True, rename="camel"):
    """What happens to requests of some kinds."""

    timeouts: Timeouts | None = None


ONE_RULE: list[Json] = [{"matches": EVERYTHING}]


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    hostnames: Annotated[tuple[Hostname, ...] | None, MaxLen(MOST)] = None


class Spec1(_Spec, frozen=True, rename="camel"):
    parent_refs: Annotated[tuple[OldParent, ...] | None, MaxLen(32)] = None
    rules: Annotated[tuple[Rule1, ...] | None, MaxLen(MOST), Default(ONE_RULE)] = None


class Spec2(_Spec, frozen=True, rename="camel"):
    parent_refs: Annotated[tuple[Parent, ...] | None, MaxLen(32)] = None
    rules: Annotated[tuple[Rule2, ...] | None, MaxLen(MOST), Default(ONE_RULE)] = None


class Spec3(Spec2, frozen=True, rename="camel"):
    rules: Annotated[tuple[Rule3, ...] | None, MaxLen(MOST), Default(ONE_RULE)] = None


class ParentStatus(msgspec.Struct, rename="camel"):
    """What one controller says about the route and one of its parents."""

    parent_ref: Parent
    controller_name: ControllerName
    conditions: Annotated[tuple[RouteCondition, ...] | None, MinLen(1), MaxLen(8), ListMapKeys("type")] = None


class Status(msgspec.Struct):
    parents: Annotated[tuple[ParentStatus, ...], MaxLen(32)]
