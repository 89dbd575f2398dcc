"""The demo as a process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[3]
SECONDS = 60  # the promise of the README


def environment(folder: Path) -> dict[str, str]:
    """The environment without what changes how things look; temporary files go into the folder."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS", "KUBECONFIG")}
    return {**kept, "TMPDIR": str(folder)}


@attrs.define(eq=False)
class Demo:
    """A running demo, whose output is a pipe."""

    process: subprocess.Popen[str]
    folder: Path
    lines: list[str] = attrs.field(factory=list[str], init=False)

    def read_until(self, beginning: str) -> None:
        """Read lines up to the one that begins like this, spaces aside."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.strip().startswith(beginning):
                return
        raise AssertionError(f"{beginning!r} never came:\n" + "\n".join(self.lines))

    def read_rest(self) -> tuple[int, str]:
        """Exit code, and what there is on standard error."""
        output, errors = self.process.communicate(timeout=SECONDS)
        self.lines += output.splitlines()
        return self.process.returncode, errors

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def left_behind(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]


@contextlib.contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Demo]:
    """Start the demo, or Python with other arguments that play it; kill it after a minute, or at the end."""
    process = subprocess.Popen(
        [sys.executable, *(arguments or ("-m", "controller", "demo"))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(folder),
    )
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        yield Demo(process, folder)
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demo that was played to its end; it is expected to have gone well."""
    folder = tmp_path_factory.mktemp("demo")
    with running(folder) as demo:
        code, errors = demo.read_rest()
    assert (code, errors) == (0, ""), demo.text
    return demo
