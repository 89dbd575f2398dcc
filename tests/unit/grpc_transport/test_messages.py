"""Messages out of bodies."""

from __future__ import annotations

import pytest
from grpclib.const import Status
from hypothesis import given
from hypothesis import strategies as st

from controller.grpc.transport.messages import BadMessage, Deframer, prefix, sole_message


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 2000)), st.binary(max_size=4))
def test_where_the_bytes_are_cut_does_not_matter(messages: list[bytes], cuts: list[int], rest: bytes) -> None:
    """Messages come out as they went in, and what is incomplete waits."""
    body = b"".join(prefix(len(message)) + message for message in messages) + rest
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    deframer = Deframer(300)

    found = [
        message
        for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)
        for message in deframer.feed(body[start:stop])
    ]
    assert found == messages
    assert deframer.size == len(rest)


@given(st.binary(max_size=300))
def test_the_sole_message_is_what_the_long_way_finds(body: bytes) -> None:
    """The short cut for a body with exactly one message agrees with the long way."""
    deframer = Deframer(300)
    try:
        messages = list(deframer.feed(body))
    except BadMessage:
        messages = []
    whole = messages[0] if len(messages) == 1 and not deframer.size else None

    assert sole_message(body) == whole
    assert sole_message(prefix(len(body)) + body) == body


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"\x01\0\0\0\x01x", Status.UNIMPLEMENTED),
        (b"\x02\0\0\0\x01x", Status.INTERNAL),
        (b"\0\0\0\0\x0b", Status.RESOURCE_EXHAUSTED),
    ],
)
def test_messages_we_do_not_take(start: bytes, status: Status) -> None:
    """Compressed and too large messages are refused as soon as they are announced, after those before them."""
    deframer = Deframer(10)
    found = list[bytes]()
    with pytest.raises(BadMessage) as caught:
        found.extend(deframer.feed(prefix(2) + b"ok" + start))

    assert caught.value.status is status
    assert found == [b"ok"]
