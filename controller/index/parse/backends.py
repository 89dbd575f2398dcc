"""Where a rule of a route sends traffic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Never, Protocol, TypeVar

from controller.core.outbound import Backend, EgressNetworkBackend, InvalidBackend, ServiceBackend
from controller.core.routes import GrpcFilter, HttpFilter
from controller.index.parse.filters import parse_gateway_filter, parse_grpc_filter
from controller.index.parse.invalid import Invalid
from controller.index.parse.parents import ParentKind, parse_kind, parse_port_number
from controller.k8s import gateway

F = TypeVar("F")
Raw = TypeVar("Raw")


class _BackendRef(Protocol):
    """What the references of all kinds of routes have in common."""

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str | None: ...
    @property
    def kind(self) -> str | None: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def weight(self) -> int | None: ...


def parse_http_backends(
    namespace: str, refs: Iterable[gateway.HttpBackendRef] | None
) -> tuple[Backend[HttpFilter], ...]:
    """Read the backends of an HTTPRoute of `namespace`, in order."""
    return tuple([_parse_filtered(namespace, ref, ref.filters, _parse_http_filter) for ref in refs or ()])


def parse_grpc_backends(
    namespace: str, refs: Iterable[gateway.GrpcBackendRef] | None
) -> tuple[Backend[GrpcFilter], ...]:
    """Read the backends of a GRPCRoute of `namespace`, in order."""
    return tuple([_parse_filtered(namespace, ref, ref.filters, _parse_grpc_filter) for ref in refs or ()])


def parse_forward_backends(namespace: str, refs: Iterable[gateway.BackendRef]) -> tuple[Backend[Never], ...]:
    """Read the backends of a TLSRoute or TCPRoute of `namespace`, in order."""
    return tuple([_parse_backend(namespace, ref, ()) for ref in refs])


def _parse_filtered(
    namespace: str, ref: _BackendRef, filters: tuple[Raw, ...] | None, parse_filter: Callable[[Raw], F]
) -> Backend[F]:
    """A filter that cannot be had makes the backend invalid, and not the route: the other backends still serve.

    The text of the error reaches clients, with the response that the proxy makes up.
    """
    if parse_kind(ref.group, _kind(ref)) is None:
        return _parse_backend(namespace, ref, ())
    try:
        parsed = tuple([parse_filter(item) for item in filters or ()])
    except Invalid as invalid:
        return InvalidBackend(f"unsupported backend filter: {invalid.reason}", _weight(ref))
    return _parse_backend(namespace, ref, parsed)


def _parse_backend(namespace: str, ref: _BackendRef, filters: tuple[F, ...]) -> Backend[F]:
    if ref.namespace is not None:
        namespace = ref.namespace
    port, weight, kind = parse_port_number(ref.port), _weight(ref), parse_kind(ref.group, _kind(ref))
    if kind is None:
        group = "core" if ref.group is None else ref.group
        return InvalidBackend(f"unsupported backend type {group} {ref.kind or '<empty>'}", weight)
    if kind is ParentKind.EGRESS_NETWORK:
        return EgressNetworkBackend(namespace, ref.name, port, weight, filters)
    if port is None:
        return InvalidBackend(f"missing port for backend Service {ref.name}", weight)
    return ServiceBackend(namespace, ref.name, port, weight, filters)


def _kind(ref: _BackendRef) -> str:
    return "Service" if ref.kind is None else ref.kind


def _weight(ref: _BackendRef) -> int:
    """Where the schema's bounds are missing, a negative weight is what its 32 bits say."""
    return 1 if ref.weight is None else ref.weight & 0xFFFFFFFF


def _parse_http_filter(item: gateway.HttpFilter) -> HttpFilter:
    try:
        return parse_gateway_filter(item)
    except Invalid as invalid:
        raise Invalid(_http_complaint(item, invalid)) from invalid


def _parse_grpc_filter(item: gateway.GrpcFilter) -> GrpcFilter:
    try:
        return parse_grpc_filter(item)
    except Invalid as invalid:
        raise Invalid(_complaint(item, invalid)) from invalid


def _http_complaint(item: gateway.HttpFilter, invalid: Invalid) -> str:
    """What is wrong with a filter, in the words that clients know."""
    if item.request_header_modifier is item.response_header_modifier is None:
        if item.request_redirect is not None:
            return _redirect_complaint(item.request_redirect, invalid)
        if item.request_mirror is None and item.url_rewrite is not None:
            return "URLRewrite filter is not supported"
    return _complaint(item, invalid)


def _complaint(item: gateway.HttpFilter | gateway.GrpcFilter, invalid: Invalid) -> str:
    """The part that counts is the first that is present."""
    if item.request_header_modifier is not None or item.response_header_modifier is not None:
        return "failed to parse header value" if invalid.path.endswith(".value") else "invalid HTTP header name"
    if item.request_mirror is not None:
        return "RequestMirror filter is not supported"
    if item.extension_ref is not None:
        return "ExtensionRef filter is not supported"
    return "unknown filter"


def _redirect_complaint(redirect: gateway.HttpRequestRedirect, invalid: Invalid) -> str:
    modifier = redirect.path
    if modifier is None or invalid.path.endswith(".statusCode"):
        return "invalid status code"
    path = modifier.replace_prefix_match if modifier.replace_full_path is None else modifier.replace_full_path
    if path is None:
        return "RequestRedirect filter must contain either replace_full_path or replace_prefix_match"
    quoted = json.dumps(path, ensure_ascii=False)
    return (
        f"RequestRedirect filters may only contain absolute paths (starting with '/'); {quoted} is not an absolute path"
    )
