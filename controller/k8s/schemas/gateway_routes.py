"""What users may write in GRPCRoutes, TLSRoutes and TCPRoutes, as far as the controller reads them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from controller.k8s.custom_resource.markers import Default, ListMapKeys, ListType, Marker, MaxLen, MinLen
from controller.k8s.names import HeaderName, Hostname, SectionName
from controller.k8s.schemas import gateway_rules
from controller.k8s.schemas.gateway_parts import HeaderChanges, MatchType, Mirror, ObjectRef, Parents, WeightedBackend
from controller.k8s.schemas.policy_http_route import MOST

GrpcWord = Annotated[str, MaxLen(1024)]


class GrpcMethod(msgspec.Struct):
    """Which method a request calls."""

    object_markers: ClassVar[tuple[Marker, ...]] = gateway_rules.GRPC_METHOD

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

    object_markers: ClassVar[tuple[Marker, ...]] = gateway_rules.payloads(
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
    *gateway_rules.once("RequestHeaderModifier", "ResponseHeaderModifier"),
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
    rules: Annotated[tuple[GrpcRule, ...] | None, MaxLen(MOST), ListType("atomic"), gateway_rules.RULE_NAMES] = None


class ForwardRule(msgspec.Struct, rename="camel"):
    """Where connections go."""

    backend_refs: Annotated[tuple[WeightedBackend, ...], MinLen(1), MaxLen(MOST), ListType("atomic")]
    name: SectionName | None = None


class TcpRouteSpec(msgspec.Struct, rename="camel"):
    rules: Annotated[tuple[ForwardRule, ...], MinLen(1), MaxLen(MOST), ListType("atomic"), gateway_rules.RULE_NAMES]
    parent_refs: Parents | None = None


class OldTlsRouteSpec(TcpRouteSpec, rename="camel"):
    hostnames: Annotated[tuple[Hostname, ...] | None, MaxLen(MOST), ListType("atomic")] = None


class TlsRouteSpec(msgspec.Struct, rename="camel"):
    hostnames: Annotated[tuple[Hostname, ...], MinLen(1), MaxLen(MOST), ListType("atomic"), gateway_rules.NO_ADDRESSES]
    rules: Annotated[tuple[ForwardRule, ...], MinLen(1), MaxLen(1), ListType("atomic")]
    parent_refs: Parents | None = None
