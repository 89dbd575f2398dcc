"""The audit: answers against a fresh derivation, one namespace at a time."""

from __future__ import annotations

from collections.abc import Collection

import attrs
import pytest
import trio
from trio.testing import MockClock

from controller.indexer.audit import Audit, AuditStatistics


@attrs.define
class Namespaces:
    """An index of which some namespaces are wrong."""

    wrong: dict[str, tuple[str, ...]]
    checked: list[tuple[str, float]] = attrs.field(factory=list)

    def namespaces(self) -> Collection[str]:
        return self.wrong

    def check(self, namespace: str) -> Collection[object]:
        self.checked.append((namespace, trio.current_time()))
        return self.wrong[namespace]


async def test_it_goes_round_and_rests(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """One namespace each interval, a round for each time that something has happened, and none otherwise."""
    index = Namespaces({"b": (), "a": ("x", "y")})
    happened = trio.Event()
    audit = Audit(index, happened.wait, 10.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(audit.run)
        await trio.sleep(100)
        before = list(index.checked)
        happened.set()
        await trio.sleep(25)
        nursery.cancel_scope.cancel()

    assert before == []
    assert index.checked == [("a", 110), ("b", 120)]
    assert audit.statistics() == AuditStatistics(checked=2, wrong=2)
