"""Statuses that we write ourselves, fed back as a watch would tell of them, beside those that were recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from controller.index.status.index import KINDS, StatusIndex
from controller.index.status.values import StatusKey
from controller.k8s.events import Applied, Event
from controller.k8s.kinds import WATCHED
from tests.golden.config import config_of
from tests.golden.world import STATUS_KINDS, Cluster, Object
from tests.statuses import settle

TYPES = {kind.resource.model: kind.resource for kind in WATCHED}


class Writer:
    """Writes what is wanted into the cluster, until nothing is; `tell` hears of each write."""

    def __init__(self, arguments: Sequence[str], cluster: Cluster, tell: Callable[[list[Event]], None]) -> None:
        self._index = StatusIndex(config_of(arguments))
        self._cluster = cluster
        self._tell = tell
        self.writes = 0

    def apply(self, events: Sequence[Event]) -> None:
        self.writes += settle(self._index, self._find, self._put, self._taken_in(events))

    def _taken_in(self, events: Sequence[Event]) -> frozenset[StatusKey]:
        return self._index.apply([event for event in events if _kind(event) in KINDS])

    def _find(self, key: StatusKey) -> Object:
        return self._cluster.objects[_reference(key)]

    def _put(self, key: StatusKey, obj: Object) -> frozenset[StatusKey]:
        self._cluster.objects[_reference(key)] = obj
        events = list(self._cluster.seen(_reference(key)))
        self._tell(events)
        return self._taken_in(events)


def _kind(event: Event) -> type:
    return type(event.resource) if isinstance(event, Applied) else event.kind


def _reference(key: StatusKey) -> str:
    kind = TYPES[key.model]
    return f"{kind.group}/{kind.kind}/{key.key.namespace}/{key.key.name}"


def shown(cluster: Cluster) -> dict[str, Any]:
    """The status of every object that may have one of ours."""
    return {
        name: normal_status(obj.get("status"))
        for name, obj in cluster.objects.items()
        if obj["kind"] in STATUS_KINDS and cluster.type_of(obj) is not None
    }


def normal_status(status: Any) -> Any:
    """The same without times, and with lists in no particular order."""
    if isinstance(status, dict):
        return {name: normal_status(item) for name, item in status.items() if name != "lastTransitionTime"}
    if isinstance(status, list):
        return sorted((normal_status(item) for item in status), key=lambda item: json.dumps(item, sort_keys=True))
    return status
