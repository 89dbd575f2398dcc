"""How often something may be done: so many at once, and so many a second after that."""

from __future__ import annotations

import attrs


@attrs.define
class TokenBucket:
    """Time is an argument. A token that is not there yet can be taken all the same, and used later."""

    rate: float  # tokens a second
    burst: float
    _tokens: float = attrs.field(init=False)
    _at: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now: float) -> float:
        """Take a token and return in how many seconds it may be used."""
        if self._at is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self.rate)
