"""Token buckets."""

from __future__ import annotations

from controller.runtime.token_bucket import TokenBucket


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """Tokens that are not there yet can be taken too, for later."""
    bucket = TokenBucket(rate=2.0, burst=3.0)

    assert [bucket.take(10.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]
    assert bucket.take(11.0) == 0.5


def test_looking_takes_nothing() -> None:
    """The wait for a token, and whether everything has come back."""
    bucket = TokenBucket(rate=2.0, burst=1.0)
    before = bucket.wait(0.0), bucket.is_full(0.0)
    bucket.take(0.0)

    assert before == (0.0, True)
    assert (bucket.wait(0.0), bucket.wait(0.25), bucket.is_full(0.25)) == (0.5, 0.25, False)
    assert (bucket.wait(0.5), bucket.is_full(0.5)) == (0.0, True)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """However long nobody takes."""
    bucket = TokenBucket(rate=1.0, burst=2.0)
    bucket.take(0.0)

    assert [bucket.take(1_000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_wait_is_long_enough() -> None:
    """After it the token is there, however the numbers round."""
    bucket, now = TokenBucket(rate=0.2, burst=3.0), 0.1
    for _ in range(1_000):
        now += bucket.wait(now)
        assert bucket.wait(now) == 0.0
        bucket.take(now)
