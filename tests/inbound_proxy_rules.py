"""What a Linkerd proxy refuses: rules for inbound messages, written from the proxy's side.

A proxy discards a whole message that breaks one of them and fails the requests on that port, so no answer may.
"""

from __future__ import annotations

from collections.abc import Iterator

import paula
from google.protobuf.message import Message

from controller.grpc.gen.linkerd import inbound_pb2 as pb

BITS = {"ipv4": 32, "ipv6": 128}


def refused(server: pb.Server) -> list[str]:
    """Why a proxy would discard the message; empty for one that it takes."""
    return [*_server(server), *_everywhere(server)]


def _server(server: pb.Server) -> Iterator[str]:
    kind = server.protocol.WhichOneof("kind")
    if kind is None:
        yield "no protocol"
        return
    if not server.labels.get("name"):
        yield "a server without a name"
    if kind == "detect" and not server.protocol.detect.HasField("timeout"):
        yield "detection without a timeout"
    inner = getattr(server.protocol, kind)
    for name in ("routes", "http_routes"):
        if name in inner.DESCRIPTOR.fields_by_name and not getattr(inner, name):
            yield f"no routes for {kind}"


def _everywhere(message: Message) -> Iterator[str]:
    """The rules of each message, wherever it occurs."""
    match message:
        case pb.Authz():
            yield from _authz(message)
        case pb.HttpRoute() | pb.GrpcRoute() if message.metadata.WhichOneof("kind") is None:
            yield "a route without metadata"
    match message.DESCRIPTOR.full_name.removeprefix("io.linkerd.proxy."):
        case "net.IPNetwork":
            yield from _network(message)
        case "http_route.RequestRedirect":
            yield from _redirect(message)
    yield from _oneofs(message)
    for field, value in message.ListFields():
        if field.name == "regex":
            yield from _regex(value)
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else (value,):
                yield from _everywhere(inner)


def _oneofs(message: Message) -> Iterator[str]:
    """A message that is a choice has to say which."""
    for oneof in message.DESCRIPTOR.oneofs:
        if message.WhichOneof(oneof.name) is None:
            yield f"{message.DESCRIPTOR.full_name} without {oneof.name}"


def _authz(authz: pb.Authz) -> Iterator[str]:
    if not authz.networks:
        yield "an authorization without networks"
    if not all(network.HasField("net") for network in authz.networks):
        yield "a network without a block"
    if authz.metadata.WhichOneof("kind") is None:
        yield "an authorization without metadata"
    if authz.authentication.WhichOneof("permit") is None:
        yield "an authorization without authentication"


def _network(network: Message) -> Iterator[str]:
    family = network.ip.WhichOneof("ip")  # type: ignore[attr-defined]
    if family is None or network.prefix_len > BITS[family]:  # type: ignore[attr-defined]
        yield "a network that is none"


def _redirect(redirect: Message) -> Iterator[str]:
    if redirect.HasField("path"):
        path = redirect.path  # type: ignore[attr-defined]
        if not getattr(path, path.WhichOneof("replace")).startswith("/"):
            yield "a redirect to a relative path"


def _regex(pattern: str) -> Iterator[str]:
    try:
        paula.Regex(pattern)
    except ValueError:
        yield f"a regular expression that does not compile: {pattern}"
