"""Circuit breaking and load biasing, from the annotations of Services and EgressNetworks."""

from __future__ import annotations

from collections.abc import Mapping

from controller.core.outbound import (
    ConsecutiveFailures,
    ExponentialBackoff,
    FailureAccrual,
    LoadBiaser,
    Nanoseconds,
    UnifiedFailures,
)
from controller.index.parse.annotation_values import (
    MILLISECOND,
    SECOND,
    U32_MAX,
    parse_bool,
    parse_duration,
    parse_float,
    parse_float32,
    parse_uint,
    parse_value,
    trim,
)
from controller.index.parse.invalid import Invalid

MODE = "balancer.linkerd.io/failure-accrual"
MAX_FAILURES = "balancer.linkerd.io/failure-accrual-consecutive-max-failures"
MIN_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-min-penalty"
MAX_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-max-penalty"
JITTER_RATIO = "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio"
THRESHOLD = "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold"
WINDOW = "balancer.alpha.linkerd.io/failure-accrual-success-rate-window"
MIN_REQUESTS = "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests"
HONOR_RETRY_AFTER = "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after"
PENALIZE = "balancer.alpha.linkerd.io/penalize-failures"
PENALTY = "balancer.alpha.linkerd.io/load-biaser-penalty"
MAX_RETRY_AFTER = "balancer.alpha.linkerd.io/load-biaser-max-retry-after"

# Beyond these a proxy refuses the whole policy, unless the threshold of 0 switches the rate off.
MIN_WINDOW = 10 * MILLISECOND
MAX_MIN_REQUESTS = 1_000_000
MAX_JITTER = 100.0


def parse_failure_accrual(annotations: Mapping[str, str]) -> FailureAccrual | None:
    """Read how endpoints are ejected. One bad value makes the whole invalid; nothing is clamped."""
    match annotations.get(MODE):
        case None:
            return None
        case "consecutive":
            max_failures = _max_failures(annotations)
            return ConsecutiveFailures(max_failures, _backoff(annotations))
        case "unified":
            return _unified(annotations)
        case mode:
            raise Invalid(f"unsupported failure accrual mode '{mode}'", MODE)


def _max_failures(annotations: Mapping[str, str]) -> int:
    return parse_value(annotations, MAX_FAILURES, _trimmed_u32, 7)


def _backoff(annotations: Mapping[str, str]) -> ExponentialBackoff:
    shortest = parse_value(annotations, MIN_PENALTY, parse_duration, 1 * SECOND)
    longest = parse_value(annotations, MAX_PENALTY, parse_duration, 60 * SECOND)
    jitter = parse_value(annotations, JITTER_RATIO, parse_float32, 0.5)
    if longest == 0:
        raise Invalid("must be greater than zero", MAX_PENALTY)
    if shortest > longest:
        raise Invalid("the min-penalty is longer than the max-penalty", MIN_PENALTY)
    if not 0.0 <= jitter <= MAX_JITTER:  # nor is "not a number" in there
        raise Invalid(f"must be between 0.0 and {MAX_JITTER}", JITTER_RATIO)
    return ExponentialBackoff(shortest, longest, jitter)


def _unified(annotations: Mapping[str, str]) -> UnifiedFailures:
    threshold = parse_value(annotations, THRESHOLD, parse_float, 0.8)
    if not 0.0 <= threshold <= 1.0:
        raise Invalid("must be between 0.0 and 1.0", THRESHOLD)
    return UnifiedFailures(
        success_rate_threshold=threshold,
        window=_window(annotations, threshold),
        min_requests=_min_requests(annotations, threshold),
        max_failures=_max_failures(annotations),
        backoff=_backoff(annotations),
    )


def _window(annotations: Mapping[str, str], threshold: float) -> Nanoseconds:
    window = parse_value(annotations, WINDOW, parse_duration, 10 * SECOND)
    if window == 0:
        raise Invalid("success-rate-window must be greater than zero", WINDOW)
    if threshold and window < MIN_WINDOW:
        raise Invalid("success-rate-window must be at least 10ms", WINDOW)
    return window


def _min_requests(annotations: Mapping[str, str], threshold: float) -> int:
    requests = parse_value(annotations, MIN_REQUESTS, _trimmed_u32, 5)
    if threshold and requests > MAX_MIN_REQUESTS:
        raise Invalid(f"must be at most {MAX_MIN_REQUESTS}", MIN_REQUESTS)
    return requests


def _trimmed_u32(text: str) -> int:
    return parse_uint(trim(text), U32_MAX)


def parse_honor_retry_after(annotations: Mapping[str, str]) -> bool:
    """Read whether an endpoint's own wish when to be asked again counts."""
    return parse_value(annotations, HONOR_RETRY_AFTER, parse_bool, default=False)


def parse_load_biaser(annotations: Mapping[str, str]) -> LoadBiaser | None:
    """Read whether and how load goes away from failing endpoints. Its durations count only if it is on."""
    if not parse_value(annotations, PENALIZE, parse_bool, default=False):
        return None
    return LoadBiaser(
        penalty=parse_value(annotations, PENALTY, _parse_penalty, 5 * SECOND),
        max_retry_after=parse_value(annotations, MAX_RETRY_AFTER, parse_duration, 300 * SECOND),
    )


def _parse_penalty(text: str) -> Nanoseconds:
    penalty = parse_duration(text)
    if penalty > U32_MAX * MILLISECOND:
        raise Invalid(f"'{text}' is more than {U32_MAX}ms")
    return penalty
