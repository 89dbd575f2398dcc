"""What the fields of a request ask for, seen by a client."""

from __future__ import annotations

import pytest
from grpclib.const import Status

from tests.unit.grpc_transport.pair import NAME, CallPair, framed, head


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto", "Application/gRPC;charset=x"])
def test_grpc_content_types_are_taken(content_type: str) -> None:
    """With or without a subtype and parameters it is gRPC."""
    assert CallPair().call(content_type=content_type).status is Status.OK


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/grpc-web", "application/grpc+json"])
def test_other_content_types_are_415(content_type: str | None) -> None:
    """What is not gRPC gets an HTTP error that says what we are."""
    response = CallPair().call(content_type=content_type)

    assert response.head[":status"] == "415"
    assert b"gRPC" in response.body
    assert len(response.body) == int(response.head["content-length"])
    assert response.ended


def test_other_methods_are_405() -> None:
    """A browser is told which method there is; HEAD gets no text."""
    pair = CallPair()
    got, head_only = pair.call(_method="GET"), pair.call(_method="HEAD")

    assert (got.head[":status"], got.head["allow"], b"gRPC" in got.body) == ("405", "POST", True)
    assert (head_only.head[":status"], head_only.body, head_only.ended) == ("405", b"", True)


def test_unknown_methods_are_unimplemented() -> None:
    """In a single header block, as gRPC wants it."""
    response = CallPair().call("Nothing")

    assert response.head == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": str(Status.UNIMPLEMENTED.value),
        "grpc-message": f"no such method: /{NAME}/Nothing",
        "grpc-accept-encoding": "identity",
    }
    assert response.trailers == {}


def test_compression_is_not_implemented() -> None:
    """A client that announces compression learns that there is none; identity is none."""
    pair = CallPair()
    refused, taken = pair.call(grpc_encoding="gzip"), pair.call(grpc_encoding="identity")

    assert (refused.status, refused.head["grpc-accept-encoding"]) == (Status.UNIMPLEMENTED, "identity")
    assert taken.status is Status.OK


@pytest.mark.parametrize("timeout", ["", "1", "S", "1s", "-1S", "1.5S", "123456789S", "1S "])
def test_malformed_timeouts_are_told(timeout: str) -> None:
    """A deadline that cannot be read is not guessed at."""
    pair = CallPair()
    pair.client.h2.config.validate_outbound_headers = False
    pair.client.h2.config.normalize_outbound_headers = False
    response = pair.call(grpc_timeout=timeout)

    if timeout.endswith(" "):
        assert response.reset is not None  # HTTP/2 itself forbids the space
    else:
        assert response.status is Status.INTERNAL


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("1H", 3600), ("2M", 120), ("3S", 3), ("4m", 0.004), ("5u", 5e-6), ("6n", 6e-9)]
)
def test_timeouts_in_every_unit(timeout: str, seconds: float) -> None:
    """A request that took longer than its client wants to wait is not answered any more; one in time is."""
    pair = CallPair()
    late = pair.client.open(head(grpc_timeout=timeout), framed(b"")[:2], end=False)
    in_time = pair.client.open(head(grpc_timeout=timeout), framed(b"")[:2], end=False)
    pair.exchange()
    pair.now += seconds * 0.99
    pair.client.h2.send_data(in_time, framed(b"")[2:], end_stream=True)
    pair.exchange()
    pair.now += seconds * 0.02
    pair.client.h2.send_data(late, framed(b"")[2:], end_stream=True)
    pair.exchange()

    assert pair.client.responses[in_time].status is Status.OK
    assert pair.client.responses[late].status is Status.DEADLINE_EXCEEDED
