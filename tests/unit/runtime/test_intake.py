"""Lines and items become events, and what cannot be read is set aside."""

from __future__ import annotations

import datetime as dt

import attrs
import msgspec
import pytest

from controller.k8s.events import Applied, Deleted
from controller.k8s.meta import ObjectKey
from controller.runtime.clock import Clock
from controller.runtime.decode import Decoder
from controller.runtime.errors import Expired, Garbled
from controller.runtime.freshness import WatchRecord
from controller.runtime.index_driver import IndexDriver
from controller.runtime.intake import Intake
from controller.runtime.log import get_logger
from controller.runtime.quarantine import Quarantine, Quarantined
from tests.unit.runtime.support import WIDGETS, Widget, bookmark, line, status, widget


@attrs.define
class World:
    """An intake, and what it writes to."""

    now: float = 100.0
    told: list[Quarantined] = attrs.field(factory=list)
    clock: Clock = attrs.field(init=False)
    quarantine: Quarantine = attrs.field(init=False)
    record: WatchRecord = attrs.field(init=False)
    intake: Intake[Widget] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self.clock = Clock(lambda: self.now, lambda: start + dt.timedelta(seconds=self.now))
        self.quarantine = Quarantine(self.clock, self.told.append)
        self.record = WatchRecord(WIDGETS, self.clock)
        driver = IndexDriver(WIDGETS, self.record.known)
        self.intake = Intake(
            Decoder(WIDGETS), driver, self.record, self.quarantine, self.clock, get_logger("controller.test")
        )

    def list(self, *items: dict[str, object]) -> tuple[list[str], set[str]]:
        """Take in a whole list; return the names that exist and those that are removed."""
        self.intake.list_started()
        self.intake.items(tuple(msgspec.Raw(msgspec.json.encode(item)) for item in items))
        reset = self.intake.list_completed().reset
        return [resource.metadata.name for resource in reset.resources], {key.name for key in reset.removed}


@pytest.fixture
def world() -> World:
    return World()


A = ObjectKey("ns", "a")


def test_one_chunk_is_one_batch(world: World) -> None:
    """Lines that came together come out together, with the version that they lead to."""
    taken = world.intake.lines(
        [
            line("ADDED", widget("a", version="3")),
            line("MODIFIED", widget("b", version="4")),
            line("DELETED", widget("a", version="5")),
            bookmark("9"),
        ]
    )
    assert [type(event) for event in taken.batch] == [Applied, Applied, Deleted]
    assert (taken.version, taken.failure) == ("9", None)
    assert (world.record.applies, world.record.deletes, world.record.bookmarks) == (2, 1, 1)
    assert world.record.last_apply == world.record.last_delete == world.record.last_bookmark == 100.0


def test_a_bookmark_alone(world: World) -> None:
    """A bookmark is no event, but it leads somewhere."""
    # runtime W10
    taken = world.intake.lines([bookmark("9")])
    assert (list(taken.batch), taken.version) == ([], "9")


def test_what_came_before_a_failure_counts(world: World) -> None:
    """Lines before the one that ends the watch are taken in, and those after it are not."""
    # runtime W13, W22
    taken = world.intake.lines(
        [line("ADDED", widget("a", version="3")), line("ERROR", status(410, "Expired")), line("ADDED", widget("b"))]
    )
    assert len(taken.batch) == 1
    assert taken.version == "3"
    assert isinstance(taken.failure, Expired)
    assert isinstance(world.intake.lines([b"garbage"]).failure, Garbled)


def test_skipped_lines_do_not_advance(world: World) -> None:
    """What is not of the kind leads nowhere."""
    # runtime W22
    taken = world.intake.lines([line("ADDED", widget("a", version="7") | {"kind": "Gadget"}), line("NEW", {})])
    assert (list(taken.batch), taken.version, taken.failure) == ([], None, None)
    assert world.record.skipped == 2


def test_skipped_lines_do_not_lead_back(world: World) -> None:
    """A line that leads nowhere does not undo the one before it."""
    taken = world.intake.lines([line("ADDED", widget("a", version="7")), line("NEW", {})])
    assert taken.version == "7"


def test_an_object_without_namespace(world: World) -> None:
    """An object that cannot have come from this kind is skipped, counted, and passed."""
    # runtime I14
    taken = world.intake.lines([line("ADDED", widget("a", namespace="", version="7"))])
    assert (list(taken.batch), taken.version) == ([], "7")
    assert world.list(widget("a", namespace=""), widget("b")) == (["b"], set())
    assert world.record.skipped == 2


# runtime I19, inbound 109
def test_a_bad_change_keeps_the_last_good_object(world: World) -> None:
    """A change that cannot be read changes nothing, and leads on."""
    world.intake.lines([line("ADDED", widget("a", version="3"))])
    taken = world.intake.lines([line("MODIFIED", widget("a", version="4", size="bad"))])
    assert (list(taken.batch), taken.version, taken.failure) == ([], "4", None)
    assert A in world.record.known
    assert (world.record.decode_failures, world.record.quarantined) == (1, 1)


# runtime I19, inbound 109
def test_a_bad_delete_deletes(world: World) -> None:
    """A delete needs nothing but the name."""
    world.intake.lines([line("ADDED", widget("a", version="3"))])
    taken = world.intake.lines([line("DELETED", widget("a", version="4", size="bad"))])
    assert taken.batch == [Deleted(Widget, A)]
    assert A not in world.record.known
    assert world.record.quarantined == 0


# inbound 109
def test_a_bad_object_in_a_list_is_gone(world: World) -> None:
    """What a list shows in a form that cannot be read is removed, and hides no other."""
    assert world.list(widget("a"), widget("b")) == (["a", "b"], set())
    assert world.list(widget("a", version="2", size="bad"), widget("b")) == (["b"], {"a"})
    assert [entry.key for entry in world.quarantine.statistics()] == [A]


def test_told_once_for_each_version(world: World) -> None:
    """However often a bad version is seen, it is told about once; a new one is news."""
    bad = widget("a", version="4", size="bad")
    world.intake.lines([line("ADDED", bad), line("MODIFIED", bad)])
    world.now = 107.0
    world.list(bad)
    assert [(entry.key, entry.resource_version, entry.count) for entry in world.told] == [(A, "4", 1)]
    (entry,) = world.quarantine.statistics()
    assert entry.count == 3
    assert entry.last_seen - entry.first_seen == dt.timedelta(seconds=7)
    assert "$.spec.size" in entry.error
    world.intake.lines([line("MODIFIED", widget("a", version="5", size="bad"))])
    assert [entry.resource_version for entry in world.told] == ["4", "5"]


@pytest.mark.parametrize("how", ["applied", "deleted", "listed well", "not listed"])
def test_ways_out_of_quarantine(world: World, how: str) -> None:
    """An object leaves when it can be read again, and when it is gone."""
    world.intake.lines([line("ADDED", widget("a", size="bad")), line("ADDED", widget("b", size="bad"))])
    match how:
        case "applied":
            world.intake.lines([line("MODIFIED", widget("a", version="2"))])
        case "deleted":
            world.intake.lines([line("DELETED", widget("a", version="2"))])
        case "listed well":
            world.list(widget("a"), widget("b", size="bad"))
        case _:
            world.list(widget("b", size="bad"))
    assert [entry.key.name for entry in world.quarantine.statistics()] == ["b"]
    assert world.record.quarantined == 1
