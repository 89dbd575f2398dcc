"""The windows of an HTTP/2 connection, with h2 as the referee."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.grpc.transport import frames
from controller.grpc.transport.events import (
    DataReceived,
    WindowOpened,
)
from controller.grpc.transport.frames import ErrorCode, FrameType, Setting
from controller.grpc.transport.limits import Limits
from tests.unit.grpc_transport.pair import Client, Http2Pair, head
from tests.unit.grpc_transport.raw import OK, OPEN, REQUEST, failure, frame, reset


def test_we_send_no_more_than_the_client_allows() -> None:
    """Room is the smaller of the two windows, and grows with updates and settings."""
    pair = Http2Pair()
    stream_id = pair.client.open()
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, OK)
    assert pair.server.room(stream) == 65_535

    pair.client.acknowledging = False
    for _ in range(4):
        pair.server.send_data(stream, b"", b"x" * 16_000)
    assert pair.server.room(stream) == 1_535
    pair.exchange()
    pair.client.h2.increment_flow_control_window(1000)
    pair.client.h2.increment_flow_control_window(5000, stream_id)
    assert pair.exchange() == [WindowOpened(stream)]
    assert pair.server.room(stream) == 2_535
    pair.client.h2.increment_flow_control_window(100_000)
    pair.exchange()
    assert pair.server.room(stream) == 6_535
    pair.client.h2.update_settings({4: 70_000})
    assert WindowOpened(None) in pair.exchange()
    assert pair.server.room(stream) == 11_000


def test_a_window_may_become_negative() -> None:
    """A smaller initial window applies to streams that have sent already."""
    pair = Http2Pair()
    stream_id = pair.client.open()
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, OK)
    pair.server.send_data(stream, b"", b"x" * 100)
    pair.feed(frames.settings_frame({Setting.INITIAL_WINDOW_SIZE: 50}))
    assert pair.server.room(stream) == -50
    pair.feed(frames.window_update_frame(stream_id, 51))

    assert pair.server.room(stream) == 1


_steps = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 16_384)),
    st.tuples(st.just("stream"), st.integers(1, 40_000)),
    st.tuples(st.just("connection"), st.integers(1, 40_000)),
    st.tuples(st.just("initial"), st.integers(0, 100_000)),
)


@given(st.lists(_steps, max_size=40))
@settings(deadline=None)
def test_h2_never_sees_its_windows_broken(steps: list[tuple[str, int]]) -> None:
    """Whatever updates and settings come between: if we send what `room` allows, the referee accepts it."""
    client = Client(acknowledging=False)
    pair = Http2Pair(client=client)
    stream_id = client.open()
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, OK)
    sent = 0
    for what, count in steps:
        match what:
            case "send":
                size = min(count, pair.server.room(stream))
                if size > 0:
                    sent += size
                    pair.server.send_data(stream, b"", b"x" * size)
            case "stream":
                client.h2.increment_flow_control_window(count, stream_id)
            case "connection":
                client.h2.increment_flow_control_window(count)
            case _:
                client.h2.update_settings({4: count})
        pair.now += 10.0
        pair.exchange()
    assert len(client.responses[stream_id].body) == sent
    assert client.goaways == []


def test_clients_get_back_what_was_used() -> None:
    """A body of any length passes when its bytes are released, and stalls when they are not."""
    limits = Limits(stream_window=1000, connection_window=70_000)
    pair = Http2Pair(limits)
    stream_id = pair.client.open(head(), b"x", end=False)
    pair.exchange()
    stream = pair.server.streams[stream_id]
    pair.server.release(stream, 1)
    received = 1
    for _ in range(500):
        window = pair.client.h2.local_flow_control_window(stream_id)
        assert window > 0
        pair.client.h2.send_data(stream_id, b"x" * window)
        for event in pair.exchange():
            if isinstance(event, DataReceived):
                received += len(event.data)
                pair.server.release(stream, len(event.data))
        pair.exchange()
    assert received > 200_000

    while (window := pair.client.h2.local_flow_control_window(stream_id)) > 0:
        pair.client.h2.send_data(stream_id, b"x" * window)
        pair.exchange()
    assert pair.server.room(stream) == 65_535


@pytest.mark.parametrize("ended", [False, True])
def test_too_much_data_for_a_stream_ends_it(ended: bool) -> None:
    """A body beyond the stream's window resets the stream only, even if it comes in one frame."""
    pair = Http2Pair(Limits(stream_window=1000))
    flags = frames.END_STREAM if ended else 0

    assert reset(pair, 1, OPEN, frame(FrameType.DATA, flags, 1, b"x" * 1001)) is ErrorCode.FLOW_CONTROL_ERROR


def test_too_much_data_for_the_connection_ends_it() -> None:
    """Windows of many streams together are bounded by the connection's."""
    pair = Http2Pair(Limits(connection_window=20_000))
    opened = [frame(FrameType.HEADERS, frames.END_HEADERS, number, REQUEST) for number in (1, 3)]
    data = [frame(FrameType.DATA, 0, number, b"x" * 16_000) for number in (1, 3)]

    assert failure(pair, *opened, *data) is ErrorCode.FLOW_CONTROL_ERROR


def test_refused_data_costs_no_window() -> None:
    """Data that nobody gets, padding, and bodies of the wrong length are given back to the connection's window."""
    pair = Http2Pair(Limits(connection_window=40_000, resets_burst=1000))
    for number in range(1, 200, 2):
        pair.feed(frame(FrameType.HEADERS, frames.END_HEADERS, number, REQUEST + b"\x0f\x0d\x015"))
        pair.feed(frame(FrameType.DATA, frames.PADDED, number, b"\xff" + b"x" * 4 + b"\x00" * 255))
        pair.server.release(pair.server.streams[number], 4)
        pair.feed(frame(FrameType.DATA, 0, number, b"x" * 1000))  # longer than content-length
        pair.feed(frame(FrameType.DATA, 0, number, b"x" * 1000))  # late
        pair.server.data_to_send()

    assert not pair.server.failed
    assert pair.server._window.held == 0  # type: ignore[attr-defined]  # the invariant is worth a look inside
