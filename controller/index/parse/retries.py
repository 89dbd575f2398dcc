"""Retries and timeouts, from the annotations of Services, EgressNetworks and routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from controller.core.outbound import (
    NO_TIMEOUTS,
    GrpcCondition,
    GrpcRetry,
    HttpRetry,
    Nanoseconds,
    StatusRange,
    Timeouts,
)
from controller.index.parse.annotation_values import U16_MAX, parse_duration, parse_uint, parse_value
from controller.index.parse.invalid import Invalid

REQUEST_TIMEOUT = "timeout.linkerd.io/request"
RESPONSE_TIMEOUT = "timeout.linkerd.io/response"
IDLE_TIMEOUT = "timeout.linkerd.io/idle"
RETRY_LIMIT = "retry.linkerd.io/limit"
RETRY_TIMEOUT = "retry.linkerd.io/timeout"
RETRY_HTTP = "retry.linkerd.io/http"
RETRY_GRPC = "retry.linkerd.io/grpc"

C = TypeVar("C")

_STATUS_NAMES = {"5xx": StatusRange(500, 599), "gateway-error": StatusRange(502, 504)}


def parse_timeouts(annotations: Mapping[str, str]) -> Timeouts:
    """Read the three timeouts; one that is invalid makes all of them so."""
    request = parse_value(annotations, REQUEST_TIMEOUT, parse_duration, None)
    response = parse_value(annotations, RESPONSE_TIMEOUT, parse_duration, None)
    idle = parse_value(annotations, IDLE_TIMEOUT, parse_duration, None)
    if request is None and response is None and idle is None:
        return NO_TIMEOUTS
    return Timeouts(request, response, idle)


def parse_http_retry(annotations: Mapping[str, str]) -> HttpRetry | None:
    """Read when HTTP requests are retried; `None` leaves it to the route's parent."""
    retry = _parse_retry(annotations, RETRY_HTTP, _parse_statuses)
    if retry is None:
        return None
    limit, timeout, conditions = retry
    return HttpRetry(limit, timeout, () if conditions is None else conditions)


def parse_grpc_retry(annotations: Mapping[str, str]) -> GrpcRetry | None:
    """Read when gRPC calls are retried; `None` leaves it to the route's parent."""
    retry = _parse_retry(annotations, RETRY_GRPC, _parse_grpc_conditions)
    if retry is None:
        return None
    limit, timeout, conditions = retry
    return GrpcRetry(limit, timeout, frozenset() if conditions is None else conditions)


def _parse_retry(
    annotations: Mapping[str, str], key: str, parse_conditions: Callable[[str], C]
) -> tuple[int, Nanoseconds | None, C | None] | None:
    """Limit, timeout and conditions. Zeros count as unset, so a limit of 0 does not switch retries off."""
    limit = parse_value(annotations, RETRY_LIMIT, _parse_limit, 0)
    timeout = parse_value(annotations, RETRY_TIMEOUT, parse_duration, 0)
    conditions = parse_value(annotations, key, parse_conditions, None)
    if not limit and not timeout and conditions is None:
        return None
    return limit or 1, timeout or None, conditions


def _parse_limit(text: str) -> int:
    return parse_uint(text, U16_MAX)


def _parse_statuses(text: str) -> tuple[StatusRange, ...]:
    return tuple([_parse_status(item) for item in text.split(",")])


def _parse_status(text: str) -> StatusRange:
    if named := _STATUS_NAMES.get(text.lower()):
        return named
    first, dash, last = text.partition("-")
    low = _parse_status_code(first)
    high = _parse_status_code(last) if dash else low
    if low > high:
        raise Invalid(f"the range '{text}' ends before it begins")
    return StatusRange(low, high)


def _parse_status_code(text: str) -> int:
    code = parse_uint(text, U16_MAX)
    if not 100 <= code <= 599:
        raise Invalid(f"'{text}' is not a status code: those are 100 to 599")
    return code


def _parse_grpc_conditions(text: str) -> frozenset[GrpcCondition]:
    return frozenset([_parse_grpc_condition(item) for item in text.split(",")])


def _parse_grpc_condition(text: str) -> GrpcCondition:
    try:
        return GrpcCondition(text.lower())
    except ValueError as error:
        raise Invalid(f"'{text}' is not a gRPC code after which calls are retried") from error
