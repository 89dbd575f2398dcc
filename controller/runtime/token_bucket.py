"""How often something may be done: so many at once, and so many a second after that."""

from __future__ import annotations

import attrs

_ROUNDING = 1e-6


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
        self._refill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self.rate)

    def wait(self, now: float) -> float:
        """Return in how many seconds there is a token, and take none."""
        self._refill(now)
        missing = 1 - self._tokens
        # What rounding leaves missing is nothing to wait for: it may be too little for a clock to pass.
        return missing / self.rate if missing > _ROUNDING else 0.0

    def is_full(self, now: float) -> bool:
        """Whether it is as good as new."""
        self._refill(now)
        return self._tokens >= self.burst

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
