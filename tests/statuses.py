"""What an API server makes of the status writer's patches, without sockets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from controller.index.status.index import StatusIndex
from controller.index.status.values import StatusKey
from controller.status.patches import to_patch

Object = dict[str, Any]
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def patched(obj: Object, patch: Object) -> Object:
    """The object after a merge patch of its status; one that names another version is refused."""
    metadata = obj["metadata"]
    assert patch["metadata"]["resourceVersion"] == metadata.get("resourceVersion", ""), "a conflict"
    status = {**(obj.get("status") or {}), **patch["status"]}
    return {**obj, "metadata": metadata, "status": status}


def due(index: StatusIndex, key: StatusKey, obj: Object) -> Object | None:
    """The patch that the object needs now; `None` if it shows what it should."""
    wanted, stored = index.wanted(key), index.stored(key)
    if wanted is None or stored is None:
        return None
    return to_patch(wanted, stored, obj.get("status") or {} if stored.foreign else {}, now=NOW)


def settle(
    index: StatusIndex,
    find: Callable[[StatusKey], Object],
    put: Callable[[StatusKey, Object], frozenset[StatusKey]],
    keys: frozenset[StatusKey],
) -> int:
    """Write what is wanted of these objects until nothing is; returns the number of writes.

    `put` stores an object, tells the index about it, and returns whom the index names.
    """
    waiting, writes = dict.fromkeys(sorted(keys, key=repr)), 0
    while waiting:
        key = next(iter(waiting))
        del waiting[key]
        obj = find(key) if index.stored(key) is not None else None
        patch = due(index, key, obj) if obj is not None else None
        if obj is None or patch is None:
            continue
        writes += 1
        assert writes < 10_000, "the statuses never come to rest"
        waiting.update(dict.fromkeys(sorted(put(key, patched(obj, patch)), key=repr)))
    return writes
