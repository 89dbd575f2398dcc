"""What a header block says, and remembering it.

Theory of operation
===================

A client's header blocks repeat byte for byte: the first on a connection fills the dynamic table, and the later ones
refer to it. Decoding one with `hpack` costs as much as the rest of opening a stream, so a block is decoded once.

What a block means depends on the dynamic table and nothing else, and the table depends only on the blocks before it.
So tables are values here (`TableState`), shared by every connection that has the same history. A state knows the
blocks that were decoded in it: `block -> (fields, next state)`. A connection holds just its current state; a known
block costs it one dictionary look-up, even the first one of a new connection, if another connection began alike.

The memory is bounded by `HeaderMemo.capacity` for the whole server. When it is full everything known is forgotten at
once; the states themselves stay right, as values do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

Pairs: TypeAlias = "Sequence[tuple[bytes, bytes]]"

_MEMOISED_BLOCK = 1024  # longer blocks are decoded each time
_ENTRY_OVERHEAD = 32  # RFC 9113, 6.5.2: what a field counts for beside its text
_HARD_LIMIT = 4  # times the announced limit: what is between them is refused politely

_PSEUDO = (b":method", b":scheme", b":path", b":authority")
_CONNECTION_FIELDS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]$")


class Undecodable(Exception):
    """A header block that breaks the shared compression state: the connection cannot go on."""


class TooLarge(Exception):
    """A header block that would expand far beyond the limit."""


class RequestHead:
    """The fields that open a request. Shared by all requests with the same block, so nobody may change it.

    `call` belongs to the layer above: what it made of these fields, worked out once.
    """

    __slots__ = ("call", "content_length", "fields", "method", "path", "scheme")

    def __init__(self, method: bytes, scheme: bytes, path: bytes, content_length: int | None, fields: Pairs) -> None:
        self.method = method
        self.scheme = scheme
        self.path = path
        self.content_length = content_length
        self.fields = fields  # without pseudo-header fields
        self.call: object | None = None


class Block:
    """A decoded header block: all its fields, and what they mean as a request's beginning."""

    __slots__ = ("pairs", "problem", "request", "too_large")

    def __init__(self, pairs: Pairs, limit: int) -> None:
        self.pairs = pairs
        self.request: RequestHead | None = None
        self.problem: str | None = None  # why it cannot open a request
        self.too_large = sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in pairs) > limit
        try:
            self.request = parse_request(pairs)
        except Malformed as problem:
            self.problem = str(problem)


class Malformed(Exception):
    """Fields that no request, or no trailers, may have."""


def parse_request(pairs: Pairs) -> RequestHead:
    """What the fields say about a request. Raises `Malformed` where RFC 9113, 8.2 and 8.3, forbids them."""
    pseudo: dict[bytes, bytes] = {}
    count = 0
    for name, value in pairs:
        if not name.startswith(b":"):
            break
        if name not in _PSEUDO:
            raise Malformed(f"unknown pseudo-header field {name!r}")
        if name in pseudo:
            raise Malformed(f"repeated pseudo-header field {name!r}")
        pseudo[name] = value
        count += 1
    fields = tuple(pairs[count:])
    _check_fields(fields)
    for value in pseudo.values():
        _check_value(value)
    method = pseudo.get(b":method")
    if method is None:
        raise Malformed("no :method")
    if method == b"CONNECT":
        if b":scheme" in pseudo or b":path" in pseudo:
            raise Malformed("CONNECT with :scheme or :path")
        return RequestHead(method, b"", b"", None, fields)
    scheme, path = pseudo.get(b":scheme"), pseudo.get(b":path")
    if not scheme or not path:
        raise Malformed("no :scheme or no :path")
    return RequestHead(method, scheme, path, _content_length(fields), fields)


def check_trailers(pairs: Pairs) -> None:
    """Raise `Malformed` if these fields cannot end a request."""
    _check_fields(pairs)


def _check_fields(fields: Pairs) -> None:
    for name, value in fields:
        if not _NAME.fullmatch(name):
            raise Malformed(f"field name {name!r}")
        if name in _CONNECTION_FIELDS:
            raise Malformed(f"field {name!r} belongs to HTTP/1.1")
        if name == b"te" and value != b"trailers":
            raise Malformed("te other than trailers")
        _check_value(value)


def _check_value(value: bytes) -> None:
    if _BAD_VALUE.search(value):
        raise Malformed(f"field value {value!r}")


def _content_length(fields: Pairs) -> int | None:
    lengths = {value for name, value in fields if name == b"content-length"}
    if not lengths:
        return None
    value = lengths.pop()
    if lengths or not value.isdigit() or len(value) > 18:
        raise Malformed("content-length")
    return int(value)


class TableState:
    """A dynamic table as a value, and the blocks that were decoded in it."""

    __slots__ = ("entries", "known", "max_size")

    def __init__(self, entries: tuple[tuple[bytes, bytes], ...], max_size: int) -> None:
        self.entries = entries  # newest first
        self.max_size = max_size
        self.known: dict[bytes, tuple[Block, TableState]] = {}


class HeaderMemo:
    """Decodes header blocks for all connections of a server, each distinct one once."""

    __slots__ = ("_learned", "capacity", "hits", "limit", "misses", "root")

    def __init__(self, header_list_size: int, *, capacity: int = 1024) -> None:
        self.limit = header_list_size
        self.capacity = capacity
        self.root = TableState((), Decoder().header_table.maxsize)
        self.hits = 0
        self.misses = 0
        self._learned: list[TableState] = []  # one entry per known block

    def remember(self, state: TableState, block: bytes, found: tuple[Block, TableState]) -> None:
        if len(block) > _MEMOISED_BLOCK:
            return
        if len(self._learned) >= self.capacity:
            for full in self._learned:
                full.known.clear()
            self._learned.clear()
        state.known[block] = found
        self._learned.append(state)


class HeaderDecoder:
    """The receiving end of one connection's header compression."""

    __slots__ = ("_decoder", "_decoder_state", "_memo", "state")

    def __init__(self, memo: HeaderMemo) -> None:
        self._memo = memo
        self.state = memo.root
        # Kept between unknown blocks, so that a client whose blocks never repeat pays for decoding only.
        self._decoder: Decoder | None = None
        self._decoder_state: TableState | None = None

    def decode(self, block: bytes) -> Block:
        """Decode one whole block. Raises `Undecodable` or `TooLarge`; after either the connection has to end."""
        found = self.state.known.get(block)
        if found is None:
            return self._decode_unknown(block)
        self._memo.hits += 1
        decoded, self.state = found
        return decoded

    def _decode_unknown(self, block: bytes) -> Block:
        memo, state = self._memo, self.state
        memo.misses += 1
        decoder = self._decoder
        if decoder is None or self._decoder_state is not state:
            decoder = self._decoder = self._restore(state)
        try:
            pairs = tuple((bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise TooLarge(str(error)) from error
        except HPACKError as error:
            raise Undecodable(str(error)) from error
        table = decoder.header_table
        entries = tuple(table.dynamic_entries)
        after = state
        if table.maxsize != state.max_size or entries != state.entries:
            after = TableState(entries, table.maxsize)
        decoded = Block(pairs, memo.limit)
        memo.remember(state, block, (decoded, after))
        self.state = self._decoder_state = after
        return decoded

    def _restore(self, state: TableState) -> Decoder:
        decoder = Decoder(self._memo.limit * _HARD_LIMIT)
        table = decoder.header_table
        table.maxsize = state.max_size
        for name, value in reversed(state.entries):
            table.add(name, value)
        return decoder
