"""Laws of the status index, over worlds in which objects compete."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given

from controller.index.status.index import StatusIndex
from controller.index.status.values import Status, StatusKey
from controller.k8s.references import CONTROLLER_NAME
from tests.property.status_worlds import CONFIG, Cluster, Object, Step, histories
from tests.statuses import due, settle


def rebuilt(cluster: Cluster) -> StatusIndex:
    """An index that knows only what is left."""
    index = StatusIndex(CONFIG)
    index.apply(cluster.survivors())
    return index


def everything(index: StatusIndex) -> dict[StatusKey, Status | None]:
    return {key: index.wanted(key) for key in index.subjects()}


@given(histories)
def test_any_history_gives_what_its_survivors_alone_would_give(history: Sequence[Sequence[Step]]) -> None:
    """However things came to be as they are, and nothing is left of what they were."""
    cluster, index = Cluster(), StatusIndex(CONFIG)
    for batch in history:
        index.apply([event for step in batch for event in cluster.perform(step)])
    fresh = rebuilt(cluster)
    assert everything(index) == everything(fresh)
    assert {key: index.stored(key) for key in index.subjects()} == {key: fresh.stored(key) for key in fresh.subjects()}
    assert index.statistics() == fresh.statistics()


@given(histories)
def test_an_object_whose_status_changes_is_always_named(history: Sequence[Sequence[Step]]) -> None:
    """So is one that was written and is wrong, and nobody who is gone."""
    cluster, index = Cluster(), StatusIndex(CONFIG)
    for batch in history:
        before = {key: (index.stored(key), wanted) for key, wanted in everything(index).items()}
        named = index.apply([event for step in batch for event in cluster.perform(step)])
        after = everything(index)
        assert named <= after.keys()
        for key, wanted in after.items():
            if wanted is not None and before.get(key) != (index.stored(key), wanted):
                assert key in named, key


@given(histories)
def test_a_writer_that_follows_the_names_comes_to_rest_with_everything_right(
    history: Sequence[Sequence[Step]],
) -> None:
    """Each object is written at most twice after a batch, and what other controllers wrote stays as it is."""
    cluster, index = Cluster(), StatusIndex(CONFIG)

    def put(_: StatusKey, obj: Object) -> frozenset[StatusKey]:
        return index.apply([cluster.put(obj)])

    for batch in history:
        named = index.apply([event for step in batch for event in cluster.perform(step)])
        others = {key: _of_others(cluster.find(key)) for key in index.subjects()}
        # Twice: an EgressNetwork that becomes accepted changes its routes.
        assert settle(index, cluster.find, put, named) <= 2 * len(index.subjects())
        assert all(due(index, key, cluster.find(key)) is None for key in index.subjects())
        assert all(_of_others(cluster.find(key)) == entries for key, entries in others.items())


def _of_others(obj: Object) -> list[Object]:
    status = obj.get("status") or {}
    parents = [entry for entry in status.get("parents", ()) if entry["controllerName"] != CONTROLLER_NAME]
    kept = obj["kind"] == "EgressNetwork"  # of a rate limit the conditions are all ours
    return parents + [each for each in status.get("conditions", ()) if kept and each["type"] != "Accepted"]
