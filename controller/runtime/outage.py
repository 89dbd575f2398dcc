"""How loudly to say that something still fails."""

from __future__ import annotations

import attrs

REPEAT_SECONDS = 300.0


@attrs.define
class Outage:
    """One stretch of failures, from the first until things have worked for a while.

    The first failure deserves a warning, and so does one that is different, or another five minutes of them; the
    others do not.
    """

    _since: float | None = attrs.field(default=None, init=False)
    _warned: float = attrs.field(default=0.0, init=False)
    _seen: set[str] = attrs.field(factory=set[str], init=False)

    @property
    def is_on(self) -> bool:
        return self._since is not None

    def failed(self, what: str, now: float) -> bool:
        """Take note of a failure, and say whether it deserves a warning."""
        if self._since is None:
            self._since = now
        if what in self._seen and now - self._warned < REPEAT_SECONDS:
            return False
        self._seen.add(what)
        self._warned = now
        return True

    def ended(self, now: float) -> float | None:
        """Take note that things work, and return how many seconds they did not, if so."""
        if self._since is None:
            return None
        seconds = now - self._since
        self._since = None
        self._seen.clear()
        return seconds
