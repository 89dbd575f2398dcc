"""Route filters that change a message: header modifiers and redirects."""

from __future__ import annotations

from controller.core import routes as core
from controller.index.parse.http import parse_absolute_path, parse_header_name, parse_header_value
from controller.index.parse.invalid import Invalid, parse_each, parse_field
from controller.k8s import gateway


def parse_header_modifier(modifier: gateway.HeaderModifier) -> core.HeaderModifier:
    """Read the headers to add, set and remove; their order stays."""
    return core.HeaderModifier(
        add=parse_each("add", _parse_header, modifier.add),
        set=parse_each("set", _parse_header, modifier.set),
        remove=parse_each("remove", parse_header_name, modifier.remove),
    )


def _parse_header(header: gateway.HttpHeader) -> tuple[str, str]:
    return (
        parse_field("name", parse_header_name, header.name),
        parse_field("value", parse_header_value, header.value),
    )


def parse_redirect(redirect: gateway.HttpRequestRedirect) -> core.RequestRedirect:
    """Read a redirect. A port that cannot be is left out, a status that cannot be is invalid."""
    port, status = redirect.port, redirect.status_code
    if status is not None and not 100 <= status <= 999:
        raise Invalid(f"{status} is not a status code", "statusCode")
    return core.RequestRedirect(
        scheme=None if redirect.scheme is None else core.Scheme(redirect.scheme),
        host=redirect.hostname,
        path=None if redirect.path is None else parse_field("path", parse_path_modifier, redirect.path),
        port=port if port is not None and 1 <= port <= 65_535 else None,
        status=status,
    )


def parse_path_modifier(modifier: gateway.PathModifier) -> core.PathModifier:
    """Read which part of a path is replaced; the whole path wins over the prefix."""
    if modifier.replace_full_path is not None:
        return core.ReplaceFullPath(parse_field("replaceFullPath", parse_absolute_path, modifier.replace_full_path))
    if modifier.replace_prefix_match is not None:
        return core.ReplacePrefixMatch(
            parse_field("replacePrefixMatch", parse_absolute_path, modifier.replace_prefix_match)
        )
    raise Invalid("needs replaceFullPath or replacePrefixMatch")


def parse_request_headers(modifier: gateway.HeaderModifier) -> core.RequestHeaderModifier:
    return core.RequestHeaderModifier(parse_header_modifier(modifier))


def parse_response_headers(modifier: gateway.HeaderModifier) -> core.ResponseHeaderModifier:
    return core.ResponseHeaderModifier(parse_header_modifier(modifier))


def parse_policy_filter(item: gateway.PolicyHttpFilter) -> core.HttpFilter:
    """Read a filter of Linkerd's own HTTPRoute: its `type` decides."""
    return _parse_filter(
        item.request_header_modifier if item.type == "RequestHeaderModifier" else None,
        item.response_header_modifier if item.type == "ResponseHeaderModifier" else None,
        item.request_redirect if item.type == "RequestRedirect" else None,
    )


def parse_gateway_filter(item: gateway.HttpFilter) -> core.HttpFilter:
    """Read a filter of a Gateway API HTTPRoute: the first part that is present decides."""
    return _parse_filter(item.request_header_modifier, item.response_header_modifier, item.request_redirect)


def parse_grpc_filter(item: gateway.GrpcFilter) -> core.GrpcFilter:
    """Read a filter of a GRPCRoute: the first part that is present decides."""
    if item.request_header_modifier is not None:
        return parse_field("requestHeaderModifier", parse_request_headers, item.request_header_modifier)
    if item.response_header_modifier is not None:
        return parse_field("responseHeaderModifier", parse_response_headers, item.response_header_modifier)
    raise Invalid("this filter cannot be applied by the server's proxy", "type")


def _parse_filter(
    request: gateway.HeaderModifier | None,
    response: gateway.HeaderModifier | None,
    redirect: gateway.HttpRequestRedirect | None,
) -> core.HttpFilter:
    if request is not None:
        return parse_field("requestHeaderModifier", parse_request_headers, request)
    if response is not None:
        return parse_field("responseHeaderModifier", parse_response_headers, response)
    if redirect is not None:
        return parse_field("requestRedirect", parse_redirect, redirect)
    raise Invalid("this filter cannot be applied by the server's proxy", "type")
