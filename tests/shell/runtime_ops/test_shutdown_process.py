"""Signals sent to a real process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = """
import sys
import trio
from controller.runtime import log
from controller.runtime.log_filter import LogFilter, LogFormat
from controller.runtime.shutdown import ShutdownError, graceful

async def main(grace, hold, stubborn):
    async with graceful(grace=grace) as shutdown:
        print("running", flush=True)
        with shutdown.hold("flush"):
            await shutdown.wait_stopping()
            print("stopping", flush=True)
            with trio.CancelScope(shield=stubborn):
                await trio.sleep(hold)

try:
    with log.configured(LogFilter.parse("info"), LogFormat.PLAIN):
        trio.run(main, *map(float, sys.argv[1:4]))
except ShutdownError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(1)
"""
ROOT = Path(__file__).parents[3]


class Process:
    """The program above, with its hold and its grace period in seconds."""

    def __init__(self, *, grace: float = 20, hold: float = 0, stubborn: bool = False) -> None:
        arguments = [str(grace), str(hold), str(int(stubborn))]
        self.popen = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.wait_for("running")

    def wait_for(self, text: str) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if text in line:
                return
        raise AssertionError(f"the process ended without saying {text!r}")

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)
        self.sent = time.monotonic()

    def end(self) -> tuple[int, str]:
        output, _ = self.popen.communicate(timeout=20)
        self.took = time.monotonic() - self.sent
        return self.popen.returncode, output


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started = list[Process]()
    yield started
    for process in started:
        process.popen.kill()
        process.popen.communicate()


# runtime D1, D2, D6
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_process_exits_cleanly(processes: list[Process], number: signal.Signals) -> None:
    """One signal, exit code 0."""
    process = Process()
    processes.append(process)

    process.send(number)

    code, output = process.end()
    assert code == 0
    assert f"shutting down reason={number.name}" in output


# runtime D3
def test_a_hold_keeps_the_process(processes: list[Process]) -> None:
    """It exits cleanly after the hold is released, and not before."""
    process = Process(hold=0.5)
    processes.append(process)

    process.send(signal.SIGTERM)

    code, _ = process.end()
    assert code == 0
    assert process.took >= 0.5


# runtime D4
def test_a_second_signal_ends_it_at_once(processes: list[Process]) -> None:
    """Exit code 1, and the hold is named."""
    process = Process(hold=600)
    processes.append(process)
    process.send(signal.SIGTERM)
    process.wait_for("stopping")

    process.send(signal.SIGTERM)

    code, output = process.end()
    assert code == 1
    assert "Aborted aborted by a second signal (SIGTERM); still running: flush" in output
    assert process.took < 10


# runtime D5
def test_the_deadline_ends_it(processes: list[Process]) -> None:
    """Exit code 1 after the grace period, and the hold is named."""
    process = Process(grace=0.5, hold=600)
    processes.append(process)

    process.send(signal.SIGTERM)

    code, output = process.end()
    assert code == 1
    assert "TimedOut not stopped within 0.5 s; still running: flush" in output


def test_a_third_signal_ends_what_hangs(processes: list[Process]) -> None:
    """Not even a clean-up that refuses to be cancelled keeps the process then."""
    process = Process(hold=600, stubborn=True)
    processes.append(process)
    process.send(signal.SIGTERM)
    process.wait_for("stopping")
    process.send(signal.SIGTERM)
    process.wait_for("stopping at once")

    process.send(signal.SIGTERM)

    code, _ = process.end()
    assert code == 128 + signal.SIGTERM
