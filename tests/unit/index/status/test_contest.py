"""Contests, beside the same thing counted out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.index.status.contest import Contest

steps = st.lists(st.tuples(st.integers(0, 2), st.sampled_from((None, 0, 1))), max_size=50)


@given(steps)
def test_exactly_those_are_named_who_win_or_lose_by_it(history: list[tuple[int, int | None]]) -> None:
    """A bid or its withdrawal names the others for whom it makes a difference, and nobody else."""
    contest, bids = Contest[int](), dict[int, int]()
    for key, bid in history:
        before = {other: contest.wins((theirs,)) for other, theirs in bids.items() if other != key}
        named = list(contest.withdraw(key)) if bids.pop(key, None) is not None else []
        withdrawn = {other: contest.wins((theirs,)) for other, theirs in bids.items()}
        assert sorted(named) == sorted(other for other in before if before[other] != withdrawn[other])
        if bid is not None:
            named = list(contest.place(key, (bid,)))
            bids[key] = bid
            placed = {other: contest.wins((theirs,)) for other, theirs in bids.items()}
            assert sorted(named) == sorted(other for other in withdrawn if withdrawn[other] != placed[other])
        assert bool(contest) == bool(bids)
        assert [other for other, theirs in bids.items() if contest.wins((theirs,))] == [
            other for other, theirs in bids.items() if theirs == min(bids.values())
        ]
