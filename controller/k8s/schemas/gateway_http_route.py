"""What users may write in an HTTPRoute of the Gateway API, as far as the controller reads it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from controller.k8s.custom_resource.markers import Default, ListMapKeys, ListType, Marker, MaxLen, MinLen
from controller.k8s.names import HeaderName, Hostname, PreciseHostname, SectionName
from controller.k8s.schemas import gateway_rules
from controller.k8s.schemas.gateway_parts import (
    Duration,
    HeaderChanges,
    HeaderMatch,
    MatchType,
    Mirror,
    ObjectRef,
    Parents,
    WeightedBackend,
)
from controller.k8s.schemas.policy_http_route import EVERY_PATH, EVERYTHING, MOST, ONE_RULE, Path, PortNumber


class PathMatch(msgspec.Struct):
    """Which path a request has."""

    object_markers: ClassVar[tuple[Marker, ...]] = gateway_rules.PATH

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

    object_markers: ClassVar[tuple[Marker, ...]] = gateway_rules.PATH_CHANGE

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

    object_markers: ClassVar[tuple[Marker, ...]] = gateway_rules.payloads(
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


_ONCE = gateway_rules.once("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
HttpFilters = Annotated[
    tuple[HttpFilter, ...], MaxLen(MOST), ListType("atomic"), *_ONCE, gateway_rules.REDIRECT_OR_REWRITE
]


class HttpBackend(WeightedBackend):
    """Where requests go, and what share of them."""

    filters: HttpFilters | None = None


class Timeouts(msgspec.Struct, rename="camel"):
    """How long a request may take, in all and at each try."""

    object_markers: ClassVar[tuple[Marker, ...]] = (gateway_rules.TIMEOUTS,)

    request: Duration | None = None
    backend_request: Duration | None = None


class SessionPersistence(msgspec.Struct):
    """How requests of one session stay with one backend."""

    type: Annotated[Literal["Cookie", "Header"] | None, Default("Cookie")] = None


class HttpRule(msgspec.Struct, rename="camel"):
    """What happens to requests of some kinds."""

    object_markers: ClassVar[tuple[Marker, ...]] = (
        gateway_rules.REDIRECT_WITHOUT_BACKENDS,
        *gateway_rules.PREFIX_MATCH_ONLY,
    )

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
        tuple[HttpRule, ...] | None,
        MinLen(1),
        MaxLen(MOST),
        ListType("atomic"),
        gateway_rules.RULE_NAMES,
        Default(ONE_RULE),
    ] = None
