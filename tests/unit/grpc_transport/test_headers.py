"""What header blocks say, and remembering them."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.grpc.transport.headers import (
    HeaderDecoder,
    HeaderMemo,
    Malformed,
    TooLarge,
    Undecodable,
    check_trailers,
    parse_request,
)

LIMIT = 16 * 1024
REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"policy:8090"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]

_names = st.sampled_from([b"content-type", b"te", b"user-agent", b"x-a", b"x-b", b"x-c"])
_values = st.sampled_from([b"", b"trailers", b"application/grpc", b"a", b"b" * 40, b"c" * 1500])
_blocks = st.lists(st.lists(st.tuples(_names, _values, st.booleans()), max_size=5), max_size=12)
_sizes = st.none() | st.sampled_from([0, 100, 4096])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), _sizes, _blocks), max_size=6), st.integers(1, 8))
def test_remembering_changes_nothing(histories: list[tuple[int, int | None, list]], capacity: int) -> None:  # type: ignore[type-arg]
    """Any connections, whatever they have in common, and however little is remembered: each block means the same."""
    memo = HeaderMemo(LIMIT, capacity=capacity)
    connections = [(hpack.Encoder(), HeaderDecoder(memo)) for _ in range(3)]
    for index, size, blocks in histories:
        encoder, decoder = connections[index]
        if size is not None and size != encoder.header_table_size:  # said twice, hpack's encoder forgets to tell
            encoder.header_table_size = size
        for fields in blocks:
            encoded = encoder.encode(fields)

            assert decoder.decode(encoded).pairs == tuple((name, value) for name, value, _ in fields)


def test_a_known_block_is_not_decoded_again() -> None:
    """The second request on a connection, and the first of a connection with the same beginning, cost a look-up."""
    memo = HeaderMemo(LIMIT)
    decoded = set()
    for _ in range(3):
        encoder, decoder = hpack.Encoder(), HeaderDecoder(memo)
        decoded |= {id(decoder.decode(encoder.encode(REQUEST))) for _ in range(5)}

    assert (memo.misses, memo.hits) == (2, 13)  # the first fills the table, the second refers to it
    assert len(decoded) == 2


def test_the_size_of_the_table_is_remembered_too() -> None:
    """A client that has shrunk its table to nothing keeps nothing in it, also where its beginning was known."""
    memo = HeaderMemo(LIMIT)
    HeaderDecoder(memo).decode(b"\x20\x82")
    decoder = HeaderDecoder(memo)
    decoder.decode(b"\x20\x82")
    decoder.decode(b"\x40\x01a\x01b")

    assert memo.hits == 1
    with pytest.raises(Undecodable):
        decoder.decode(b"\xbe")


def test_what_is_remembered_is_bounded() -> None:
    """Blocks that never repeat are forgotten, and long ones are not kept at all."""
    memo = HeaderMemo(LIMIT, capacity=10)
    encoder, decoder = hpack.Encoder(), HeaderDecoder(memo)
    for number in range(1000):
        decoder.decode(encoder.encode([(b"x", b"%d" % number)]))
    root = memo.root.known
    HeaderDecoder(memo).decode(hpack.Encoder().encode([(b"x", b"\xff" * 2000)], huffman=False))

    assert memo.root.known is root
    assert len(root) <= 10


def test_a_request_is_read_once_for_all_connections() -> None:
    """Equal blocks give the very same request head, on which the layer above keeps what it made of it."""
    memo = HeaderMemo(LIMIT)
    block = hpack.Encoder().encode(REQUEST)

    heads = [HeaderDecoder(memo).decode(block).request for _ in range(2)]
    assert heads[0] is heads[1]
    assert heads[0] is not None
    assert (heads[0].method, heads[0].scheme, heads[0].path) == (b"POST", b"http", b"/a.B/C")
    assert heads[0].fields == ((b"content-type", b"application/grpc"), (b"te", b"trailers"))


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\xff\xff\xff\xff\xff\xff",  # an integer without end
        b"\xc6",  # an index beyond the table
        b"\x82\x3f\xe1\x1f",  # the table's size changes within a block
        b"\x3f\xff\xff\x01",  # a larger table than was allowed
        b"\x00\x05ab",  # a name cut off
        b"\x00\x01a",  # no value
        b"\x00\x81\xff\x00",  # Huffman padding of eight bits
        b"\x40",
    ],
)
def test_an_undecodable_block_is_told_as_such(block: bytes) -> None:
    """Whatever is wrong with the encoding, there is one kind of error for it."""
    with pytest.raises(Undecodable):
        HeaderDecoder(HeaderMemo(LIMIT)).decode(block)


def test_a_small_block_cannot_become_a_huge_list() -> None:
    """References to one long entry are not expanded far beyond the limit; up to four times it is decoded and marked."""
    encoder = hpack.Encoder()
    first = encoder.encode([(b"x", b"y" * 3000)])

    decoder = HeaderDecoder(HeaderMemo(LIMIT))
    assert not decoder.decode(first).too_large
    assert decoder.decode(b"\xbe" * 6).too_large
    with pytest.raises(TooLarge):
        decoder.decode(b"\xbe" * 100)


@pytest.mark.parametrize(
    "change",
    [
        {b":method": None},
        {b":scheme": None},
        {b":path": None},
        {b":path": b""},
        {b":status": b"200"},
        {b":protocol": b"websocket"},
        {b":authority": b"a\r\nb"},
        {b"X-Upper": b"a"},
        {b"": b"a"},
        {b"a b": b"a"},
        {b"connection": b"close"},
        {b"keep-alive": b"1"},
        {b"proxy-connection": b"1"},
        {b"transfer-encoding": b"chunked"},
        {b"upgrade": b"h2c"},
        {b"te": b"gzip"},
        {b"x": b"a\x00"},
        {b"x": b" a"},
        {b"x": b"a\t"},
        {b"content-length": b"-1"},
        {b"content-length": b"9" * 30},
    ],
)
def test_malformed_requests_are_refused(change: dict[bytes, bytes | None]) -> None:
    """Fields that HTTP/2 forbids make a request malformed, one at a time."""
    fields = {**dict(REQUEST), **change}
    ordered = sorted(fields.items(), key=lambda field: not field[0].startswith(b":"))

    with pytest.raises(Malformed):
        parse_request([(name, value) for name, value in ordered if value is not None])


def test_order_and_repetition_are_checked() -> None:
    """Pseudo-header fields come first and once; content-length may repeat itself but not differ."""
    with pytest.raises(Malformed):
        parse_request([*REQUEST[1:], REQUEST[0]])
    with pytest.raises(Malformed):
        parse_request([REQUEST[0], *REQUEST])
    with pytest.raises(Malformed):
        parse_request([*REQUEST, (b"content-length", b"1"), (b"content-length", b"2")])
    assert parse_request([*REQUEST, (b"content-length", b"1"), (b"content-length", b"1")]).content_length == 1


def test_connect_has_a_form_of_its_own() -> None:
    """CONNECT has no scheme and no path, and having one is malformed."""
    connect = [(b":method", b"CONNECT"), (b":authority", b"a:1")]

    assert parse_request(connect).method == b"CONNECT"
    with pytest.raises(Malformed):
        parse_request([*connect, (b":path", b"/")])


def test_trailers_have_no_pseudo_fields() -> None:
    """A pseudo-header field cannot end a request; others can."""
    check_trailers([(b"x-a", b"b")])
    with pytest.raises(Malformed):
        check_trailers([(b":path", b"/")])
