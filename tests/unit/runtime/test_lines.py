"""Lines come out whole, wherever the chunks are cut."""

from __future__ import annotations

import pytest

from controller.runtime.lines import LineSplitter, LineTooLong

LINES = [b'{"a":"\xc3\xa4\\n"}', b"{}", b'{"long":"' + b"x" * 50 + b'"}']
STREAM = b"\r\n".join(LINES[:1]) + b"\r\n\n" + LINES[1] + b"\n \n" + LINES[2] + b"\n"


def split(*chunks: bytes, cap: int = 1000) -> list[bytes]:
    splitter = LineSplitter(cap)
    return [line.rstrip(b"\r") for chunk in chunks for line in splitter.feed(chunk)]


# runtime W19
@pytest.mark.parametrize("position", range(len(STREAM) + 1))
def test_cut_at_every_position(position: int) -> None:
    """Two chunks give the same lines wherever the cut is, through characters, escapes and line ends."""
    assert split(STREAM[:position], STREAM[position:]) == LINES


def test_byte_by_byte() -> None:
    """Chunks of one byte give the same lines."""
    assert split(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == LINES


def test_a_partial_line_is_not_a_line() -> None:
    """What follows the last line end waits for its own."""
    # runtime W20
    assert split(b"{}\n{", b"") == [b"{}"]


def test_a_long_line_is_joined() -> None:
    """A line of megabytes, in thousands of chunks, comes out in one piece."""
    chunks = [b"y" * 4096] * 1280
    splitter = LineSplitter(64 << 20)
    assert [splitter.feed(chunk) for chunk in chunks] == [[]] * 1280
    assert splitter.feed(b"\n") == [b"y" * (5 << 20)]


# runtime W22
def test_the_cap() -> None:
    """A line may be as long as the cap and no longer, whether its end has come or not."""
    assert split(b"z" * 10, b"\n", cap=10) == [b"z" * 10]
    with pytest.raises(LineTooLong):
        split(b"z" * 11, cap=10)
    with pytest.raises(LineTooLong):
        split(b"z" * 6, b"z" * 5 + b"\nz\n", cap=10)


def test_short_lines_together_may_exceed_the_cap() -> None:
    """The cap is for lines and not for chunks."""
    assert split(b"zzzz\nzzzz\nzzzz\nzz", b"z\n", cap=10) == [b"zzzz", b"zzzz", b"zzzz", b"zzz"]
