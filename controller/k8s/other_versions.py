"""Other versions of the kinds: users may write them, the controller reads them as the one that it watches."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from controller.k8s.custom_resource import AGE, Column, CustomResource, custom_resource
from controller.k8s.custom_resource.markers import Default, Marker, MaxLen, OneOf, Unread
from controller.k8s.gateway import GATEWAY_CATEGORIES, HTTP_ROUTE_COLUMNS, UNAPPROVED
from controller.k8s.policy import (
    SERVER_AUTHORIZATION_SHORT_NAMES,
    SERVER_COLUMNS,
    SERVER_SHORT_NAMES,
    ServerAuthorizationSpec,
)
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP, WORKLOAD_GROUP
from controller.k8s.schemas import gateway_http_route, gateway_parts, gateway_routes, policy_http_route
from controller.k8s.selectors import LabelSelector
from controller.k8s.workload import (
    WORKLOAD_CATEGORIES,
    ExternalWorkloadPort,
    ExternalWorkloadStatus,
    ExternalWorkloadTls,
    WorkloadIp,
)


class ServerSpecV1Beta2(msgspec.Struct, rename="camel"):
    object_markers: ClassVar[tuple[Marker, ...]] = (OneOf(("podSelector", "externalWorkloadSelector")),)

    port: int | str
    pod_selector: LabelSelector | None = None
    external_workload_selector: LabelSelector | None = None
    proxy_protocol: Annotated[str | None, Default("unknown")] = None


@custom_resource(
    group=POLICY_GROUP, version="v1beta2", kind="Server", short_names=SERVER_SHORT_NAMES, columns=SERVER_COLUMNS
)
class ServerV1Beta2(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """A port of some pods or external workloads, and how to treat connections to it."""

    spec: ServerSpecV1Beta2


class ServerSpecV1Beta1(msgspec.Struct, rename="camel"):
    pod_selector: LabelSelector
    port: int | str
    proxy_protocol: Annotated[str | None, Default("unknown")] = None


@custom_resource(
    group=POLICY_GROUP,
    version="v1beta1",
    kind="Server",
    short_names=SERVER_SHORT_NAMES,
    columns=SERVER_COLUMNS,
    deprecated="policy.linkerd.io/v1beta1 Server is deprecated; use policy.linkerd.io/v1beta3 Server",
)
class ServerV1Beta1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """A port of some pods, and how to treat connections to it."""

    spec: ServerSpecV1Beta1


class OneSelector(LabelSelector, frozen=True, rename="camel"):
    """Labels or conditions, but not both."""

    object_markers: ClassVar[tuple[Marker, ...]] = (OneOf(("matchExpressions", "matchLabels")),)


class ServerSpecV1Alpha1(msgspec.Struct, rename="camel"):
    pod_selector: OneSelector
    port: int | str
    proxy_protocol: Annotated[str | None, Default("unknown")] = None


@custom_resource(
    group=POLICY_GROUP,
    version="v1alpha1",
    kind="Server",
    short_names=SERVER_SHORT_NAMES,
    deprecated="policy.linkerd.io/v1alpha1 Server is deprecated; use policy.linkerd.io/v1beta1 Server",
)
class ServerV1Alpha1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """A port of some pods, and how to treat connections to it."""

    spec: ServerSpecV1Alpha1


@custom_resource(
    group=POLICY_GROUP,
    version="v1alpha1",
    kind="ServerAuthorization",
    short_names=SERVER_AUTHORIZATION_SHORT_NAMES,
    deprecated="policy.linkerd.io/v1alpha1 ServerAuthorization is deprecated; "
    "use policy.linkerd.io/v1beta1 ServerAuthorization",
)
class ServerAuthorizationV1Alpha1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Lets clients connect to Servers."""

    spec: ServerAuthorizationSpec


class ExternalWorkloadSpecV1Alpha1(msgspec.Struct, rename="camel"):
    mesh_tls: ExternalWorkloadTls
    ports: tuple[ExternalWorkloadPort, ...] | None = None
    workload_ips: ClassVar[Annotated[tuple[WorkloadIp, ...] | None, Unread("workloadIPs"), MaxLen(1)]]


@custom_resource(
    group=WORKLOAD_GROUP,
    version="v1alpha1",
    kind="ExternalWorkload",
    categories=WORKLOAD_CATEGORIES,
    columns=(Column("Identity", ".spec.meshTls.identity"), AGE),
    status=False,
)
class ExternalWorkloadV1Alpha1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """A member of the mesh that runs outside of the cluster."""

    spec: ExternalWorkloadSpecV1Alpha1
    status: ExternalWorkloadStatus | None = None


@custom_resource(group=POLICY_GROUP, version="v1beta2", kind="HTTPRoute", columns=HTTP_ROUTE_COLUMNS)
class HTTPRouteV1Beta2(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """What happens to HTTP requests."""

    spec: policy_http_route.Spec2
    status: policy_http_route.Status | None = None


@custom_resource(group=POLICY_GROUP, version="v1beta1", kind="HTTPRoute", columns=HTTP_ROUTE_COLUMNS)
class HTTPRouteV1Beta1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """What happens to HTTP requests."""

    spec: policy_http_route.Spec1
    status: policy_http_route.Status | None = None


@custom_resource(group=POLICY_GROUP, version="v1alpha1", kind="HTTPRoute", columns=HTTP_ROUTE_COLUMNS)
class HTTPRouteV1Alpha1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """What happens to HTTP requests."""

    spec: policy_http_route.Spec1
    status: policy_http_route.Status | None = None


@custom_resource(
    group=GATEWAY_GROUP,
    version="v1beta1",
    kind="HTTPRoute",
    columns=HTTP_ROUTE_COLUMNS,
    categories=GATEWAY_CATEGORIES,
    annotations=UNAPPROVED,
    preserve_unknown=True,
)
class GatewayHTTPRouteV1Beta1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """What happens to HTTP requests."""

    spec: gateway_http_route.HttpRouteSpec
    status: gateway_parts.Status | None = None


@custom_resource(
    group=GATEWAY_GROUP,
    version="v1",
    kind="TLSRoute",
    columns=(AGE,),
    categories=GATEWAY_CATEGORIES,
    annotations=UNAPPROVED,
    preserve_unknown=True,
)
class TLSRouteV1(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Where TLS connections go."""

    spec: gateway_routes.TlsRouteSpec
    status: gateway_parts.Status | None = None


@custom_resource(
    group=GATEWAY_GROUP,
    version="v1alpha3",
    kind="TLSRoute",
    columns=(AGE,),
    categories=GATEWAY_CATEGORIES,
    annotations=UNAPPROVED,
    preserve_unknown=True,
    deprecated=True,
)
class TLSRouteV1Alpha3(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Where TLS connections go."""

    spec: gateway_routes.TlsRouteSpec
    status: gateway_parts.Status | None = None
