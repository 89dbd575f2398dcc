"""What users may write in the routes of the Gateway API, as far as the controller reads them.

These stand in for the definitions of the Gateway API in clusters that lack them, and keep what they do not know.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from controller.k8s import gateway_rules as rules
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
from controller.k8s.http_route_schema import EVERY_PATH, EVERYTHING, MOST, ONE_RULE, Path, PortNumber
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

GATEWAY_GROUP = "gateway.networking.k8s.io"

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


Parents = Annotated[tuple[Parent, ...], MaxLen(32), ListType("atomic"), *rules.PARENTS]


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

    object_markers: ClassVar[tuple[Marker, ...]] = (rules.SERVICE_PORT,)

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


# HTTPRoute


class PathMatch(msgspec.Struct):
    """Which path a request has."""

    object_markers: ClassVar[tuple[Marker, ...]] = rules.PATH

    type: Annotated[Literal["Exact", "PathPrefix", "RegularExpression"] | None, Default("PathPrefix")] = None
    value: Annotated[Path | None, Default("/")] = None


class QueryMatch(msgspec.Struct):
    """Which value a query parameter has."""

    name: HeaderName
    value: Annotated[str, MinLen(1), MaxLen(1024)]
    type: Annotated[MatchType | None, Default("Exact")] = None


class HttpMatch(msgspec.Struct, rename="camel"):
    """A kind of request. All that is said here must hold."""

    path: Annotated[PathMatch | None, Default(EVERY_PATH)] = None
    headers: Annotated[tuple[HeaderMatch, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    query_params: Annotated[tuple[QueryMatch, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] | None = None


class PathChange(msgspec.Struct, rename="camel"):
    """The path to put in the place of the request's, or of the beginning that matched."""

    object_markers: ClassVar[tuple[Marker, ...]] = rules.PATH_CHANGE

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: Path | None = None
    replace_prefix_match: Path | None = None


class Redirect(msgspec.Struct, rename="camel"):
    """Where clients are sent instead."""

    scheme: Literal["http", "https"] | None = None
    hostname: PreciseHostname | None = None
    path: PathChange | None = None
    port: PortNumber | None = None
    status_code: Annotated[Literal[301, 302, 303, 307, 308] | None, Default(302)] = None


class Rewrite(msgspec.Struct, rename="camel"):
    """What the request is made to ask for."""

    hostname: PreciseHostname | None = None
    path: PathChange | None = None


class Anything(msgspec.Struct):
    """Kept as written."""


HttpFilterType = Literal[
    "RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite",
    "ExtensionRef", "CORS", "ExternalAuth",
]  # fmt: skip


class HttpFilter(msgspec.Struct, rename="camel"):
    """What happens to a request that matched."""

    object_markers: ClassVar[tuple[Marker, ...]] = rules.payloads(
        RequestHeaderModifier="requestHeaderModifier",
        ResponseHeaderModifier="responseHeaderModifier",
        RequestMirror="requestMirror",
        RequestRedirect="requestRedirect",
        URLRewrite="urlRewrite",
        ExtensionRef="extensionRef",
        CORS="cors",
        ExternalAuth="externalAuth",
    )

    type: HttpFilterType
    request_header_modifier: HeaderChanges | None = None
    response_header_modifier: HeaderChanges | None = None
    request_mirror: Mirror | None = None
    request_redirect: Redirect | None = None
    url_rewrite: Rewrite | None = None
    extension_ref: ObjectRef | None = None
    cors: Anything | None = None
    external_auth: Anything | None = None


_ONCE = rules.once("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
HttpFilters = Annotated[tuple[HttpFilter, ...], MaxLen(MOST), ListType("atomic"), *_ONCE, rules.REDIRECT_OR_REWRITE]


class HttpBackend(WeightedBackend):
    """Where requests go, and what share of them."""

    filters: HttpFilters | None = None


class Timeouts(msgspec.Struct, rename="camel"):
    """How long a request may take, in all and at each try."""

    object_markers: ClassVar[tuple[Marker, ...]] = (rules.TIMEOUTS,)

    request: Duration | None = None
    backend_request: Duration | None = None


class SessionPersistence(msgspec.Struct):
    """How requests of one session stay with one backend."""

    type: Annotated[Literal["Cookie", "Header"] | None, Default("Cookie")] = None


class HttpRule(msgspec.Struct, rename="camel"):
    """What happens to requests of some kinds."""

    object_markers: ClassVar[tuple[Marker, ...]] = (rules.REDIRECT_WITHOUT_BACKENDS, *rules.PREFIX_MATCH_ONLY)

    name: SectionName | None = None
    matches: Annotated[tuple[HttpMatch, ...] | None, MaxLen(64), ListType("atomic"), Default(EVERYTHING)] = None
    filters: HttpFilters | None = None
    backend_refs: Annotated[tuple[HttpBackend, ...] | None, MaxLen(MOST), ListType("atomic")] = None
    timeouts: Timeouts | None = None
    session_persistence: SessionPersistence | None = None


class HttpRouteSpec(msgspec.Struct, rename="camel"):
    parent_refs: Parents | None = None
    hostnames: Annotated[tuple[Hostname, ...] | None, MaxLen(MOST), ListType("atomic")] = None
    rules: Annotated[
        tuple[HttpRule, ...] | None, MinLen(1), MaxLen(MOST), ListType("atomic"), rules.RULE_NAMES, Default(ONE_RULE)
    ] = None


# GRPCRoute

GrpcWord = Annotated[str, MaxLen(1024)]


class GrpcMethod(msgspec.Struct):
    """Which method a request calls."""

    object_markers: ClassVar[tuple[Marker, ...]] = rules.GRPC_METHOD

    type: Annotated[MatchType | None, Default("Exact")] = None
    service: GrpcWord | None = None
    method: GrpcWord | None = None


class GrpcHeaderMatch(msgspec.Struct):
    """Which value a header has."""

    name: HeaderName
    value: Annotated[str, MinLen(1), MaxLen(4096)]
    type: Annotated[MatchType | None, Default("Exact")] = None


class GrpcMatch(msgspec.Struct):
    """A kind of request. All that is said here must hold."""

    method: GrpcMethod | None = None
    headers: Annotated[tuple[GrpcHeaderMatch, ...] | None, MaxLen(MOST), ListMapKeys("name")] = None


class GrpcFilter(msgspec.Struct, rename="camel"):
    """What happens to a request that matched."""

    object_markers: ClassVar[tuple[Marker, ...]] = rules.payloads(
        RequestHeaderModifier="requestHeaderModifier",
        ResponseHeaderModifier="responseHeaderModifier",
        RequestMirror="requestMirror",
        ExtensionRef="extensionRef",
    )

    type: Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"]
    request_header_modifier: HeaderChanges | None = None
    response_header_modifier: HeaderChanges | None = None
    request_mirror: Mirror | None = None
    extension_ref: ObjectRef | None = None


GrpcFilters = Annotated[
    tuple[GrpcFilter, ...],
    MaxLen(MOST),
    ListType("atomic"),
    *rules.once("RequestHeaderModifier", "ResponseHeaderModifier"),
]


class GrpcBackend(WeightedBackend):
    """Where requests go, and what share of them."""

    filters: GrpcFilters | None = None


class GrpcRule(msgspec.Struct, rename="camel"):
    """What happens to requests of some kinds."""

    name: SectionName | None = None
    matches: Annotated[tuple[GrpcMatch, ...] | None, MaxLen(64), ListType("atomic")] = None
    filters: GrpcFilters | None = None
    backend_refs: Annotated[tuple[GrpcBackend, ...] | None, MaxLen(MOST), ListType("atomic")] = None


class GrpcRouteSpec(msgspec.Struct, rename="camel"):
    parent_refs: Parents | None = None
    hostnames: Annotated[tuple[Hostname, ...] | None, MaxLen(MOST), ListType("atomic")] = None
    rules: Annotated[tuple[GrpcRule, ...] | None, MaxLen(MOST), ListType("atomic"), rules.RULE_NAMES] = None


# TLSRoute, TCPRoute


class ForwardRule(msgspec.Struct, rename="camel"):
    """Where connections go."""

    backend_refs: Annotated[tuple[WeightedBackend, ...], MinLen(1), MaxLen(MOST), ListType("atomic")]
    name: SectionName | None = None


class TcpRouteSpec(msgspec.Struct, rename="camel"):
    rules: Annotated[tuple[ForwardRule, ...], MinLen(1), MaxLen(MOST), ListType("atomic"), rules.RULE_NAMES]
    parent_refs: Parents | None = None


class OldTlsRouteSpec(TcpRouteSpec, rename="camel"):
    hostnames: Annotated[tuple[Hostname, ...] | None, MaxLen(MOST), ListType("atomic")] = None


class TlsRouteSpec(msgspec.Struct, rename="camel"):
    hostnames: Annotated[tuple[Hostname, ...], MinLen(1), MaxLen(MOST), ListType("atomic"), rules.NO_ADDRESSES]
    rules: Annotated[tuple[ForwardRule, ...], MinLen(1), MaxLen(1), ListType("atomic")]
    parent_refs: Parents | None = None
