"""A signal that comes before anything is there to drain."""

from __future__ import annotations

import subprocess
import sys


def test_a_process_that_is_told_to_end_while_it_starts_ends_well() -> None:
    """Even as the first process of a container, where a signal without a handler is dropped."""
    program = (
        "import os, signal\nfrom controller.__main__ import obey_sigterm\n"
        "obey_sigterm()\nos.kill(os.getpid(), signal.SIGTERM)\nos._exit(7)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)

    assert done.returncode == 0
