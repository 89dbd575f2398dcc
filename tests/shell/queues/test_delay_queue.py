"""The delay queue, on a clock that jumps."""

from __future__ import annotations

import contextlib
import math
import random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.runtime.delay_queue import DelayQueue, QueueClosed
from tests.cancelling import sweep


async def pending(queue: DelayQueue[str]) -> bool:
    """Whether a receive would wait now."""
    with trio.move_on_after(0) as scope:
        await queue.receive()
    return scope.cancelled_caught


async def test_an_item_comes_after_its_delay(autojump_clock: MockClock) -> None:
    """It waits, comes once, and is gone."""
    # runtime Q1
    queue = DelayQueue[str](1)
    await queue.schedule("a", 10)
    before = await pending(queue)

    item = await queue.receive()

    assert (before, item, trio.current_time()) == (True, "a", 10)
    assert await pending(queue)


async def test_what_is_left_comes_out_before_the_end(autojump_clock: MockClock) -> None:
    """After the senders have closed, scheduled items keep their deadlines, and then the queue ends."""
    # runtime Q2, Q13
    queue = DelayQueue[str](1)
    await queue.schedule("a", 10)
    queue.close_senders()

    assert await queue.receive() == "a"
    assert trio.current_time() == 10
    with pytest.raises(trio.EndOfChannel):
        await queue.receive()


async def test_the_newest_deadline_counts(autojump_clock: MockClock) -> None:
    """Scheduling again replaces the deadline, later or earlier, and delivers once."""
    # runtime Q3, Q8
    queue = DelayQueue[str](2)
    await queue.schedule("a", 10)
    await trio.sleep(9)
    await queue.schedule("a", 10)
    await queue.schedule("b", 10)
    await queue.schedule("b", 5)

    got = [(await queue.receive(), trio.current_time()), (await queue.receive(), trio.current_time())]

    assert got == [("b", 14), ("a", 19)]
    assert await pending(queue)


@pytest.mark.parametrize("undo", ["cancel", "clear", "reschedule"])
async def test_the_last_word_wins_over_an_item_that_is_due(undo: str, autojump_clock: MockClock) -> None:
    """An expired item that was not received yet can still be taken back."""
    # runtime Q4, Q5, Q6
    queue = DelayQueue[str](1)
    await queue.schedule("a", 10)
    await trio.sleep(11)

    match undo:
        case "cancel":
            queue.cancel("a")
            queue.cancel("never there")
        case "clear":
            queue.clear()
        case _:
            await queue.schedule("a", 10)

    assert await pending(queue)


async def test_equal_deadlines_come_in_order(autojump_clock: MockClock) -> None:
    """Ties come out in the order of their last scheduling; the past means at once."""
    # runtime Q7, Q9
    queue = DelayQueue[str](8)
    for item in "cab":
        queue.schedule_at_nowait(item, 5)
    queue.schedule_at_nowait("now", -3)

    assert [await queue.receive() for _ in range(4)] == ["now", "c", "a", "b"]
    assert trio.current_time() == 5


async def test_a_full_queue_makes_senders_wait(autojump_clock: MockClock) -> None:
    """A sender waits for room, and a sender that gives up leaves nothing behind."""
    # runtime Q10
    queue = DelayQueue[str](1)
    await queue.schedule("a", 1)
    with pytest.raises(trio.WouldBlock):
        queue.schedule_at_nowait("b", 1)
    with trio.move_on_after(0.5):
        await queue.schedule("gave up", 0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.schedule, "b", 0)
        got = [await queue.receive(), await queue.receive()]

    assert got == ["a", "b"]
    assert queue.statistics().waiting == 0


def test_capacity_is_at_least_one() -> None:
    """A queue that could hold nothing is a mistake."""
    # runtime Q11
    with pytest.raises(ValueError, match="capacity must be at least 1, not 0"):
        DelayQueue[str](0)


async def test_a_closed_queue_gives_the_item_back(autojump_clock: MockClock) -> None:
    """When the receiver is gone every operation says so, with the item, and waiting senders wake up."""
    # runtime Q12
    queue = DelayQueue[str](1)
    await queue.schedule("a", 1)
    errors: list[object] = []

    async def wait_for_room() -> None:
        try:
            await queue.schedule("b", 1)
        except QueueClosed as error:
            errors.append(error.item)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.wait_closed)
        nursery.start_soon(wait_for_room)
        await wait_all_tasks_blocked()
        queue.close()
    for operation in (lambda: queue.schedule_at_nowait("c", 1), lambda: queue.cancel("d"), queue.clear):
        with pytest.raises(QueueClosed) as caught:
            operation()
        errors.append(caught.value.item)

    assert errors == ["b", "c", "d", None]


async def test_an_item_may_be_scheduled_while_it_is_worked_on(autojump_clock: MockClock) -> None:
    """Delivery takes an item out, so scheduling it again delivers it again."""
    # runtime Q14
    queue = DelayQueue[str](1)
    await queue.schedule("a", 0)
    first = await queue.receive()
    await queue.schedule("a", 0)

    assert [first, await queue.receive()] == ["a", "a"]


async def test_no_cancellation_loses_an_item(autojump_clock: MockClock) -> None:
    """Wherever a receive is cancelled, the item is still there."""

    # runtime Q15
    def one_item() -> DelayQueue[str]:
        queue = DelayQueue[str](1)
        queue.schedule_at_nowait("a", trio.current_time() + 1)
        return queue

    def still_there(queue: DelayQueue[str]) -> None:
        assert queue.statistics().waiting == 1

    assert await sweep(DelayQueue.receive, prepare=one_item, check=still_there) >= 2


async def test_cancelled_items_free_their_memory(autojump_clock: MockClock) -> None:
    """Replacing and cancelling 100,000 items leaves no tombstones."""
    # runtime Q16
    queue = DelayQueue[int](100_000)
    for item in range(100_000):
        queue.schedule_at_nowait(item, 10)
        queue.schedule_at_nowait(item, 20)
    for item in range(99_999):
        queue.cancel(item)

    assert len(queue._deadlines._heap) < 200
    assert await queue.receive() == 99_999


async def test_for_ever_is_a_deadline_and_nan_is_none(autojump_clock: MockClock) -> None:
    """An item that is parked stays until it is rescheduled."""
    # runtime Q17
    queue = DelayQueue[str](1)
    await queue.schedule("a", math.inf)
    await trio.sleep(80_000)
    parked = await pending(queue)
    with pytest.raises(ValueError, match="NaN"):
        await queue.schedule("a", math.nan)
    await queue.schedule("a", 0)

    assert (parked, await queue.receive()) == (True, "a")


class Labelled(str):
    """A key that equals another and is told apart by its label."""

    __slots__ = ("label",)
    label: str


async def test_the_newest_of_equal_items_is_delivered(autojump_clock: MockClock) -> None:
    """Items may carry more than their key; the last one given counts."""
    # runtime Q19
    queue = DelayQueue[Labelled](1)
    for label in ("old", "new"):
        item = Labelled("a")
        item.label = label
        await queue.schedule(item, 1)

    assert (await queue.receive()).label == "new"


async def test_at_shutdown_what_is_due_comes_out_and_the_rest_is_dropped(autojump_clock: MockClock) -> None:
    """The queue then ends; whoever waits for room or comes later gets its item back."""
    # runtime Q18
    queue = DelayQueue[str](3)
    for item, deadline in (("a", 1), ("b", 2), ("later", 3)):
        queue.schedule_at_nowait(item, deadline)
    refused: list[object] = []

    async def wait_for_room() -> None:
        with pytest.raises(QueueClosed) as caught:
            await queue.schedule("no room", 0)
        refused.append(caught.value.item)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_room)
        await trio.sleep(2.5)
        queue.stop()
    await queue.wait_closed()
    with pytest.raises(QueueClosed):
        queue.schedule_at_nowait("too late", 0)

    assert [await queue.receive(), await queue.receive()] == ["a", "b"]
    with pytest.raises(trio.EndOfChannel):
        await queue.receive()
    assert (refused, trio.current_time()) == (["no room"], 2.5)


async def test_a_receiver_that_waits_at_shutdown_ends(autojump_clock: MockClock) -> None:
    """It does not wait for what was dropped."""
    # runtime Q18
    queue = DelayQueue[str](1)
    queue.schedule_at_nowait("later", 100)
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.EndOfChannel):
                await queue.receive()

        nursery.start_soon(receive)
        await trio.sleep(1)
        queue.stop()

    assert trio.current_time() == 1


async def test_senders_of_equal_items_need_one_room_together(autojump_clock: MockClock) -> None:
    """When one of them gets the room, the others go on too."""
    queue = DelayQueue[str](1)
    await queue.schedule("a", 1)
    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(queue.schedule, "b", 5)
            await wait_all_tasks_blocked()
            assert await queue.receive() == "a"


async def test_no_interleaving_of_senders_and_cancelled_receivers_loses_an_item(autojump_clock: MockClock) -> None:
    """Every item that was scheduled comes out once, or is still there."""
    # runtime Q15
    chance = random.Random(1)
    queue = DelayQueue[int](4)
    got: list[int] = []

    async def receive(patience: float) -> None:
        with trio.move_on_after(patience):
            got.append(await queue.receive())

    for item in range(10_000):
        async with trio.open_nursery() as nursery:
            for _ in range(chance.randrange(3)):
                nursery.start_soon(receive, chance.choice((0, 0.5, 1)))
            with trio.move_on_after(chance.choice((0.25, 2))) as scope:
                await queue.schedule(item, chance.choice((0, 0.5, 1.5)))
            if scope.cancelled_caught:
                got.append(item)  # it gave up: as good as delivered
    queue.close_senders()
    with contextlib.suppress(trio.EndOfChannel):
        while True:
            got.append(await queue.receive())

    assert sorted(got) == list(range(10_000))
