"""What the fields that open a request ask for: which method, until when; or why it cannot be."""

from __future__ import annotations

import re

from grpclib.const import Status

from controller.grpc.transport.headers import RequestHead
from controller.grpc.transport.responses import GRPC_HEAD, http_head, trailers
from controller.grpc.transport.services import Method, Routes

_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CONTENT_TYPE = re.compile(rb"application/grpc(\+proto)?(;.*)?", re.IGNORECASE)


class Refusal:
    """A whole response, for a request that gets no further: a header block, and for plain HTTP a text."""

    __slots__ = ("body", "head")

    def __init__(self, head: bytes, body: bytes = b"") -> None:
        self.head = head
        self.body = body


class Opening:
    """What a request's fields ask for. Either a method or a refusal; worked out once per distinct header block."""

    __slots__ = ("method", "refusal", "timeout")

    def __init__(self, method: Method | None, *, timeout: float | None = None, refusal: Refusal | None = None) -> None:
        self.method = method
        self.timeout = timeout
        self.refusal = refusal


def interpret(head: RequestHead, routes: Routes) -> Opening:
    """Work out what is asked for. The order of the checks is from HTTP inwards, so that any client learns something."""
    fields = dict(head.fields)
    if head.method != b"POST":
        refusal = _plain(405, "this is a gRPC server: the method is POST", [("allow", "POST")])
        return Opening(None, refusal=Refusal(refusal.head) if head.method == b"HEAD" else refusal)
    content_type = fields.get(b"content-type", b"")
    if not _CONTENT_TYPE.fullmatch(content_type):
        return Opening(None, refusal=_plain(415, "this is a gRPC server: the content-type is application/grpc", []))
    method = routes.find(head.path)
    if method is None:
        name = head.path.decode("ascii", "replace")
        return _failed(Status.UNIMPLEMENTED, f"no such method: {name}")
    if fields.get(b"grpc-encoding", b"identity") != b"identity":
        return _failed(Status.UNIMPLEMENTED, "compressed messages are not supported")
    timeout = None
    if (text := fields.get(b"grpc-timeout")) is not None:
        found = _TIMEOUT.fullmatch(text)
        if found is None:
            return _failed(Status.INTERNAL, "malformed grpc-timeout")
        timeout = int(found[1]) * _UNITS[found[2]]
    return Opening(method, timeout=timeout)


def _failed(status: Status, message: str) -> Opening:
    return Opening(None, refusal=Refusal(GRPC_HEAD + trailers(status, message)))


def _plain(status: int, text: str, fields: list[tuple[str, str]]) -> Refusal:
    body = text.encode() + b"\n"
    fields = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))), *fields]
    return Refusal(http_head(status, fields), body)
