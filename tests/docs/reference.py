"""Writes docs/flags.md from the flags themselves: `python -m tests.docs.reference`, or `nox -s docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controller.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
FLAGS = DOCS / "flags.md"

_HEAD = """\
# Flags

`trellis COMMAND --help` says the same. A flag and its value are one word or two: `--replicas=3`, `--replicas 3`.
Durations are Go's: `90s`, `1m30s`. This page is written by `nox -s docs`.
"""
_COMMANDS = {
    "run": """\
The controller itself. Names, defaults and meanings down to `--global-egress-network-namespace` are those of Linkerd's
own program; the rest is Trellis's. The program `linkerd-policy-controller`, the image's entry point, takes the same.
""",
    "manifests": """\
Prints what to apply. Arguments after `--` are added to those of the controller. [install.md](install.md) says when to
use what.
""",
    "certificate": """\
Makes a certificate for the webhook, in the folder that is its first argument.
""",
    "crds": """\
Prints the definitions of Linkerd's policy kinds.
""",
}


def flags(command: str) -> Iterator[tuple[str, str, str, str]]:
    """The flags of a command: group, name, what it says, default."""
    for argument in app[command].assemble_argument_collection(parse_docstring=True):
        name, parameter = argument.names[0] if argument.names else "", argument.parameter
        if name.startswith("--") and parameter.help:
            yield _group(parameter.group), name, parameter.help, _default(argument)


def _group(group: Any) -> str:
    first = group[0] if isinstance(group, tuple) and group else group
    return str(getattr(first, "name", first))


def _default(argument: Any) -> str:
    shown = argument.parameter.show_default
    if callable(shown):
        return str(shown(None))
    default = argument.field_info.default
    return str(default) if isinstance(default, (str, int)) and not isinstance(default, bool) else ""


def flags_page() -> str:
    """The page, whole."""
    parts = [_HEAD]
    for command, text in _COMMANDS.items():
        parts.append(f"\n## trellis {command}\n\n{text}")
        last = None
        for group, name, help_text, default in flags(command):
            if group != last:
                title = "" if group == "Parameters" else f"\n### {group}\n"
                parts.append(f"{title}\n| flag | | default |\n|---|---|---|\n")
                last = group
            parts.append(f"| `{name}` | {help_text} | {f'`{default}`' if default else ''} |\n")
    return "".join(parts)


if __name__ == "__main__":
    FLAGS.write_text(flags_page())
