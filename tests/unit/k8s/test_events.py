"""What a watch tells an index."""

from __future__ import annotations

from controller.k8s.builtin import Pod
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import ObjectKey, ObjectMeta

POD = Pod(metadata=ObjectMeta(name="a", namespace="b"))


def test_events_are_values() -> None:
    """Equal if they say the same; a list that is complete removes nothing unless it says so."""
    assert Applied(POD) == Applied(Pod(metadata=ObjectMeta(name="a", namespace="b")))
    assert Deleted(Pod, POD.key) == Deleted(Pod, ObjectKey("b", "a"))
    assert Reset(Pod, (POD,)) == Reset(Pod, (POD,), frozenset())


def test_three_kinds_of_event_are_all_there_are() -> None:
    """So that a reader can be total."""
    assert {event.__origin__ for event in Event.__args__} == {Applied, Deleted, Reset}  # type: ignore[attr-defined]
