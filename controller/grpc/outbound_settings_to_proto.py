"""How the knobs of outbound policy look on the wire: circuit breaking, load estimation, retries, timeouts."""

from __future__ import annotations

from typing import Final, assert_never

from google.protobuf.duration_pb2 import Duration

from controller.core.outbound import (
    ConsecutiveFailures,
    ExponentialBackoff,
    GrpcCondition,
    GrpcRetry,
    HttpRetry,
    LoadBiaser,
    Nanoseconds,
    Timeouts,
    TrafficSettings,
    UnifiedFailures,
)
from controller.grpc.gen.linkerd import http_route_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000
# Users have no say in these.
MAX_RETRIED_BYTES: Final = 65_536
_MAX_SECONDS = 2**63 - 1


def to_nanoseconds(duration: Nanoseconds) -> Duration:
    """A duration of any length; more than the wire can hold becomes the most that it can."""
    seconds, nanos = divmod(duration, SECOND)
    return Duration(seconds=min(seconds, _MAX_SECONDS), nanos=nanos)


def _optional(duration: Nanoseconds | None) -> Duration | None:
    return None if duration is None else to_nanoseconds(duration)


_DEFAULT_RTT = to_nanoseconds(30 * MILLISECOND)
_DECAY = to_nanoseconds(10 * SECOND)
_PEAK_EWMA = pb.Backend.BalanceP2c.PeakEwma(default_rtt=_DEFAULT_RTT, decay=_DECAY)
_RETRY_BACKOFF = pb.ExponentialBackoff(
    min_backoff=to_nanoseconds(25 * MILLISECOND), max_backoff=to_nanoseconds(250 * MILLISECOND), jitter_ratio=1.0
)


def to_balancer(authority: str, biaser: LoadBiaser | None) -> pb.Backend.BalanceP2c:
    """Balance over the endpoints behind a name."""
    discovery = pb.Backend.EndpointDiscovery(dst=pb.Backend.EndpointDiscovery.DestinationGet(path=authority))
    if biaser is None:
        return pb.Backend.BalanceP2c(discovery=discovery, peak_ewma=_PEAK_EWMA)
    penalty = pb.Backend.BalanceP2c.PenaltyPeakEwma(
        default_rtt=_DEFAULT_RTT,
        decay=_DECAY,
        penalty=to_nanoseconds(biaser.penalty),
        max_retry_after=to_nanoseconds(biaser.max_retry_after),
        penalty_decay=_DECAY,
    )
    return pb.Backend.BalanceP2c(discovery=discovery, penalty_peak_ewma=penalty)


def to_failure_accrual(settings: TrafficSettings) -> pb.FailureAccrual | None:
    match settings.failure_accrual:
        case None:
            return None
        case ConsecutiveFailures(max_failures, backoff):
            consecutive = pb.FailureAccrual.ConsecutiveFailures(
                max_failures=max_failures, backoff=_backoff(backoff, honor_retry_after=False)
            )
            return pb.FailureAccrual(consecutive_failures=consecutive)
        case UnifiedFailures(threshold, window, min_requests, max_failures, backoff):
            unified = pb.FailureAccrual.Unified(
                success_rate_threshold=threshold,
                decay=to_nanoseconds(window),
                min_requests=min_requests,
                max_consecutive_failures=max_failures,
                backoff=_backoff(backoff, honor_retry_after=settings.honor_retry_after),
            )
            return pb.FailureAccrual(unified=unified)
        case _:
            assert_never(settings.failure_accrual)


def _backoff(backoff: ExponentialBackoff, *, honor_retry_after: bool) -> pb.ExponentialBackoff:
    return pb.ExponentialBackoff(
        min_backoff=to_nanoseconds(backoff.min),
        max_backoff=to_nanoseconds(backoff.max),
        jitter_ratio=backoff.jitter,
        respect_retry_after_hint=honor_retry_after,
    )


def to_timeouts(timeouts: Timeouts) -> http_route_pb2.Timeouts:
    return http_route_pb2.Timeouts(
        response=_optional(timeouts.response), request=_optional(timeouts.request), idle=_optional(timeouts.idle)
    )


def to_http_retry(retry: HttpRetry | None) -> pb.HttpRoute.Retry | None:
    if retry is None:
        return None
    ranges = [pb.HttpRoute.Retry.Conditions.StatusRange(start=r.first, end=r.last) for r in retry.conditions]
    return pb.HttpRoute.Retry(
        max_retries=retry.limit,
        max_request_bytes=MAX_RETRIED_BYTES,
        conditions=pb.HttpRoute.Retry.Conditions(status_ranges=ranges),
        timeout=_optional(retry.timeout),
        backoff=_RETRY_BACKOFF,
    )


def to_grpc_retry(retry: GrpcRetry | None) -> pb.GrpcRoute.Retry | None:
    if retry is None:
        return None
    conditions = pb.GrpcRoute.Retry.Conditions(
        cancelled=GrpcCondition.CANCELLED in retry.conditions,
        deadine_exceeded=GrpcCondition.DEADLINE_EXCEEDED in retry.conditions,  # so spelled on the wire
        resource_exhausted=GrpcCondition.RESOURCE_EXHAUSTED in retry.conditions,
        internal=GrpcCondition.INTERNAL in retry.conditions,
        unavailable=GrpcCondition.UNAVAILABLE in retry.conditions,
    )
    return pb.GrpcRoute.Retry(
        max_retries=retry.limit,
        max_request_bytes=MAX_RETRIED_BYTES,
        conditions=conditions,
        timeout=_optional(retry.timeout),
        backoff=_RETRY_BACKOFF,
    )
