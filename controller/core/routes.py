"""What inbound and outbound routes have in common: hosts, matches and filters."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs


@attrs.frozen
class HostExact:
    name: str


@attrs.frozen
class HostSuffix:
    """Labels after the `*.`, last one first: `*.example.com` is `("com", "example")`."""

    reverse_labels: tuple[str, ...]


HostMatch: TypeAlias = HostExact | HostSuffix


@attrs.frozen
class PathExact:
    value: str


@attrs.frozen
class PathPrefix:
    value: str


@attrs.frozen
class PathRegex:
    """A pattern in the dialect of Rust's `regex`; it has been compiled once, and travels as text."""

    pattern: str


PathMatch: TypeAlias = PathExact | PathPrefix | PathRegex


@attrs.frozen
class HeaderExact:
    name: str
    value: bytes


@attrs.frozen
class HeaderRegex:
    name: str
    pattern: str


HeaderMatch: TypeAlias = HeaderExact | HeaderRegex


@attrs.frozen
class QueryParamExact:
    name: str
    value: str


@attrs.frozen
class QueryParamRegex:
    name: str
    pattern: str


QueryParamMatch: TypeAlias = QueryParamExact | QueryParamRegex


class Method(enum.Enum):
    """The HTTP methods a route can name."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"
    PATCH = "PATCH"
    OPTIONS = "OPTIONS"
    CONNECT = "CONNECT"
    HEAD = "HEAD"
    TRACE = "TRACE"


@attrs.frozen
class HttpRouteMatch:
    path: PathMatch | None = None
    headers: tuple[HeaderMatch, ...] = ()
    query_params: tuple[QueryParamMatch, ...] = ()
    method: Method | None = None


@attrs.frozen
class GrpcMethodMatch:
    """A service and a method; `None` matches any."""

    service: str | None = None
    method: str | None = None


@attrs.frozen
class GrpcRouteMatch:
    rpc: GrpcMethodMatch | None = None
    headers: tuple[HeaderMatch, ...] = ()


@attrs.frozen
class HeaderModifier:
    """Header names are lower case; values are text whose UTF-8 bytes go on the wire."""

    add: tuple[tuple[str, str], ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@attrs.frozen
class RequestHeaderModifier:
    modifier: HeaderModifier


@attrs.frozen
class ResponseHeaderModifier:
    modifier: HeaderModifier


class Scheme(enum.Enum):
    HTTP = "http"
    HTTPS = "https"


@attrs.frozen
class ReplaceFullPath:
    path: str


@attrs.frozen
class ReplacePrefixMatch:
    path: str


PathModifier: TypeAlias = ReplaceFullPath | ReplacePrefixMatch


@attrs.frozen
class RequestRedirect:
    scheme: Scheme | None = None
    host: str | None = None
    path: PathModifier | None = None
    port: int | None = None
    status: int | None = None


HttpFilter: TypeAlias = RequestHeaderModifier | ResponseHeaderModifier | RequestRedirect
GrpcFilter: TypeAlias = RequestHeaderModifier | ResponseHeaderModifier


@attrs.frozen
class DefaultRoute:
    """A route that the controller made up, by the name the proxy shows in its metrics."""

    name: str


@attrs.frozen
class ResourceRoute:
    """A route that a user wrote. `namespace` is empty where the reader knows it (inbound)."""

    group: str
    kind: str
    name: str
    namespace: str = ""


RouteRef: TypeAlias = DefaultRoute | ResourceRoute
