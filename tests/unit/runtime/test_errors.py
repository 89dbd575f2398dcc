"""Errors are named by what a caller can do about them."""

from __future__ import annotations

import msgspec
import pytest

from controller.runtime.errors import (
    Absent,
    AheadOfServer,
    AlreadyExists,
    Conflicted,
    Expired,
    Forbidden,
    KubernetesError,
    Refused,
    Rejected,
    Throttled,
    Unauthenticated,
    Unavailable,
    from_status,
    parse_retry_after,
    parse_status,
)
from tests.unit.runtime.support import status


def error_of(**fields: object) -> KubernetesError:
    code = fields.get("code")
    body = msgspec.json.encode(status(**fields))  # type: ignore[arg-type]
    return from_status(parse_status(body, code if isinstance(code, int) else 0), doing="listing widgets")


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        (410, "Expired", Expired),
        (410, "Gone", Expired),
        (410, "", Expired),
        (500, "Expired", Expired),  # the reason counts more than the code
        (409, "Conflict", Conflicted),
        (409, "", Conflicted),
        (409, "SomethingNew", Conflicted),
        (409, "AlreadyExists", AlreadyExists),
        (404, "NotFound", Absent),
        (404, "", Absent),
        (401, "Unauthorized", Unauthenticated),
        (403, "Forbidden", Forbidden),
        (429, "TooManyRequests", Throttled),
        (422, "Invalid", Rejected),
        (400, "BadRequest", Rejected),
        (500, "InternalError", Unavailable),
        (502, "", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
        (504, "ServerTimeout", Unavailable),
        (405, "MethodNotAllowed", Refused),
        (418, "", Refused),
        (0, "", Refused),
    ],
)
def test_reason_first_then_code(code: int, reason: str, remedy: type[KubernetesError]) -> None:
    """The class follows the reason, and the code where the reason says nothing to us."""
    # runtime C22
    assert type(error_of(code=code, reason=reason)) is remedy


# runtime W6
@pytest.mark.parametrize(
    "fields",
    [
        {"code": 504, "reason": "Timeout", "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}},
        {"code": 504, "message": "Too large resource version: 5, current: 4"},
        {"code": 500, "reason": "Timeout", "details": {"causes": [{"message": "Too large resource version"}]}},
    ],
)
def test_a_version_from_the_future(fields: dict[str, object]) -> None:
    """A server that lags says so by a cause, or only by its words."""
    assert type(error_of(**fields)) is AheadOfServer


def test_the_words_alone_do_not_make_a_version_from_the_future() -> None:
    """Some other error that quotes the phrase is what it is."""
    assert type(error_of(code=403, reason="Forbidden", message="Too large resource version")) is Forbidden


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", "HTTP status 502 without a body"),
        (b'{"kind":"Pod"}', '{"kind":"Pod"}'),
        (b"[1]", "[1]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_a_body_that_is_no_status(body: bytes, message: str) -> None:
    """Whatever a proxy answers becomes a Status that quotes it."""
    # runtime C22
    error = from_status(parse_status(body, 502), doing="listing widgets")
    assert type(error) is Unavailable
    assert error.message == f"listing widgets: {message} (502)"
    assert error.status is not None
    assert error.status.code == 502


def test_long_bodies_are_cut() -> None:
    """Only the beginning of a page that is no Status is kept."""
    assert len(parse_status(b"x" * 100_000, 500).message) == 1024


def test_retry_after_from_details() -> None:
    """Where there is no header, the Status may say how long to wait; a header counts more."""
    parsed = parse_status(msgspec.json.encode(status(429, details={"retryAfterSeconds": 7})), 429)
    assert from_status(parsed, doing="x").retry_after == 7.0
    assert from_status(parsed, doing="x", retry_after=2.0).retry_after == 2.0


@pytest.mark.parametrize(
    ("value", "until", "seconds"),
    [
        (None, None, None),
        ("3", None, 3.0),
        (" 0 ", None, 0.0),
        ("soon", None, None),
        ("-1", None, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 12.5, 12.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", -4.0, 0.0),
        ("\u0663", None, None),
    ],
)
def test_retry_after(value: str | None, until: float | None, seconds: float | None) -> None:
    """Retry-After is a number of seconds or a date, and nonsense is nothing."""
    assert parse_retry_after(value, seconds_until=until) == seconds
