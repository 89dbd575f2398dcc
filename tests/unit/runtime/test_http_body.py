"""Bodies come out of the bytes on the wire, however those are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.runtime.http_body import BrokenBody, ChunkedBody, CountedBody, OpenBody, body_of

WIRE = b"4\r\nab\r\n\r\n5;name=value\r\ncdefg\r\nA \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
BODY = b"ab\r\ncdefg0123456789"


def fed(body: ChunkedBody | CountedBody | OpenBody, *pieces: bytes) -> bytes:
    return b"".join(body.feed(piece) for piece in pieces)


@pytest.mark.parametrize("position", range(len(WIRE) + 1))
def test_chunks_cut_anywhere(position: int) -> None:
    """Two reads give the same body wherever the cut is: in sizes, extensions, content, line ends and trailers."""
    body = ChunkedBody()
    assert fed(body, WIRE[:position], WIRE[position:]) == BODY
    assert body.is_complete
    body.end()


def test_byte_by_byte() -> None:
    """Reads of one byte give the same body."""
    body = ChunkedBody()
    assert fed(body, *(bytes([byte]) for byte in WIRE)) == BODY
    assert body.is_complete


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=10), st.lists(st.integers(0, 500), max_size=10), st.booleans()
)
def test_any_chunks_and_any_cuts(chunks: list[bytes], cuts: list[int], bare: bool) -> None:
    """What was put into chunks comes out of them, with either kind of line end before the content."""
    newline = b"\n" if bare else b"\r\n"
    wire = b"".join(b"%x%s%s\r\n" % (len(chunk), newline, chunk) for chunk in chunks) + b"0\r\n\r\n"
    places = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    body = ChunkedBody()
    assert fed(body, *(wire[a:b] for a, b in itertools.pairwise(places))) == b"".join(chunks)
    assert body.is_complete


def test_chunks_that_came_together_come_out_together() -> None:
    """Several chunks of one read are one piece."""
    assert ChunkedBody().feed(b"1\r\na\r\n1\r\nb\r\n1\r\nc") == b"abc"


@pytest.mark.parametrize(
    "wire", [b"x\r\n", b"\r\n", b"-1\r\n", b"0x4\r\n", b"1" * 17 + b"\r\n", b"1" * 20_000, b"\xb2\r\n"]
)
def test_what_is_no_size(wire: bytes) -> None:
    """A chunk has to say how long it is, in hexadecimal digits and within reason."""
    with pytest.raises(BrokenBody):
        ChunkedBody().feed(wire)


@pytest.mark.parametrize("wire", [b"", b"4\r\nab", b"4\r\nabcd", b"4\r\nabcd\r\n", b"0\r\n", b"0\r\nTrailer: x\r\n"])
def test_chunked_bodies_that_end_too_early(wire: bytes) -> None:
    """Without its last chunk a body is not complete."""
    # runtime W20
    body = ChunkedBody()
    body.feed(wire)
    with pytest.raises(BrokenBody):
        body.end()


def test_a_counted_body() -> None:
    """A body of known length ends after it, and not before."""
    body = CountedBody(4)
    assert fed(body, b"ab") == b"ab"
    with pytest.raises(BrokenBody, match="2 bytes too early"):
        body.end()
    assert fed(body, b"cdef") == b"cd"
    assert body.is_complete
    body.end()


def test_an_open_body() -> None:
    """A body of no known length ends with the connection."""
    body = OpenBody()
    assert fed(body, b"ab", b"c") == b"abc"
    assert not body.is_complete
    body.end()
    assert body.is_complete


def test_which_body() -> None:
    """The headers say how a body ends, and what they say has to make sense."""
    assert isinstance(body_of({"transfer-encoding": "Chunked", "content-length": "7"}), ChunkedBody)
    assert body_of({"content-length": " 7 "}) == CountedBody(7)
    assert body_of({"content-length": "0"}).is_complete
    assert isinstance(body_of({}), OpenBody)
    for headers in ({"transfer-encoding": "gzip, chunked"}, {"content-length": "-1"}, {"content-length": "\u0663"}):
        with pytest.raises(BrokenBody):
            body_of(headers)
