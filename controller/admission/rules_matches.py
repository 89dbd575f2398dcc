"""Rules for the rules of routes: what they match, and what their filters do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import msgspec

from controller.admission.findings import Finding, check, check_each, each
from controller.index.parse.filters import parse_path_modifier, parse_redirect
from controller.index.parse.http import (
    parse_header,
    parse_header_name,
    parse_header_value,
    parse_path,
    parse_query_param,
    parse_rpc,
)
from controller.k8s import gateway


def http_match(path: str, match: gateway.HttpRouteMatch) -> Iterator[Finding]:
    yield from check(f"{path}.path", parse_path, match.path)
    yield from check_each(f"{path}.headers", parse_header, match.headers)
    yield from check_each(f"{path}.queryParams", parse_query_param, match.query_params)


def grpc_match(path: str, match: gateway.GrpcRouteMatch) -> Iterator[Finding]:
    yield from check(f"{path}.method", parse_rpc, match.method)
    yield from check_each(f"{path}.headers", parse_header, match.headers)


def policy_filter(path: str, item: gateway.PolicyHttpFilter) -> Iterator[Finding]:
    """A filter of Linkerd's own HTTPRoute: only the part that its type names counts."""
    match item.type:
        case "RequestHeaderModifier":
            yield from _header_modifier(f"{path}.requestHeaderModifier", item.request_header_modifier)
        case "ResponseHeaderModifier":
            yield from _header_modifier(f"{path}.responseHeaderModifier", item.response_header_modifier)
        case "RequestRedirect":
            yield from _redirect(f"{path}.requestRedirect", item.request_redirect)
        case _:
            assert_never(item.type)


def gateway_filter(path: str, item: gateway.HttpFilter) -> Iterator[Finding]:
    """A filter of a Gateway API HTTPRoute: every part that is present counts."""
    yield from _header_modifier(f"{path}.requestHeaderModifier", item.request_header_modifier)
    yield from _header_modifier(f"{path}.responseHeaderModifier", item.response_header_modifier)
    yield from _redirect(f"{path}.requestRedirect", item.request_redirect)


def grpc_filter(path: str, item: gateway.GrpcFilter) -> Iterator[Finding]:
    yield from _header_modifier(f"{path}.requestHeaderModifier", item.request_header_modifier)
    yield from _header_modifier(f"{path}.responseHeaderModifier", item.response_header_modifier)


def _header_modifier(path: str, modifier: gateway.HeaderModifier | None) -> Iterator[Finding]:
    if modifier is not None:
        yield from each(f"{path}.add", _header, modifier.add)
        yield from each(f"{path}.set", _header, modifier.set)
        yield from check_each(f"{path}.remove", parse_header_name, modifier.remove)


def _header(path: str, header: gateway.HttpHeader) -> Iterator[Finding]:
    yield from check(f"{path}.name", parse_header_name, header.name)
    yield from check(f"{path}.value", parse_header_value, header.value)


def _redirect(path: str, redirect: gateway.HttpRequestRedirect | None) -> Iterator[Finding]:
    if redirect is not None:
        yield from check(f"{path}.path", parse_path_modifier, redirect.path)
        yield from check(path, parse_redirect, msgspec.structs.replace(redirect, path=None))
