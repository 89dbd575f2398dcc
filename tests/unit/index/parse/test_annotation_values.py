"""What annotations may say, and what is said of what they may not."""

from __future__ import annotations

import math

import pytest

from controller.index.parse.annotation_values import (
    MILLISECOND,
    SECOND,
    U16_MAX,
    U32_MAX,
    U64_MAX,
    parse_bool,
    parse_duration,
    parse_float,
    parse_float32,
    parse_uint,
    parse_value,
)
from controller.index.parse.invalid import Invalid

DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10s", 10 * SECOND),  # outbound 1
        ("500ms", 500 * MILLISECOND),  # outbound 2
        ("5m", 300 * SECOND),  # outbound 3
        ("2h", 7_200 * SECOND),  # outbound 4
        ("1d", DAY),  # outbound 5
        ("0", 0),  # outbound 6
        ("0s", 0),  # outbound 7
        ("0ms", 0),  # outbound 8
        (" 2s ", 2 * SECOND),  # outbound 20
        ("+5s", 5 * SECOND),  # outbound 20
        ("00", 0),  # outbound 20
        ("0d", 0),
        ("\u20032s\u3000", 2 * SECOND),
        ("0000000000000000000000000000007s", 7 * SECOND),
        ("213503982334d", 213_503_982_334 * DAY),
        (f"{U64_MAX}ms", U64_MAX * MILLISECOND),
    ],
)
def test_durations_are_one_number_with_one_unit(text: str, expected: int) -> None:
    """A whole number, a unit, blanks around them, and zero without a unit."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.5s", "fractional values not supported"),  # outbound 9
        ("0.0s", "fractional values not supported"),  # outbound 10
        ("0.5m", "fractional values not supported"),  # outbound 11
        ("5", "missing duration unit"),  # outbound 12
        ("100", "did you mean '100s' or '100ms'?"),  # outbound 13
        ("999999999999999999d", "overflows"),  # outbound 14
        ("213503982335d", "overflows"),
        ("10x", "invalid duration unit"),  # outbound 15
        ("", "is not a duration"),  # outbound 16
        ("s", "is not a duration"),
        ("-5s", "cannot be negative"),  # outbound 17
        ("-0.5s", "cannot be negative"),  # outbound 18
        ("1h30m", "is not a whole number"),  # outbound 19
        ("1e3s", "is not a whole number"),
        ("10 s", "invalid duration unit"),  # outbound 20
        ("1.", "invalid duration unit"),  # outbound 20
        ("5us", "invalid duration unit"),  # outbound 20
        ("10S", "invalid duration unit"),
        ("١s", "is not a duration"),
        ("\x1c2s", "is not a whole number"),  # a blank to Python only
        ("18446744073709551616ms", "is more than"),
        ("9" * 5_000 + "s", "is more than"),
    ],
)
def test_other_durations_are_refused_with_a_reason(text: str, reason: str) -> None:
    """Nothing is guessed: no fractions, no compounds, no bare numbers."""
    with pytest.raises(Invalid) as error:
        parse_duration(text)
    assert reason in error.value.reason


@pytest.mark.parametrize("text", ["true", " true ", "True", "TRUE", "1", "t", "T"])
def test_truth_has_a_few_spellings(text: str) -> None:
    """As Go's ParseBool has them, with blanks around."""
    assert parse_bool(text) is True


@pytest.mark.parametrize("text", ["false", " false ", "False", "FALSE", "0", "f", "F"])
def test_falsehood_has_a_few_spellings(text: str) -> None:
    """As Go's ParseBool has them, with blanks around."""
    assert parse_bool(text) is False


@pytest.mark.parametrize("text", ["maybe", "", "yes", "tRUE", "no", "2"])
def test_anything_else_is_neither(text: str) -> None:
    """The error quotes what was written."""
    with pytest.raises(Invalid) as error:
        parse_bool(text)
    assert f"'{text}'" in error.value.reason


def test_whole_numbers_are_bounded_and_plain() -> None:
    """Decimal digits with or without a plus sign, up to the width of the field."""
    assert parse_uint("+0065535", U16_MAX) == U16_MAX
    assert parse_uint("0", U32_MAX) == 0
    for text in ("65536", "-1", "", "+", " 1", "1_0", "١", "1.0", "9" * 5_000):
        with pytest.raises(Invalid):
            parse_uint(text, U16_MAX)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e2", -100.0),
        (" 0.9 ", 0.9),
        ("+INF", math.inf),
        ("-infinity", -math.inf),
    ],
)
def test_numbers_may_have_fractions_and_exponents(text: str, expected: float) -> None:
    """As Rust reads them."""
    assert parse_float(text) == expected


def test_what_is_no_number_can_be_written_too() -> None:
    """`nan` parses; ranges refuse it."""
    assert math.isnan(parse_float("NaN"))


@pytest.mark.parametrize("text", ["", ".", "1_0", "0x1", "1e", "e1", "one", "1 0"])
def test_other_texts_are_no_numbers(text: str) -> None:
    """Also those that Python's float would take."""
    with pytest.raises(Invalid):
        parse_float(text)


def test_narrow_numbers_are_rounded_to_what_travels() -> None:
    """So that two texts that travel alike are equal."""
    assert parse_float32("0.1") == parse_float32("0.100000001")
    assert parse_float32("1e39") == math.inf
    assert parse_float32("-1e39") == -math.inf


def test_an_absent_annotation_has_its_default_and_a_wrong_one_names_its_key() -> None:
    """Where the error is belongs to the error."""
    assert parse_value({}, "key", parse_bool, default=True)
    with pytest.raises(Invalid, match=r"^example\.com/key: 'x' is neither"):
        parse_value({"example.com/key": "x"}, "example.com/key", parse_bool, default=True)
