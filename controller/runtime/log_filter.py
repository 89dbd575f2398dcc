"""Which log lines are wanted, and in what form: filter directives such as `linkerd=info,warn`."""

from __future__ import annotations

import enum
import re

import attrs


class Level(enum.IntEnum):
    """How much a target may say; a line is written if its level is at most the target's."""

    OFF = 0
    ERROR = 1
    WARN = 2
    INFO = 3
    DEBUG = 4
    TRACE = 5


class InvalidFilter(ValueError):
    """A filter that cannot be understood."""


_LEVELS = {level.name.lower(): level for level in Level} | {str(level.value): level for level in Level}
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")

# Upstream's targets are Rust crates. Whoever tuned the logs of one meant the part of us that does the same work.
_UPSTREAM_CRATES = {
    "controller.grpc": "linkerd_policy_controller_grpc",
    "controller.core": "linkerd_policy_controller_core",
    "controller.k8s": "linkerd_policy_controller_k8s_api",
    "controller.index": "linkerd_policy_controller_k8s_index",
    "controller.status": "linkerd_policy_controller_k8s_status",
    "controller.runtime": "linkerd_policy_controller_runtime",
}


class LogFormat(enum.Enum):
    """What a line looks like."""

    PLAIN = "plain"
    JSON = "json"

    @classmethod
    def parse(cls, text: str) -> LogFormat:
        try:
            return cls(text)
        except ValueError:
            raise InvalidFilter(f"log format {text!r}: must be plain or json") from None


@attrs.frozen
class LogFilter:
    """Levels by target prefix; the longest prefix that matches decides, and what matches nothing is silent."""

    directives: tuple[tuple[str, Level], ...]  # longest prefix first; "" is the default

    @classmethod
    def parse(cls, text: str) -> LogFilter:
        """Read `target=level,…,default`. Of equal targets the last one holds; no text at all means errors only."""
        levels = dict(_parse_directive(part) for item in text.split(",") if (part := item.strip()))
        if not levels:
            return cls((("", Level.ERROR),))
        return cls(tuple(sorted(levels.items(), key=lambda directive: (-len(directive[0]), directive[0]))))

    def level_of(self, target: str) -> Level:
        """Return the level up to which `target` is written."""
        names = (target, _upstream_name(target))
        for prefix, level in self.directives:
            if any(name.startswith(prefix) for name in names):
                return level
        return Level.OFF

    @property
    def highest(self) -> Level:
        """The level that no target goes beyond."""
        return max(level for _, level in self.directives)


def _parse_directive(text: str) -> tuple[str, Level]:
    if "[" in text or "{" in text:
        raise InvalidFilter(f"log filter {text!r}: filters by span are not supported; name a target and a level")
    target, equals, level = text.partition("=")
    if equals:
        _check_name(target, text)
        return target.replace("::", "."), _parse_level(level, text)
    if target.lower() in _LEVELS:
        return "", _LEVELS[target.lower()]
    if target.lower() == "warning":
        raise InvalidFilter(f"log filter {text!r}: not a level; write warn")
    _check_name(target, text)
    return target.replace("::", "."), Level.TRACE


def _parse_level(level: str, text: str) -> Level:
    try:
        return _LEVELS[level.lower()]
    except KeyError:
        valid = ", ".join(name.lower() for name in Level.__members__)
        raise InvalidFilter(f"log filter {text!r}: {level!r} is not a level; levels are {valid}") from None


def _check_name(target: str, text: str) -> None:
    if not _NAME.fullmatch(target):
        raise InvalidFilter(f"log filter {text!r}: {target!r} is not a target; write target=level, comma separated")


def _upstream_name(target: str) -> str:
    package = ".".join(target.split(".", 2)[:2])
    if package in _UPSTREAM_CRATES:
        return _UPSTREAM_CRATES[package] + target.removeprefix(package)
    # The rest of us is what upstream calls its main crate.
    return "linkerd_policy_controller" if target.split(".", 1)[0] == "controller" else target
