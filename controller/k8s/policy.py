"""The kinds of `policy.linkerd.io` except routes: servers, authorizations, authentications, limits, egress."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec

from controller.k8s.cidr import parse_network
from controller.k8s.meta import Resource
from controller.k8s.references import TargetRef
from controller.k8s.selectors import LabelSelector

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Uint32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]


class ServerSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    port: Port | str
    pod_selector: LabelSelector | None = None
    external_workload_selector: LabelSelector | None = None
    proxy_protocol: Literal["unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"] | None = None
    access_policy: str | None = None

    def __post_init__(self) -> None:
        if self.pod_selector is None and self.external_workload_selector is None:
            raise ValueError("needs podSelector or externalWorkloadSelector")


class Server(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: ServerSpec


class NetworkSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A CIDR or an address, and exceptions. Whether they parse is checked when the object is decoded."""

    cidr: str
    except_: tuple[str, ...] | None = msgspec.field(name="except", default=None)

    def __post_init__(self) -> None:
        for text in (self.cidr, *(self.except_ or ())):
            parse_network(text)


class ServerAuthorizationServer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str | None = None
    selector: LabelSelector | None = None


class ServiceAccountRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    namespace: str | None = None


class MeshTls(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    unauthenticated_tls: bool = msgspec.field(name="unauthenticatedTLS", default=False)
    identities: tuple[str, ...] | None = None
    service_accounts: tuple[ServiceAccountRef, ...] | None = None


class ServerAuthorizationClient(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    networks: tuple[NetworkSpec, ...] | None = None
    unauthenticated: bool = False
    mesh_tls: MeshTls | None = msgspec.field(name="meshTLS", default=None)


class ServerAuthorizationSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    server: ServerAuthorizationServer
    client: ServerAuthorizationClient


class ServerAuthorization(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: ServerAuthorizationSpec


class AuthorizationPolicySpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    target_ref: TargetRef
    required_authentication_refs: tuple[TargetRef, ...]


class AuthorizationPolicy(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: AuthorizationPolicySpec


class MeshTLSAuthenticationSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    identities: tuple[str, ...] | None = None
    identity_refs: tuple[TargetRef, ...] | None = None


class MeshTLSAuthentication(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: MeshTLSAuthenticationSpec


class NetworkAuthenticationSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    networks: tuple[NetworkSpec, ...]


class NetworkAuthentication(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: NetworkAuthenticationSpec


class Limit(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    requests_per_second: Uint32


class LimitOverride(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    requests_per_second: Uint32
    client_refs: tuple[TargetRef, ...]


class HTTPLocalRateLimitPolicySpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    target_ref: TargetRef
    total: Limit | None = None
    identity: Limit | None = None
    overrides: tuple[LimitOverride, ...] | None = None


class Condition(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A condition as its author wrote it; unknown types and statuses are for the reader to ignore."""

    type: str
    status: str
    last_transition_time: dt.datetime
    reason: str = ""
    message: str = ""


class HTTPLocalRateLimitPolicyStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    conditions: tuple[Condition, ...]
    target_ref: TargetRef


class HTTPLocalRateLimitPolicy(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: HTTPLocalRateLimitPolicySpec
    status: HTTPLocalRateLimitPolicyStatus | None = None


class EgressNetworkSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    traffic_policy: Literal["Allow", "Deny"]
    networks: tuple[NetworkSpec, ...] | None = None


class EgressNetworkStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    conditions: tuple[Condition, ...] | None = None


class EgressNetwork(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: EgressNetworkSpec
    status: EgressNetworkStatus | None = None
