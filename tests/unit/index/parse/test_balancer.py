"""Circuit breaking and load biasing, as annotations write them."""

from __future__ import annotations

import attrs
import pytest

from controller.core.outbound import ConsecutiveFailures, ExponentialBackoff, LoadBiaser, UnifiedFailures
from controller.index.parse.annotation_values import MILLISECOND, SECOND, U32_MAX
from controller.index.parse.balancer import (
    HONOR_RETRY_AFTER,
    JITTER_RATIO,
    MAX_FAILURES,
    MAX_PENALTY,
    MAX_RETRY_AFTER,
    MIN_PENALTY,
    MIN_REQUESTS,
    MODE,
    PENALIZE,
    PENALTY,
    THRESHOLD,
    WINDOW,
    parse_failure_accrual,
    parse_honor_retry_after,
    parse_load_biaser,
)
from controller.index.parse.invalid import Invalid

MISSPELT = "balancer.alpha.linkerd.io/failure-accrual-success-rate-thresold"
BACKOFF = ExponentialBackoff(1 * SECOND, 60 * SECOND, 0.5)
CONSECUTIVE = ConsecutiveFailures(7, BACKOFF)
UNIFIED = UnifiedFailures(0.8, 10 * SECOND, 5, 7, BACKOFF)


def _unified(**annotations: str) -> UnifiedFailures:
    accrual = parse_failure_accrual({MODE: "unified", **annotations})
    assert isinstance(accrual, UnifiedFailures)
    return accrual


def _consecutive(**annotations: str) -> ConsecutiveFailures:
    accrual = parse_failure_accrual({MODE: "consecutive", **annotations})
    assert isinstance(accrual, ConsecutiveFailures)
    return accrual


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({PENALIZE: "true"}, LoadBiaser(5 * SECOND, 300 * SECOND)),  # outbound 32
        ({PENALIZE: "false"}, None),  # outbound 33
        ({}, None),  # outbound 34
        ({PENALIZE: " true "}, LoadBiaser(5 * SECOND, 300 * SECOND)),  # outbound 37
        ({PENALIZE: " false "}, None),  # outbound 38
        ({PENALIZE: "true", PENALTY: "2s"}, LoadBiaser(2 * SECOND, 300 * SECOND)),  # outbound 47
        ({PENALIZE: "true", MAX_RETRY_AFTER: "60s"}, LoadBiaser(5 * SECOND, 60 * SECOND)),  # outbound 48
        ({PENALIZE: "true", PENALTY: " 2s "}, LoadBiaser(2 * SECOND, 300 * SECOND)),  # outbound 49
        ({PENALIZE: "false", PENALTY: "bogus", MAX_RETRY_AFTER: "bogus"}, None),  # outbound 52
        ({PENALTY: "bogus", MAX_RETRY_AFTER: "2s"}, None),  # outbound 52
        ({PENALIZE: "t", PENALTY: f"{U32_MAX}ms"}, LoadBiaser(U32_MAX * MILLISECOND, 300 * SECOND)),
    ],
)
def test_load_is_biased_when_asked_for(annotations: dict[str, str], expected: LoadBiaser | None) -> None:
    """The durations have defaults, and are not even read while it is off."""
    assert parse_load_biaser(annotations) == expected


# outbound 39, 40
@pytest.mark.parametrize("text", ["True", "TRUE", "1", "t", "T"])
def test_penalizing_is_switched_on_in_many_spellings(text: str) -> None:
    """And off in as many."""
    assert parse_load_biaser({PENALIZE: text}) is not None
    off = {"True": "False", "TRUE": "FALSE", "1": "0", "t": "f", "T": "F"}[text]
    assert parse_load_biaser({PENALIZE: off}) is None


@pytest.mark.parametrize(
    ("annotations", "quoted"),
    [
        ({PENALIZE: "maybe"}, "'maybe'"),  # outbound 35
        ({PENALIZE: ""}, "''"),  # outbound 36
        ({PENALIZE: "yes"}, "'yes'"),  # outbound 41
        ({PENALIZE: "true", PENALTY: "1.5s"}, "'1.5s'"),  # outbound 50
        ({PENALIZE: "true", PENALTY: "50d"}, "'50d'"),  # outbound 51
        ({PENALIZE: "true", PENALTY: f"{U32_MAX + 1}ms"}, f"'{U32_MAX + 1}ms'"),
        ({PENALIZE: "true", MAX_RETRY_AFTER: "x"}, "'x'"),
    ],
)
def test_wrong_load_biasing_is_said_with_its_key(annotations: dict[str, str], quoted: str) -> None:
    """The error quotes the value and names the key."""
    with pytest.raises(Invalid) as error:
        parse_load_biaser(annotations)
    assert quoted in error.value.reason
    assert error.value.path == list(annotations)[-1]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({HONOR_RETRY_AFTER: "true"}, True),  # outbound 42
        ({HONOR_RETRY_AFTER: "false"}, False),  # outbound 43
        ({}, False),  # outbound 44
        ({HONOR_RETRY_AFTER: " true "}, True),  # outbound 45
    ],
)
def test_retry_after_is_honored_when_asked_for(annotations: dict[str, str], expected: bool) -> None:
    """Off by default."""
    assert parse_honor_retry_after(annotations) is expected


# outbound 46
def test_honoring_sometimes_is_refused() -> None:
    """The error quotes the value and names the key."""
    with pytest.raises(Invalid, match=f"^{HONOR_RETRY_AFTER}: 'sometimes'"):
        parse_honor_retry_after({HONOR_RETRY_AFTER: "sometimes"})


# outbound 53, 57, 67
def test_modes_have_defaults() -> None:
    """A mode alone is a whole configuration."""
    assert _unified() == UNIFIED
    assert _consecutive() == CONSECUTIVE


# outbound 54
def test_every_value_of_the_unified_mode_can_be_set() -> None:
    """And comes out as it was written."""
    annotations = {THRESHOLD: "0.9", WINDOW: "15s", MIN_REQUESTS: "10", MAX_FAILURES: "3", MIN_PENALTY: "2s"}
    backoff = attrs.evolve(BACKOFF, min=2 * SECOND)
    assert _unified(**annotations) == UnifiedFailures(0.9, 15 * SECOND, 10, 3, backoff)


# outbound 55, 56
def test_numbers_may_have_blanks_around_them() -> None:
    """They are trimmed."""
    assert _unified(**{THRESHOLD: " 0.9 "}).success_rate_threshold == 0.9
    assert _unified(**{MIN_REQUESTS: " 5 "}).min_requests == 5
    assert _consecutive(**{MAX_FAILURES: " 8 "}).max_failures == 8  # outbound 78
    assert _consecutive(**{JITTER_RATIO: " 1.0 "}).backoff.jitter == 1.0  # outbound 77


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        ({THRESHOLD: "-0.1"}, "between 0.0 and 1.0"),  # outbound 58
        ({THRESHOLD: "1.5"}, "between 0.0 and 1.0"),  # outbound 58
        ({THRESHOLD: "nan"}, "between 0.0 and 1.0"),
        ({WINDOW: "0s"}, "success-rate-window must be greater than zero"),  # outbound 60
        ({WINDOW: "0s", THRESHOLD: "0"}, "success-rate-window must be greater than zero"),
        ({WINDOW: "9ms"}, "10ms"),  # outbound 61
        ({MIN_REQUESTS: "1000001"}, "1000000"),  # outbound 68
        ({MAX_PENALTY: "0s", MIN_PENALTY: "0s"}, "greater than zero"),
    ],
)
def test_a_wrong_value_spoils_the_unified_mode(annotations: dict[str, str], reason: str) -> None:
    """Nothing is clamped to what a proxy takes."""
    with pytest.raises(Invalid) as error:
        _unified(**annotations)
    assert reason in error.value.reason


@pytest.mark.parametrize(
    ("annotations", "field", "expected"),
    [
        ({WINDOW: "10ms"}, "window", 10 * MILLISECOND),  # outbound 62
        ({MIN_REQUESTS: "0"}, "min_requests", 0),  # outbound 63
        ({THRESHOLD: "0.0"}, "success_rate_threshold", 0.0),  # outbound 64
        ({WINDOW: "500ms"}, "window", 500 * MILLISECOND),  # outbound 65
        ({MIN_REQUESTS: "1000000"}, "min_requests", 1_000_000),  # outbound 69
        ({THRESHOLD: "0", WINDOW: "5ms"}, "window", 5 * MILLISECOND),  # outbound 70
        ({THRESHOLD: "0", MIN_REQUESTS: "2000000"}, "min_requests", 2_000_000),  # outbound 71
        ({MISSPELT: "0.99"}, "success_rate_threshold", 0.8),  # outbound 73
        ({THRESHOLD: "0", MAX_FAILURES: "0"}, "max_failures", 0),  # outbound 74
    ],
)  # fmt: skip
def test_values_at_the_edge_are_taken(annotations: dict[str, str], field: str, expected: float) -> None:
    """A threshold of zero switches the rate off, and with it the bounds of its other values."""
    assert getattr(_unified(**annotations), field) == expected


# outbound 59
@pytest.mark.parametrize("mode", ["true", "false", "", "Consecutive", " unified"])
def test_other_modes_are_refused(mode: str) -> None:
    """Modes are compared as they are."""
    with pytest.raises(Invalid, match="unsupported failure accrual mode"):
        parse_failure_accrual({MODE: mode})


# outbound 66
def test_the_consecutive_mode_does_not_look_at_rates() -> None:
    """Not even at malformed ones."""
    assert _consecutive(**{THRESHOLD: "0.9"}) == CONSECUTIVE
    assert _consecutive(**{THRESHOLD: "bogus", WINDOW: "", MIN_REQUESTS: "-1"}) == CONSECUTIVE


# outbound 72
def test_without_a_mode_there_is_no_circuit_breaker() -> None:
    """Whatever else is set."""
    assert parse_failure_accrual({THRESHOLD: "0.9", MAX_FAILURES: "bogus"}) is None


@pytest.mark.parametrize(
    "annotations",
    [
        {MIN_PENALTY: "2m"},  # outbound 75
        {MIN_PENALTY: "0s", MAX_PENALTY: "0s"},  # outbound 76
        {JITTER_RATIO: "-1"},  # outbound 77
        {JITTER_RATIO: "101"},  # outbound 77
        {JITTER_RATIO: "nan"},  # outbound 77
        {JITTER_RATIO: "1e39"},
        {MAX_FAILURES: "-1"},  # outbound 78
        {MAX_FAILURES: "4294967296"},
        {MAX_FAILURES: "7.0"},
    ],
)
def test_a_wrong_value_spoils_the_consecutive_mode(annotations: dict[str, str]) -> None:
    """Min above max, no pause at all, jitter out of range."""
    with pytest.raises(Invalid):
        _consecutive(**annotations)


def test_jitter_reaches_to_a_hundred() -> None:
    """As far as a proxy takes it, in the width in which it travels."""
    assert _consecutive(**{JITTER_RATIO: "100"}).backoff.jitter == 100.0
    assert _consecutive(**{JITTER_RATIO: "0"}).backoff.jitter == 0.0
    assert _consecutive(**{JITTER_RATIO: "100.0000001"}).backoff.jitter == 100.0
