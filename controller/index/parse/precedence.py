"""Which of several resources comes first."""

from __future__ import annotations

import datetime as dt

_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def age(created: dt.datetime | None) -> tuple[bool, dt.datetime]:
    """A key that sorts the older first, and what has no creation time last."""
    return created is None, created or _NEVER
