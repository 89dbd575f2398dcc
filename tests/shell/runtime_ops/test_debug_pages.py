"""What the pages under `/debug` show of the process."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import msgspec
import trio
import trio.testing

from controller.k8s.builtin import Pod, Service
from controller.k8s.meta import ObjectMeta, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.clock import Clock
from controller.runtime.debug_pages import freshness_page, loop_page, quarantine_page, staleness_check, tasks_page
from controller.runtime.freshness import WatchRecord
from controller.runtime.quarantine import Quarantine
from controller.runtime.watchdog import watching

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


def record(model: type[Resource], kind: str, *, now: float = 0.0) -> WatchRecord:
    types = ResourceType(model=model, group="", version="v1", plural=kind.lower() + "s", kind=kind, namespaced=True)
    return WatchRecord(types, Clock(lambda: now, lambda: NOON))


def shown(content: object) -> Any:
    """The content as a reader of the page gets it."""
    return json.loads(msgspec.json.encode(content, enc_hook=str))


def test_freshness_shows_every_kind_or_one() -> None:
    """Each watched kind with its figures; the query picks one by its name."""
    page = freshness_page([record(Pod, "Pod"), record(Service, "Service")])

    assert [kind["kind"] for kind in shown(page({}))] == ["Pod", "Service"]
    (service,) = shown(page({"kind": "Service"}))
    assert (service["state"], service["synced"], service["staleness"]) == ("starting", False, None)
    assert service["created"] == "2026-05-01T12:00:00Z"


def test_silence_beyond_the_limit_is_complained_about() -> None:
    """Only kinds that had been heard of count, and only those for longer than allowed."""
    pods, services, never = (record(Pod, "Pod", now=100.0), record(Service, "Service", now=100.0), record(Pod, "Pod"))
    pods.last_contact, services.last_contact = 39.0, 40.0

    check = staleness_check([pods, services, never], limit=60.0)

    assert check() == "the API server is silent about Pod for 61 s"
    pods.last_contact = 41.0
    assert check() is None


def test_objects_that_cannot_be_read_are_shown() -> None:
    """By kind, namespace and name, as an operator would ask for them; nothing of how we hold them."""
    quarantine = Quarantine(Clock(lambda: 0.0, lambda: NOON))
    pods = record(Pod, "Pod").resource_type
    quarantine.add(pods, ObjectMeta(name="a", namespace="ns", uid="u", resource_version="7"), "not a pod")

    assert shown(quarantine_page(quarantine)({})) == [
        {
            "group": "",
            "kind": "Pod",
            "namespace": "ns",
            "name": "a",
            "uid": "u",
            "resource_version": "7",
            "error": "not a pod",
            "count": 1,
            "first_seen": "2026-05-01T12:00:00Z",
            "last_seen": "2026-05-01T12:00:00Z",
        }
    ]


async def test_stalls_are_shown() -> None:
    """The last stalls, with task and stack."""
    with watching(0.01) as watchdog:

        async def guilty() -> None:
            end = time.perf_counter() + 0.05
            while time.perf_counter() < end:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(guilty, name="guilty")
        page = shown(loop_page(watchdog)({}))

    assert page["threshold"] == 0.01
    assert [stall["task"] for stall in page["stalls"]] == ["guilty"]
    assert "in " in page["stalls"][0]["stack"][0]


async def test_the_tree_of_tasks_is_shown() -> None:
    """A task with where it waits, under the task that waits for it."""

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever, name="the child")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(parent, name="the parent")
        await trio.testing.wait_all_tasks_blocked()
        tree = shown(tasks_page({}))
        nursery.cancel_scope.cancel()

    def find(task: dict[str, Any], name: str) -> dict[str, Any] | None:
        found = (find(child, name) for child in task["children"])
        return task if task["name"] == name else next((child for child in found if child), None)

    found = find(tree, "the parent")
    assert found is not None
    (child,) = found["children"]
    assert child["name"] == "the child"
    assert "in sleep_forever" in child["stack"][0]
