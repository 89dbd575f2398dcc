"""Delays grow, are spread by chance, and begin anew when told so."""

from __future__ import annotations

from controller.runtime.backoff import Backoff


def test_delays_double_up_to_a_cap() -> None:
    """In the middle of chance, the delays are 0.8 s, doubled up to 30 s."""
    backoff = Backoff(lambda: 0.5)
    assert [backoff.next() for _ in range(8)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_chance_scales_between_half_and_one_and_a_half() -> None:
    """Chance decides between half and (nearly) one and a half of a delay."""
    assert Backoff(lambda: 0.0).next() == 0.4
    assert 1.19 < Backoff(lambda: 0.999).next() < 1.2


def test_reset_begins_anew() -> None:
    """After a reset the first delay comes first."""
    backoff = Backoff(lambda: 0.5)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.8


def test_longest_is_at_the_cap_and_stays_there() -> None:
    """What will not be cured soon waits as long as can be."""
    backoff = Backoff(lambda: 0.5)
    assert backoff.longest() == 30.0
    assert backoff.next() == 30.0
