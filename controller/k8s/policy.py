"""The kinds of `policy.linkerd.io` except routes: servers, authorizations, authentications, limits, egress."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from controller.k8s.cidr import parse_network
from controller.k8s.conditions import Condition as Condition  # noqa: PLC0414  # exported
from controller.k8s.conditions import PolicyCondition
from controller.k8s.custom_resource import Column, CustomResource, custom_resource
from controller.k8s.custom_resource.markers import As, Default, Marker, MinLen, NoDefault, OneOf
from controller.k8s.names import Group, Identity, Kind, LabelText, ObjectName, Port
from controller.k8s.numbers import Uint32
from controller.k8s.references import (
    POLICY_GROUP,
    AuthenticationRef,
    ClientRef,
    IdentityRef,
    LocalRef,
    TargetRef,
)
from controller.k8s.selectors import LabelSelector

ProxyProtocol = Literal["unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"]

SERVER_SHORT_NAMES = ("srv",)
SERVER_AUTHORIZATION_SHORT_NAMES = ("saz", "serverauthz", "srvauthz")
SERVER_COLUMNS = (Column("Port", ".spec.port"), Column("Protocol", ".spec.proxyProtocol"))


class ServerSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    object_markers: ClassVar[tuple[Marker, ...]] = (OneOf(("podSelector", "externalWorkloadSelector")),)

    port: Port | str
    pod_selector: LabelSelector | None = None
    external_workload_selector: LabelSelector | None = None
    proxy_protocol: Annotated[ProxyProtocol | None, As(str), Default("unknown")] = None
    access_policy: Annotated[str | None, Default("deny")] = None

    def __post_init__(self) -> None:
        if self.pod_selector is None and self.external_workload_selector is None:
            raise ValueError("needs podSelector or externalWorkloadSelector")


class _ExternalServerSpec(msgspec.Struct, rename="camel"):
    external_workload_selector: LabelSelector
    port: Port | str
    proxy_protocol: ProxyProtocol | None = None
    access_policy: str | None = None


class _SelectsExternally(msgspec.Struct, rename="camel"):
    external_workload_selector: msgspec.Raw = msgspec.Raw()


def decode_server_spec(raw: bytes | msgspec.Raw) -> ServerSpec:
    """Read a spec that no API server has checked: `externalWorkloadSelector` hides `podSelector`, whatever they are."""
    if not bytes(msgspec.json.decode(raw, type=_SelectsExternally).external_workload_selector):
        return msgspec.json.decode(raw, type=ServerSpec)
    external = msgspec.json.decode(raw, type=_ExternalServerSpec)
    return ServerSpec(
        port=external.port,
        external_workload_selector=external.external_workload_selector,
        proxy_protocol=external.proxy_protocol,
        access_policy=external.access_policy,
    )


@custom_resource(
    group=POLICY_GROUP,
    version="v1beta3",
    short_names=SERVER_SHORT_NAMES,
    columns=(*SERVER_COLUMNS, Column("Access Policy", ".spec.accessPolicy")),
)
class Server(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """A port of some pods or external workloads, and how to treat connections to it."""

    spec: ServerSpec


class NetworkSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A block of addresses or one address, without some parts of it."""

    # Whether they parse is checked when the object is decoded.
    cidr: str
    except_: tuple[str, ...] | None = msgspec.field(name="except", default=None)

    def __post_init__(self) -> None:
        for text in (self.cidr, *(self.except_ or ())):
            try:
                parse_network(text)
            except ValueError as error:
                raise ValueError(f"{text!r} is neither an address nor a CIDR such as 10.0.0.0/8") from error


class ServerAuthorizationServer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Servers of the same namespace: one by its name, or those with some labels."""

    object_markers: ClassVar[tuple[Marker, ...]] = (OneOf(("name", "selector")),)

    name: LabelText | None = None
    selector: LabelSelector | None = None


class ServiceAccountRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A ServiceAccount, of the same namespace if none is given."""

    name: LabelText
    namespace: LabelText | None = None


class MeshTls(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Clients with TLS: anybody, or those with one of these identities."""

    unauthenticated_tls: Annotated[bool, NoDefault()] = msgspec.field(name="unauthenticatedTLS", default=False)
    identities: tuple[Identity, ...] | None = None
    service_accounts: tuple[ServiceAccountRef, ...] | None = None


class ServerAuthorizationClient(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Who may connect, and from where."""

    networks: tuple[NetworkSpec, ...] | None = None
    unauthenticated: Annotated[bool, NoDefault()] = False
    mesh_tls: MeshTls | None = msgspec.field(name="meshTLS", default=None)


class ServerAuthorizationSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    server: ServerAuthorizationServer
    client: ServerAuthorizationClient


@custom_resource(
    group=POLICY_GROUP,
    version="v1beta1",
    short_names=SERVER_AUTHORIZATION_SHORT_NAMES,
    columns=(Column("Server", ".spec.server.name"),),
)
class ServerAuthorization(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Lets clients connect to Servers."""

    spec: ServerAuthorizationSpec


class AuthorizationPolicySpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    target_ref: Annotated[TargetRef, As(LocalRef)]
    required_authentication_refs: Annotated[tuple[TargetRef, ...], As(tuple[AuthenticationRef, ...])]


@custom_resource(group=POLICY_GROUP, version="v1alpha1", short_names=("authzpolicy",))
class AuthorizationPolicy(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Lets clients that meet every one of the authentications use a Server, a route or a whole Namespace."""

    spec: AuthorizationPolicySpec


class MeshTLSAuthenticationSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    object_markers: ClassVar[tuple[Marker, ...]] = (OneOf(("identities", "identityRefs")),)

    identities: Annotated[tuple[str, ...] | None, MinLen(1)] = None
    identity_refs: Annotated[tuple[TargetRef, ...] | None, As(tuple[IdentityRef, ...]), MinLen(1)] = None


@custom_resource(group=POLICY_GROUP, version="v1alpha1", short_names=("meshtlsauthn",))
class MeshTLSAuthentication(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Clients that prove one of these identities."""

    spec: MeshTLSAuthenticationSpec


class NetworkAuthenticationSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    networks: tuple[NetworkSpec, ...]


@custom_resource(group=POLICY_GROUP, version="v1alpha1", short_names=("netauthn", "networkauthn"))
class NetworkAuthentication(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Clients that connect from one of these networks."""

    spec: NetworkAuthenticationSpec


class Limit(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    requests_per_second: Uint32


class LimitOverride(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A limit for each of some clients, in place of `identity`."""

    requests_per_second: Uint32
    client_refs: Annotated[tuple[TargetRef, ...], As(tuple[ClientRef, ...])]


class HTTPLocalRateLimitPolicySpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    target_ref: Annotated[TargetRef, As(LocalRef)]
    total: Limit | None = None
    identity: Limit | None = None
    overrides: tuple[LimitOverride, ...] | None = None


class LimitedRef(msgspec.Struct, rename="camel"):
    """What is limited."""

    name: ObjectName
    group: Annotated[Group | None, Default(POLICY_GROUP)] = None
    kind: Annotated[Kind | None, Default("Server")] = None


class HTTPLocalRateLimitPolicyStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    conditions: Annotated[tuple[Condition, ...], As(tuple[PolicyCondition, ...])]
    target_ref: Annotated[TargetRef, As(LimitedRef)]


@custom_resource(
    group=POLICY_GROUP,
    version="v1alpha1",
    columns=(
        Column("Target_kind", ".spec.targetRef.kind"),
        Column("Target_name", ".spec.targetRef.name"),
        Column("Total_RPS", ".spec.total.requestsPerSecond", type="integer", format="int32"),
        Column("Identity_RPS", ".spec.identity.requestsPerSecond", type="integer", format="int32"),
    ),
)
class HTTPLocalRateLimitPolicy(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """How many requests a second one proxy lets through to a Server: from all clients, and from each."""

    spec: HTTPLocalRateLimitPolicySpec
    status: HTTPLocalRateLimitPolicyStatus | None = None


class EgressNetworkSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    traffic_policy: Literal["Allow", "Deny"]
    networks: tuple[NetworkSpec, ...] | None = None


class EgressNetworkStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    conditions: Annotated[tuple[Condition, ...] | None, As(tuple[PolicyCondition, ...])] = None


@custom_resource(group=POLICY_GROUP, version="v1alpha1", categories=("policy",))
class EgressNetwork(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """Networks outside of the cluster, and whether traffic to them passes where no route decides."""

    spec: EgressNetworkSpec
    status: EgressNetworkStatus | None = None
