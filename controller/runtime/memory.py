"""Keeps the garbage collector away from what lives as long as the process.

What the controller retains holds no reference cycles; a full collection over it finds nothing and stops the loop for
as long as it takes to look. So little is collected while the process starts, and then everything that exists is set
aside for good.
"""

from __future__ import annotations

import gc

# Allocations that outlive their deallocations before the young are looked at. Looking at 20,000 takes about 2 ms.
_YOUNG = 20_000
_STARTING = 200_000
# Looks at the young before a look at the middle-aged, and of those before a full one.
_MIDDLE = 20
_OLD = 100


def begin() -> None:
    """Collect little: everything is new, and nearly all of it stays."""
    gc.set_threshold(_STARTING, _MIDDLE, _OLD)


def settle() -> None:
    """Set aside all that exists, and collect from now on what comes and goes. May be called again after a burst."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
