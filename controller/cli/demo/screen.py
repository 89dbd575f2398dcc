"""How the demo looks: colours on a terminal, plain text anywhere else."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.text import Text

from controller.cli.demo.rows import Row

_WIDTH = 100
_LABEL = 12
_VALUE = 46
_INDENT = "   "


class _Terminal(Console):
    """A console that, when nobody reads any more, says so as everybody else does."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())  # what is buffered may be written there
        raise BrokenPipeError


class Screen:
    """Prints the demo, line by line."""

    def __init__(self, output: TextIO) -> None:
        self._console = _Terminal(file=output, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def title(self, name: str, text: str) -> None:
        self._line((name, "bold"), (f"  {text}", ""))
        self._line()

    def fact(self, name: str, text: str) -> None:
        """Say something about the set-up."""
        self._line((f"{name:<{_LABEL}}", "bold"), (text, ""))

    def act(self, number: int, heading: str, text: str) -> None:
        self._line()
        rule = "─" * max(_WIDTH - len(heading) - 8, 4)
        self._line(("── ", "dim"), (f"{number}  {heading} ", "bold"), (rule, "dim"))
        self.say(text)

    def say(self, text: str) -> None:
        """Print a sentence or two, as a paragraph."""
        self._line()
        for line in textwrap.wrap(textwrap.dedent(text), _WIDTH - len(_INDENT), break_on_hyphens=False):
            self._line((f"{_INDENT}{line}", ""))

    def written(self, sign: str, name: str, manifest: str = "") -> None:
        """Show what the demo writes to the API server."""
        self._line()
        self._line((f"{_INDENT}{sign} {name}", "bold"))
        for line in manifest.splitlines():
            self._line((f"{_INDENT}    {line}", "cyan"))

    def told(self, who: str, when: str, rows: Iterable[Row]) -> None:
        """Show what a proxy got, and when."""
        self._line((f"{_INDENT}→ ", "green"), (when, "bold green"), (f" {who} is told", "green"))
        for row in rows:
            why = f"  {row.why}" if row.why else ""
            self._line((f"{_INDENT}  {row.what:<{_LABEL}}", "dim"), (f"{row.value:<{_VALUE}}", ""), (why, "yellow"))

    def noted(self, text: str) -> None:
        """Print something that was found to be as it should."""
        self._line((f"{_INDENT}✓ {text}", "green"))

    def broken(self, text: str) -> None:
        """Say what is wrong with the API server now."""
        self._line()
        self._line((f"{_INDENT}! {text}", "bold red"))

    def failed(self, text: str) -> None:
        self._line((f"{_INDENT}✗ {text}", "bold red"))

    def hint(self, text: str, *commands: str) -> None:
        """Suggest commands, each on a line that can be copied."""
        self._line()
        self._line((f"{_INDENT}{text}", ""))
        for command in commands:
            self._line((f"{_INDENT}  {command}", "cyan"))

    def end(self, text: str) -> None:
        self._line()
        self._line((text, "bold"))

    def _line(self, *parts: tuple[str, str]) -> None:
        self._console.print(_text(parts))


def _text(parts: tuple[tuple[str, str], ...]) -> Text:
    text = Text.assemble(*parts)
    text.rstrip()
    return text
