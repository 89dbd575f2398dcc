"""The receiving windows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.grpc.transport.windows import ReceiveWindow


@given(st.integers(1, 1000), st.lists(st.tuples(st.booleans(), st.integers(0, 600))))
def test_no_byte_is_lost_or_allowed_twice(size: int, steps: list[tuple[bool, int]]) -> None:
    """What a client may send, what is held and what is owed to it always make up the window."""
    window = ReceiveWindow(size)
    allowed, taken, released = size, 0, 0
    for arrives, count in steps:
        if arrives:
            assert window.take(count) == (taken + count <= allowed)
            taken += count if taken + count <= allowed else 0
        else:
            count = min(count, taken - released)
            released += count
            allowed += window.release(count)
        assert window.available + window.held + window.owed == size
        assert window.available == allowed - taken
        assert window.held == taken - released


@given(st.integers(1, 1000), st.lists(st.integers(1, 600)))
def test_a_client_is_never_stuck(size: int, counts: list[int]) -> None:
    """Once everything that arrived was used, at least half of the window is open."""
    window = ReceiveWindow(size)
    for count in counts:
        count = min(count, window.available)
        assert window.take(count)
        window.release(count)

        assert window.available * 2 > size


def test_updates_come_in_large_pieces() -> None:
    """A client is not told about every byte."""
    window = ReceiveWindow(100)
    window.take(60)

    assert [window.release(count) for count in (20, 29, 1, 10)] == [0, 0, 50, 0]
