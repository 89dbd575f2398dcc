"""Retries and timeouts, as annotations write them."""

from __future__ import annotations

import pytest

from controller.core.outbound import GrpcCondition, GrpcRetry, HttpRetry, StatusRange, Timeouts
from controller.index.parse.annotation_values import SECOND
from controller.index.parse.invalid import Invalid
from controller.index.parse.retries import (
    IDLE_TIMEOUT,
    REQUEST_TIMEOUT,
    RESPONSE_TIMEOUT,
    RETRY_GRPC,
    RETRY_HTTP,
    RETRY_LIMIT,
    RETRY_TIMEOUT,
    parse_grpc_retry,
    parse_http_retry,
    parse_timeouts,
)


# outbound 79
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5xx", [(500, 599)]),
        ("5XX", [(500, 599)]),
        ("gateway-error", [(502, 504)]),
        ("Gateway-Error", [(502, 504)]),
        ("404", [(404, 404)]),
        ("500-504", [(500, 504)]),
        ("5xx,404", [(500, 599), (404, 404)]),
        ("100,599", [(100, 100), (599, 599)]),
        ("+404", [(404, 404)]),
    ],
)
def test_http_conditions_are_codes_ranges_and_two_names(text: str, expected: list[tuple[int, int]]) -> None:
    """In the order in which they are written."""
    ranges = tuple(StatusRange(*pair) for pair in expected)
    assert parse_http_retry({RETRY_HTTP: text}) == HttpRetry(1, None, ranges)


# outbound 80
@pytest.mark.parametrize(
    "text", ["5xx, 404", "99", "600", "504-500", "", "5xx,", "500-504-508", "-500", "65536", "4xx"]
)
def test_other_http_conditions_are_refused(text: str) -> None:
    """Blanks are not trimmed, and one bad item spoils the list."""
    with pytest.raises(Invalid, match=f"^{RETRY_HTTP}: "):
        parse_http_retry({RETRY_HTTP: text})


# outbound 81
def test_grpc_conditions_are_five_codes() -> None:
    """In any case; a code that is not retried is refused."""
    both = frozenset((GrpcCondition.INTERNAL, GrpcCondition.UNAVAILABLE))
    assert parse_grpc_retry({RETRY_GRPC: "internal,unavailable"}) == GrpcRetry(1, None, both)
    assert parse_grpc_retry({RETRY_GRPC: "INTERNAL"}) == GrpcRetry(1, None, frozenset((GrpcCondition.INTERNAL,)))
    every = parse_grpc_retry({RETRY_GRPC: "cancelled,deadline-exceeded,internal,resource-exhausted,unavailable"})
    assert every == GrpcRetry(1, None, frozenset(GrpcCondition))
    for text in ("aborted", "", "internal, unavailable"):
        with pytest.raises(Invalid, match=f"^{RETRY_GRPC}: "):
            parse_grpc_retry({RETRY_GRPC: text})


# outbound 82
def test_a_limit_alone_is_a_retry_of_both_families() -> None:
    """Without conditions."""
    assert parse_http_retry({RETRY_LIMIT: "3"}) == HttpRetry(3)
    assert parse_grpc_retry({RETRY_LIMIT: "3"}) == GrpcRetry(3)


# outbound 83, 84, 85
def test_zeros_count_as_unset() -> None:
    """So a limit of zero does not switch retries off."""
    server_errors = (StatusRange(500, 599),)
    assert parse_http_retry({RETRY_LIMIT: "0", RETRY_HTTP: "5xx"}) == HttpRetry(1, None, server_errors)
    assert parse_http_retry({RETRY_LIMIT: "0"}) is None
    assert parse_grpc_retry({RETRY_LIMIT: "0"}) is None
    assert parse_http_retry({RETRY_TIMEOUT: "0s"}) is None
    assert parse_http_retry({RETRY_TIMEOUT: "2s"}) == HttpRetry(1, 2 * SECOND)
    assert parse_grpc_retry({RETRY_TIMEOUT: "2s", RETRY_LIMIT: "5"}) == GrpcRetry(5, 2 * SECOND)


def test_each_family_looks_at_its_own_conditions() -> None:
    """The other's may be anything."""
    annotations = {RETRY_GRPC: "bogus", RETRY_HTTP: "404"}
    assert parse_http_retry(annotations) == HttpRetry(1, None, (StatusRange(404, 404),))
    assert parse_grpc_retry({RETRY_HTTP: "bogus"}) is None


@pytest.mark.parametrize("limit", ["65536", " 3", "-1", "three", ""])
def test_a_wrong_limit_is_refused(limit: str) -> None:
    """Sixteen bits, and nothing trimmed."""
    with pytest.raises(Invalid, match=f"^{RETRY_LIMIT}: "):
        parse_http_retry({RETRY_LIMIT: limit})


# outbound 215
def test_timeouts_keep_an_explicit_zero() -> None:
    """Absent is something else."""
    assert parse_timeouts({}) == Timeouts()
    assert parse_timeouts({REQUEST_TIMEOUT: "0s"}) == Timeouts(request=0)
    assert parse_timeouts({RESPONSE_TIMEOUT: "1s", IDLE_TIMEOUT: "2s"}) == Timeouts(None, 1 * SECOND, 2 * SECOND)


@pytest.mark.parametrize("key", [REQUEST_TIMEOUT, RESPONSE_TIMEOUT, IDLE_TIMEOUT])
def test_one_wrong_timeout_spoils_all(key: str) -> None:
    """The error names the one."""
    annotations = {REQUEST_TIMEOUT: "1s", RESPONSE_TIMEOUT: "1s", IDLE_TIMEOUT: "1s", key: "1.5s"}
    with pytest.raises(Invalid, match=f"^{key}: "):
        parse_timeouts(annotations)
