"""The header blocks of responses: what a gRPC server says before and after its messages.

They use no dynamic table, so a block is the same bytes on every connection and is made once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from grpclib.const import Status
from grpclib.metadata import encode_grpc_message

_HTTP_STATUS = {200: b"\x88", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}  # RFC 7541, appendix A
_LITERAL = b"\x00"  # a field that is in no table and goes into none


def _sized(text: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541, 5.2)."""
    size = len(text)
    if size < 0x7F:
        return bytes((size,)) + text
    size -= 0x7F
    prefix = bytearray((0x7F,))
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + text


def encode_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """Fields as a part of a header block. Their text must be ASCII."""
    return b"".join(_LITERAL + _sized(name.encode()) + _sized(value.encode()) for name, value in fields)


def http_head(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    known = _HTTP_STATUS.get(status)
    return (b"\x08" + _sized(b"%d" % status) if known is None else known) + encode_fields(fields)


# What every response to a gRPC request begins with.
GRPC_HEAD = http_head(200, [("content-type", "application/grpc")])
_ACCEPT_IDENTITY = encode_fields([("grpc-accept-encoding", "identity")])


@lru_cache(maxsize=256)
def trailers(status: Status, message: str | None) -> bytes:
    """The end of a response."""
    fields = [("grpc-status", str(status.value))]
    if message:
        # A lone surrogate cannot be sent; it must not keep the status from being sent either.
        text = message.encode("utf-8", "replace").decode()
        fields.append(("grpc-message", encode_grpc_message(text)))
    block = encode_fields(fields)
    return block + _ACCEPT_IDENTITY if status is Status.UNIMPLEMENTED else block


OK_TRAILERS = trailers(Status.OK, None)
