"""Sharing out time."""

from __future__ import annotations

import attrs
import trio
import trio.testing

from controller.grpc.transport.rounds import Rounds


@attrs.define(eq=False)
class Worker:
    """Has so many pieces of work; each takes some time."""

    left: int
    clock: trio.testing.MockClock
    seconds: float = 0.0
    done: list[Worker] = attrs.field(factory=list)
    in_round: bool = False

    def take_turn(self, now: float) -> bool:
        assert now == trio.current_time()
        self.left -= 1
        self.done.append(self)
        self.clock.jump(self.seconds)
        return self.left > 0


async def test_little_work_is_done_on_the_spot(mock_clock: trio.testing.MockClock) -> None:
    """Without others waiting nobody has to wait, and no task is woken."""
    worker = Worker(1, mock_clock)
    rounds = Rounds()
    rounds.try_now(worker)

    assert (worker.left, len(rounds)) == (0, 0)


async def test_turns_go_round(mock_clock: trio.testing.MockClock) -> None:
    """Everybody has a turn before anybody has the next."""
    order = list[Worker]()
    workers = [Worker(3, mock_clock, done=order) for _ in range(4)]
    rounds = Rounds()
    for worker in workers:
        rounds.add(worker)
        rounds.add(worker)  # once is enough
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert order == workers * 3


async def test_long_work_lets_others_run(mock_clock: trio.testing.MockClock) -> None:
    """Between slices of five milliseconds every other task runs."""
    gaps = list[float]()

    async def beat() -> None:
        last = trio.current_time()
        while True:
            await trio.lowlevel.checkpoint()
            gaps.append(trio.current_time() - last)
            last = trio.current_time()

    workers = [Worker(100, mock_clock, seconds=0.001) for _ in range(10)]
    rounds = Rounds()
    for worker in workers:
        rounds.try_now(worker)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        nursery.start_soon(rounds.run)
        while any(worker.left for worker in workers):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert max(gaps) < 0.0111


async def test_many_short_turns_let_others_run(mock_clock: trio.testing.MockClock) -> None:
    """Where turns seem to take no time they are counted, so that even then nobody starves."""
    worker = Worker(1_000, mock_clock)
    rounds = Rounds()
    rounds.add(worker)
    passes = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        while worker.left:
            await trio.lowlevel.checkpoint()
            passes += 1
        nursery.cancel_scope.cancel()

    assert passes > 10


async def test_what_is_spent_on_the_spot_is_bounded(mock_clock: trio.testing.MockClock) -> None:
    """A hundred who come at once are not all served at once: some wait for the round, and later nobody has to."""
    rounds = Rounds()
    workers = [Worker(1, mock_clock, seconds=0.001) for _ in range(100)]
    start = trio.current_time()
    for worker in workers:
        rounds.try_now(worker)
    assert trio.current_time() - start < 0.0061
    assert len(rounds) >= 94

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        while len(rounds):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    mock_clock.jump(0.1)
    late = Worker(1, mock_clock)
    rounds.try_now(late)
    assert late.left == 0
