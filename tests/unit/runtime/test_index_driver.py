"""What lists and changes mean, given what was handed on before."""

from __future__ import annotations

import msgspec
import pytest

from controller.k8s.events import Applied, Deleted, Reset
from controller.k8s.meta import ObjectKey
from controller.runtime.index_driver import IndexDriver
from tests.unit.runtime.support import CLUSTER_WIDGETS, WIDGETS, Widget, widget


def decoded(name: str, **fields: str) -> Widget:
    return WIDGETS.decode(msgspec.json.encode(widget(name, **fields)))  # type: ignore[arg-type]


def key(name: str, namespace: str = "ns") -> ObjectKey:
    return ObjectKey(namespace, name)


def complete(driver: IndexDriver[Widget], *resources: Widget) -> Reset[Widget]:
    driver.list_started()
    for resource in resources:
        driver.staged(resource)
    return driver.synced().reset


@pytest.fixture(params=[WIDGETS, CLUSTER_WIDGETS], ids=["namespaced", "cluster"])
def driver(request: pytest.FixtureRequest) -> IndexDriver[Widget]:
    # runtime I13: everything holds for names without namespaces, too
    return IndexDriver(request.param)


A, B, C = decoded("a"), decoded("b"), decoded("c")


def test_the_first_list(driver: IndexDriver[Widget]) -> None:
    """A first list removes nothing and comes as one event."""
    # runtime I1, I6
    assert complete(driver, A, B) == Reset(Widget, (A, B), frozenset())


def test_a_relist_removes_what_is_missing(driver: IndexDriver[Widget]) -> None:
    """What was known and is not listed is removed; the rest comes again, changed or not."""
    # runtime I2
    complete(driver, A, B)
    assert complete(driver, A, C) == Reset(Widget, (A, C), frozenset({key("b")}))


def test_removed_across_namespaces() -> None:
    """Only what is gone is named, in whatever namespace it was."""
    # runtime I3
    driver = IndexDriver(WIDGETS)
    other = decoded("a", namespace="other")
    complete(driver, A, other)
    assert complete(driver, A).removed == {key("a", "other")}


def test_changes_count_as_known(driver: IndexDriver[Widget]) -> None:
    """What was applied since the last list is removed by one without it; what was deleted is not removed again."""
    # runtime I4, I5
    complete(driver, A, B)
    assert driver.applied(C) == Applied(C)
    assert driver.deleted(key("b")) == Deleted(Widget, key("b"))
    assert complete(driver, A).removed == {key("c")}


def test_a_list_that_failed_before_its_first_object(driver: IndexDriver[Widget]) -> None:
    """A failed list forgets nothing: the next one still removes what it has to."""
    # runtime I7
    complete(driver, A, B, C)
    driver.list_started()
    assert complete(driver, A, C).removed == {key("b")}


# runtime I8, I9
@pytest.mark.parametrize("failures", [[(A, B)], [(A, B), (), (C,)]])
def test_lists_that_failed_in_the_middle(driver: IndexDriver[Widget], failures: list[tuple[Widget, ...]]) -> None:
    """However often a list fails, and after whatever pages, the complete one alone counts."""
    complete(driver, A, B)
    for pages in failures:
        driver.list_started()
        for resource in pages:
            driver.staged(resource)
    changed = decoded("b", version="2")
    assert complete(driver, changed, C) == Reset(Widget, (changed, C), frozenset({key("a")}))


def test_twice_in_one_list(driver: IndexDriver[Widget]) -> None:
    """An object that moved between pages counts once, as it was last."""
    # runtime I11
    later = decoded("a", version="2")
    assert complete(driver, A, B, later).resources == (later, B)


def test_made_anew_between_lists(driver: IndexDriver[Widget]) -> None:
    """Another object of the same name is replaced and not removed."""
    # runtime I12
    complete(driver, A, B)
    anew = decoded("a", uid="another")
    driver.list_started()
    driver.staged(anew)
    driver.staged(B)
    synced = driver.synced()
    assert synced.replaced == {key("a")}
    assert synced.reset == Reset(Widget, (anew, B), frozenset())


def test_names(driver: IndexDriver[Widget]) -> None:
    """An object has to have a name, and a namespace if and only if its kind has."""
    # runtime I14
    expected = {("a", "ns"): True, ("a", ""): False} if driver.resource_type.namespaced else {("a", ""): True}
    for (name, namespace), accepted in expected.items():
        assert driver.accepts(decoded(name, namespace=namespace).metadata) is accepted
    assert not driver.accepts(decoded("", namespace="ns" if driver.resource_type.namespaced else "").metadata)
    assert driver.accepts(decoded("a", namespace="ns").metadata) is driver.resource_type.namespaced


def test_deleting_the_unknown(driver: IndexDriver[Widget]) -> None:
    """A delete is handed on even if the object was never known."""
    # runtime I18
    assert driver.deleted(key("x")) == Deleted(Widget, key("x"))


def test_what_is_known(driver: IndexDriver[Widget]) -> None:
    """Between lists, `known` is what has been handed on, and others may keep looking at it."""
    seen = driver.known
    complete(driver, A, B)
    driver.applied(decoded("a", version="5"))
    driver.deleted(key("b"))
    assert seen is driver.known
    assert {name: known.resource_version for name, known in seen.items()} == {key("a"): "5"}
