"""From a wanted status to the JSON that is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, assert_never

from controller.index.status.rules import ACCEPTED
from controller.index.status.values import (
    PARENT_GROUPS,
    EgressNetworkStatus,
    Parent,
    ParentVerdict,
    RateLimitStatus,
    RouteStatus,
    Status,
    Stored,
    Verdict,
)
from controller.k8s.references import CONTROLLER_NAME

Json: TypeAlias = dict[str, Any]
Timed: TypeAlias = Callable[[Parent | None, Verdict], Json]


def to_patch(status: Status, stored: Stored, current: Mapping[str, Any], *, now: dt.datetime) -> Json:
    """A merge patch that makes the object show the status.

    `current` is the object's status as the API server has it, to the letter: a merge patch replaces whole lists, so
    what others wrote there is repeated, and first. It may be empty where `stored.foreign` is false. The patch names
    the version it was derived from: if somebody wrote meanwhile, it is refused instead of undoing that.
    """

    def timed(parent: Parent | None, verdict: Verdict) -> Json:
        return _to_condition(verdict, stored.transition(parent, verdict, now))

    metadata: Json = {"resourceVersion": stored.resource_version}
    return {"metadata": metadata, "status": _to_status(status, current, timed)}


def _to_status(status: Status, current: Mapping[str, Any], timed: Timed) -> Json:
    match status:
        case RouteStatus(parents):
            entries: Sequence[Json] = current.get("parents") or ()
            others = [entry for entry in entries if entry.get("controllerName") != CONTROLLER_NAME]
            return {"parents": [*others, *(_to_entry(parent, timed) for parent in parents)]}
        case RateLimitStatus(accepted, server):
            target = {"group": "policy.linkerd.io", "kind": "Server", "name": server}
            return {"conditions": [timed(None, accepted)], "targetRef": target}
        case EgressNetworkStatus(accepted):
            conditions: Sequence[Json] = current.get("conditions") or ()
            others = [condition for condition in conditions if condition.get("type") != ACCEPTED]
            return {"conditions": [*others, timed(None, accepted)]}
        case _:
            assert_never(status)


def _to_entry(verdict: ParentVerdict, timed: Timed) -> Json:
    parent = verdict.parent
    ref: Json = {
        "group": PARENT_GROUPS[parent.kind],
        "kind": parent.kind.value,
        "namespace": parent.key.namespace,
        "name": parent.key.name,
    }
    if parent.port is not None:
        ref["port"] = parent.port
    conditions = [timed(parent, condition) for condition in verdict.conditions]
    return {"parentRef": ref, "controllerName": CONTROLLER_NAME, "conditions": conditions}


def _to_condition(verdict: Verdict, since: dt.datetime) -> Json:
    return {
        "type": verdict.type,
        "status": "True" if verdict.status else "False",
        "reason": verdict.reason,
        "message": verdict.message,
        "lastTransitionTime": since.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
