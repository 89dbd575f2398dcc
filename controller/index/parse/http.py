"""The parts that HTTP and gRPC routes share with filters: names and values of headers, paths, patterns, hosts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import assert_never

import paula  # pyright: ignore[reportMissingTypeStubs]  # it ships none

from controller.core import routes as core
from controller.index.parse.invalid import Invalid, parse_each, parse_field
from controller.k8s import gateway

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,65535}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def parse_header_name(name: str) -> str:
    """Check a header name and return it in lower case."""
    if not _HEADER_NAME.fullmatch(name):
        raise Invalid(f"{name[:80]!r} is not a header name")
    return name.lower()


def parse_header_value(value: str) -> str:
    """Check a header value: no control characters but the tab."""
    if _CONTROL.search(value):
        raise Invalid(f"{value[:80]!r} is not a header value")
    return value


@lru_cache(maxsize=1024)
def parse_regex(pattern: str) -> str:
    """Check that the proxy can compile a pattern; it travels as text.

    The proxy discards the whole answer over one pattern that it cannot compile. Only its own engine decides alike.
    """
    try:
        paula.Regex(pattern)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    except ValueError as error:
        # The crate draws the pattern and an arrow; its last words say what is wrong.
        reason = str(error).rpartition("error: ")[2]
        raise Invalid(f"{pattern[:80]!r} is not a regular expression: {reason}") from error
    return pattern


def parse_absolute_path(path: str) -> str:
    """Check that a path begins with a slash."""
    if not path.startswith("/"):
        raise Invalid(f"{path!r} does not begin with a slash")
    return path


def parse_path(match: gateway.HttpPathMatch) -> core.PathMatch:
    """Read a path match; the default is the prefix `/`."""
    value = "/" if match.value is None else match.value
    match match.type:
        case "Exact":
            return core.PathExact(parse_field("value", parse_absolute_path, value))
        case "RegularExpression":
            return core.PathRegex(parse_field("value", parse_regex, value))
        case "PathPrefix" | None:
            return core.PathPrefix(parse_field("value", parse_absolute_path, value))
        case _:
            assert_never(match.type)


def parse_header(match: gateway.HttpHeaderMatch) -> core.HeaderMatch:
    name = parse_field("name", parse_header_name, match.name)
    match match.type:
        case "RegularExpression":
            return core.HeaderRegex(name, parse_field("value", parse_regex, match.value))
        case "Exact" | None:
            return core.HeaderExact(name, parse_field("value", parse_header_value, match.value).encode())
        case _:
            assert_never(match.type)


def parse_query_param(match: gateway.HttpQueryParamMatch) -> core.QueryParamMatch:
    match match.type:
        case "RegularExpression":
            return core.QueryParamRegex(match.name, parse_field("value", parse_regex, match.value))
        case "Exact" | None:
            return core.QueryParamExact(match.name, match.value)
        case _:
            assert_never(match.type)


def parse_http_match(match: gateway.HttpRouteMatch) -> core.HttpRouteMatch:
    return core.HttpRouteMatch(
        path=None if match.path is None else parse_field("path", parse_path, match.path),
        headers=parse_each("headers", parse_header, match.headers),
        query_params=parse_each("queryParams", parse_query_param, match.query_params),
        method=None if match.method is None else core.Method(match.method),
    )


def parse_grpc_match(match: gateway.GrpcRouteMatch) -> core.GrpcRouteMatch:
    return core.GrpcRouteMatch(
        rpc=None if match.method is None else parse_field("method", parse_rpc, match.method),
        headers=parse_each("headers", parse_header, match.headers),
    )


def parse_rpc(match: gateway.GrpcMethodMatch) -> core.GrpcMethodMatch:
    if match.type == "RegularExpression":
        raise Invalid("regular expressions cannot match gRPC methods", "type")
    return core.GrpcMethodMatch(match.service, match.method)


def parse_host(hostname: str) -> core.HostMatch:
    """Read a hostname; `*.` stands for any labels in front of the rest."""
    if hostname.startswith("*."):
        return core.HostSuffix(tuple(hostname[2:].split(".")[::-1]))
    return core.HostExact(hostname)
