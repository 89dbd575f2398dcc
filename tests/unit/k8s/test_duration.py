"""Durations as Go writes them, and as Linkerd reads them."""

from __future__ import annotations

import datetime as dt

import pytest

from controller.k8s.duration import GoDuration, parse_duration

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [  # status 115, inbound 19, outbound 21, 22, 23
        ("0", 0), ("5s", 5 * S), ("30s", 30 * S), ("1478s", 1478 * S), ("+5s", 5 * S), ("+0", 0),
        ("5.6s", 5_600_000_000), ("5.s", 5 * S), (".5s", S // 2), ("1.0s", S), ("1.00s", S), ("1.004s", 1_004_000_000),
        ("1.0040s", 1_004_000_000), ("100.00100s", 100_001_000_000), ("10ns", 10), ("11us", 11_000), ("12µs", 12_000),
        ("12μs", 12_000), ("13ms", 13_000_000), ("14s", 14 * S), ("15m", 900 * S), ("16h", 57_600 * S),
        ("3h30m", 12_600 * S), ("10.5s4m", 250_500_000_000), ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("39h9m14.425s", 140_954_425_000_000), ("52763797000ns", 52_763_797_000),
        ("0.3333333333333333333h", 1200 * S), ("9007199254740993ns", 9_007_199_254_740_993),
        ("0.100000000000000000000h", 360 * S), ("", 0), ("+", 0), ("++5s", 5 * S), ("+-1s", S), ("1s+1s", 2 * S),
        ("5s0", 0), ("18446744073709551615s", (2**64 - 1) * S),
    ],
)  # fmt: skip
def test_a_duration_is_read_exactly(text: str, nanoseconds: int) -> None:
    """Every unit, fractions, several terms, and what Linkerd lets pass beyond Go (status corrections 3)."""
    assert parse_duration(text) == GoDuration(nanoseconds, negative=False)


# outbound 24
@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("-5s", 5 * S), ("-0", 0), ("-2m3.4s", 123_400_000_000), ("--1s", S), ("-+1s", S), ("-", 0)],
)
def test_a_minus_in_front_makes_it_negative(text: str, nanoseconds: int) -> None:
    """Also where it is zero."""
    assert parse_duration(text) == GoDuration(nanoseconds, negative=True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("5", "expected a number and a unit at '5'"),
        ("1d", "unknown unit 'd'"),
        ("1 s", "expected a number and a unit at '1 s'"),
        ("s", "expected a number and a unit at 's'"),
        (".s", "expected a number and a unit at '.s'"),
        ("1s-1s", "expected a number and a unit at '-1s'"),
        ("bogus", "expected a number and a unit"),
        ("18446744073709551616s", "is too long"),
        ("9999999999999999h", "is too long"),
    ],
)
def test_what_is_no_duration_is_refused(text: str, error: str) -> None:
    """With what was expected and where; upstream crashes on some of these."""
    with pytest.raises(ValueError, match=error):
        parse_duration(text)


def test_a_duration_has_a_python_value() -> None:
    """Rounded to what Python can tell apart."""
    assert parse_duration("1500ns").timedelta == dt.timedelta(microseconds=2)
