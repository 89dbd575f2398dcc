"""Whether the process is of use to anybody yet, and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

Check: TypeAlias = Callable[[], str | None]  # what is missing, or None if nothing is; must be quick


@attrs.define(eq=False)
class Readiness:
    """A switch, off at first, and named checks. Ready means: switched on, and no check has anything to say."""

    _on: bool = False
    _checks: dict[str, Check] = attrs.field(factory=dict[str, Check], init=False)

    def get(self) -> bool:
        return self._on and all(check() is None for check in self._checks.values())

    def set(self, on: bool) -> None:  # kubert's `Readiness::set`
        self._on = on

    def add(self, name: str, check: Check) -> None:
        """Add a check. The name is part of a path, and may be used once."""
        if name in self._checks or not name or "/" in name:
            raise ValueError(f"readiness check {name!r}: the name is taken or cannot be part of a path")
        self._checks[name] = check

    def results(self) -> Mapping[str, str | None]:
        """What each check says; the switch is among them."""
        switch = None if self._on else "not started, or shutting down"
        return {"running": switch} | {name: check() for name, check in self._checks.items()}
