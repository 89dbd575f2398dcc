"""What a policy message says, in words: one row for each thing, with the object that decided it.

Nothing here knows what was written to the API server; everything is read off the message that the proxy got.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

import attrs
from google.protobuf.duration_pb2 import Duration

from controller.grpc.gen.linkerd import grpc_route_pb2, http_route_pb2, inbound_pb2, meta_pb2, net_pb2
from controller.grpc.gen.linkerd.http_types_pb2 import HttpMethod
from controller.k8s.kinds import WATCHED


@attrs.frozen
class Row:
    """One thing that a proxy was told."""

    what: str
    value: str
    why: str = ""


# The inbound API says kinds in lower case.
_KINDS = {kind.resource.kind.lower(): kind.resource.kind for kind in WATCHED}
# Service accounts as the mesh names them.
_ACCOUNT = re.compile(r"([^.]+)\.([^.]+)\.serviceaccount\.identity\..+")
_EVERYWHERE = frozenset(("0.0.0.0/0", "::/0"))


def inbound_rows(server: inbound_pb2.Server) -> tuple[Row, ...]:
    """Return what holds on a port."""
    return tuple(_inbound(server))


def _inbound(server: inbound_pb2.Server) -> Iterator[Row]:
    labels = server.labels
    if labels["kind"] == "default":
        decided = f"default policy {labels['name']}"
    else:
        decided = f"{_kind(labels['kind'])} {labels['name']}"
    yield Row("protocol", _protocol(server.protocol), decided)
    if server.authorizations:
        yield from _clients("may call", server.authorizations)
    else:
        yield Row("may call", "nobody", "no policy lets anybody in")
    for route, matches in _routes(server.protocol):
        name = metadata_text(route.metadata)
        if name != "default":
            yield Row("route", ", ".join(matches), f"{name} route" if route.metadata.default else name)
            yield from _clients("  also", route.authorizations)  # beside those who may call the server as such
    yield from _limit(server.protocol)


_PROTOCOLS = {"http1": "HTTP/1", "http2": "HTTP/2", "grpc": "gRPC", "tls": "TLS", "opaque": "opaque"}
Route: TypeAlias = inbound_pb2.HttpRoute | inbound_pb2.GrpcRoute


def _protocol(protocol: inbound_pb2.ProxyProtocol) -> str:
    kind = protocol.WhichOneof("kind") or ""
    if kind == "detect":
        return f"found out from the first bytes ({seconds(protocol.detect.timeout)} at most)"
    return _PROTOCOLS.get(kind, kind)


def _routes(protocol: inbound_pb2.ProxyProtocol) -> Iterator[tuple[Route, list[str]]]:
    for http in (*protocol.detect.http_routes, *protocol.http1.routes, *protocol.http2.routes):  # of one, if any
        yield http, [match_text(match) for rule in http.rules for match in rule.matches]
    for grpc in protocol.grpc.routes:
        yield grpc, [rpc_text(match) for rule in grpc.rules for match in rule.matches]


def _limit(protocol: inbound_pb2.ProxyProtocol) -> Iterator[Row]:
    for limit in (
        protocol.detect.http_local_rate_limit,
        protocol.http1.local_rate_limit,
        protocol.http2.local_rate_limit,
    ):
        name = metadata_text(limit.metadata)
        if limit.HasField("total"):
            yield Row("limit", f"{limit.total.requestsPerSecond} requests/s in all", name)
        if limit.HasField("identity"):
            yield Row("limit", f"{limit.identity.requestsPerSecond} requests/s of a client", name)
        for override in limit.overrides:
            who = ", ".join(_identity(identity.name) for identity in override.clients.identities)
            yield Row("limit", f"{override.limit.requestsPerSecond} requests/s of {who}", name)


def _clients(what: str, authorizations: Iterable[inbound_pb2.Authz]) -> Iterator[Row]:
    for authz in authorizations:
        yield Row(what, f"{_who(authz.authentication)}{_from_where(authz)}", _policy(authz))


def _policy(authz: inbound_pb2.Authz) -> str:
    name = metadata_text(authz.metadata)
    return f"default policy {name}" if authz.metadata.default else name


def _who(authentication: inbound_pb2.Authn) -> str:
    if authentication.HasField("unauthenticated"):
        return "anybody"
    mesh = authentication.meshTLS
    if mesh.HasField("unauthenticated"):
        return "anybody with TLS"
    names = [_identity(identity.name) for identity in mesh.identities.identities]
    names += ["*." + ".".join(suffix.parts) if suffix.parts else "*" for suffix in mesh.identities.suffixes]
    return "anybody in the mesh" if names == ["*"] else ", ".join(names)


def _identity(name: str) -> str:
    account = _ACCOUNT.fullmatch(name)
    return f"{account[1]} of {account[2]}" if account else name


def _from_where(authz: inbound_pb2.Authz) -> str:
    networks = [network_text(network.net) for network in authz.networks]
    return "" if _EVERYWHERE.issuperset(networks) else f" from {', '.join(networks)}"


def metadata_text(metadata: meta_pb2.Metadata) -> str:
    """Return the name of an object, or of a default."""
    if metadata.default:
        return metadata.default
    resource = metadata.resource
    name = f"{resource.namespace}/{resource.name}" if resource.namespace else resource.name
    return f"{_kind(resource.kind)} {name}"


def _kind(text: str) -> str:
    return _KINDS.get(text, text)


def match_text(match: http_route_pb2.HttpRouteMatch) -> str:
    """Return which requests a match is for."""
    path = match.path
    where = {"exact": path.exact, "prefix": path.prefix.rstrip("/") + "/*", "regex": f"~{path.regex}"}
    text = where[path.WhichOneof("kind") or "prefix"]
    if not match.HasField("method"):
        return text
    method = match.method
    name = method.unregistered or HttpMethod.Registered.Name(method.registered)
    return f"{name} {text}"


def rpc_text(match: grpc_route_pb2.GrpcRouteMatch) -> str:
    """Return which calls a match is for."""
    return f"{match.rpc.service or '*'}/{match.rpc.method or '*'}"


def network_text(network: net_pb2.IPNetwork) -> str:
    """Return a network as users write it."""
    return f"{ip_text(network.ip)}/{network.prefix_len}"


def ip_text(address: net_pb2.IPAddress) -> str:
    """Return an address as users write it."""
    if address.HasField("ipv6"):
        return str(IPv6Address(address.ipv6.first << 64 | address.ipv6.last))
    return str(IPv4Address(address.ipv4))


def seconds(duration: Duration) -> str:
    """Return a duration with the unit that suits it."""
    value: dt.timedelta = duration.ToTimedelta()
    whole = value.total_seconds()
    return f"{whole:g} s" if whole >= 1 else f"{whole * 1000:g} ms"
