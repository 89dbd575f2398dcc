"""Routes: the kinds of the Gateway API, and Linkerd's own HTTPRoute, which shares their parts."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from controller.k8s.conditions import Condition
from controller.k8s.custom_resource import AGE, Column, CustomResource, custom_resource
from controller.k8s.custom_resource.markers import As
from controller.k8s.duration import parse_duration
from controller.k8s.numbers import Int32, Int64
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP
from controller.k8s.schemas import gateway_http_route, gateway_parts, gateway_routes, policy_http_route

HTTP_ROUTE_COLUMNS = (Column("Hostnames", ".spec.hostnames"), AGE)
GATEWAY_CATEGORIES = ("gateway-api",)
# Kubernetes asks for it where a group is its own.
UNAPPROVED = {
    "api-approved.kubernetes.io": "unapproved, a stand-in by Trellis for clusters without the Gateway API",
}


class ParentRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    port: Int32 | None = None
    section_name: str | None = None


class RouteParentStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    parent_ref: ParentRef
    controller_name: str
    conditions: tuple[Condition, ...]


class RouteStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    parents: tuple[RouteParentStatus, ...]


class HttpPathMatch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: Literal["Exact", "PathPrefix", "RegularExpression"] | None = None
    value: str | None = None


class HttpHeaderMatch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    value: str
    type: Literal["Exact", "RegularExpression"] | None = None


class HttpQueryParamMatch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    value: str
    type: Literal["Exact", "RegularExpression"] | None = None


HttpMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


class HttpRouteMatch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    path: HttpPathMatch | None = None
    headers: tuple[HttpHeaderMatch, ...] | None = None
    query_params: tuple[HttpQueryParamMatch, ...] | None = None
    method: HttpMethod | None = None


class HttpHeader(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    value: str


class HeaderModifier(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    add: tuple[HttpHeader, ...] | None = None
    set: tuple[HttpHeader, ...] | None = None
    remove: tuple[str, ...] | None = None


class PathModifier(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class HttpRequestRedirect(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    scheme: Literal["http", "https"] | None = None
    hostname: str | None = None
    path: PathModifier | None = None
    port: Int32 | None = None
    status_code: Int64 | None = None


class MirrorBackend(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    port: Int32 | None = None


class RequestMirror(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    backend_ref: MirrorBackend


class UrlRewrite(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    hostname: str | None = None
    path: PathModifier | None = None


class ExtensionRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    group: str
    kind: str
    name: str


class HttpFilter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A filter of a Gateway API HTTPRoute: whichever payload is present decides, not `type`."""

    type: Literal[
        "RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite",
        "ExtensionRef", "CORS", "ExternalAuth",
    ]  # fmt: skip
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    request_redirect: HttpRequestRedirect | None = None
    request_mirror: RequestMirror | None = None
    url_rewrite: UrlRewrite | None = None
    extension_ref: ExtensionRef | None = None


class HttpBackendRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    port: Int32 | None = None
    weight: Int32 | None = None
    filters: tuple[HttpFilter, ...] | None = None


class HttpRouteTimeouts(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    request: str | None = None
    backend_request: str | None = None


class HttpRouteRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    matches: tuple[HttpRouteMatch, ...] | None = None
    filters: tuple[HttpFilter, ...] | None = None
    backend_refs: tuple[HttpBackendRef, ...] | None = None
    timeouts: HttpRouteTimeouts | None = None


class HttpRouteSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    parent_refs: tuple[ParentRef, ...] | None = None
    hostnames: tuple[str, ...] | None = None
    rules: tuple[HttpRouteRule, ...] | None = None


@custom_resource(
    group=GATEWAY_GROUP,
    version="v1",
    kind="HTTPRoute",
    columns=HTTP_ROUTE_COLUMNS,
    categories=GATEWAY_CATEGORIES,
    annotations=UNAPPROVED,
    preserve_unknown=True,
)
class GatewayHTTPRoute(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """What happens to HTTP requests."""

    spec: Annotated[HttpRouteSpec, As(gateway_http_route.HttpRouteSpec)]
    status: Annotated[RouteStatus | None, As(gateway_parts.Status)] = None


class PolicyHttpFilter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A rule filter of Linkerd's HTTPRoute: `type` decides, and its payload must be there."""

    type: Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect"]
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    request_redirect: HttpRequestRedirect | None = None

    def __post_init__(self) -> None:
        payload = {
            "RequestHeaderModifier": self.request_header_modifier,
            "ResponseHeaderModifier": self.response_header_modifier,
            "RequestRedirect": self.request_redirect,
        }[self.type]
        if payload is None:
            raise ValueError(f"a filter of type {self.type} needs its part")


class PolicyHttpRouteTimeouts(HttpRouteTimeouts, frozen=True, gc=False, rename="camel"):
    """Whether they parse is checked when the object is decoded."""

    def __post_init__(self) -> None:
        for text in (self.request, self.backend_request):
            if text is not None:
                parse_duration(text)


class PolicyHttpRouteRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    matches: tuple[HttpRouteMatch, ...] | None = None
    filters: tuple[PolicyHttpFilter, ...] | None = None
    backend_refs: tuple[HttpBackendRef, ...] | None = None
    timeouts: PolicyHttpRouteTimeouts | None = None


class PolicyHttpRouteSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    parent_refs: tuple[ParentRef, ...] | None = None
    hostnames: tuple[str, ...] | None = None
    rules: tuple[PolicyHttpRouteRule, ...] | None = None


@custom_resource(group=POLICY_GROUP, version="v1beta3", kind="HTTPRoute", columns=HTTP_ROUTE_COLUMNS)
class PolicyHTTPRoute(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """What happens to HTTP requests."""

    spec: Annotated[PolicyHttpRouteSpec, As(policy_http_route.Spec3)]
    status: Annotated[RouteStatus | None, As(policy_http_route.Status)] = None


class GrpcMethodMatch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: Literal["Exact", "RegularExpression"] | None = None
    service: str | None = None
    method: str | None = None


class GrpcRouteMatch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    method: GrpcMethodMatch | None = None
    headers: tuple[HttpHeaderMatch, ...] | None = None


class GrpcFilter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"]
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    request_mirror: RequestMirror | None = None
    extension_ref: ExtensionRef | None = None


class GrpcBackendRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    port: Int32 | None = None
    weight: Int32 | None = None
    filters: tuple[GrpcFilter, ...] | None = None


class GrpcRouteRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    matches: tuple[GrpcRouteMatch, ...] | None = None
    filters: tuple[GrpcFilter, ...] | None = None
    backend_refs: tuple[GrpcBackendRef, ...] | None = None


class GrpcRouteSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    parent_refs: tuple[ParentRef, ...] | None = None
    hostnames: tuple[str, ...] | None = None
    rules: tuple[GrpcRouteRule, ...] | None = None


@custom_resource(
    group=GATEWAY_GROUP,
    version="v1",
    columns=HTTP_ROUTE_COLUMNS,
    categories=GATEWAY_CATEGORIES,
    annotations=UNAPPROVED,
    preserve_unknown=True,
)
class GRPCRoute(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """What happens to gRPC requests."""

    spec: Annotated[GrpcRouteSpec, As(gateway_routes.GrpcRouteSpec)]
    status: Annotated[RouteStatus | None, As(gateway_parts.Status)] = None


class BackendRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    port: Int32 | None = None
    weight: Int32 | None = None


class ForwardRouteRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A rule that only says where to: of TLSRoutes and TCPRoutes."""

    backend_refs: tuple[BackendRef, ...]


class TlsRouteSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    hostnames: tuple[str, ...]
    rules: tuple[ForwardRouteRule, ...]
    parent_refs: tuple[ParentRef, ...] | None = None


@custom_resource(
    group=GATEWAY_GROUP,
    version="v1alpha2",
    columns=(AGE,),
    categories=GATEWAY_CATEGORIES,
    annotations=UNAPPROVED,
    preserve_unknown=True,
    deprecated=True,
)
class TLSRoute(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Where TLS connections go."""

    spec: Annotated[TlsRouteSpec, As(gateway_routes.OldTlsRouteSpec)]
    status: Annotated[RouteStatus | None, As(gateway_parts.Status)] = None


class TcpRouteSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    rules: tuple[ForwardRouteRule, ...]
    parent_refs: tuple[ParentRef, ...] | None = None


@custom_resource(
    group=GATEWAY_GROUP,
    version="v1alpha2",
    columns=(AGE,),
    categories=GATEWAY_CATEGORIES,
    annotations=UNAPPROVED,
    preserve_unknown=True,
)
class TCPRoute(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Where TCP connections go."""

    spec: Annotated[TcpRouteSpec, As(gateway_routes.TcpRouteSpec)]
    status: Annotated[RouteStatus | None, As(gateway_parts.Status)] = None
