"""Fixtures for tests that use real sockets."""

from __future__ import annotations

import pytest
import trio.testing


@pytest.fixture
def socket_clock() -> trio.testing.MockClock:
    """A clock that jumps when nothing happens, but leaves the kernel time to deliver what was sent."""
    return trio.testing.MockClock(autojump_threshold=0.03)
