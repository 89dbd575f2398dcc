"""Matches of HTTP and gRPC routes."""

from __future__ import annotations

import pytest

from controller.core import routes as core
from controller.index.parse.http import (
    parse_grpc_match,
    parse_header_name,
    parse_header_value,
    parse_host,
    parse_http_match,
    parse_regex,
)
from controller.index.parse.invalid import Invalid
from controller.k8s.gateway import GrpcRouteMatch, HttpRouteMatch
from tests.builders import Object, decode


def _http(**fields: object) -> core.HttpRouteMatch:
    return parse_http_match(decode(HttpRouteMatch, fields))


def _grpc(**fields: object) -> core.GrpcRouteMatch:
    return parse_grpc_match(decode(GrpcRouteMatch, fields))


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ({"type": "Exact", "value": "/a"}, core.PathExact("/a")),
        ({"type": "PathPrefix", "value": "/a"}, core.PathPrefix("/a")),
        ({"value": "/a"}, core.PathPrefix("/a")),
        ({}, core.PathPrefix("/")),
        ({"type": "Exact"}, core.PathExact("/")),
        ({"type": "RegularExpression", "value": "a.*"}, core.PathRegex("a.*")),
        (None, None),
    ],
)
def test_each_form_of_path(path: Object | None, match: core.PathMatch | None) -> None:
    """The prefix is the default, and `/` what is left out."""
    assert _http(path=path) == core.HttpRouteMatch(path=match)


@pytest.mark.parametrize("kind", ["Exact", "PathPrefix"])
@pytest.mark.parametrize("value", ["", "relative", "*"])
def test_a_path_begins_with_a_slash(kind: str, value: str) -> None:
    """Unless it is a pattern."""
    with pytest.raises(Invalid, match=r"path\.value"):
        _http(path={"type": kind, "value": value})


# inbound 117
def test_header_names_are_lower_case_and_values_are_bytes() -> None:
    """Names do not keep their case; what is matched is what UTF-8 makes of the value; patterns stay as they are."""
    headers = [
        {"name": "X-Foo", "value": "bär\t"},
        {"name": "X-Bar", "value": "[A-Z]+", "type": "RegularExpression"},
        {"name": "X-Foo", "value": "", "type": "Exact"},
    ]
    expected = (
        core.HeaderExact("x-foo", "bär\t".encode()),
        core.HeaderRegex("x-bar", "[A-Z]+"),
        core.HeaderExact("x-foo", b""),
    )
    assert _http(headers=headers).headers == _grpc(headers=headers).headers == expected


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\n", "x" * 65_536])
def test_a_header_name_is_a_token(name: str) -> None:
    """Letters, digits and some signs, up to 65,535 of them."""
    with pytest.raises(Invalid, match="header name"):
        parse_header_name(name)
    assert parse_header_name("X!#$%&'*+-.^_`|~9") == "x!#$%&'*+-.^_`|~9"
    assert len(parse_header_name("x" * 65_535)) == 65_535


@pytest.mark.parametrize("value", ["\x00", "a\nb", "\x1f", "\x7f", "a\r"])
def test_a_header_value_has_no_controls(value: str) -> None:
    """But for the tab."""
    with pytest.raises(Invalid, match="header value"):
        parse_header_value(value)
    assert parse_header_value("\t ~\x80ÿ€") == "\t ~\x80ÿ€"


def test_query_parameters_keep_their_case() -> None:
    """By value or by pattern; any name and any value will do."""
    params = [
        {"name": "Q", "value": "V"},
        {"name": "", "value": "", "type": "Exact"},
        {"name": "r", "value": "^x$", "type": "RegularExpression"},
    ]
    assert _http(queryParams=params).query_params == (
        core.QueryParamExact("Q", "V"),
        core.QueryParamExact("", ""),
        core.QueryParamRegex("r", "^x$"),
    )


@pytest.mark.parametrize("method", core.Method)
def test_methods_go_by_their_names(method: core.Method) -> None:
    """Each of the nine."""
    assert _http(method=method.value) == core.HttpRouteMatch(method=method)


# inbound 117
@pytest.mark.parametrize("pattern", [r"(?=a)", r"(a)\1", "(", "{", "x{,5}", r"\C", r"\Qa\E", r"[\d-z]", r"\w{500}"])
def test_patterns_that_the_proxy_cannot_compile(pattern: str) -> None:
    """Each place where a pattern may stand refuses it."""
    with pytest.raises(Invalid, match="not a regular expression"):
        parse_regex(pattern)
    for match in (
        {"path": {"type": "RegularExpression", "value": pattern}},
        {"headers": [{"name": "x", "type": "RegularExpression", "value": pattern}]},
        {"queryParams": [{"name": "x", "type": "RegularExpression", "value": pattern}]},
    ):
        with pytest.raises(Invalid, match="value"):
            _http(**match)


@pytest.mark.parametrize("pattern", ["a{1001}", "(?x) a", "a**", r"\u0041", r"\p{Script=Greek}", "", "é+", "(?P<n>x)"])
def test_patterns_that_only_the_proxys_engine_takes(pattern: str) -> None:
    """The text is kept as it is."""
    assert parse_regex(pattern) == pattern


@pytest.mark.parametrize(
    ("method", "match"),
    [
        (None, None),
        ({}, core.GrpcMethodMatch()),
        ({"type": "Exact", "service": "s"}, core.GrpcMethodMatch(service="s")),
        ({"method": "m"}, core.GrpcMethodMatch(method="m")),
    ],
)
def test_grpc_methods_match_by_name(method: Object | None, match: core.GrpcMethodMatch | None) -> None:
    """Service and method may each be left out, or the whole."""
    assert _grpc(method=method) == core.GrpcRouteMatch(rpc=match)


def test_grpc_methods_do_not_match_by_pattern() -> None:
    """A pattern makes the route invalid."""
    with pytest.raises(Invalid, match=r"method\.type"):
        _grpc(method={"type": "RegularExpression", "service": "s"})


# inbound 118
@pytest.mark.parametrize(
    ("hostname", "host"),
    [
        ("*.example.com", core.HostSuffix(("com", "example"))),
        ("*", core.HostExact("*")),
        ("a.Example.com", core.HostExact("a.Example.com")),
        ("*.", core.HostSuffix(("",))),
    ],
)
def test_hosts(hostname: str, host: core.HostMatch) -> None:
    """A star in front stands for more labels; the others are kept from the last to the first."""
    assert parse_host(hostname) == host
