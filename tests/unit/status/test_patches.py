"""Statuses as the JSON that is written."""

from __future__ import annotations

import datetime as dt
from typing import Any

from controller.index.status.index import StatusIndex
from controller.status.patches import to_patch
from tests.unit.index.status.objects import (
    CONFIG,
    condition,
    egress,
    key,
    limit,
    route,
    server,
    server_ref,
    service,
    service_ref,
)

NOW = dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
NOW_TEXT = "2026-02-03T04:05:06Z"
OLD_TEXT = "2026-01-01T00:00:00Z"


def patch(kind: str, name: str, *events: Any, current: dict[str, Any] | None = None) -> dict[str, Any]:
    index = StatusIndex(CONFIG)
    index.apply(events)
    at = key(kind, name)
    status, stored = index.wanted(at), index.stored(at)
    assert status is not None
    assert stored is not None
    return to_patch(status, stored, current or {}, now=NOW)


def ours(*conditions: dict[str, Any]) -> dict[str, Any]:
    ref = {"group": "core", "kind": "Service", "namespace": "ns-0", "name": "svc", "port": 8080}
    return {"parentRef": ref, "controllerName": "linkerd.io/policy-controller", "conditions": list(conditions)}


def at(time: str, kind: str = "Accepted", status: str = "True", reason: str = "", message: str = "") -> dict[str, Any]:
    return condition(status, reason or kind, kind, message) | {"lastTransitionTime": time}


def test_a_route_entry_names_its_parent_in_full() -> None:
    """Group, kind, namespace and port are filled in; a Server has no port."""
    body = patch("policy", "route", service(), server(), route("policy", service_ref(), server_ref()))

    server_entry = {
        "parentRef": {"group": "policy.linkerd.io", "kind": "Server", "namespace": "ns-0", "name": "srv"},
        "controllerName": "linkerd.io/policy-controller",
        "conditions": [at(NOW_TEXT)],
    }
    assert body["status"] == {"parents": [ours(at(NOW_TEXT), at(NOW_TEXT, "ResolvedRefs")), server_entry]}


def test_what_others_wrote_stays_first_and_to_the_letter() -> None:
    """Entries of other controllers are repeated with fields that we do not know; ours are replaced."""
    # status 197, 303
    foreign = {"parentRef": {"name": "x"}, "controllerName": "someone/else", "conditions": [], "novel": {"a": 1}}

    body = patch("policy", "route", service(), route("policy", service_ref()), current={"parents": [ours(), foreign]})

    assert body["status"]["parents"][0] == foreign
    assert [entry["controllerName"] for entry in body["status"]["parents"]] == [
        "someone/else",
        "linkerd.io/policy-controller",
    ]


def test_a_condition_keeps_the_time_since_when_it_holds() -> None:
    """The time changes with the status, and not with each write."""
    stored = [ours(at(OLD_TEXT), at(OLD_TEXT, "ResolvedRefs", "False", "BackendNotFound"))]

    body = patch("policy", "route", service(), route("policy", service_ref(), status=stored))

    assert body["status"]["parents"] == [ours(at(OLD_TEXT), at(NOW_TEXT, "ResolvedRefs"))]


def test_the_patch_names_the_version_it_was_derived_from() -> None:
    """A newer version of an object counts even if nothing that matters to us has changed in it."""
    index = StatusIndex(CONFIG)
    for version in ("1", "2"):
        index.apply([route("policy", server_ref(), version=version)])
    status, stored = index.wanted(key("policy", "route")), index.stored(key("policy", "route"))
    assert status is not None
    assert stored is not None

    assert to_patch(status, stored, {}, now=NOW)["metadata"] == {"resourceVersion": "2"}


def test_a_rate_limit_shows_its_one_condition_and_its_target() -> None:
    """Conditions are replaced whole, the target is the Server."""
    # status 80
    body = patch("limit", "rl", server(), limit())

    target = {"group": "policy.linkerd.io", "kind": "Server", "name": "srv"}
    assert body["status"] == {"conditions": [at(NOW_TEXT)], "targetRef": target}


def test_an_egress_network_keeps_the_conditions_of_others_before_ours() -> None:
    """Conditions of other types stay, ours comes last."""
    # status 316
    other = {"type": "Other", "status": "Unknown", "novel": True}
    shown = [at(OLD_TEXT, status="False", reason="Old"), condition(kind="Other", status="Unknown")]

    body = patch("egress", "net", egress(conditions=shown), current={"conditions": [shown[0], other]})

    assert body["status"] == {"conditions": [other, at(NOW_TEXT)]}


def test_what_is_gone_has_no_stored_form() -> None:
    """An object that does not exist gives nothing to start from."""
    assert StatusIndex(CONFIG).stored(key("limit", "rl")) is None
