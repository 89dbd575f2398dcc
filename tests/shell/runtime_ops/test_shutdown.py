"""How a process ends when it is told to, and when a part of it fails."""

from __future__ import annotations

import signal
from typing import NoReturn

import pytest
import trio
import trio.testing

from controller.runtime.shutdown import Aborted, Phase, RequiredTaskEnded, Shutdown, TimedOut, graceful


async def hold_for(shutdown: Shutdown, seconds: float, name: str = "work") -> None:
    """A task that needs some seconds after it was told to stop."""
    with shutdown.hold(name):
        await shutdown.wait_stopping()
        await trio.sleep(seconds)


# runtime D1, D2
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_one_signal_ends_the_block(autojump_clock: object, number: signal.Signals) -> None:
    """A first signal of either kind leads through every phase to a clean end."""
    async with graceful(grace=25) as shutdown:
        phases = [shutdown.phase]
        signal.raise_signal(number)
        await shutdown.wait_stopping()
        phases.append(shutdown.phase)

    assert [*phases, shutdown.phase] == [Phase.RUNNING, Phase.STOPPING, Phase.DONE]


# runtime D3
async def test_a_hold_is_waited_for(autojump_clock: object) -> None:
    """The block ends when the last hold has been released, and no later."""
    async with trio.open_nursery() as nursery:
        async with graceful(grace=25) as shutdown:
            nursery.start_soon(hold_for, shutdown, 2)
            nursery.start_soon(hold_for, shutdown, 3)
            await trio.testing.wait_all_tasks_blocked()
            shutdown.begin("test")

        assert trio.current_time() == 3
        assert shutdown.holds == ()


# runtime D4
async def test_a_second_signal_means_now(autojump_clock: object) -> None:
    """It cancels what is still running, and the error names what was held."""
    with pytest.raises(Aborted, match=r"second signal \(SIGINT\); still running: work \(for 1.0 s\)"):
        async with graceful(grace=25) as shutdown:
            signal.raise_signal(signal.SIGTERM)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hold_for, shutdown, 10)
                await trio.sleep(1)
                signal.raise_signal(signal.SIGINT)

    assert trio.current_time() == 1


# runtime D5, R3
async def test_the_grace_period_ends(autojump_clock: object) -> None:
    """What has not ended by then is cancelled, and the error names it with its age."""
    with pytest.raises(TimedOut, match=r"not stopped within 25 s; still running: stuck \(for 26.0 s\)"):
        async with graceful(grace=25) as shutdown, trio.open_nursery() as nursery:
            nursery.start_soon(hold_for, shutdown, 1000, "stuck")
            await trio.sleep(1)
            shutdown.begin("test")

    assert trio.current_time() == 26


async def test_without_a_grace_period_it_waits(autojump_clock: object) -> None:
    """No deadline at all is a choice."""
    async with graceful(grace=None) as shutdown, trio.open_nursery() as nursery:
        nursery.start_soon(hold_for, shutdown, 100_000)
        await trio.testing.wait_all_tasks_blocked()
        shutdown.begin("test")

    assert trio.current_time() == 100_000


# runtime D7
async def test_a_signal_before_anything_was_started(autojump_clock: object) -> None:
    """Phases that have passed are not waited for."""
    async with graceful(grace=25) as shutdown:
        signal.raise_signal(signal.SIGTERM)
        await shutdown.wait_leaving()
        await trio.sleep(1)
        await shutdown.wait_stopping()
        with shutdown.cancelled_at_stop() as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught

    assert trio.current_time() == 1


# runtime D8
async def test_without_a_signal_it_runs_on(autojump_clock: object) -> None:
    """Nobody who waits or holds makes the process end, and nobody who does neither."""
    with trio.move_on_after(1_000_000) as patience:
        async with graceful(grace=25) as shutdown:
            await shutdown.wait_leaving()

    assert patience.cancelled_caught


# runtime D10
async def test_what_is_always_ready_stops_too(autojump_clock: object) -> None:
    """A task that never waits for anything is cancelled at its next checkpoint."""

    async def spin(shutdown: Shutdown) -> None:
        with shutdown.cancelled_at_stop():
            while True:
                await trio.lowlevel.checkpoint()

    async with graceful(grace=25) as shutdown, trio.open_nursery() as nursery:
        nursery.start_soon(spin, shutdown)
        await trio.lowlevel.checkpoint()
        shutdown.begin("test")

    assert trio.current_time() == 0


# runtime D11
async def test_the_process_can_stop_itself(autojump_clock: object) -> None:
    """`begin` does what a first signal does, only once; a signal after it is still the first."""
    async with graceful(grace=25, delay=1) as shutdown:
        shutdown.begin("the first reason")
        shutdown.begin("the second reason")
        signal.raise_signal(signal.SIGTERM)
        await shutdown.wait_stopping()

    assert shutdown.phase is Phase.DONE


# runtime D12, R8, R9
async def test_a_host_keeps_its_signals(autojump_clock: object) -> None:
    """Inside a host program the handlers stay the host's, and its cancellation goes through."""
    before = signal.getsignal(signal.SIGTERM)
    with trio.move_on_after(5) as scope:
        async with graceful(grace=25, handle_signals=False) as shutdown:
            assert signal.getsignal(signal.SIGTERM) is before
            await shutdown.wait_leaving()

    assert scope.cancelled_caught


# runtime D13
async def test_the_order_of_the_phases(autojump_clock: object) -> None:
    """Not ready first; then the delay; then servers stop; then the feeders around them; then the end."""
    happened = list[tuple[float, str]]()

    def note(what: str) -> None:
        happened.append((trio.current_time(), what))

    async def server(shutdown: Shutdown) -> None:
        await shutdown.wait_stopping()
        note("server stops accepting")
        await trio.sleep(2)
        note("server has finished")

    async def feeder() -> None:
        try:
            await trio.sleep_forever()
        finally:
            note("feeder ends")

    async with (
        graceful(grace=25, delay=5, on_leaving=lambda: note("not ready")) as shutdown,
        trio.open_nursery() as feeders,
    ):
        feeders.start_soon(feeder)
        async with trio.open_nursery() as servers:
            servers.start_soon(server, shutdown)
            await trio.sleep(1)
            signal.raise_signal(signal.SIGTERM)
            await shutdown.wait_leaving()
            note("leaving")
        feeders.cancel_scope.cancel()
    note("end")

    assert happened == [
        (1, "not ready"),
        (1, "leaving"),
        (6, "server stops accepting"),
        (8, "server has finished"),
        (8, "feeder ends"),
        (8, "end"),
    ]


async def fail() -> NoReturn:
    await trio.sleep(1)
    raise OSError("the disk is full")


# runtime R6
async def test_a_required_task_that_fails_ends_the_process(autojump_clock: object) -> None:
    """The others get their time, then the failure is raised with its cause; readiness went off at once."""
    left_at = list[float]()
    with pytest.raises(RequiredTaskEnded, match=r"index actor failed: OSError: the disk is full") as caught:
        async with (
            graceful(grace=25, on_leaving=lambda: left_at.append(trio.current_time())) as shutdown,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(shutdown.run_required, "index actor", fail)
            nursery.start_soon(hold_for, shutdown, 2)

    assert isinstance(caught.value.__cause__, OSError)
    assert left_at == [1]
    assert trio.current_time() == 3


async def test_a_required_task_that_ends_ends_the_process(autojump_clock: object) -> None:
    """A task that should run for ever and returns is a failure too; after the stop it is none."""
    with pytest.raises(RequiredTaskEnded, match="gRPC server ended, which it should not"):
        async with graceful(grace=25) as shutdown, trio.open_nursery() as nursery:
            nursery.start_soon(shutdown.run_required, "gRPC server", trio.sleep, 1)
            nursery.start_soon(shutdown.run_required, "admin server", shutdown.wait_stopping)


async def test_several_failures_come_as_a_group(autojump_clock: object) -> None:
    """Each required task that failed is in the report, and a group names its first cause."""

    async def fail_inside() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)

    with pytest.raises(ExceptionGroup) as caught:
        async with graceful(grace=25) as shutdown, trio.open_nursery() as nursery:
            nursery.start_soon(shutdown.run_required, "a", fail)
            nursery.start_soon(shutdown.run_required, "b", fail_inside)

    assert sorted(map(str, caught.value.exceptions)) == [
        "a failed: OSError: the disk is full",
        "b failed: OSError: the disk is full",
    ]


async def test_a_required_task_that_does_not_start_fails_its_starter(autojump_clock: object) -> None:
    """Before `started` the error belongs to whoever starts it; after, to the process."""

    async def serve(works: bool, task_status: trio.TaskStatus[int]) -> None:
        if not works:
            raise OSError("the port is taken")
        task_status.started(8090)
        raise OSError("the cable is cut")

    with pytest.raises(RequiredTaskEnded, match="server failed: OSError: the cable is cut"):
        async with graceful(grace=25) as shutdown, trio.open_nursery() as nursery:
            with pytest.raises(OSError, match="the port is taken"):
                await nursery.start(shutdown.run_required, "server", serve, False)
            assert await nursery.start(shutdown.run_required, "server", serve, True) == 8090


async def test_an_error_of_the_block_comes_as_it_is(autojump_clock: object) -> None:
    """No group is wrapped around what the block raises."""
    with pytest.raises(OSError, match="no such host"):
        async with graceful(grace=25):
            raise OSError("no such host")
