"""Counting what clients do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.grpc.transport.limits import TokenBucket


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    """After a burst one more is allowed each time the rate has made up for it."""
    bucket = TokenBucket(rate=2.0, burst=3)

    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(10.5), bucket.take(10.5)] == [True, False]
    assert [bucket.take(99.0) for _ in range(4)] == [True, True, True, False]


@given(st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 10), max_size=200))
def test_no_more_than_burst_and_rate(rate: float, burst: int, pauses: list[float]) -> None:
    """In any time no more is allowed than the burst and what the rate adds; a clock that goes back adds nothing."""
    bucket = TokenBucket(rate, burst)
    now, taken = 5.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
        taken += bucket.take(now - 1.0)

        assert taken <= burst + (now - 5.0) * rate + 1e-6
