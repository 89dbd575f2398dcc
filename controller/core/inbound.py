"""What a proxy is told about one of its own ports: protocol, routes, who may call, how often."""

from __future__ import annotations

import datetime as dt
import enum
from typing import TypeAlias

import attrs

from controller.core.identity import IdentityMatch
from controller.core.network import NetworkMatch
from controller.core.routes import GrpcFilter, GrpcRouteMatch, HostMatch, HttpFilter, HttpRouteMatch, RouteRef


class WorkloadKind(enum.Enum):
    POD = "Pod"
    EXTERNAL_WORKLOAD = "ExternalWorkload"


@attrs.frozen(cache_hash=True)
class PortTarget:
    """What a proxy asks about: a port (1..65535) of a pod or an ExternalWorkload."""

    kind: WorkloadKind
    namespace: str
    name: str
    port: int


@attrs.frozen
class Unauthenticated:
    """Anyone, with or without TLS."""


@attrs.frozen
class TlsUnauthenticated:
    """Anyone who speaks mesh TLS, with or without an identity."""


@attrs.frozen
class TlsAuthenticated:
    """Anyone whose mesh identity matches one of these."""

    identities: tuple[IdentityMatch, ...]


Authentication: TypeAlias = Unauthenticated | TlsUnauthenticated | TlsAuthenticated


@attrs.frozen
class ClientAuthorization:
    """Who may call. Empty `networks` means: the cluster's own networks."""

    networks: tuple[NetworkMatch, ...]
    authentication: Authentication


@attrs.frozen
class DefaultRef:
    """Made by the controller: a default policy, or the probe route's authorization."""

    name: str


@attrs.frozen
class ServerAuthorizationRef:
    name: str


@attrs.frozen
class AuthorizationPolicyRef:
    name: str


AuthorizationRef: TypeAlias = DefaultRef | ServerAuthorizationRef | AuthorizationPolicyRef

# In a fixed order: defaults, ServerAuthorizations, AuthorizationPolicies, each by name.
Authorizations: TypeAlias = tuple[tuple[AuthorizationRef, ClientAuthorization], ...]


@attrs.frozen
class DetectProtocol:
    timeout: dt.timedelta


class FixedProtocol(enum.Enum):
    HTTP1 = "HTTP/1"
    HTTP2 = "HTTP/2"
    GRPC = "gRPC"
    OPAQUE = "opaque"
    TLS = "TLS"


Protocol: TypeAlias = DetectProtocol | FixedProtocol


@attrs.frozen
class HttpRule:
    matches: tuple[HttpRouteMatch, ...] = ()
    filters: tuple[HttpFilter, ...] = ()


@attrs.frozen
class GrpcRule:
    matches: tuple[GrpcRouteMatch, ...] = ()
    filters: tuple[GrpcFilter, ...] = ()


@attrs.frozen
class HttpRoute:
    ref: RouteRef
    hosts: tuple[HostMatch, ...] = ()
    rules: tuple[HttpRule, ...] = ()
    authorizations: Authorizations = ()
    created: dt.datetime | None = None


@attrs.frozen
class GrpcRoute:
    ref: RouteRef
    hosts: tuple[HostMatch, ...] = ()
    rules: tuple[GrpcRule, ...] = ()
    authorizations: Authorizations = ()
    created: dt.datetime | None = None


@attrs.frozen
class RateLimitOverride:
    requests_per_second: int
    identities: tuple[str, ...]


@attrs.frozen
class RateLimit:
    name: str
    total: int | None = None
    identity: int | None = None
    overrides: tuple[RateLimitOverride, ...] = ()


@attrs.frozen
class ServerRef:
    """The Server resource that governs the port."""

    name: str


@attrs.frozen
class InboundServer:
    """The whole policy of one port. Routes are in the order in which the proxy gets them."""

    reference: DefaultRef | ServerRef
    protocol: Protocol
    authorizations: Authorizations = ()
    rate_limit: RateLimit | None = None
    http_routes: tuple[HttpRoute, ...] = ()
    grpc_routes: tuple[GrpcRoute, ...] = ()
