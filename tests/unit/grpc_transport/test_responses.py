"""The header blocks of responses."""

from __future__ import annotations

import hpack
from grpclib.const import Status
from grpclib.metadata import decode_grpc_message
from hypothesis import given
from hypothesis import strategies as st

from controller.grpc.transport.responses import GRPC_HEAD, OK_TRAILERS, encode_fields, http_head, trailers


def decoded(block: bytes) -> dict[str, str]:
    decoder = hpack.Decoder(1 << 30)
    fields = dict(decoder.decode(block))
    assert not decoder.header_table.dynamic_entries, "a constant block must not use the table"
    return fields


def test_what_a_grpc_response_begins_and_ends_with() -> None:
    """The constant blocks say what gRPC demands."""
    assert decoded(GRPC_HEAD) == {":status": "200", "content-type": "application/grpc"}
    assert decoded(OK_TRAILERS) == {"grpc-status": "0"}
    assert decoded(http_head(415, [("a", "b")])) == {":status": "415", "a": "b"}


@given(st.sampled_from(Status), st.text())
def test_any_message_comes_through(status: Status, message: str) -> None:
    """Text of any kind, line breaks and lone surrogates included, is sent as ASCII and comes back."""
    fields = decoded(trailers(status, message))

    assert fields["grpc-status"] == str(status.value)
    sent = fields.get("grpc-message", "")
    assert sent.isascii()
    assert sent.isprintable()
    assert decode_grpc_message(sent) == message.encode("utf-8", "replace").decode()


def test_unimplemented_says_what_is_implemented() -> None:
    """A client whose compression was refused learns which one we take."""
    assert decoded(trailers(Status.UNIMPLEMENTED, None))["grpc-accept-encoding"] == "identity"


@given(st.lists(st.tuples(st.text("abc-", min_size=1, max_size=300), st.text("xyz ", max_size=20_000)), max_size=5))
def test_fields_of_any_length(fields: list[tuple[str, str]]) -> None:
    """Lengths around every step of their encoding are read back by an independent decoder."""
    assert list(hpack.Decoder(1 << 30).decode(encode_fields(fields))) == fields


def test_lengths_at_the_steps() -> None:
    """The first lengths that take another byte."""
    for length in (126, 127, 128, 127 + 127, 127 + 128, 127 + 16_383, 127 + 16_384):
        assert decoded(encode_fields([("a", "x" * length)])) == {"a": "x" * length}
