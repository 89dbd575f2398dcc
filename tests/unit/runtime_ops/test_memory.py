"""What the garbage collector is told, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import gc
from controller.runtime import memory

memory.begin()
starting = gc.get_threshold()[0]
kept = [[number] for number in range(50_000)]
memory.settle()
frozen = gc.get_freeze_count()
memory.settle()
print(starting > gc.get_threshold()[0] > 700, frozen > 50_000, gc.get_freeze_count() >= frozen, gc.get_count()[0] < 700)
"""


def test_what_lives_long_is_set_aside() -> None:
    """Little is collected while starting; then everything that exists is out of the collector's way."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )

    assert done.stdout == "True True True True\n"
