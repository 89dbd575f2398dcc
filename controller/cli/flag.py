"""How a flag is declared, and what is raised when flags do not go together."""

from __future__ import annotations

from typing import Any

from cyclopts import Group, Parameter


class Usage(Exception):
    """Flags that do not make sense together, or without each other."""


def flag(text: str, group: Group, converter: Any = None, shown: str | None = None, **options: Any) -> Parameter:
    """Describe a flag: its help, where the help stands, what parses its one value, and its default in words."""
    if shown is not None:

        def show(_: object) -> str:
            return shown

        options["show_default"] = show
    if converter is not None:
        options |= {"converter": converter, "n_tokens": 1, "accepts_keys": False}
    return Parameter(help=text, group=group, negative="", **options)
