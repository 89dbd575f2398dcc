"""Recorded outbound answers of Linkerd's own controller, replayed in this process through index and mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.golden.outbound import Answer, OutboundController
from tests.golden.plain import normal
from tests.golden.world import Cluster, World, files, load, opened, performed

# What upstream does at these questions is not what Trellis does: controller/ARCHITECTURE.md says why.
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


def _named(folder: str) -> list[Path]:
    return [path for path in files(folder) if not path.name.startswith("inbound-")]


def _name(path: Path) -> str:
    return path.name.removesuffix(".json.xz")


def _wanted(question: dict[str, Any]) -> bool:
    return "out" in question and not DECIDED.intersection(question.get("quirks", ()))


def _expected(world: World, index: int, cluster: Cluster) -> Answer:
    answer = world["answers"][index]
    return normal(answer, cluster.stamp) if "ok" in answer else {"code": answer["code"]}


@pytest.mark.parametrize("path", _named("worlds"), ids=_name)
def test_every_question_of_a_world_has_its_recorded_answer(path: Path) -> None:
    """What upstream answered is what we answer, to unary calls and on streams."""
    world = load(path)
    cluster = opened(world, world["statuses"])
    controller = OutboundController(world["args"])
    controller.apply(cluster.listed())

    for question in filter(_wanted, world["questions"]):
        expected = _expected(world, question["answer"], cluster)
        assert normal(controller.get(question), cluster.stamp) == expected, question
        shown = controller.watch(question)()
        assert normal({"code": shown["ended"]} if "ended" in shown else shown, cluster.stamp) == expected, question


@pytest.mark.parametrize("path", _named("histories"), ids=_name)
def test_every_step_of_a_history_shows_what_was_recorded(path: Path) -> None:
    """After each step every open stream shows what upstream's showed, and unary calls agree."""
    world = load(path)
    steps = world["steps"]
    cluster = opened(world, steps[0].get("statuses", {}))
    controller = OutboundController(world["args"])
    controller.apply(cluster.listed())
    streams: dict[int, Any] = {}

    for number, step in enumerate(steps):
        if number:
            for batch in performed(cluster, step):
                controller.apply(batch)
        for stream in step.get("open", ()):
            if _wanted(world["streams"][stream]):
                streams[stream] = controller.watch(world["streams"][stream])
        for stream, state in step["expect"].items():
            if int(stream) in streams:
                expected = state if isinstance(state, dict) else _expected(world, state, cluster)
                where = (number, step.get("about"), world["streams"][int(stream)])
                assert normal(streams[int(stream)](), cluster.stamp) == expected, where
        for question in filter(_wanted, step.get("ask", ())):
            expected = _expected(world, question["answer"], cluster)
            assert normal(controller.get(question), cluster.stamp) == expected, (number, question)
