"""What is wrong, and where."""

from __future__ import annotations

import pytest

from controller.index.parse.defaults import parse_default_policy
from controller.index.parse.durations import parse_go_duration
from controller.index.parse.http import parse_http_match, parse_regex
from controller.index.parse.inbound_routes import parse_inbound_route
from controller.index.parse.invalid import Invalid, parse_each
from controller.k8s.gateway import HttpRouteMatch
from tests.builders import decode, http_route, path, rule


def test_the_whole_path_is_named() -> None:
    """From the field of the resource down to the one that has no meaning."""
    header = {"headers": [{"name": "ok", "value": "x"}, {"name": "not ok", "value": "x"}]}

    with pytest.raises(Invalid) as caught:
        parse_inbound_route(http_route("route-foo", rule(path("/")), rule(path("/"), header)))

    assert caught.value.path == "spec.rules[1].matches[1].headers[1].name"
    assert str(caught.value) == "spec.rules[1].matches[1].headers[1].name: 'not ok' is not a header name"


def test_the_cause_is_kept() -> None:
    """Seen from further out, the error still says what it came from."""
    with pytest.raises(Invalid) as caught:
        parse_http_match(decode(HttpRouteMatch, {"path": {"type": "RegularExpression", "value": "("}}))

    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.path == "path.value"


def test_an_index_at_the_end_takes_no_dot() -> None:
    """A list in a list."""
    assert Invalid("x", "[1]").under("spec").path == "spec[1]"
    assert Invalid("x").under("spec").path == "spec"
    assert str(Invalid("x")) == "x"


def test_an_absent_list_is_empty() -> None:
    """Nothing to parse gives nothing."""
    assert parse_each("x", parse_regex, None) == ()


def test_a_duration_that_is_none_is_invalid() -> None:
    """The reason says what was expected."""
    assert parse_go_duration("1m30s").nanoseconds == 90_000_000_000
    with pytest.raises(Invalid, match="unknown unit 'd'"):
        parse_go_duration("1d")


def test_a_default_policy_that_does_not_exist_is_invalid() -> None:
    """The reason lists those that do."""
    with pytest.raises(Invalid, match="'foobar' is not one of all-authenticated, all-unauthenticated, cluster-"):
        parse_default_policy("foobar")
