"""The pages under `/debug` that tell about the process itself: how fresh its knowledge is, what its loop does."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence

import attrs
import trio

from controller.runtime.admin import Page
from controller.runtime.freshness import WatchRecord
from controller.runtime.quarantine import Quarantine, Quarantined
from controller.runtime.readiness import Check
from controller.runtime.watchdog import Watchdog


def freshness_page(records: Sequence[WatchRecord]) -> Page:
    """What is known of each watched kind, and how old that is; `?kind=Pod` shows one."""

    def page(query: Mapping[str, str]) -> object:
        kind = query.get("kind")
        return [record.statistics() for record in records if kind in (None, record.resource_type.kind)]

    return page


def staleness_check(records: Sequence[WatchRecord], *, limit: float) -> Check:
    """Complain about the kinds of which the API server has told nothing for more than `limit` seconds."""

    def check() -> str | None:
        stale = [
            f"{statistics.kind} for {statistics.staleness:.0f} s"
            for statistics in (record.statistics() for record in records)
            if statistics.staleness is not None and statistics.staleness > limit
        ]
        return f"the API server is silent about {', '.join(stale)}" if stale else None

    return check


def quarantine_page(quarantine: Quarantine) -> Page:
    """The objects that cannot be read, and why."""

    def page(_: Mapping[str, str]) -> object:
        return [_object(item) for item in quarantine.statistics()]

    return page


def _object(item: Quarantined) -> Mapping[str, object]:
    resource_type = item.resource_type
    what = {"group": resource_type.group, "kind": resource_type.kind, **item.key._asdict()}
    return what | attrs.asdict(item, filter=lambda field, _: field.name not in ("resource_type", "key"))


def loop_page(watchdog: Watchdog) -> Page:
    """What the loop's passes took, and who held it up."""

    def page(_: Mapping[str, str]) -> object:
        return {"threshold": watchdog.threshold, "stalls": watchdog.recent}

    return page


@attrs.frozen
class TaskReport:
    """A task: where it waits, innermost call last, and the tasks that it waits for."""

    name: str
    stack: tuple[str, ...]
    children: tuple[TaskReport, ...]


def tasks_page(_: Mapping[str, str]) -> object:
    """The tree of all tasks."""
    root = trio.lowlevel.current_root_task()
    return None if root is None else _report(root)


def _report(task: trio.lowlevel.Task) -> TaskReport:
    children: Iterable[trio.lowlevel.Task] = (
        child for nursery in task.child_nurseries for child in nursery.child_tasks
    )
    return TaskReport(task.name, tuple(_stack(task)), tuple(_report(child) for child in children))


def _stack(task: trio.lowlevel.Task) -> Iterable[str]:
    for frame, line in task.iter_await_frames():
        code = frame.f_code
        text = traceback.FrameSummary(code.co_filename, line, code.co_name).line
        yield f"{code.co_filename}:{line} in {code.co_qualname}: {text}"
