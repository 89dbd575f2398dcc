"""What a proxy is told about where it is about to connect: routes, backends, retries, timeouts, circuit breaking."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Generic, Never, TypeAlias, TypeVar

import attrs

from controller.core.answer import Answer
from controller.core.network import IPAddress
from controller.core.routes import GrpcFilter, GrpcRouteMatch, HostMatch, HttpFilter, HttpRouteMatch, ResourceRoute

F = TypeVar("F")

# Users may write durations that no `timedelta` holds, and fractions of a microsecond.
Nanoseconds: TypeAlias = int


@attrs.frozen
class ServiceTarget:
    """A Service by name, whether it exists or not, and a port (1..65535) of it, declared or not."""

    source_namespace: str
    namespace: str
    name: str
    port: int


@attrs.frozen
class AddressTarget:
    """An address and a port (1..65535); what stands behind them is for the index to find out."""

    source_namespace: str
    address: IPAddress
    port: int


# What a proxy asks about; `source_namespace` is where the proxy itself lives.
OutboundTarget: TypeAlias = ServiceTarget | AddressTarget


@attrs.frozen
class ExponentialBackoff:
    min: Nanoseconds
    max: Nanoseconds
    jitter: float


@attrs.frozen
class ConsecutiveFailures:
    """Eject an endpoint after so many failures in a row."""

    max_failures: int
    backoff: ExponentialBackoff


@attrs.frozen
class UnifiedFailures:
    """Eject an endpoint after failures in a row or below a rate of success, whichever comes first."""

    success_rate_threshold: float
    window: Nanoseconds
    min_requests: int
    max_failures: int
    backoff: ExponentialBackoff


FailureAccrual: TypeAlias = ConsecutiveFailures | UnifiedFailures


@attrs.frozen
class LoadBiaser:
    """Send less to endpoints that fail."""

    penalty: Nanoseconds
    max_retry_after: Nanoseconds


@attrs.frozen
class StatusRange:
    """HTTP status codes, both ends included."""

    first: int
    last: int


class GrpcCondition(enum.Enum):
    """The gRPC codes after which a call can be retried."""

    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    INTERNAL = "internal"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    UNAVAILABLE = "unavailable"


@attrs.frozen
class HttpRetry:
    limit: int
    timeout: Nanoseconds | None = None
    conditions: tuple[StatusRange, ...] = ()


@attrs.frozen
class GrpcRetry:
    limit: int
    timeout: Nanoseconds | None = None
    conditions: frozenset[GrpcCondition] = frozenset()


@attrs.frozen
class Timeouts:
    """An explicit zero is not the same as none."""

    request: Nanoseconds | None = None
    response: Nanoseconds | None = None
    idle: Nanoseconds | None = None


NO_TIMEOUTS = Timeouts()


class AppProtocol(enum.Enum):
    """What a port speaks, where that is known. A protocol that nobody here knows is `UNKNOWN`."""

    HTTP1 = "HTTP/1"
    HTTP2 = "HTTP/2"
    OPAQUE = "opaque"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class TrafficSettings:
    """What the author of a destination says of traffic to one of its ports. No protocol means: find out."""

    protocol: AppProtocol | None = None
    failure_accrual: FailureAccrual | None = None
    honor_retry_after: bool = False
    load_biaser: LoadBiaser | None = None
    timeouts: Timeouts = NO_TIMEOUTS
    http_retry: HttpRetry | None = None
    grpc_retry: GrpcRetry | None = None


@attrs.frozen
class ServiceBackend(Generic[F]):
    """Traffic goes to whatever stands behind a port of a Service; the port need not be declared."""

    namespace: str
    name: str
    port: int
    weight: int = 1
    filters: tuple[F, ...] = ()
    exists: bool = False


@attrs.frozen
class EgressNetworkBackend(Generic[F]):
    """Traffic goes where it was going. `port` shows in metrics only."""

    namespace: str
    name: str
    port: int | None = None
    weight: int = 1
    filters: tuple[F, ...] = ()
    exists: bool = False


@attrs.frozen
class InvalidBackend:
    """Traffic that is sent here fails, and the message says why."""

    message: str
    weight: int = 1


Backend: TypeAlias = ServiceBackend[F] | EgressNetworkBackend[F] | InvalidBackend


@attrs.frozen
class HttpRule:
    """Without backends, traffic goes to the destination itself."""

    matches: tuple[HttpRouteMatch, ...] = ()
    filters: tuple[HttpFilter, ...] = ()
    backends: tuple[Backend[HttpFilter], ...] = ()
    timeouts: Timeouts = NO_TIMEOUTS
    retry: HttpRetry | None = None


@attrs.frozen
class GrpcRule:
    """Without backends, traffic goes to the destination itself."""

    matches: tuple[GrpcRouteMatch, ...] = ()
    filters: tuple[GrpcFilter, ...] = ()
    backends: tuple[Backend[GrpcFilter], ...] = ()
    timeouts: Timeouts = NO_TIMEOUTS
    retry: GrpcRetry | None = None


@attrs.frozen
class ForwardRule:
    """Says only where to."""

    backends: tuple[Backend[Never], ...] = ()


@attrs.frozen
class HttpRoute:
    ref: ResourceRoute
    created: dt.datetime | None
    hosts: tuple[HostMatch, ...]
    rules: tuple[HttpRule, ...]


@attrs.frozen
class GrpcRoute:
    ref: ResourceRoute
    created: dt.datetime | None
    hosts: tuple[HostMatch, ...]
    rules: tuple[GrpcRule, ...]


@attrs.frozen
class TlsRoute:
    """Has one rule."""

    ref: ResourceRoute
    created: dt.datetime | None
    hosts: tuple[HostMatch, ...]
    rules: tuple[ForwardRule, ...]


@attrs.frozen
class TcpRoute:
    """Has one rule."""

    ref: ResourceRoute
    created: dt.datetime | None
    rules: tuple[ForwardRule, ...]


Route: TypeAlias = HttpRoute | GrpcRoute | TlsRoute | TcpRoute


class TrafficPolicy(enum.Enum):
    """Whether traffic that no route of an EgressNetwork matches may leave."""

    ALLOW = "Allow"
    DENY = "Deny"


@attrs.frozen
class ServiceParent:
    namespace: str
    name: str


@attrs.frozen
class EgressNetworkParent:
    namespace: str
    name: str
    traffic_policy: TrafficPolicy


Parent: TypeAlias = ServiceParent | EgressNetworkParent


@attrs.frozen
class OutboundPolicy:
    """The policy of a port of a Service or an EgressNetwork, as callers of one namespace see it.

    It holds every route they can see, in order, also those of which the protocol makes no use.
    """

    parent: Parent
    port: int
    settings: TrafficSettings
    routes: tuple[Route, ...] = ()


@attrs.frozen
class EgressPolicy:
    """The policy of an EgressNetwork's port for one of the addresses behind it.

    All addresses share the policy by identity, so that its bytes can be made once.
    """

    shared: Answer[OutboundPolicy]
    address: IPAddress


@attrs.frozen
class UndefinedPort:
    """The address is a Service's, but the Service has no such port: nobody may connect."""

    service: ServiceParent
    port: int


@attrs.frozen
class EgressFallback:
    """An address outside the cluster that no EgressNetwork covers: connect to it as it is."""

    address: IPAddress
    port: int


OutboundAnswer: TypeAlias = OutboundPolicy | EgressPolicy | UndefinedPort | EgressFallback
