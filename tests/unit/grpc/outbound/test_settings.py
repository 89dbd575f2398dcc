"""Circuit breaking and load biasing, as proxies see them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.index.parse.balancer import (
    HONOR_RETRY_AFTER,
    JITTER_RATIO,
    MAX_FAILURES,
    MAX_PENALTY,
    MIN_PENALTY,
    MIN_REQUESTS,
    MODE,
    PENALIZE,
    THRESHOLD,
    WINDOW,
)
from tests.destinations import route, service, service_ref
from tests.outbound_controller import Controller
from tests.unit.grpc.outbound.parents import BOTH, EP, SP, ParentCase, on
from tests.unit.grpc.outbound.reading import distribution, first_rule, only_backend

both = pytest.mark.parametrize("on", BOTH, ids=lambda p: p.letter)
TUNED = {MAX_FAILURES: "8", MIN_PENALTY: "10s", MAX_PENALTY: "10m", JITTER_RATIO: "1.0"}
BIASED = ("penalty", 5, 10, 300)
PLAIN = ("plain",)


def told(on: ParentCase, **annotations: str) -> pb.OutboundPolicy:
    return Controller(*on.objects(**annotations)).get(on.address())


def accrual(policy: pb.OutboundPolicy) -> pb.FailureAccrual | None:
    """The circuit breaker, which is the same for both kinds of HTTP."""
    detect = policy.protocol.detect
    assert detect.http1.HasField("failure_accrual") == detect.http2.HasField("failure_accrual")
    assert detect.http1.failure_accrual == detect.http2.failure_accrual
    assert not detect.http1.failure_accrual.HasField("ejection")
    return detect.http1.failure_accrual if detect.http1.HasField("failure_accrual") else None


def consecutive(policy: pb.OutboundPolicy) -> tuple[Any, ...]:
    found = accrual(policy)
    assert found is not None
    assert found.WhichOneof("kind") == "consecutive_failures"
    return found.consecutive_failures.max_failures, *backoff(found.consecutive_failures.backoff)


def unified(policy: pb.OutboundPolicy) -> tuple[Any, ...]:
    found = accrual(policy)
    assert found is not None
    assert found.WhichOneof("kind") == "unified"
    values = found.unified
    return (
        values.success_rate_threshold,
        values.decay.seconds,
        values.min_requests,
        values.max_consecutive_failures,
        *backoff(values.backoff),
    )


def backoff(value: pb.ExponentialBackoff) -> tuple[float, float, float, bool]:
    return value.min_backoff.seconds, value.max_backoff.seconds, value.jitter_ratio, value.respect_retry_after_hint


def estimator(backend: Any) -> tuple[Any, ...]:
    """How load is estimated: plainly, or with a penalty; nothing where there is nothing to balance."""
    if backend.backend.WhichOneof("kind") == "forward":
        return ()
    balancer = backend.backend.balancer
    kind = balancer.WhichOneof("load")
    load = getattr(balancer, kind)
    assert (load.default_rtt.nanos, load.decay.seconds) == (30_000_000, 10)
    if kind == "peak_ewma":
        return PLAIN
    return "penalty", load.penalty.seconds, load.penalty_decay.seconds, load.max_retry_after.seconds


def default_estimator(policy: pb.OutboundPolicy) -> tuple[Any, ...]:
    return estimator(only_backend(policy))


def plain(on: ParentCase) -> tuple[Any, ...]:
    return PLAIN if on.is_service else ()


def biased(on: ParentCase) -> tuple[Any, ...]:
    return BIASED if on.is_service else ()


# outbound 133
@on((SP,), "GLR")
def test_a_biased_parent_biases_the_load_of_its_routes(on: ParentCase, letter: str) -> None:
    """Here the route sends traffic to the parent itself."""
    annotations = {MODE: "consecutive", PENALIZE: "true", HONOR_RETRY_AFTER: "true"}
    made = route(letter, parents=[on.ref()], backends=[service_ref(port=4191)])
    policy = Controller(*on.objects(**annotations), made).get(on.address())
    assert estimator(only_backend(policy)) == BIASED


# outbound 134, 135
@on((SP,), "GLR")
def test_it_is_the_parent_that_biases_and_not_the_backend(on: ParentCase, letter: str) -> None:
    """Whatever the backend's own annotations say."""
    made = route(letter, parents=[on.ref()], backends=[on.backend()])
    policy = Controller(*on.objects(**{PENALIZE: "true"}), made).get(on.address())
    assert estimator(only_backend(policy)) == BIASED
    backend = service("backend", ips=["10.96.0.2"], annotations={PENALIZE: "true"})
    policy = Controller(*on.objects(), backend, made).get(on.address())
    assert estimator(only_backend(policy)) == PLAIN


@on((SP,), "TC")
def test_what_is_not_http_is_balanced_plainly(on: ParentCase, letter: str) -> None:
    """There are no responses that could tell of failures."""
    made = route(letter, parents=[on.ref()], backends=[on.backend()])
    policy = Controller(*on.objects(**{PENALIZE: "true", MODE: "consecutive"}), made).get(on.address())
    assert estimator(only_backend(policy)) == PLAIN


# outbound 136, 137, 138, 139
@both
def test_the_consecutive_mode(on: ParentCase) -> None:
    """Each value as it was set, or its default."""
    mode = {MODE: "consecutive"}
    assert consecutive(told(on, **mode, **TUNED)) == (8, 10, 600, 1.0, False)
    assert consecutive(told(on, **mode)) == (7, 1, 60, 0.5, False)
    assert consecutive(told(on, **mode, **{MAX_FAILURES: "8"})) == (8, 1, 60, 0.5, False)
    assert consecutive(told(on, **mode, **{JITTER_RATIO: "1.0"})) == (7, 1, 60, 1.0, False)


# outbound 140, 150
@both
def test_without_a_mode_there_is_no_circuit_breaker(on: ParentCase) -> None:
    """And load is estimated plainly."""
    assert accrual(told(on, **{MAX_FAILURES: "8"})) is None
    assert accrual(told(on)) is None
    assert default_estimator(told(on)) == plain(on)


# outbound 141, 142
@both
def test_the_unified_mode(on: ParentCase) -> None:
    """Each value as it was set, or its default."""
    mode = {MODE: "unified"}
    tuned = {THRESHOLD: "0.9", WINDOW: "30s", MIN_REQUESTS: "100", **TUNED}
    assert unified(told(on, **mode, **tuned)) == (0.9, 30, 100, 8, 10, 600, 1.0, False)
    assert unified(told(on, **mode)) == (0.8, 10, 5, 7, 1, 60, 0.5, False)


# outbound 143
@both
def test_the_unified_mode_may_honor_what_endpoints_ask_for(on: ParentCase) -> None:
    """That does not bias load."""
    policy = told(on, **{MODE: "unified", HONOR_RETRY_AFTER: "true"})
    assert unified(policy)[-1] is True
    assert default_estimator(policy) == plain(on)


# outbound 144
@both
def test_the_consecutive_mode_does_not_look_at_rates(on: ParentCase) -> None:
    """It stays what it is."""
    assert consecutive(told(on, **{MODE: "consecutive", THRESHOLD: "0.9"})) == (7, 1, 60, 0.5, False)


# outbound 145
@both
def test_penalizing_needs_no_circuit_breaker(on: ParentCase) -> None:
    """Behind an EgressNetwork there is nothing to balance."""
    policy = told(on, **{PENALIZE: "true"})
    assert default_estimator(policy) == biased(on)
    assert accrual(policy) is None


# outbound 146
def test_opaque_traffic_is_balanced_plainly() -> None:
    """Whatever the annotations say."""
    port = {"port": 4191, "appProtocol": "linkerd.io/opaque"}
    policy = Controller(service(ports=[port], annotations={PENALIZE: "true"})).get(SP.address())
    assert policy.protocol.WhichOneof("kind") == "opaque"
    assert default_estimator(policy) == PLAIN


def test_traffic_of_no_known_protocol_is_balanced_like_the_http_it_may_be() -> None:
    """The opaque part of it shares the backend."""
    policy = told(SP, **{PENALIZE: "true"})
    ((_, backend),) = distribution(policy.protocol.detect.opaque.routes[0].rules[0])
    assert estimator(backend) == BIASED


# outbound 147, 148
@both
def test_the_consecutive_mode_does_not_honor_hints(on: ParentCase) -> None:
    """With and without penalties."""
    policy = told(on, **{MODE: "consecutive", HONOR_RETRY_AFTER: "true"})
    assert consecutive(policy)[-1] is False
    assert default_estimator(policy) == plain(on)
    policy = told(on, **{MODE: "consecutive", HONOR_RETRY_AFTER: "true", PENALIZE: "true"})
    assert consecutive(policy)[-1] is False
    assert default_estimator(policy) == biased(on)


# outbound 149, 151, 152
@both
def test_what_does_not_switch_penalties_on(on: ParentCase) -> None:
    """A word that is no truth, and a circuit breaker alone; for an EgressNetwork nothing does."""
    assert default_estimator(told(on, **{PENALIZE: "invalid"})) == plain(on)
    assert default_estimator(told(on, **{MODE: "consecutive"})) == plain(on)
    consecutive(told(on, **{MODE: "consecutive"}))
    assert default_estimator(told(EP, **{PENALIZE: "true", HONOR_RETRY_AFTER: "true"})) == ()


# outbound 153
def test_a_change_of_annotations_is_one_update() -> None:
    """With what they change."""
    controller = Controller(*SP.objects())
    stream = controller.watch(SP.address())
    assert default_estimator(stream.update()) == PLAIN
    controller.apply(SP.parent(annotations={PENALIZE: "true"}))
    assert default_estimator(stream.update()) == BIASED
    controller.apply(SP.parent(annotations={PENALIZE: "true"}))
    assert stream.quiet


@pytest.mark.parametrize("app_protocol", ["http", "kubernetes.io/h2c", "linkerd.io/opaque"])
@on((SP,), "GRTC")
def test_what_has_responses_has_the_circuit_breaker(on: ParentCase, letter: str, app_protocol: str) -> None:
    """HTTP of either version and gRPC; opaque traffic and TLS have none."""
    annotations = {MODE: "consecutive"}
    parent = service(ports=[{"port": 4191, "appProtocol": app_protocol}], annotations=annotations)
    policy = Controller(parent, route(letter, parents=[on.ref()])).get(on.address())
    kind = policy.protocol.WhichOneof("kind")
    assert kind is not None
    if kind == "opaque":
        assert app_protocol == "linkerd.io/opaque"
    else:
        assert getattr(policy.protocol, kind).failure_accrual.consecutive_failures.max_failures == 7
    detected = Controller(*on.objects(**annotations), route("R", parents=[on.ref()])).get(on.address())
    assert detected.protocol.grpc.failure_accrual.consecutive_failures.max_failures == 7


# outbound 215
@both
def test_an_explicit_zero_timeout_is_shown(on: ParentCase) -> None:
    """On the default route as on others."""
    shown = first_rule(told(on, **{"timeout.linkerd.io/request": "0s"}))
    assert shown.timeouts.HasField("request")
    assert shown.timeouts.request.seconds == shown.timeouts.request.nanos == 0
    assert shown.HasField("requestTimeout")
    absent = first_rule(told(on))
    assert absent.HasField("timeouts")
    assert not absent.timeouts.HasField("request")
    assert not absent.HasField("requestTimeout")


@both
def test_default_routes_have_the_parents_retries(on: ParentCase) -> None:
    """Those of HTTP."""
    shown = first_rule(told(on, **{"retry.linkerd.io/http": "404", "retry.linkerd.io/limit": "2"}))
    assert (shown.retry.max_retries, shown.retry.conditions.status_ranges[0].start) == (2, 404)
    assert not first_rule(told(on)).HasField("retry")
