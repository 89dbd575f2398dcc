"""Recorded answers of Linkerd's own controller, replayed in this process through index and mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.golden.controller import Answer, Controller
from tests.golden.outbound import OutboundController
from tests.golden.plain import normal
from tests.golden.statuses import Writer, normal_status, shown
from tests.golden.world import Cluster, World, files, load, opened, performed

WORLDS = files("worlds")
HISTORIES = files("histories")
# What upstream does at these questions is not what Trellis does: controller/index/OUTBOUND_QUIRKS.md says why.
DECIDED = frozenset(
    (
        "accept-gate-ignores-namespace",
        "backend-namespace-of-parent",
        "egress-streams-end-on-any-write",
        "grpc-empty-filter",
        "ipv6-size-wraps",
        "undefined-port-stream-frozen",
    )
)


class Half(Protocol):
    """One of the two policy APIs, and the index behind it."""

    def apply(self, events: Any, /) -> None: ...
    def get(self, question: dict[str, Any], /) -> Answer: ...
    def watch(self, question: dict[str, Any], /) -> Any: ...


class Controllers:
    """Both halves, told the same, each asked its own questions; and a third that writes statuses, where it should."""

    def __init__(self, arguments: list[str], cluster: Cluster, *, written: bool) -> None:
        self._halves: dict[str, Half] = {"in": Controller(arguments), "out": OutboundController(arguments)}
        self._writer = Writer(arguments, cluster, self._tell) if written else None

    def apply(self, events: Any) -> None:
        self._tell(events)
        if self._writer is not None:
            self._writer.apply(events)

    def _tell(self, events: Any) -> None:
        for half in self._halves.values():
            half.apply(events)

    def half(self, question: dict[str, Any]) -> Half:
        return next(half for name, half in self._halves.items() if name in question)


def _name(path: Path) -> str:
    return path.name.removesuffix(".json.xz")


def _wanted(question: dict[str, Any]) -> bool:
    return not DECIDED.intersection(question.get("quirks", ()))


def _expected(world: World, index: int, cluster: Cluster) -> Answer:
    answer = world["answers"][index]
    return normal(answer, cluster.stamp) if "ok" in answer else {"code": answer["code"]}


# Whether statuses are those that upstream wrote, or ours, which then have to be the same.
recorded_or_written = pytest.mark.parametrize("written", [False, True], ids=["recorded", "written"])


@recorded_or_written
@pytest.mark.parametrize("path", WORLDS, ids=_name)
def test_every_question_of_a_world_has_its_recorded_answer(path: Path, written: bool) -> None:
    """What upstream answered is what we answer, to unary calls and on streams; and so with statuses."""
    world = load(path)
    cluster = opened(world, {} if written else world["statuses"])
    controllers = Controllers(world["args"], cluster, written=written)
    controllers.apply(cluster.listed())

    assert shown(cluster) == shown(opened(world, world["statuses"]))
    for question in filter(_wanted, world["questions"]):
        expected = _expected(world, question["answer"], cluster)
        half = controllers.half(question)
        assert normal(half.get(question), cluster.stamp) == expected, question
        got = half.watch(question)()
        assert normal({"code": got["ended"]} if "ended" in got else got, cluster.stamp) == expected, question


@recorded_or_written
@pytest.mark.parametrize("path", HISTORIES, ids=_name)
def test_every_step_of_a_history_shows_what_was_recorded(path: Path, written: bool) -> None:
    """After each step every open stream shows what upstream's showed, and unary calls and statuses agree."""
    world = load(path)
    steps = world["steps"]
    cluster = opened(world, {} if written else steps[0].get("statuses", {}))
    controllers = Controllers(world["args"], cluster, written=written)
    controllers.apply(cluster.listed())
    streams: dict[int, Any] = {}

    for number, step in enumerate(steps):
        if number:
            for batch in performed(cluster, {**step, "statuses": {}} if written else step):
                controllers.apply(batch)
        statuses = shown(cluster)
        for name, entry in step.get("statuses", {}).items():
            assert statuses.get(name) == normal_status(entry["status"]), (number, step.get("about"), name)
        for stream in step.get("open", ()):
            question = world["streams"][stream]
            if _wanted(question):
                streams[stream] = controllers.half(question).watch(question)
        for stream, state in step["expect"].items():
            if int(stream) in streams:
                expected = state if isinstance(state, dict) else _expected(world, state, cluster)
                where = (number, step.get("about"), world["streams"][int(stream)])
                assert normal(streams[int(stream)](), cluster.stamp) == expected, where
        for question in filter(_wanted, step.get("ask", ())):
            expected = _expected(world, question["answer"], cluster)
            assert normal(controllers.half(question).get(question), cluster.stamp) == expected, (number, question)
